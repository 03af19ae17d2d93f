//! Public types can get members in a minor version: authors can neither write them as literals nor match all variants.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

use std::fs;
use std::path::Path;

/// Public types without `#[non_exhaustive]`, although their variants or fields are public.
fn closed_types(file: &Path, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let is_enum = line.starts_with("pub enum ");
        if !is_enum && !(line.starts_with("pub struct ") && line.ends_with('{')) {
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

fn sources(folder: &Path, found: &mut Vec<(std::path::PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The tables and frames of the ABI are frozen under their IDs, and are the host's side for authors.
        if path.is_dir() && !path.ends_with("abi") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

#[test]
fn public_enums_and_structs_can_get_members() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
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
    assert_eq!(closed_types(file, "pub struct Private {\n    field: u8,\n}").len(), 0);
}
