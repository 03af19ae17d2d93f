//! Checks the allowed dependencies between the crates of the workspace, with the metadata of Cargo, that only the ABI
//! modules contain `unsafe` code, and that the types of the plugin API can get members.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

mod source_files;

use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use proc_macro2::{TokenStream, TokenTree};
use source_files::{root, rust_files};

/// The layer of a crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    PluginApi,
    FieldEncryption,
    Host,
    Service,
    Observe,
    TlsPolicy,
    Plugin,
    SharedByPlugins,
    Packaging,
    Tests,
}

fn workspace() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap()
}

fn layer(workspace: &Metadata, package: &Package) -> Layer {
    let path = package.manifest_path.strip_prefix(&workspace.workspace_root).unwrap().as_str();
    match path {
        "plugin-api/Cargo.toml" => Layer::PluginApi,
        "field-encryption/Cargo.toml" => Layer::FieldEncryption,
        "host/Cargo.toml" => Layer::Host,
        "service/Cargo.toml" => Layer::Service,
        "observe/Cargo.toml" => Layer::Observe,
        "tls-policy/Cargo.toml" => Layer::TlsPolicy,
        _ if path.starts_with("plugins/shared/") => Layer::SharedByPlugins,
        _ if path.starts_with("plugins/") => Layer::Plugin,
        _ if path.starts_with("dist/") => Layer::Packaging,
        _ if path.starts_with("tests/") => Layer::Tests,
        other => panic!("{other} has no known layer: add it to this test"),
    }
}

/// Whether a crate of one layer may depend on a crate of another layer.
fn is_allowed(from: Layer, to: Layer) -> bool {
    match from {
        Layer::PluginApi | Layer::FieldEncryption | Layer::Observe | Layer::TlsPolicy => false,
        // Only the FIPS build of the host links the policy, for the state of its module.
        Layer::Host => {
            matches!(to, Layer::PluginApi | Layer::FieldEncryption | Layer::Observe | Layer::TlsPolicy)
        }
        // The process that listens links neither a plugin nor the ABI nor the reader of pipeline files.
        Layer::Service => matches!(to, Layer::Observe | Layer::TlsPolicy),
        Layer::Plugin => matches!(to, Layer::PluginApi | Layer::SharedByPlugins),
        Layer::SharedByPlugins => {
            matches!(to, Layer::PluginApi | Layer::SharedByPlugins | Layer::TlsPolicy)
        }
        // What packages contain in addition is made from the definitions of both programs.
        Layer::Packaging => matches!(to, Layer::Host | Layer::Service),
        Layer::Tests => to != Layer::Plugin,
    }
}

/// Whether the *tests* of a crate may do so. All tests may use contract tests, doubles and fixtures. Test packages list
/// plugins only so that Cargo builds them.
fn is_allowed_in_tests(from: Layer, to: Layer) -> bool {
    is_allowed(from, to) || to == Layer::Tests || from == Layer::Tests
}

/// All dependencies between crates of the workspace: from, to, and whether it is a dev-dependency.
fn dependencies(workspace: &Metadata) -> Vec<(&Package, &Package, bool)> {
    let ours = workspace.workspace_packages();
    let mut found = Vec::new();
    for from in &ours {
        for dependency in &from.dependencies {
            let Some(to) = ours.iter().find(|package| package.name.as_str() == dependency.name) else {
                continue;
            };
            found.push((*from, *to, dependency.kind == DependencyKind::Development));
        }
    }
    found
}

#[test]
fn crates_have_only_allowed_dependencies() {
    let workspace = workspace();
    let found = dependencies(&workspace);
    assert!(found.len() > 10, "only {} dependencies: is this the right workspace?", found.len());
    let wrong: Vec<String> = found
        .iter()
        .filter(|(from, to, for_tests)| {
            let (from, to) = (layer(&workspace, from), layer(&workspace, to));
            let allowed = if *for_tests { is_allowed_in_tests(from, to) } else { is_allowed(from, to) };
            !allowed
        })
        .map(|(from, to, for_tests)| format!("{} → {} (for tests: {for_tests})", from.name, to.name))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn qualys_xml_depends_only_on_the_plugin_api() {
    let workspace = workspace();
    let known: Vec<&str> = dependencies(&workspace)
        .into_iter()
        .filter(|(from, _, for_tests)| from.name.as_str() == "scanbridge-qualys-xml" && !for_tests)
        .map(|(_, to, _)| to.name.as_str())
        .collect();
    assert_eq!(known, ["scanbridge-plugin-api"]);
}

#[test]
fn tests_of_a_crate_do_not_use_real_plugins() {
    // The tests of the host may load the rogue plugins, but not the real ones.
    let workspace = workspace();
    for (from, to, _) in dependencies(&workspace) {
        if matches!(
            layer(&workspace, from),
            Layer::PluginApi | Layer::Host | Layer::Plugin | Layer::SharedByPlugins
        ) {
            assert_ne!(layer(&workspace, to), Layer::Plugin, "{} → {}", from.name, to.name);
        }
    }
}

#[test]
fn only_the_plugin_api_depends_on_abi_stable() {
    let workspace = workspace();
    let dependents: Vec<&str> = workspace
        .workspace_packages()
        .into_iter()
        .filter(|package| {
            package.dependencies.iter().any(|dependency| dependency.name.starts_with("abi_stable"))
        })
        .map(|package| package.name.as_str())
        .collect();
    assert_eq!(dependents, ["scanbridge-plugin-api"]);
}

#[test]
fn third_party_plugin_depends_only_on_the_plugin_api() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/third-party-plugin/Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    let dependencies: Vec<&str> =
        metadata.packages[0].dependencies.iter().map(|it| it.name.as_str()).collect();
    let ours: Vec<&&str> = dependencies.iter().filter(|name| name.starts_with("scanbridge")).collect();
    assert_eq!(ours, [&"scanbridge-plugin-api"]);
    assert!(
        !dependencies.iter().any(|name| name.contains("abi_stable") || *name == "inventory"),
        "{dependencies:?}"
    );
}

