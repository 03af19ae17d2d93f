//! The content of a record.

use scanbridge_plugin_api::batch::FindingView;

/// A record before it has its form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) finding: FindingView<'a>,
    /// A JSON object, or a CEF event.
    pub(crate) line: &'a [u8],
    pub(crate) id: &'a str,
    /// In milliseconds since 1970.
    pub(crate) time: i64,
    /// When the report was read, in milliseconds since 1970.
    pub(crate) collected: i64,
}
