//! For any maximum size: no message is larger, an asset is split only if necessary, and all findings arrive.

use std::collections::BTreeMap;

use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, Schema,
};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingKind};
use scanbridge_plugin_api::{Begin, Output};
use serde_json::json;

use crate::report::*;
use crate::setting_up::Registered;

fn ports(count: u16) -> Vec<(u32, u16)> {
    (1..=count).map(|port| (7, port)).collect()
}

/// The number of messages that contain an asset's findings.
fn messages_by_asset(registered: &Registered) -> BTreeMap<String, usize> {
    let mut messages = BTreeMap::new();
    for body in registered.center.bodies() {
        let text = String::from_utf8(body).unwrap();
        let mut seen: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("AddScanResult,")).collect();
        seen.iter_mut().for_each(|line| *line = line.split(',').next().unwrap());
        seen.dedup();
        seen.into_iter().for_each(|address| *messages.entry(address.to_owned()).or_default() += 1);
    }
    messages
}

#[test]
fn messages_respect_the_announced_maximum_size() {
    for max_size in [512, 700, 4000] {
        let Some(registered) = Registered::new() else { return };
        registered.center.change(|behavior| behavior.max_size = max_size);
        let assets: Vec<_> = (1..=20_u16)
            .map(|last| asset(&format!("192.0.2.{last}"), &ports(if last % 5 == 0 { 40 } else { last % 4 })))
            .collect();
        let mut output = registered.open(&json!({})).unwrap();
        deliver(&mut output, &assets, &complete(&[])).unwrap();
        output.close().unwrap();
        assert_eq!(registered.results(), expected(&assets), "{max_size}");
        let bodies = registered.center.bodies();
        assert!(bodies.iter().all(|body| body.len() <= max_size as usize));
        assert!(bodies.iter().all(|body| body.starts_with(b"SetSource,QualysGuard\n")));
        // Only assets that are too large for one message are in several.
        for (address, count) in messages_by_asset(&registered) {
            let is_large = address.ends_with(['0', '5']);
            assert_eq!(count > 1, is_large && (max_size < 4000 || count > 1), "{address}: {count}");
        }
    }
}

#[test]
fn asset_with_many_findings_has_its_own_message() {
    let Some(registered) = Registered::new() else { return };
    let assets = [
        asset("192.0.2.1", &ports(60)),
        asset("192.0.2.2", &ports(60)),
        asset("192.0.2.3", &ports(350)),
        asset("192.0.2.4", &ports(1)),
    ];
    let mut output = registered.open(&json!({})).unwrap();
    deliver(&mut output, &assets, &complete(&[])).unwrap();
    assert_eq!(registered.results(), expected(&assets));
    assert!(messages_by_asset(&registered).values().all(|count| *count == 1));
    let counts: Vec<usize> = registered
        .center
        .bodies()
        .iter()
        .map(|body| String::from_utf8_lossy(body).matches("AddScanResult").count())
        .collect();
    assert_eq!(counts, [60, 60, 350, 1]);
}

/// It is still replaced completely: the old results are deleted in the step that adds the last new one.
#[test]
fn split_asset_is_updated_once() {
    for replace in ["asset", "flush"] {
        let Some(registered) = Registered::new() else { return };
        let mut output = registered.open(&json!({ "body_bytes": 1024, "replace": replace })).unwrap();
        deliver(&mut output, &[asset("192.0.2.1", &[(1, 1)])], &complete(&[])).unwrap();
        registered.center.wait_until_idle();
        let before = registered.center.message_count();
        let large = [asset("192.0.2.1", &ports(100))];
        deliver(&mut output, &large, &complete(&[])).unwrap();
        assert!(registered.center.message_count() > before + 5);
        assert_eq!(registered.results(), expected(&large), "{replace}");
        let lines = registered.center.lines();
        let updates = lines.iter().filter(|line| *line == "ScanUpdate" || *line == "ScanFlush").count();
        assert_eq!(updates, 2);
    }
}

/// Names of sources and scanners of any length still allow the shortest line in the smallest message.
#[test]
fn any_line_fits_the_smallest_message() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| {
        behavior.max_size = 512;
        behavior.domains = vec!["z".repeat(100)];
    });
    let (source, scanner) = ("x".repeat(100), "y".repeat(100));
    let options = json!({ "source": source, "scanner": scanner, "domain": "z".repeat(100), "set_os": true });
    let mut output = registered.open(&options).unwrap();
    let assets = [asset("2001:db8:1111:2222:3333:4444:5555:6666", &[(u32::MAX, u16::MAX)])];
    let written = deliver(&mut output, &assets, &complete(&[])).unwrap();
    output.close().unwrap();
    assert_eq!((written.rejected.len(), registered.results().len()), (0, 1));
}