#[test]
fn plugins_are_built_as_cdylib_and_rlib() {
    let workspace = workspace();
    for package in workspace.workspace_packages() {
        if layer(&workspace, package) == Layer::Plugin {
            let library = package.targets.iter().find(|target| target.is_cdylib()).unwrap();
            assert_eq!(library.crate_types.len(), 2, "{}", package.name);
        }
    }
}

/// Identifiers that only the ABI modules may use, and the folders of these modules.
const ABI_IDENTIFIERS: [&str; 4] = ["unsafe", "abi_stable", "StableAbi", "sabi"];
const ABI_FOLDERS: [&str; 2] = ["plugin-api/src/abi/", "host/src/plugins/"];

/// The identifiers of a source text with their lines. Comments and string literals contain none.
fn identifiers(tokens: TokenStream) -> Vec<(usize, String)> {
    let found = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Group(group) => identifiers(group.stream()),
        TokenTree::Ident(ident) => vec![(ident.span().start().line, ident.to_string())],
        TokenTree::Punct(_) | TokenTree::Literal(_) => Vec::new(),
    });
    found.collect()
}

#[test]
fn unsafe_code_and_abi_stable_are_only_in_the_abi_modules() {
    let root = root();
    let folders = ["plugin-api", "host", "plugins", "service", "observe", "tls-policy", "examples"];
    let files: Vec<_> = folders.iter().flat_map(|folder| rust_files(&root.join(folder))).collect();
    assert!(files.len() > 200, "only {} files", files.len());
    let (mut wrong, mut allowed) = (Vec::new(), 0);
    for (file, text) in files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = identifiers(tokens);
        let found = found.into_iter().filter(|(_, word)| ABI_IDENTIFIERS.contains(&word.as_str()));
        if ABI_FOLDERS.iter().any(|folder| name.starts_with(folder)) {
            allowed += found.count();
        } else {
            wrong.extend(found.map(|(line, word)| format!("{name}:{line}: {word}")));
        }
    }
    assert!(allowed > 50, "only {allowed} places in the ABI modules: is the search right?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Tuples with a public field, from before this was checked.
const FROZEN_TUPLES: [&str; 2] = ["pub struct Position(pub Vec<u8>);", "pub struct Receipt(pub Vec<u8>);"];

/// Public types without `#[non_exhaustive]`, although their variants or fields are public.
fn closed_types(file: &Path, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        // A tuple with a public field; the two that exist are frozen.
        let is_tuple = line.starts_with("pub struct ") && line.contains("(pub ");
        if is_tuple && !FROZEN_TUPLES.contains(line) {
            found.push(format!("{}:{}: {line}", file.display(), number + 1));
        }
        let is_enum = line.starts_with("pub enum ");
        let is_struct = line.starts_with("pub struct ") && line.ends_with('{');
        if !is_enum && !is_struct {
            continue;
        }
        let mut members = lines[number + 1..].iter().take_while(|line| **line != "}");
        let is_open = is_enum || line.ends_with('}') || members.any(|member| member.starts_with("pub "));
        let mut before = lines[..number].iter().rev().take_while(|line| !line.is_empty() && **line != "}");
        if is_open && !before.any(|line| line.starts_with("#[") && line.contains("non_exhaustive")) {
            found.push(format!("{}:{}: {line}", file.display(), number + 1));
        }
    }
    found
}

/// Public types can get members in a minor version: authors can neither write them as literals nor match all variants.
#[test]
fn public_enums_and_structs_can_get_members() {
    let root = root().join("plugin-api/src");
    let mut files = rust_files(&root);
    // The tables and frames of the ABI are frozen under their IDs, and are the host's side for authors.
    files.retain(|(path, _)| !path.starts_with(root.join("abi")));
    assert!(files.len() > 30, "only {} files", files.len());
    let closed: Vec<String> = files.iter().flat_map(|(path, text)| closed_types(path, text)).collect();
    assert!(closed.is_empty(), "add #[non_exhaustive] and a constructor:\n{}", closed.join("\n"));
}

#[test]
fn closed_types_are_found() {
    let file = Path::new("a.rs");
    assert_eq!(closed_types(file, "pub struct Open {\n    pub field: u8,\n}").len(), 1);
    assert_eq!(closed_types(file, "#[derive(Debug)]\npub enum Word {\n    One,\n}").len(), 1);
    assert_eq!(closed_types(file, "#[non_exhaustive]\npub enum Word {\n    One,\n}").len(), 0);
    assert_eq!(closed_types(file, "pub struct Bytes(pub Vec<u8>);").len(), 1);
    assert_eq!(closed_types(file, "pub struct Receipt(pub Vec<u8>);\npub struct Private(Vec<u8>);").len(), 0);
    assert_eq!(closed_types(file, "pub struct Private {\n    field: u8,\n}").len(), 0);
}
