//! Files that a YAML block of the documentation needs: the parts of a pipeline that it leaves out, settings files, secrets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::blocks::Block;
use crate::sandbox::Sandbox;

/// What a file is for.
pub(super) enum Kind {
    Pipeline,
    Service,
    Test,
}

/// A file that was written, and the environment in which its references resolve.
pub(super) struct File {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) environment: Vec<(String, String)>,
}

const SECRET: &str = "not-a-real-w0rd-of-32-characters\n";
const SETTINGS: &str = "user_id: example_user\npassword: not-a-real-w0rd\ntemplate_id: 424242\n";
const INPUTS: &str =
    "inputs:\n  - { id: source, plugin: QualysGuardFile, with: { path: examples/reports/scan.xml } }\n";
const OUTPUTS: &str = "outputs:\n  - { id: target, plugin: CSV, with: { path: out/target.csv } }\n";

/// Writes a block, completed to a whole file, with everything that it refers to.
pub(super) fn write_yaml(sandbox: &Sandbox, block: &Block) -> File {
    let mut text = block.lines.join("\n") + "\n";
    let has = |text: &str, key: &str| text.lines().any(|line| line.starts_with(&format!("{key}:")));
    let kind = if has(&text, "tests") {
        Kind::Test
    } else if has(&text, "service") || has(&text, "console") {
        Kind::Service
    } else {
        Kind::Pipeline
    };
    match kind {
        Kind::Test => {}
        Kind::Service if has(&text, "service") => {}
        Kind::Service => text.insert_str(0, "service: 1\n"),
        Kind::Pipeline => {
            for (key, part) in [("version", "version: 1\n"), ("inputs", INPUTS), ("outputs", OUTPUTS)] {
                if !has(&text, key) {
                    text.push_str(part);
                }
            }
        }
    }
    let environment = write_references(sandbox, &mut text);
    let name = block.lines[0].strip_prefix("# ").and_then(|line| line.split([',', ':', ' ']).next());
    let name = name.filter(|name| name.ends_with(".yaml")).unwrap_or("block.yaml").to_owned();
    sandbox.write(&name, &text);
    File { name, kind, environment }
}

/// Writes the settings files and the secrets, and returns the variables. Absolute paths of secrets become relative.
fn write_references(sandbox: &Sandbox, text: &mut String) -> Vec<(String, String)> {
    let mut environment =
        vec![("CREDENTIALS_DIRECTORY".to_owned(), sandbox.path("credentials").display().to_string())];
    for (kind, name) in references(text) {
        match kind {
            "env" => environment.push((name, SECRET.trim().to_owned())),
            "credential" => write_private(sandbox, &format!("credentials/{name}"), SECRET),
            _ => {
                let file = name.trim_start_matches('/');
                *text = text.replace(&format!("file:{name}}}"), &format!("file:{file}}}"));
                write_private(sandbox, file, SECRET);
            }
        }
    }
    for (at, key) in text.match_indices("config: ") {
        let path = text[at + key.len()..].split([',', ' ', '\n', '}']).next().unwrap();
        write_private(sandbox, path, SETTINGS);
    }
    environment
}

/// The references without a default: kind and name.
fn references(text: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for (kind, start) in [("env", "${env:"), ("file", "${file:"), ("credential", "${credential:")] {
        let names = text.split(start).skip(1).filter_map(|rest| rest.split('}').next());
        found.extend(names.filter(|name| !name.contains(":-")).map(|name| (kind, name.to_owned())));
    }
    found
}

fn write_private(sandbox: &Sandbox, path: &str, content: &str) {
    fs::create_dir_all(sandbox.path(path).parent().unwrap()).unwrap();
    let file = sandbox.write(path, content);
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}
