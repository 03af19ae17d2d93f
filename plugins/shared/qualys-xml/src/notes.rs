//! Warnings about a report, for the operator.

use std::collections::BTreeMap;

use scanbridge_plugin_api::model::Note;
use serde::{Deserialize, Serialize};

use crate::names::Shown;
use crate::other::Table;

/// Counts problems, and stores a few element names and sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Notes {
    /// Number of unknown elements that were skipped.
    #[serde(skip_serializing_if = "is_zero")]
    unknown: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_names: Vec<String>,
    /// Number of unknown elements and attributes that were passed on.
    #[serde(skip_serializing_if = "is_zero")]
    passed_on: u64,
    /// The first of their paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passed_on_paths: Vec<String>,
    /// Texts that were not passed on, because their row already had too many.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) dropped_texts: u64,
    /// Texts that do not have the form of their field, by field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    bad_values: BTreeMap<String, u64>,
    /// Findings whose definition is missing from the glossary or knowledge base.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) missing_definitions: u64,
    /// Findings without a definition because `knowledge_base` is not set.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) without_knowledge_base: u64,
    /// Texts of assets that were read after the first findings of the asset had been delivered.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) late_asset_fields: u64,
    /// Findings of an unknown type, treated as information.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) unknown_types: u64,
    /// Assets for which the report declares another number of findings than it contains.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) count_mismatches: u64,
    /// Findings whose kind is that of their definition.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) kinds_of_definition: u64,
    /// References to characters forbidden in XML.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) forbidden_references: u64,
    /// Assets for which the scanner reports an error instead of findings.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) asset_errors: u64,
    /// Errors, warnings and other sentences, without duplicates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sentences: Vec<Note>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

const MAX_NAMES: usize = 5;
const MAX_PATHS: usize = 20;
const MAX_SENTENCES: usize = 20;

impl Notes {
    pub(crate) fn unknown_element(&mut self, name: &str) {
        self.unknown += 1;
        if self.unknown_names.len() < MAX_NAMES {
            let name = Shown(name).to_string();
            if !self.unknown_names.contains(&name) {
                self.unknown_names.push(name);
            }
        }
    }

    /// Counts an unknown element or attribute that was passed on.
    pub(crate) fn unknown_item(&mut self, path: &str) {
        self.passed_on += 1;
        if self.passed_on_paths.len() < MAX_PATHS {
            let path = Shown(path).to_string();
            if !self.passed_on_paths.contains(&path) {
                self.passed_on_paths.push(path);
            }
        }
    }

    /// Counts a text that does not have the form of its field.
    pub(crate) fn bad_value(&mut self, table: Table, field: &str) {
        let table = match table {
            Table::Asset => "asset",
            Table::Definition => "definition",
            Table::Finding => "finding",
            Table::Report => "report",
        };
        *self.bad_values.entry(format!("{table}.{field}")).or_default() += 1;
    }

    /// Adds a sentence; equal sentences are counted. Further sentences above a maximum are dropped, so that a report
    /// full of errors cannot flood the log.
    pub(crate) fn add(&mut self, text: String) {
        if let Some(note) = self.sentences.iter_mut().find(|note| note.text == text) {
            note.count += 1;
        } else if self.sentences.len() < MAX_SENTENCES {
            self.sentences.push(Note::new(text, 1));
        }
    }

    /// Adds the notes of another pass over the same report.
    pub(crate) fn merge(&mut self, other: Self) {
        self.unknown += other.unknown;
        self.forbidden_references += other.forbidden_references;
        for name in other.unknown_names {
            if self.unknown_names.len() < MAX_NAMES && !self.unknown_names.contains(&name) {
                self.unknown_names.push(name);
            }
        }
        self.passed_on += other.passed_on;
        for path in other.passed_on_paths {
            if self.passed_on_paths.len() < MAX_PATHS && !self.passed_on_paths.contains(&path) {
                self.passed_on_paths.push(path);
            }
        }
        self.dropped_texts += other.dropped_texts;
        for (field, count) in other.bad_values {
            *self.bad_values.entry(field).or_default() += count;
        }
        self.sentences.extend(other.sentences);
    }

    /// All notes with their counts. `replaced` is the number of replaced bytes.
    pub(crate) fn list(&self, replaced: u64) -> Vec<Note> {
        let names = self.unknown_names.join(", ");
        let paths = self.passed_on_paths.join(", ");
        let bad: Vec<String> =
            self.bad_values.iter().map(|(field, count)| format!("{field}: {count}")).collect();
        let counted = [
            (
                replaced + self.forbidden_references,
                "invalid bytes replaced (not UTF-8, or not allowed in XML)".to_owned(),
            ),
            (self.unknown, format!("unknown elements skipped: {names}")),
            (
                self.missing_definitions,
                "findings without title and texts: their definition is missing".to_owned(),
            ),
            (
                self.without_knowledge_base,
                "findings without title and texts: `knowledge_base` is not set".to_owned(),
            ),
            (
                self.late_asset_fields,
                "asset fields found after the first findings of the asset; those findings were \
                 delivered without them"
                    .to_owned(),
            ),
            (self.unknown_types, "findings of an unknown type delivered as information".to_owned()),
            (
                self.kinds_of_definition,
                "findings without a type delivered with the type of their definition".to_owned(),
            ),
            (self.passed_on, format!("unknown elements passed on as `other`: {paths}")),
            (
                self.bad_values.values().sum(),
                format!("invalid values dropped and passed on as `other` ({})", bad.join(", ")),
            ),
            (
                self.dropped_texts,
                "unknown elements or invalid values dropped: too many in one asset, definition or finding"
                    .to_owned(),
            ),
            (
                self.count_mismatches,
                "assets for which the report declares another number of findings than it contains".to_owned(),
            ),
            (self.asset_errors, "assets reported with an error instead of findings".to_owned()),
        ];
        let counted = counted.into_iter().filter(|(count, _)| *count > 0);
        self.sentences.iter().cloned().chain(counted.map(|(count, text)| Note::new(text, count))).collect()
    }
}
