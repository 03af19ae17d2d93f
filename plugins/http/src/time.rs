//! The time of a record.

use jiff::Timestamp;
use scanbridge_plugin_api::batch::{Cell, FindingView};
use scanbridge_plugin_api::model::{AssetField, FindingField};

/// When the finding was found last, else when its asset was scanned last, else the time of the report, else `started`: in
/// milliseconds since 1970.
pub(crate) fn of_finding(finding: FindingView<'_>, report: &str, started: i64) -> i64 {
    let texts = [finding.get(FindingField::LastFound), finding.asset().get(AssetField::LastScan), report];
    texts.into_iter().find_map(|text| Cell::new(text).time()).unwrap_or(started)
}

/// The time in ISO 8601, in UTC: `2026-01-31T12:00:00.000Z`.
pub(crate) fn iso(milliseconds: i64) -> String {
    let time = Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
