//! What all events of a report share.

use scanbridge_plugin_api::model::ReportStart;

use crate::field::{self, Field, TruncatedFields};
use crate::options::EventSettings;
use crate::{escape, time};

/// The pieces of a line that the report decides.
#[derive(Debug, Default)]
pub(crate) struct ReportPart {
    /// The header up to the version, its `|` included.
    pub opening: Vec<u8>,
    /// The report's file, and its id where that is wanted.
    pub origin: Vec<u8>,
    /// Which of these were cut.
    pub cut: TruncatedFields,
    /// When the report or scan was made, in milliseconds since 1970.
    pub time: Option<i64>,
    /// When the report began to be written, in milliseconds since 1970: what times are measured against.
    pub begun: i64,
}

/// The version's limit.
const VERSION_LIMIT: usize = 31;

impl ReportPart {
    pub(crate) fn of(report: &ReportStart, settings: &EventSettings) -> Self {
        let mut part = Self { opening: settings.opening.clone(), begun: time::now_ms(), ..Self::default() };
        if escape::header(&mut part.opening, &report.scanner_version, VERSION_LIMIT)
            == escape::EscapeResult::Empty
        {
            escape::header(&mut part.opening, &settings.version, VERSION_LIMIT);
        }
        part.opening.push(b'|');
        field::append(&mut part.origin, &mut part.cut, Field::OldFilePath, &report.path);
        if settings.extra.external_id {
            field::append(&mut part.origin, &mut part.cut, Field::ExternalId, &report.id);
        }
        part.time = time::epoch_ms(&report.time);
        part
    }
}
