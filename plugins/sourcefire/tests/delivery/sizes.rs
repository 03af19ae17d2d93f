//! For any maximum size: no message is larger, an asset is split only if necessary, and all findings arrive.

use std::collections::BTreeMap;

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

#[test]
fn oversized_command_is_reported_and_others_are_sent() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| behavior.max_size = 512);
    let options = json!({ "source": "x".repeat(100), "scanner": "y".repeat(100) });
    let mut output = registered.open(&options).unwrap();
    output.begin(&start(), Begin::NEW).unwrap();
    let written =
        write(&mut output, &[asset("192.0.2.1", &ports(3)), asset("192.0.2.2", &[])], false).unwrap();
    assert!(written.rejected.is_empty());
    output.end(&complete(&[])).unwrap();
    assert_eq!(registered.results().len(), 3);
}

/// A command file contains what is sent, except for the header lines.
#[test]
fn sent_commands_equal_the_command_file() {
    use scanbridge_host_input_commands::{Block, BlockLimits, CommandWriter, Settings};
    use scanbridge_plugin_api::Options;
    use scanbridge_plugin_api::batch::{Batch, Columns, Schema};
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
