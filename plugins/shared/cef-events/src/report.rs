//! The parts that all events of a report share.

use scanbridge_plugin_api::model::ReportStart;

use crate::field::{self, Field, TruncatedFields};
use crate::settings::{DEVICE_LIMIT, EventSettings, VERSION_LIMIT};
use crate::{escape, time};

/// The encoded parts of a line that depend on the report.
#[derive(Debug, Default)]
pub(crate) struct ReportPart {
    /// The header up to and including the version and its `|`.
    pub opening: Vec<u8>,
    /// The path of the report, its ID if `extra_fields` contains `externalId`, and the connector as the device.
    pub origin: Vec<u8>,
    /// The connector as additional data, and the key of encrypted fields.
    pub connector: Vec<u8>,
    /// Which of these fields are truncated.
    pub truncated: TruncatedFields,
    /// Time of the report or scan, in milliseconds since 1970.
    pub time: Option<i64>,
    /// The same, as the report has it.
    pub time_text: String,
    /// Start of writing, in milliseconds since 1970; the reference for the time limits.
    pub started: i64,
}

impl ReportPart {
    pub(crate) fn of(report: &ReportStart, settings: &EventSettings) -> Self {
        let opening = settings.opening.as_bytes().to_vec();
        let mut part = Self { opening, started: time::now_ms(), ..Self::default() };
        let source = &report.source;
        for (own, of_report, instead, limit) in [
            (settings.vendor.as_deref(), &source.vendor, "unknown", DEVICE_LIMIT),
            (settings.product.as_deref(), &source.product, "unknown", DEVICE_LIMIT),
            (None, &source.product_version, settings.version.as_str(), VERSION_LIMIT),
        ] {
            let text = own.unwrap_or(of_report);
            if escape::header(&mut part.opening, text, limit) == escape::EscapeResult::Empty {
                escape::header(&mut part.opening, instead, limit);
            }
            part.opening.push(b'|');
        }
        field::append(&mut part.origin, &mut part.truncated, Field::OldFilePath, &report.path);
        if settings.extra.external_id {
            field::append(&mut part.origin, &mut part.truncated, Field::ExternalId, &report.id);
        }
        part.origin.extend_from_slice(&settings.connector.device);
        part.connector.clone_from(&settings.connector.additional);
        let key = if settings.dotted_keys { "ad.ScanbridgeEncryption=" } else { "ScanbridgeEncryption=" };
        let truncated = &mut part.truncated;
        field::append_as(&mut part.connector, truncated, Field::Additional, [key, ""], &report.encryption);
        part.time = time::epoch_ms(&report.time);
        part.time_text.clone_from(&report.time);
        part
    }
}
