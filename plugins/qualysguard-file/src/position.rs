//! The position of this input: the one in the current report. The files that are finished are keys.

use scanbridge_plugin_api::{Position, Result};
use scanbridge_qualys_xml::Mark;
use serde::{Deserialize, Serialize};

use crate::fingerprint::FileKey;

/// A parsed position.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ParsedPosition {
    /// The report that was in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) report: Option<Inside>,
    /// Number of chosen files that are done.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) chosen: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The position up to which a report was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inside {
    /// The key of its file, as text.
    key: String,
    pub(crate) mark: Mark,
}

impl ParsedPosition {
    /// Parses a position. An empty one is the beginning.
    pub(crate) fn read(position: &Position) -> Result<Self> {
        if position.0.is_empty() {
            return Ok(Self::default());
        }
        position.json()
    }

    /// Serializes the position.
    pub(crate) fn write(&self) -> Position {
        Position::of_json(self).expect("texts and numbers can be written as JSON")
    }
}

impl Inside {
    /// A position in this file.
    pub(crate) fn new(key: &FileKey, mark: Mark) -> Self {
        Self { key: key.text().to_owned(), mark }
    }

    /// The key of the file.
    pub(crate) fn key(&self) -> FileKey {
        FileKey::from_text(self.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use scanbridge_plugin_api::ErrorKind;

    use super::*;

    #[test]
    fn position_is_parsed_as_it_was_written() {
        let key = FileKey::new(Path::new("/in/a.xml"), "10-20-30");
        let mut mark = Mark::default();
        mark.assets = 7;
        let position = ParsedPosition { report: Some(Inside::new(&key, mark)), chosen: 3 };
        let read = ParsedPosition::read(&position.write()).unwrap();
        assert_eq!(read, position);
        let inside = read.report.unwrap();
        assert_eq!((inside.key(), inside.mark.assets), (key, 7));
        assert!(!ParsedPosition::default().write().0.is_empty(), "an empty position cannot be resumed");
    }

    #[test]
    fn invalid_position_is_refused() {
        let without_offset = br#"{"report":{"key":"/in/a.xml\t1-2-3","assets":7,"late_asset_fields":0}}"#;
        for bytes in [&b"{"[..], b"[]x", br#"{"page": 3}"#, without_offset] {
            let error = ParsedPosition::read(&Position(bytes.to_owned())).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config);
            assert!(error.hint.unwrap().contains("--restart"));
        }
    }
}
