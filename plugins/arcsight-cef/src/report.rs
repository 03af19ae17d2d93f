//! The parts that all events of a report share.

use scanbridge_plugin_api::model::ReportStart;

use crate::field::{self, Field, TruncatedFields};
use crate::options::EventSettings;
use crate::{escape, time};

/// The encoded parts of a line that depend on the report.
#[derive(Debug, Default)]
pub(crate) struct ReportPart {
    /// The header up to and including the version and its `|`.
    pub opening: Vec<u8>,
    /// The path of the report, and its ID if `extra_fields` contains `externalId`.
    pub origin: Vec<u8>,
    /// Which of these fields are truncated.
    pub truncated: TruncatedFields,
    /// Time of the report or scan, in milliseconds since 1970.
    pub time: Option<i64>,
    /// Start of writing, in milliseconds since 1970; the reference for the time limits.
    pub started: i64,
}

/// Maximum length of the device version in bytes.
const VERSION_LIMIT: usize = 31;

impl ReportPart {
    pub(crate) fn of(report: &ReportStart, settings: &EventSettings) -> Self {
        let mut part = Self { opening: settings.opening.clone(), started: time::now_ms(), ..Self::default() };
        if escape::header(&mut part.opening, &report.scanner_version, VERSION_LIMIT)
            == escape::EscapeResult::Empty
        {
            escape::header(&mut part.opening, &settings.version, VERSION_LIMIT);
        }
        part.opening.push(b'|');
        field::append(&mut part.origin, &mut part.truncated, Field::OldFilePath, &report.path);
        if settings.extra.external_id {
            field::append(&mut part.origin, &mut part.truncated, Field::ExternalId, &report.id);
        }
        part.time = time::epoch_ms(&report.time);
        part
    }
}
