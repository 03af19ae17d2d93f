//! The guide `docs/migrating.md`: its options exist. `documentation` checks its pipelines and commands.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use scanbridge_doubles::certificates::{Authority, Request};

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

fn guide() -> String {
    fs::read_to_string(installation::project_file("docs/migrating.md")).unwrap()
}

/// A directory as the guide assumes it: the old settings file, the client's file and the passwords.
fn prepared() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("InputPlugins")).unwrap();
    let settings = "user_id: example_user\npassword: 'not-a-real-w0rd'\ntemplate_id: 424242\nadd_host: y\n";
    for (name, text) in [
        ("InputPlugins/QualysGuard.yaml", settings),
        ("qualys.password", "not-a-real-w0rd\n"),
        ("dc.password", "not-a-real-w0rd\n"),
    ] {
        let file = sandbox.write(name, text);
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    sandbox
}

/// Each option in the second column of the tables exists in a plugin, in the host or on the command line.
#[test]
fn options_of_the_guide_exist() {
    let page = guide();
    let sandbox = Sandbox::new();
    let mut known = String::new();
    for plugin in ["QualysGuard", "ArcSightCEF", "Sourcefire", "CSV"] {
        known += &Outcome::of(sandbox.host(&["plugin", "describe", plugin]).output().unwrap())
            .expect_code(0)
            .stdout;
    }
    known += &Outcome::of(sandbox.host(&["config", "schema"]).output().unwrap()).expect_code(0).stdout;
    known +=
        &Outcome::of(sandbox.host(&["service", "install", "--help"]).output().unwrap()).expect_code(0).stdout;
    known += &Outcome::of(sandbox.host(&["run", "--help"]).output().unwrap()).expect_code(0).stdout;
    let options: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| Trap"))
        .filter_map(|line| line.split(" | ").nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_') && word.contains('_'))
        .collect();
    assert!(options.len() > 8, "{options:?}");
    for option in options {
        assert!(known.contains(option), "unknown option `{option}`");
    }
}

/// The guide of the SmartConnector wants the client certificate in a directory of its own.
#[test]
fn client_certificate_that_others_can_read_is_a_warning() {
    let sandbox = prepared();
    let issued = Authority::new("Example CA").issue(&Request::client("connector"));
    let (certificate, key) = issued.write_pem(&sandbox.path(""), "client");
    for (mode, warned) in [(0o644, true), (0o600, false)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        sandbox.write(
            "p.yaml",
            format!(
                "version: 1\ninputs:\n  - id: scans\n    plugin: QualysGuard\n    with:\n      source: scan-reports\n      \
                 user_id: a\n      password: \"${{file:qualys.password}}\"\n      url: https://127.0.0.1:1\n      tls_certificate: {certificate:?}\n      \
                 tls_key: {key:?}\noutputs:\n  - {{ id: table, plugin: CSV, with: {{ path: out.csv }} }}\n"
            ),
        );
        let outcome =
            Outcome::of(sandbox.host(&["check", "p.yaml", "--probe"]).output().unwrap()).expect_code(69);
        let text = format!("{}{}", outcome.stdout, outcome.stderr);
        assert_eq!(text.contains("is open to other users (mode 0644): chmod"), warned, "{mode:o}: {text}");
    }
}
