//! What the center refuses is named by asset, as findings where they are at hand; the rest is imported.

use std::net::IpAddr;

use scanbridge_doubles::fake_defense_center::UnknownAssets;
use scanbridge_plugin_api::{ErrorKind, Output};
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
fn findings_of_a_refused_asset_are_rejected_and_the_others_are_there() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| {
        behavior.failing_assets.insert(ip("192.0.2.2"));
        behavior.failing_hosts.insert(ip("192.0.2.3"));
    });
    let mut output = registered.open(&json!({})).unwrap();
    output.begin(&start()).unwrap();
    let written = write(&mut output, &four(), false).unwrap();
    let rows: Vec<u32> = written.rejected.iter().map(|rejection| rejection.row).collect();
    // Two findings each, of the second and the third asset.
    assert_eq!(rows, [2, 3, 4, 5]);
    assert!(
        written.rejected[0].reason.contains("could not store the scan results"),
        "{}",
        written.rejected[0].reason
    );
    assert!(written.rejected[2].reason.contains("AddHost"), "{}", written.rejected[2].reason);
    output.end(&complete(&[])).unwrap();
    let mut there = four();
    there.remove(1);
    assert_eq!(registered.results(), expected(&there));
}

/// The last asset goes out when the report ends: no batch is at hand to name its findings in.
#[test]
fn a_refusal_that_names_no_finding_is_told_at_the_very_end() {
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
    assert_eq!(error.message, "the Defense Center refused commands about the assets 192.0.2.4, 192.0.2.99");
    let there = [&four()[..3], &more[..]].concat();
    assert_eq!(registered.results(), expected(&there));
}

#[test]
fn a_refusal_is_not_forgotten_by_a_crash() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| {
        behavior.failing_assets.insert(ip("192.0.2.4"));
    });
    let mut output = registered.open(&json!({})).unwrap();
    output.begin(&start()).unwrap();
    write(&mut output, &four(), false).unwrap();
    let receipt = output.commit().unwrap();
    drop(output);
    let mut output = registered.resume(&json!({}), Some(&receipt)).unwrap();
    output.begin(&scanbridge_plugin_api::model::ReportStart { continued: true, ..start() }).unwrap();
    output.end(&complete(&[])).unwrap();
    let receipt = output.commit().unwrap();
    drop(output);
    let mut output = registered.resume(&json!({}), Some(&receipt)).unwrap();
    deliver(&mut output, &[asset("192.0.2.5", &[(5, 5)])], &complete(&[])).unwrap();
    let error = output.close().unwrap_err();
    assert!(error.message.contains("192.0.2.4"), "{error}");
}

/// Only the count tells of a line that the center could not read.
#[test]
fn a_count_that_is_short_blames_the_assets_of_the_message() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| {
        behavior.replies.insert(1, (3, b"Done processing 3 commands.\n".to_vec()));
    });
    let mut output = registered.open(&json!({ "body_findings": 2 })).unwrap();
    output.begin(&start()).unwrap();
    let written = write(&mut output, &four(), false).unwrap();
    assert_eq!(written.rejected.iter().map(|rejection| rejection.row).collect::<Vec<_>>(), [0, 1]);
    assert!(written.rejected[0].reason.contains("counted 3 of 5 commands"), "{}", written.rejected[0].reason);
    output.end(&complete(&[])).unwrap();
}

#[test]
fn unknown_assets_are_refused_with_the_hint_to_add_them() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| behavior.unknown_assets = UnknownAssets::Fail);
    let mut output = registered.open(&json!({ "add_host": false })).unwrap();
    output.begin(&start()).unwrap();
    let written = write(&mut output, &four(), false).unwrap();
    assert!(written.rejected[0].reason.contains("`add_host`"), "{}", written.rejected[0].reason);
    drop(output);
    let mut output = registered.open(&json!({ "add_host": true })).unwrap();
    deliver(&mut output, &four(), &complete(&[])).unwrap();
    assert_eq!(registered.results(), expected(&four()));
}
