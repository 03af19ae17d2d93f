//! Where a later reader resumes a report.

use serde::{Deserialize, Serialize};

use crate::kind::Kind;
use crate::notes::Notes;

/// A position between two assets of a report, with everything that a later reader needs from the part before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Offset of the end of the last delivered asset, in bytes of the source.
    pub offset: u64,
    /// The same in bytes of the sanitized stream.
    pub(crate) position: u64,
    /// Number of assets before the position.
    pub assets: u64,
    /// Number of findings before it; counted only in template reports.
    pub(crate) findings: u64,
    /// Number of assets of a scan before it whose scan ended normally.
    #[serde(default)]
    pub(crate) scanned: u64,
    /// Number of bytes replaced before it.
    pub(crate) replaced: u64,
    /// The first error next to the assets of a scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// The part of the report that its preface does not need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unread: Option<Unread>,
    pub(crate) notes: Notes,
}

/// A part of a report between two tags that a resumed run does not read for the preface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unread {
    /// Offset of its beginning, in bytes of the source.
    pub(crate) from: u64,
    /// Offset of its end. In a scan without a header, equal to `from`.
    pub(crate) to: u64,
    /// Its end in bytes of the sanitized stream.
    pub(crate) position: u64,
    /// Number of bytes replaced in it.
    pub(crate) replaced: u64,
    /// Number of references to forbidden characters in it.
    pub(crate) forbidden_references: u64,
}

impl Mark {
    /// Number of bytes before [`Mark::offset`] that are enough for [`Mark::is_after_asset`].
    pub const WINDOW: usize = 64;

    /// Whether an asset ends with these bytes, which are the last ones before [`Mark::offset`]. If not, the report has
    /// changed.
    #[must_use]
    pub fn is_after_asset(kind: &Kind, before: &[u8]) -> bool {
        let Some(tag) = before.strip_suffix(b">") else { return false };
        let is_end_of = |name: &str| tag.trim_ascii_end().ends_with(format!("</{name}").as_bytes());
        let names: &[&str] = if *kind == Kind::Scan { &["IP", "IPV6"] } else { &["HOST"] };
        tag.ends_with(b"/") || names.iter().any(|name| is_end_of(name))
    }

    /// The start tags of the elements in which the assets of this kind of report are. A resumed reader reads them before
    /// the rest of the report.
    pub(crate) fn tags(kind: &Kind) -> &'static [u8] {
        match kind {
            Kind::Scan => b"<SCAN>",
            Kind::TemplateReport => b"<ASSET_DATA_REPORT><HOST_LIST>",
            _ => b"<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><HOST_LIST>",
        }
    }

    /// The position for a reader whose notes and number of replaced bytes are only those of the rest of the report.
    #[must_use]
    pub fn without_notes(self) -> Self {
        Self { notes: Notes::default(), replaced: 0, ..self }
    }
}