/// The line of a finding that is longer than the largest message is shortened: its asset is not emptied.
#[test]
fn line_longer_than_a_message_is_shortened_and_counted() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| behavior.max_size = 8192);
    let mut output = registered.open(&json!({})).unwrap();
    deliver(&mut output, &[asset("192.0.2.1", &[(1, 443), (2, 443)])], &complete(&[])).unwrap();

    let mut batch = BatchBuilder::default();
    let mut row = AssetRow::default();
    row.set(AssetField::Address, "192.0.2.1");
    let row = batch.push_asset(&row, false);
    let mut definition = DefinitionRow::default();
    definition.set(DefinitionField::Id, "3");
    definition.set(DefinitionField::Title, "A title that stays");
    definition.set(DefinitionField::Diagnosis, &"why ".repeat(100));
    (0..1000).for_each(|id| definition.append_item(DefinitionField::Cves, &format!("CVE-2026-{id:05}")));
    (0..100).for_each(|id| definition.append_item(DefinitionField::Bugtraqs, &id.to_string()));
    let definition = batch.push_definition(&definition);
    let mut finding = FindingRow::default();
    finding.set_kind(FindingKind::Vulnerability);
    batch.push_finding(row, definition, &finding);
    output.begin(&start(), Begin::NEW).unwrap();
    let raw = batch.finish();
    let written = output.write(Batch::of(&raw, &Columns::of(Schema::default())).unwrap()).unwrap();
    output.end(&complete(&[])).unwrap();
    output.close().unwrap();

    assert!(written.rejected.is_empty());
    assert_eq!(registered.results(), ["192.0.2.1: QualysGuard 3"]);
    let asset = registered.center.host_map().assets.into_values().next().unwrap();
    let result = asset.results.into_values().next().unwrap();
    assert_eq!((result.name.as_str(), result.description.as_str()), ("A title that stays", "..."));
    assert!((400..600).contains(&result.cves.len()), "{}", result.cves.len());
    assert!(result.cves.iter().zip(0..).all(|(cve, id)| *cve == format!("2026-{id:05}")));
    let notes = registered.services.notes();
    assert_eq!(notes["findings shortened to the maximum message size"], 1);
    let lost = 1100 - (result.cves.len() + result.bugtraqs.len()) as u64;
    assert_eq!(notes["CVE and BugTraq IDs left out, because their list is too long"], lost);
    assert!(registered.center.bodies().iter().all(|body| body.len() <= 8192));
}

/// A command file contains what is sent, except for the header lines.
#[test]
fn sent_commands_equal_the_command_file() {
    use scanbridge_host_input_commands::{Block, BlockLimits, CommandWriter, Settings};
    use scanbridge_plugin_api::Options;
    let Some(registered) = Registered::new() else { return };
    let assets = [asset("192.0.2.1", &ports(500)), asset("192.0.2.2", &ports(3)), asset("192.0.2.3", &[])];
    let mut output = registered.open(&json!({ "body_bytes": 2048 })).unwrap();
    deliver(&mut output, &assets, &complete(&["192.0.2.9"])).unwrap();
    let options = Options::read(scanbridge_host_input_commands::OPTIONS, b"{}").unwrap();
    let mut writer = CommandWriter::new(Settings::read(&options, BlockLimits::default()).unwrap());
    let mut text = String::new();
    let mut sink = |block: Block<'_>| -> Result<(), std::convert::Infallible> {
        text.push_str(block.text);
        Ok(())
    };
    writer.begin(&start(), Begin::NEW);
    let raw = builder(&assets, false).finish();
    writer.batch(Batch::of(&raw, &Columns::of(Schema::default())).unwrap(), &mut sink).unwrap();
    writer.end(&complete(&["192.0.2.9"]), &mut sink).unwrap();
    let sent: Vec<_> =
        registered.center.lines().into_iter().filter(|line| !line.starts_with("SetSource")).collect();
    assert_eq!(sent, text.lines().collect::<Vec<_>>());
}
