//! What a reader noticed on its way and the operator should know.

use scanbridge_plugin_api::model::Note;

use crate::names::Shown;

/// Counts what is worth knowing; holds a few names, never a text.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Elements that are not known.
    unknown: u64,
    unknown_names: Vec<String>,
    /// Findings whose definition the glossary or knowledge base does not hold.
    pub(crate) missing_definitions: u64,
    /// Findings without a definition because no knowledge base was given.
    pub(crate) without_knowledge_base: u64,
    /// Texts about an asset that came after its first findings had been delivered.
    pub(crate) late_asset_fields: u64,
    /// Findings of a type that is not known, taken as information.
    pub(crate) unknown_types: u64,
    /// Texts that are not a severity, port, status or use of SSL, or not the only one of their finding.
    pub(crate) invalid_codes: u64,
    /// References to characters that XML forbids.
    pub(crate) forbidden_references: u64,
    /// Assets for which the scanner reports an error instead of findings.
    pub(crate) asset_errors: u64,
    /// Errors, warnings and other sentences, each once.
    said: Vec<Note>,
}

const SHOWN_NAMES: usize = 5;
const SHOWN_SENTENCES: usize = 20;

impl Notes {
    pub(crate) fn unknown_element(&mut self, name: &str) {
        self.unknown += 1;
        if self.unknown_names.len() < SHOWN_NAMES {
            let name = Shown(name).to_string();
            if !self.unknown_names.contains(&name) {
                self.unknown_names.push(name);
            }
        }
    }

    /// Adds a sentence; equal sentences are counted. Above a maximum number of different ones, further ones are
    /// dropped: a report full of errors must not become a log full of errors.
    pub(crate) fn say(&mut self, text: String) {
        if let Some(note) = self.said.iter_mut().find(|note| note.text == text) {
            note.count += 1;
        } else if self.said.len() < SHOWN_SENTENCES {
            self.said.push(Note { text, count: 1 });
        }
    }

    /// Takes over what another pass over the same report noticed.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.unknown += other.unknown;
        self.forbidden_references += other.forbidden_references;
        for name in other.unknown_names {
            if self.unknown_names.len() < SHOWN_NAMES && !self.unknown_names.contains(&name) {
                self.unknown_names.push(name);
            }
        }
        self.said.extend(other.said);
    }

    /// All as sentences with counts. `replaced` is how many bytes were.
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
                "asset fields found after the first findings of the asset; those findings were delivered \
                 without them"
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
        self.said.iter().cloned().chain(counted.map(|(count, text)| Note { text, count })).collect()
    }
}
