//! Checks `docs/acceptance.md`: every row exists once, and every test that it names exists.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

mod source_files;

use std::fs;
use std::path::PathBuf;

use source_files::{root, rust_files};

fn page() -> String {
    fs::read_to_string(root().join("docs/acceptance.md")).unwrap()
}

/// The numbers of the rows whose first column begins with this prefix: 31 for `A-031`; 4, 5 and 6 for `A-004…A-006`.
fn numbers(page: &str, prefix: &str) -> Vec<u32> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let rows = cells.filter(|cell| cell.starts_with(&format!("{prefix}-")));
    rows.flat_map(|cell| {
        let number = |text: &str| text.strip_prefix(&format!("{prefix}-")).unwrap().parse::<u32>().unwrap();
        let (first, last) = cell.split_once('…').unwrap_or((cell, cell));
        number(first)..=number(last)
    })
    .collect()
}

/// All `module::test` in backticks: the end of the path of the file, and the name of the test.
fn named_tests(page: &str) -> Vec<(&str, &str)> {
    let in_backticks = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    in_backticks.filter_map(|text| text.split_once("::")).collect()
}

#[test]
fn every_row_of_both_guides_exists_once() {
    let page = page();
    assert_eq!(numbers(&page, "S"), (1..=106).collect::<Vec<_>>());
    assert_eq!(numbers(&page, "A"), (1..=192).collect::<Vec<_>>());
}

/// All references to sections of the manual: `[page.md](page.md), *Section*` and ``README of `folder`, *Section*``.
fn named_sections(page: &str) -> Vec<(PathBuf, &str)> {
    let linked = page.match_indices("](").filter_map(|(at, _)| {
        let (target, rest) = page[at + 2..].split_once(')')?;
        Some((root().join("docs").join(target), rest))
    });
    let readmes = page.match_indices("README of `").filter_map(|(at, prefix)| {
        let (folder, rest) = page[at + prefix.len()..].split_once('`')?;
        Some((root().join(folder).join("README.md"), rest))
    });
    let all = linked.chain(readmes);
    all.filter_map(|(path, rest)| Some((path, rest.strip_prefix(", *")?.split_once('*')?.0))).collect()
}

#[test]
fn every_referenced_section_exists() {
    let page = page();
    let named = named_sections(&page);
    assert!(named.len() > 10, "only {} sections are referenced", named.len());
    for (path, section) in named {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let is_heading = |line: &str| line.starts_with('#') && line.trim_start_matches('#').trim() == section;
        assert!(text.lines().any(is_heading), "{}: {section}", path.display());
    }
}

/// The manual contains the terms that operators of the old product search for.
#[test]
fn the_support_table_has_the_words_of_2014() {
    let page = fs::read_to_string(root().join("docs/legacy-command-line.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with('|')).collect();
    for words in [["4.10", "1.0", "host licence"], ["5.0", "1.0", "FireSIGHT"]] {
        assert!(rows.iter().any(|row| words.iter().all(|word| row.contains(word))), "{words:?}");
    }
    assert!(page.contains("not to a sensor"));
}

#[test]
fn every_referenced_test_exists() {
    let folders =
        ["field-encryption", "host", "observe", "plugin-api", "plugins", "service", "tests", "tls-policy"];
    let all: Vec<_> = folders.iter().flat_map(|folder| rust_files(&root().join(folder))).collect();
    let page = page();
    let named = named_tests(&page);
    assert!(named.len() > 100, "only {} tests are referenced", named.len());
    let missing: Vec<_> = named
        .into_iter()
        .filter(|(module, test)| {
            let head = format!("fn {test}(");
            !all.iter().any(|(path, text)| path.with_extension("").ends_with(module) && text.contains(&head))
        })
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
