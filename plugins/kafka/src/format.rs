//! The form of records on a topic: formats and headers.

use std::time::{SystemTime, UNIX_EPOCH};

use rdkafka::message::{Header, OwnedHeaders};
use scanbridge_finding_texts::TextFormat;
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{PluginError, Result};

/// What is in the records of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One record for each asset, with all its findings and their definitions.
    Batch,
    /// One record for each finding.
    Text(TextFormat),
}

impl Format {
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        if word == "batch" { Some(Self::Batch) } else { TextFormat::of_word(word).map(Self::Text) }
    }

    /// The format of a text; `None` for whole assets.
    pub(crate) fn text(self) -> Option<TextFormat> {
        match self {
            Self::Batch => None,
            Self::Text(format) => Some(format),
        }
    }

    /// The value of the header `sb-format`. A new number before the full stop is not readable by this version.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Batch => "batch/1",
            Self::Text(TextFormat::Cef) => "cef/0",
            Self::Text(TextFormat::Json) => "json/1",
            Self::Text(TextFormat::Ocsf) => "ocsf/1.8.0",
            Self::Text(TextFormat::Ecs) => "ecs/9.4.0",
        }
    }
}

/// The names of headers.
pub(crate) mod header {
    /// The format and its version. In all records.
    pub(crate) const FORMAT: &str = "sb-format";
    /// The name of the scanner. In all records.
    pub(crate) const SOURCE: &str = "sb-source";
    /// The ID of the report.
    pub(crate) const REPORT: &str = "sb-report";
    /// The start of the report as JSON, with the columns of the batch.
    pub(crate) const START: &str = "sb-start";
    /// Words: `clean`, the asset was scanned and has no findings; `partial`, only some findings of the asset.
    pub(crate) const FLAGS: &str = "sb-flags";
    /// The number of this part of an asset, and the number of parts: `2/3`. Absent for an asset in one record.
    pub(crate) const PART: &str = "sb-part";
    /// CRC-32C of the value, as 8 hexadecimal digits.
    pub(crate) const CRC: &str = "sb-crc";
    /// When the record was made, in milliseconds since 1970.
    pub(crate) const TIME: &str = "sb-time";
    /// In a dead topic: why the record is invalid.
    pub(crate) const REASON: &str = "sb-reason";
    /// In a dead topic: `topic/partition/offset` of the record.
    pub(crate) const ORIGIN: &str = "sb-origin";
}

/// The value of `sb-flags` of an asset without findings.
pub(crate) const CLEAN: &str = "clean";

/// What all records of a report have in common.
#[derive(Debug, Clone)]
pub(crate) struct ReportHeaders {
    pub(crate) source: String,
    id: String,
    start: Vec<u8>,
}

/// What differs between records of a report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartHeaders<'a> {
    pub(crate) value: &'a [u8],
    /// Number and count of the parts, from 1.
    pub(crate) part: (usize, usize),
    pub(crate) is_clean: bool,
}

impl ReportHeaders {
    /// # Errors
    /// A bug: the report cannot be serialized.
    pub(crate) fn of(report: &ReportStart) -> Result<Self> {
        let start = serde_json::to_vec(report)
            .map_err(|error| PluginError::bug(format!("plugin bug: cannot serialize a report: {error}")))?;
        Ok(Self { source: report.source.result_name().to_owned(), id: report.id.clone(), start })
    }

    /// The headers of a text record.
    pub(crate) fn text(&self, format: Format) -> OwnedHeaders {
        with(
            with(OwnedHeaders::new_with_capacity(2), header::FORMAT, format.header()),
            header::SOURCE,
            &self.source,
        )
    }

    /// The headers of a batch record.
    pub(crate) fn batch(&self, part: PartHeaders<'_>) -> OwnedHeaders {
        let mut headers = OwnedHeaders::new_with_capacity(8);
        headers = with(headers, header::FORMAT, Format::Batch.header());
        headers = with(headers, header::SOURCE, &self.source);
        headers = with(headers, header::REPORT, &self.id);
        headers = headers.insert(Header { key: header::START, value: Some(&self.start) });
        if part.is_clean {
            headers = with(headers, header::FLAGS, CLEAN);
        }
        let (number, count) = part.part;
        if count > 1 {
            headers = with(headers, header::PART, &format!("{number}/{count}"));
        }
        headers = with(headers, header::CRC, &format!("{:08x}", crc32c::crc32c(part.value)));
        with(headers, header::TIME, &now().to_string())
    }
}

/// Adds a header with a text.
pub(crate) fn with(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
