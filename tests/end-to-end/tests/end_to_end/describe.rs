//! `plugin describe` of every built plugin at 80 columns, and the style of all option help texts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use scanbridge::cli::{DescribeFormat, ListedPlugin, describe_plugin};
use scanbridge::plugins::{FilePermissionCheck, Folder, Registry};
use scanbridge_plugin_api::{CryptoModule, OptionDescriptor, OptionSpec, PluginKind};
use serde_json::Value;

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

const COLUMNS: usize = 80;

/// The longest help text of an option, in characters.
const MAX_HELP: usize = 260;

fn installed() -> Registry {
    let folder = Folder { path: installation::host().with_file_name("plugins"), named: true };
    Registry::discover(&[folder], FilePermissionCheck::OwnerOnly)
}

#[test]
fn every_plugin_is_described_in_80_columns() {
    let registry = installed();
    let claims = registry.claims();
    assert!(claims.len() >= 6, "only {} plugins are installed", claims.len());
    for claim in claims {
        let descriptor = claim.library.descriptor(claim.kind, claim.name).unwrap();
        let plugin = ListedPlugin {
            descriptor,
            file: "PLUGINS/library.so".as_ref(),
            note: "",
            crypto: CryptoModule::None,
        };
        let shown = describe_plugin(&plugin, None, DescribeFormat::Text, COLUMNS);
        let long: Vec<&str> = shown.lines().filter(|line| line.chars().count() > COLUMNS).collect();
        assert!(long.is_empty(), "{}: {long:#?}", descriptor.name);
        let shown = shown.replacen(&descriptor.version, "X.Y.Z", 1);
        insta::assert_snapshot!(format!("describe-{}", descriptor.name), shown);
    }
}

/// With `UPDATE_DOCS=1` it writes them.
#[test]
fn readme_of_every_plugin_has_its_options() {
    let sandbox = Sandbox::new();
    let registry = installed();
    for claim in registry.claims() {
        let describe = ["plugin", "describe", claim.name, "--format", "markdown"];
        let described = Outcome::of(sandbox.host(&describe).output().unwrap()).expect_code(0).stdout;
        scanbridge_plugin_contract::readme(&described, &readme_of(claim.kind, claim.name));
    }
}

/// The README with the options of a plugin.
fn readme_of(kind: PluginKind, name: &str) -> PathBuf {
    let begin = format!("<!-- options of {} {name}", kind.word());
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins")).unwrap();
    let mut files = folders.map(|folder| folder.unwrap().path().join("README.md"));
    let has_options = |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.contains(&begin));
    files.find(has_options).unwrap_or_else(|| panic!("no README below plugins has a line `{begin} -->`"))
}

/// The words under which operators look for an option.
#[test]
fn every_option_is_in_one_of_the_usual_groups() {
    let registry = installed();
    for claim in registry.claims() {
        let descriptor = claim.library.descriptor(claim.kind, claim.name).unwrap();
        for option in &descriptor.options {
            let group = option.group.as_str();
            assert!(OptionSpec::GROUPS.contains(&group), "{} {}: {group:?}", descriptor.name, option.name);
        }
    }
}

#[test]
fn one_option_is_described_alone() {
    let sandbox = Sandbox::new();
    let describe = |arguments: &[&str], code| {
        let arguments = [&["plugin", "describe"], arguments].concat();
        Outcome::of(sandbox.host(&arguments).output().unwrap()).expect_code(code)
    };
    let text = describe(&["qualysguardfile", "settle_secs"], 0).stdout;
    assert!(text.starts_with("settle_secs (number, "), "{text}");
    assert!(text.lines().all(|line| line.len() <= COLUMNS) && !text.contains("poll_secs"), "{text}");
    let json: Value =
        serde_json::from_str(&describe(&["CSV", "columns", "--format", "json"], 0).stdout).unwrap();
    assert_eq!((&json["name"], json["options"].as_array().unwrap().len()), (&"CSV".into(), 1));
    assert_eq!(json["options"][0]["group"], "records");
    let unknown = describe(&["CSV", "colums"], 78);
    assert!(
        unknown.stderr.contains("unknown option `colums`; did you mean `columns`?"),
        "{}",
        unknown.stderr
    );
    assert_eq!(unknown.stdout, "");
}

