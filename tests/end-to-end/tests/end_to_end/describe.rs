//! `plugin describe` of every built plugin at 80 columns, and the style of all option help texts.

use scanbridge::cli::{Format, ListedPlugin, describe_plugin};
use scanbridge::plugins::{FilePermissionCheck, Folder, Registry};
use scanbridge_plugin_api::OptionDescriptor;

use crate::installation;

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
        let plugin = ListedPlugin { descriptor, file: "PLUGINS/library.so".as_ref(), note: "" };
        let shown = describe_plugin(&plugin, Format::Text, 80);
        let shown = shown.replacen(&descriptor.version, "X.Y.Z", 1);
        insta::assert_snapshot!(format!("describe-{}", descriptor.name), shown);
    }
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

/// Options that mean the same in several plugins: by their beginning, or by name.
const SHARED_OPTIONS: [&str; 6] =
    ["tls_", "preferred_ip_version", "if_exists", "mode", "rotate_", "max_text_bytes"];

/// The exception: Defense Centers have certificates for UUIDs, so Sourcefire has its own default and explanation.
const OWN_MEANING: (&str, &str) = ("Sourcefire", "tls_check_name");

#[test]
fn shared_options_have_the_same_help_in_all_plugins() {
    let registry = installed();
    let mut seen: Vec<(String, String, String)> = Vec::new();
    for claim in registry.claims() {
        let descriptor = claim.library.descriptor(claim.kind, claim.name).unwrap();
        for option in &descriptor.options {
            let is_shared = SHARED_OPTIONS.iter().any(|shared| option.name.starts_with(shared));
            if !is_shared || (descriptor.name.as_str(), option.name.as_str()) == OWN_MEANING {
                continue;
            }
            match seen.iter().find(|(name, ..)| *name == option.name) {
                Some((_, first, help)) => {
                    assert_eq!(*help, option.help, "`{}` of {first} and {}", option.name, descriptor.name);
                }
                None => seen.push((option.name.clone(), descriptor.name.clone(), option.help.clone())),
            }
        }
    }
    assert!(seen.len() > 8, "{seen:?}");
}
