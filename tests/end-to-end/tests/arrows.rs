//! Who may depend on whom, read from what Cargo itself believes.

#![expect(clippy::unwrap_used, reason = "a test ends when something is not as it must be")]

use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Where a crate stands in the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    PluginApi,
    Host,
    Plugin,
    SharedByPlugins,
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

fn room(workspace: &Metadata, package: &Package) -> Room {
    let path = package.manifest_path.strip_prefix(&workspace.workspace_root).unwrap().as_str();
    match path {
        "plugin-api/Cargo.toml" => Room::PluginApi,
        "host/Cargo.toml" => Room::Host,
        _ if path.starts_with("plugins/shared/") => Room::SharedByPlugins,
        _ if path.starts_with("plugins/") => Room::Plugin,
        _ if path.starts_with("tests/") => Room::Tests,
        other => panic!("{other} stands in no known room: give it one in this test"),
    }
}

/// Whether a crate of one room may name a crate of another in its code.
fn is_allowed(from: Room, to: Room) -> bool {
    match from {
        Room::PluginApi => false,
        Room::Host => to == Room::PluginApi,
        Room::Plugin | Room::SharedByPlugins => matches!(to, Room::PluginApi | Room::SharedByPlugins),
        Room::Tests => to != Room::Plugin,
    }
}

/// Whether a crate's *tests* may do so. Exams, doubles and fixtures are open to all; and the tests' own packages
/// list plugins only to have them built.
fn is_allowed_in_tests(from: Room, to: Room) -> bool {
    is_allowed(from, to) || to == Room::Tests || from == Room::Tests
}

/// Each arrow between two crates of ours: from, to, and whether it is there for tests alone.
fn arrows(workspace: &Metadata) -> Vec<(&Package, &Package, bool)> {
    let ours = workspace.workspace_packages();
    let mut arrows = Vec::new();
    for from in &ours {
        for dependency in &from.dependencies {
            let Some(to) = ours.iter().find(|package| package.name.as_str() == dependency.name) else {
                continue;
            };
            arrows.push((*from, *to, dependency.kind == DependencyKind::Development));
        }
    }
    arrows
}

#[test]
fn no_crate_names_one_that_it_must_not_know() {
    let workspace = workspace();
    let arrows = arrows(&workspace);
    assert!(arrows.len() > 10, "only {} arrows: are we reading the right workspace?", arrows.len());
    let wrong: Vec<String> = arrows
        .iter()
        .filter(|(from, to, for_tests)| {
            let (from, to) = (room(&workspace, from), room(&workspace, to));
            let allowed = if *for_tests { is_allowed_in_tests(from, to) } else { is_allowed(from, to) };
            !allowed
        })
        .map(|(from, to, for_tests)| format!("{} → {} (for tests: {for_tests})", from.name, to.name))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reader_of_reports_knows_the_model_and_nothing_else() {
    let workspace = workspace();
    let known: Vec<&str> = arrows(&workspace)
        .into_iter()
        .filter(|(from, _, for_tests)| from.name.as_str() == "scanbridge-qualys-xml" && !for_tests)
        .map(|(_, to, _)| to.name.as_str())
        .collect();
    assert_eq!(known, ["scanbridge-plugin-api"]);
}

#[test]
fn no_crate_tests_itself_with_another_ones_plugin() {
    // The host's tests may load plugins that misbehave on purpose, never the real ones.
    let workspace = workspace();
    for (from, to, _) in arrows(&workspace) {
        if matches!(
            room(&workspace, from),
            Room::PluginApi | Room::Host | Room::Plugin | Room::SharedByPlugins
        ) {
            assert_ne!(room(&workspace, to), Room::Plugin, "{} → {}", from.name, to.name);
        }
    }
}

#[test]
fn only_the_plugin_api_names_the_abi_crate() {
    let workspace = workspace();
    let naming: Vec<&str> = workspace
        .workspace_packages()
        .into_iter()
        .filter(|package| {
            package.dependencies.iter().any(|dependency| dependency.name.starts_with("abi_stable"))
        })
        .map(|package| package.name.as_str())
        .collect();
    assert_eq!(naming, ["scanbridge-plugin-api"]);
}

#[test]
fn an_authors_plugin_names_one_crate_of_ours_and_no_abi_crate() {
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
fn plugins_are_libraries_for_the_host_and_for_their_own_tests() {
    let workspace = workspace();
    for package in workspace.workspace_packages() {
        if room(&workspace, package) == Room::Plugin {
            let library = package.targets.iter().find(|target| target.is_cdylib()).unwrap();
            assert_eq!(library.crate_types.len(), 2, "{}", package.name);
        }
    }
}
