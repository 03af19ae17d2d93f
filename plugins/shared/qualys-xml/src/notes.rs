//! Warnings about a report, for the operator.

use scanbridge_plugin_api::model::Note;
use serde::{Deserialize, Serialize};

use crate::names::Shown;

/// Counts problems, and stores a few element names and sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Notes {
    /// Number of unknown elements.
    #[serde(skip_serializing_if = "is_zero")]
    unknown: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_names: Vec<String>,
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
    /// Texts that are not a severity, port, status or use of SSL, or not the only one of their finding.
    pub(crate) invalid_codes: u64,
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
        self.sentences.extend(other.sentences);
    }

    /// All notes with their counts. `replaced` is the number of replaced bytes.
    pub(crate) fn list(&self, replaced: u64) -> Vec<Note> {
        let names = self.unknown_names.join(", ");
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
                self.invalid_codes,
                "invalid values of severity, port, status or SSL dropped; their findings were delivered \
                 without them"
                    .to_owned(),
            ),
            (self.asset_errors, "assets reported with an error instead of findings".to_owned()),
        ];
        let counted = counted.into_iter().filter(|(count, _)| *count > 0);
        self.sentences.iter().cloned().chain(counted.map(|(count, text)| Note::new(text, count))).collect()
    }
}
