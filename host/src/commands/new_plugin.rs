//! `scanbridge plugin new`: writes the crate of a plugin from an example of the plugin API.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::PluginKind;

use super::terminal::{print_error, print_output};
use crate::exit_code::USAGE;

/// An example of the plugin API: its files, and the name of its plugin in them.
struct Example {
    plugin: &'static str,
    source: &'static str,
    /// Path in the new crate, content.
    files: &'static [(&'static str, &'static str)],
}

macro_rules! example {
    ($folder:literal, $file:literal) => {
        include_str!(concat!("../../../plugin-api/examples/", $folder, "/", $file))
    };
}

const OUTPUT: Example = Example {
    plugin: "Lines",
    source: example!("lines_output", "lines_output.rs"),
    files: &[("exam.yaml", example!("lines_output", "exam.yaml"))],
};

const INPUT: Example = Example {
    plugin: "Rows",
    source: example!("rows_input", "rows_input.rs"),
    files: &[
        ("exam.yaml", example!("rows_input", "exam.yaml")),
        ("samples/a.ndjson", example!("rows_input", "samples/a.ndjson")),
        ("samples/b.ndjson", example!("rows_input", "samples/b.ndjson")),
        ("changed/a.ndjson", example!("rows_input", "changed/a.ndjson")),
        ("changed/b.ndjson", example!("rows_input", "changed/b.ndjson")),
        ("truncated.ndjson", example!("rows_input", "truncated.ndjson")),
    ],
};

/// `EX_CANTCREAT`.
const CANNOT_CREATE: u8 = 73;

/// Writes a crate into a new directory with its name.
pub(super) fn new(folder: &Path, kind: PluginKind, plugin_api: &Path) -> u8 {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !is_crate_name(name) {
        print_error(&format!("error: `{name}` is not a crate name: it must match `[a-z][a-z0-9-]*`\n"));
        return USAGE;
    }
    let plugin_api = plugin_api.canonicalize().ok().filter(|path| path.join("Cargo.toml").is_file());
    let Some(plugin_api) = plugin_api else {
        print_error("error: --api must be the directory `plugin-api` of a Scanbridge checkout\n");
        return USAGE;
    };
    let example = if kind == PluginKind::Input { INPUT } else { OUTPUT };
    match write(folder, name, &example, &plugin_api) {
        Ok(()) => {
            let (shown, file) = (folder.display(), library_name(name));
            print_output(
                &format!(
                    "{shown}: an {} plugin that passes the exam. Next:\n  cd {shown}\n  cargo build --release\n  \
                     scanbridge plugin test target/release/{file} --config exam.yaml\n",
                    kind.word()
                ),
                0,
            )
        }
        Err(error) => {
            print_error(&format!("error: cannot create {}: {error}\n", folder.display()));
            CANNOT_CREATE
        }
    }
}

fn write(folder: &Path, name: &str, example: &Example, plugin_api: &Path) -> io::Result<()> {
    fs::create_dir(folder)?;
    let plugin = plugin_name(name);
    let mut files: Vec<(PathBuf, String)> = vec![
        ("Cargo.toml".into(), manifest(name, plugin_api)),
        ("src/lib.rs".into(), renamed(example.source, example.plugin, &plugin)),
    ];
    files.extend(
        example.files.iter().map(|(path, text)| ((*path).into(), renamed(text, example.plugin, &plugin))),
    );
    for (path, text) in files {
        let path = folder.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, text)?;
    }
    Ok(())
}

fn manifest(name: &str, plugin_api: &Path) -> String {
    let path = plugin_api.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"

[workspace]

[lib]
# The host loads the `cdylib`; the tests of this crate use the `rlib`.
crate-type = ["cdylib", "rlib"]

[dependencies]
scanbridge-plugin-api = {{ path = "{path}" }}
serde = {{ version = "1", features = ["derive"] }}
serde_json = "1"

[profile.release]
strip = "debuginfo"
"#
    )
}

/// The text with this word replaced.
fn renamed(text: &str, word: &str, by: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let is_word = !before.ends_with(is_part) && !after.starts_with(is_part);
        result.push_str(before);
        result.push_str(if is_word { by } else { word });
        rest = after;
    }
    result + rest
}

/// `acme-lines` as `AcmeLines`.
fn plugin_name(name: &str) -> String {
    let capital = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    name.split('-').filter(|part| !part.is_empty()).map(capital).collect()
}

fn library_name(name: &str) -> String {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    format!("{prefix}{}{suffix}", name.replace('-', "_"))
}

fn is_crate_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.bytes().all(is_plain) && name.starts_with(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugin_is_named_after_its_crate() {
        assert_eq!(plugin_name("acme-lines-2"), "AcmeLines2");
        assert!(is_crate_name("acme-lines") && !is_crate_name("Acme") && !is_crate_name("2a"));
        assert!(!is_crate_name("") && !is_crate_name("a b"));
    }

    #[test]
    fn only_whole_words_are_replaced() {
        let text = "struct Lines; impl Lines { const LINES: LinesX = \"Lines\"; }";
        let expected = "struct Acme; impl Acme { const LINES: LinesX = \"Acme\"; }";
        assert_eq!(renamed(text, "Lines", "Acme"), expected);
    }
}
