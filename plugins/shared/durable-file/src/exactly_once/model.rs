//! The files that reports leave in a directory, described without files.

use std::collections::{BTreeMap, BTreeSet};

use super::scenario::{HEADER, Scenario};
use crate::target::IfExists;

/// The folder after an undisturbed run: names and contents.
///
/// Some reports were skipped after an interruption.
pub(super) fn folder(scenario: &Scenario, skipped: &BTreeSet<usize>) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut own = BTreeSet::new();
    for (stem, pieces) in scenario.old_files() {
        files.insert(stem, pieces);
    }
    for (number, report) in scenario.reports.iter().enumerate() {
        if !report.deliver || skipped.contains(&number) {
            continue;
        }
        let stem = if scenario.template == "out.csv" { "out" } else { report.id };
        let is_first = own.insert(stem);
        if is_first && scenario.if_exists == IfExists::Replace {
            files.remove(stem);
        }
        let pieces = files.entry(stem.to_owned()).or_default();
        let is_full = |piece: &String| scenario.max_bytes.is_some_and(|most| piece.len() as u64 >= most);
        if pieces.last().is_none_or(is_full) {
            pieces.push(String::new());
        }
        // A file with content has its header already.
        let mut needs_header = pieces.last().is_some_and(String::is_empty);
        let repeats_header = needs_header && pieces.len() > 1;
        if needs_header {
            pieces.last_mut().unwrap().push_str(HEADER);
        }
        for record in &report.records {
            needs_header = is_full(pieces.last().unwrap());
            if needs_header {
                pieces.push(HEADER.to_owned());
            }
            pieces.last_mut().unwrap().push_str(record);
        }
        // The header counts as content: a piece with only a header is published.
        assert!(!repeats_header || !pieces.last().unwrap().is_empty());
    }
    named(files, scenario.max_bytes.is_some())
}

fn named(files: BTreeMap<String, Vec<String>>, numbered: bool) -> BTreeMap<String, String> {
    let name = |stem: &str, index: usize| match numbered {
        true => format!("{stem}.{:04}.csv", index + 1),
        false => format!("{stem}.csv"),
    };
    let pieces = files.iter().flat_map(|(stem, pieces)| {
        pieces.iter().enumerate().map(move |(index, text)| (name(stem, index), text.clone()))
    });
    pieces.collect()
}
