//! Refusals are reported by asset, and as findings if these are available. Everything else is imported.

use std::net::IpAddr;

use scanbridge_doubles::fake_defense_center::UnknownAssets;
use scanbridge_plugin_api::{Begin, CommitPoint, ErrorKind, Output};
use serde_json::json;

use crate::report::*;
use crate::setting_up::Registered;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn four() -> Vec<Asset> {
    (1..=4).map(|last| asset(&format!("192.0.2.{last}"), &[(1, 0), (2, 80)])).collect()
}

#[test]
fn findings_of_a_rejected_asset_are_reported_by_row() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| {
        behavior.failing_assets.insert(ip("192.0.2.2"));
        behavior.failing_hosts.insert(ip("192.0.2.3"));
    });
    let mut output = registered.open(&json!({})).unwrap();
    output.begin(&start(), Begin::NEW).unwrap();
    let written = write(&mut output, &four(), false).unwrap();
    let rows: Vec<u32> = written.rejected.iter().map(|rejection| rejection.row).collect();
    // Two findings of the second asset and two of the third.
    assert_eq!(rows, [2, 3, 4, 5]);
    // The reason names what an operator can fix: the asset may be unknown, and licenses may be used up.
    for part in [
        "the scan results could not be stored",
        "check that the asset exists (`add_host`)",
        "a host license is free",
    ] {
        assert!(written.rejected[0].reason.contains(part), "{}", written.rejected[0].reason);
    }
    for part in ["AddHost", "a host license is free"] {
        assert!(written.rejected[2].reason.contains(part), "{}", written.rejected[2].reason);
    }
    output.end(&complete(&[])).unwrap();
    let mut there = four();
    there.remove(1);
    assert_eq!(registered.results(), expected(&there));
}

/// The last asset is sent when the report ends, and no batch is available to name its findings.
#[test]
fn rejected_asset_without_findings_is_reported_at_close() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| {
        behavior.failing_assets.extend([ip("192.0.2.4"), ip("192.0.2.99")]);
    });
    let mut output = registered.open(&json!({})).unwrap();
    deliver(&mut output, &four(), &complete(&["192.0.2.98-192.0.2.99"])).unwrap();
    let more = [asset("192.0.2.5", &[(5, 5)])];
    deliver(&mut output, &more, &complete(&[])).unwrap();
    let error = output.close().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected);
    assert_eq!(error.message, "the Defense Center rejected commands for the assets 192.0.2.4, 192.0.2.99");
    let there = [&four()[..3], &more[..]].concat();
    assert_eq!(registered.results(), expected(&there));
}

#[test]
fn rejected_assets_are_reported_after_a_crash() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| {
        behavior.failing_assets.insert(ip("192.0.2.4"));
    });
    let mut output = registered.open(&json!({})).unwrap();
    output.begin(&start(), Begin::NEW).unwrap();
    write(&mut output, &four(), false).unwrap();
    let receipt = output.commit(CommitPoint::InReport).unwrap().receipt;
    drop(output);
    let mut output = registered.resume(&json!({}), receipt.as_ref()).unwrap();
    output.begin(&start(), Begin::CONTINUED).unwrap();
    output.end(&complete(&[])).unwrap();
    let receipt = output.commit(CommitPoint::InReport).unwrap().receipt;
    drop(output);
    let mut output = registered.resume(&json!({}), receipt.as_ref()).unwrap();
    deliver(&mut output, &[asset("192.0.2.5", &[(5, 5)])], &complete(&[])).unwrap();
    let error = output.close().unwrap_err();
    assert!(error.message.contains("192.0.2.4"), "{error}");
}

/// Only the count shows that the Defense Center could not read a line.
#[test]
fn short_count_rejects_the_assets_of_the_message() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| {
        behavior.replies.insert(1, (3, b"Done processing 3 commands.\n".to_vec()));
    });
    let mut output = registered.open(&json!({ "body_findings": 2 })).unwrap();
    output.begin(&start(), Begin::NEW).unwrap();
    let written = write(&mut output, &four(), false).unwrap();
    assert_eq!(written.rejected.iter().map(|rejection| rejection.row).collect::<Vec<_>>(), [0, 1]);
    assert!(
        written.rejected[0].reason.contains("processed 3 of 5 commands"),
        "{}",
        written.rejected[0].reason
    );
    output.end(&complete(&[])).unwrap();
}

/// The assets of such a message are resent one by one.
#[test]
fn asset_of_a_dropped_line_is_found_by_resending() {
    for replace in ["asset", "flush", "merge"] {
        let Some(registered) = Registered::new() else { return };
        registered.center.change(|behavior| {
            behavior.unreadable = Some("AddScanResult,192.0.2.2,\"QualysGuard\",2,".to_owned());
        });
        let mut output = registered.open(&json!({ "replace": replace })).unwrap();
        output.begin(&start(), Begin::NEW).unwrap();
        let written = write(&mut output, &four(), false).unwrap();
        let rows: Vec<u32> = written.rejected.iter().map(|rejection| rejection.row).collect();
        assert_eq!(rows, [2, 3], "{replace}");
        let reason = &written.rejected[0].reason;
        assert!(reason.contains("processed ") && reason.contains("silently drops lines"), "{reason}");
        output.end(&complete(&[])).unwrap();
        output.close().unwrap();
        let mut there = four();
        there[1].1.pop();
        assert_eq!(registered.results(), expected(&there), "{replace}");
        // Three assets in one message, then one by one. The last asset of the batch is sent separately at the end.
        assert_eq!(registered.center.message_count(), 1 + 3 + 1);
    }
}

/// If the Defense Center counts differently, the plugin does not repeat every asset of the report.
#[test]
fn resending_is_limited_if_every_count_is_wrong() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| {
        let wrong = || (3, b"Done processing 1 commands.\n".to_vec());
        behavior.replies = (1..=1000).map(|number| (number, wrong())).collect();
    });
    let assets: Vec<_> = (1..=60).map(|last| asset(&format!("192.0.2.{last}"), &[(1, 0), (2, 0)])).collect();
    let mut output = registered.open(&json!({ "body_findings": 10 })).unwrap();
    output.begin(&start(), Begin::NEW).unwrap();
    let written = write(&mut output, &assets, false).unwrap();
    // All except those of the last asset, which is sent when the report ends.
    assert_eq!(written.rejected.len(), 118);
    output.end(&complete(&[])).unwrap();
    // Five assets per message; the first three messages are repeated asset by asset.
    assert_eq!(registered.center.message_count(), 12 + 1 + 3 * 5);
    // Assets that were refused by count alone are applied anyway.
    assert_eq!(registered.results(), expected(&assets));
}

#[test]
fn unknown_asset_error_names_add_host() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| behavior.unknown_assets = UnknownAssets::Fail);
    let mut output = registered.open(&json!({ "add_host": false })).unwrap();
    output.begin(&start(), Begin::NEW).unwrap();
    let written = write(&mut output, &four(), false).unwrap();
    assert!(written.rejected[0].reason.contains("`add_host`"), "{}", written.rejected[0].reason);
    drop(output);
    let mut output = registered.open(&json!({ "add_host": true })).unwrap();
    deliver(&mut output, &four(), &complete(&[])).unwrap();
    assert_eq!(registered.results(), expected(&four()));
}