/// What is wrong with a help text: it is a noun phrase or a command, starts with a capital letter and ends in a full
/// stop.
fn help_style_error(option: &OptionDescriptor) -> Option<&'static str> {
    let help = option.help.as_str();
    let first = help.split([' ', ',']).next().unwrap_or_default();
    if ["Whether", "How", "What", "Which", "Where"].contains(&first) {
        Some("begins with a question word")
    } else if !help.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit()) {
        Some("does not begin with a capital letter")
    } else if !help.ends_with('.') {
        Some("does not end in a full stop")
    } else if help.chars().count() > MAX_HELP {
        Some("is longer than 260 characters")
    } else {
        None
    }
}

#[test]
fn option_help_has_one_style() {
    let registry = installed();
    let mut wrong = Vec::new();
    for claim in registry.claims() {
        let descriptor = claim.library.descriptor(claim.kind, claim.name).unwrap();
        for option in &descriptor.options {
            if let Some(error) = help_style_error(option) {
                wrong.push(format!("{} `{}` {error}: {}", descriptor.name, option.name, option.help));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Options whose name occurs in another plugin of the kind with another meaning.
const OWN_MEANING: [(&str, &str); 8] = [
    // The content of a record, a request instead of a write, and a login instead of a file.
    ("HTTP", "format"),
    ("HTTP", "batch_bytes"),
    ("HTTP", "password"),
    // The field of Splunk, not the name of a scanner.
    ("HTTP", "source"),
    // The schema of a line, not the kind of file.
    ("JSON", "format"),
    // Between two looks into a directory, not between two questions about a report.
    ("QualysGuardFile", "poll_secs"),
    // For the complete connection, not for each attempt.
    ("Sourcefire", "connect_timeout_secs"),
    // Defense Centers have certificates for UUIDs.
    ("Sourcefire", "tls_check_name"),
];

/// The help without the sentences about the default and the part of the plugin that has the option.
fn meaning(help: &str) -> &str {
    let ends = [" Default: ", " Only with `", " Only for `"];
    &help[..ends.iter().filter_map(|end| help.find(end)).min().unwrap_or(help.len())]
}

#[test]
fn options_of_several_plugins_have_the_same_help() {
    let registry = installed();
    let mut own_meaning = OWN_MEANING.to_vec();
    let mut first_of: BTreeMap<(Option<PluginKind>, String), (String, String)> = BTreeMap::new();
    let (mut shared, mut different) = (0, Vec::new());
    for claim in registry.claims() {
        let descriptor = claim.library.descriptor(claim.kind, claim.name).unwrap();
        for option in &descriptor.options {
            let own = (descriptor.name.as_str(), option.name.as_str());
            if let Some(index) = own_meaning.iter().position(|known| *known == own) {
                own_meaning.swap_remove(index);
                continue;
            }
            let help = meaning(&option.help);
            // Network options have one meaning, others one for inputs and one for outputs.
            let is_common = option.name.starts_with("tls_") || option.name == "preferred_ip_version";
            let key = ((!is_common).then_some(descriptor.kind), option.name.clone());
            match first_of.get(&key) {
                Some((_, first)) if first == help => shared += 1,
                Some((plugin, first)) => different
                    .push(format!("`{}`\n  {plugin}: {first}\n  {}: {help}", option.name, descriptor.name)),
                None => {
                    first_of.insert(key, (descriptor.name.clone(), help.to_owned()));
                }
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(own_meaning.is_empty(), "these exceptions are not needed: {own_meaning:?}");
    assert!(shared > 20, "only {shared} options are shared");
}
