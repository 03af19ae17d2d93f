//! The ID of each event.

use scanbridge_plugin_api::batch::RawBatch2;
use scanbridge_plugin_api::model::{AssetField as A, DefinitionField as D, ReportStart};
use serde_json::{Value, json};

use crate::case::{Filling, scan, text_of};
use crate::reader;

fn ids(options: Value, report: &ReportStart, batch: RawBatch2) -> Vec<String> {
    let text = text_of(options, report, &[batch]);
    text.lines()
        .map(|line| reader::read(line).unwrap().get("ScanbridgeEventId").unwrap().to_owned())
        .collect()
}

/// F-093: an event has the same ID each time it is sent, and no other event has it.
#[test]
fn event_ids_are_stable_and_unique() {
    let facts = "port\t22\ttcp\t\t\nport\t22\tudp\t\t\nos\tLinux\t";
    let base = [("kind", "vulnerability"), ("port", "443"), ("protocol", "tcp"), ("facts", facts)];
    let batch = || {
        let mut filling = Filling::default();
        for asset in [(A::Id, "1"), (A::Id, "2"), (A::AgentId, "1"), (A::Address, "192.0.2.1")] {
            filling = filling.asset(&[asset]);
            for id in ["1001", "1002"] {
                filling = filling.finding(&[(D::Id, id)], &base);
                filling = filling.finding(&[(D::Id, id), (D::Scheme, "acme")], &base);
                for change in [
                    ("kind", "potential"),
                    ("port", "80"),
                    ("port", "81"),
                    ("protocol", "udp"),
                    ("ssl", "1"),
                    ("ssl", "0"),
                    ("fqdn", "a"),
                    ("service", "a"),
                    ("instance", "a"),
                    ("last_found", "2026-01-01T00:00:00Z"),
                    ("status", "Active"),
                    ("status", "Fixed"),
                ] {
                    let cells: Vec<_> = base.into_iter().chain([change]).collect();
                    filling = filling.finding(&[(D::Id, id)], &cells);
                }
            }
        }
        filling.done()
    };
    let all = ids(json!({ "asset_events": true }), &scan(), batch());
    assert_eq!(all.len(), 4 * (2 * 14 + 4));
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    // Neither options nor the texts of the definition or of the report change them.
    let report = scan().with_path("/other.xml").with_title("other");
    let options = json!({ "asset_events": true, "receiver": "graylog", "time_offset_secs": 60 });
    assert_eq!(ids(options, &report, batch()), all);
    // Another scan finds the same again: these are other events.
    let later = ids(json!({ "asset_events": true }), &scan().with_time("2026-02-28T12:00:00Z"), batch());
    let same = later.iter().zip(&all).filter(|(later, earlier)| later == earlier).count();
    assert_eq!(same, 4 * 2, "only those with a time of their own");
}

/// The ID of the report is something else.
#[test]
fn event_id_is_not_the_id_of_the_report() {
    let event = |options| {
        let batch = Filling::default()
            .asset(&[(A::Address, "192.0.2.1")])
            .finding(&[(D::Id, "1")], &[("kind", "service")])
            .done();
        reader::read(text_of(options, &scan(), &[batch]).trim_end()).unwrap()
    };
    let event = event(json!({ "extra_fields": ["externalId"] }));
    assert_eq!(event.get("externalId"), Some("scan/1234567890.12345"));
    assert_eq!(event.get("ScanbridgeEventId").map(str::len), Some(32));
}
