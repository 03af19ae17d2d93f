//! Whatever a report contains: in the end the Defense Center has what the report says, and nothing else is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use scanbridge_doubles::fake_defense_center::{Asset, HostMap, ResultKey, ScanResult};
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, Schema,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, FindingStatus, Hints, Protocol, ReportEnd,
};
use scanbridge_plugin_api::{Begin, Output};
use scanbridge_sourcefire::SourcefireOutput;
use serde_json::json;

use crate::report::start;
use crate::setting_up::Registered;

/// A row of a report: an asset that was scanned once. Its findings from `split` on are in the next batch.
#[derive(Debug, Clone)]
struct Scanned {
    address: &'static str,
    id: u8,
    status: &'static str,
    findings: Vec<Finding>,
    split: usize,
}

#[derive(Debug, Clone)]
struct Finding {
    qid: &'static str,
    port: u16,
    protocol: &'static str,
    status: &'static str,
    kind: FindingKind,
    result: &'static str,
    cves: Vec<&'static str>,
}

/// How a report ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    Complete,
    /// Incomplete and delivered, which the input knows from the beginning.
    Incomplete,
    /// A replay of dead letters.
    Partial,
}

/// Two spellings of one address, two addresses, an asset without one, and a text that is not an address.
const ADDRESSES: [&str; 8] = [
    "192.0.2.1",
    "::ffff:192.0.2.1",
    "192.0.2.2",
    "2001:db8::1",
    "2001:DB8:0:0:0:0:0:1",
    "",
    "0.0.0.0",
    "www.example.com",
];
const QIDS: [&str; 4] = ["7", "8", "9", "none"];
const CLEAN: &str = "192.0.2.8-192.0.2.9";

fn finding() -> impl Strategy<Value = Finding> {
    let kinds = vec![FindingKind::Vulnerability, FindingKind::Potential, FindingKind::Information];
    (
        prop::sample::select(QIDS.to_vec()),
        prop::sample::select(vec![0, 443, 443, 8443]),
        prop::sample::select(vec!["tcp", "tcp", "udp", "icmp", ""]),
        prop::sample::select(vec!["", "New", "Active", "Re-Opened", "Odd", "Fixed", "Ignored", "Disabled"]),
        prop::sample::select(kinds),
        prop::sample::select(vec!["", "one", "two", "three and four"]),
        prop::collection::vec(
            prop::sample::select(vec!["CVE-2026-0001", "CVE-2026-0002", "cve-2026-0007"]),
            0..3,
        ),
    )
        .prop_map(|(qid, port, protocol, status, kind, result, cves)| Finding {
            qid,
            port,
            protocol,
            status,
            kind,
            result,
            cves,
        })
}

fn scanned() -> impl Strategy<Value = Scanned> {
    (
        prop::sample::select(ADDRESSES.to_vec()),
        0..3_u8,
        prop::sample::select(vec!["", "Finished", "Finished", "down"]),
        prop::collection::vec(finding(), 0..6),
        0..8_usize,
    )
        .prop_map(|(address, id, status, findings, split)| Scanned {
            address,
            id,
            status,
            findings,
            split,
        })
}

/// The state before the report: each address has a result of this scanner and one of another.
fn before() -> HostMap {
    let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.7", "192.0.2.8", "192.0.2.9", "2001:db8::1"];
    let mut map = HostMap::default();
    for address in addresses {
        let asset = map.assets.entry(("Global".to_owned(), address.parse().unwrap())).or_default();
        for scanner in ["QualysGuard", "Other"] {
            asset.results.insert(key(scanner, "1", None), result("", &[]));
        }
    }
    map
}

fn key(scanner: &str, id: &str, service: Option<(u16, &str)>) -> ResultKey {
    let (port, protocol) =
        service.map_or_else(Default::default, |(port, protocol)| (port.to_string(), protocol.to_owned()));
    ResultKey { scanner: scanner.to_owned(), id: id.to_owned(), port, protocol }
}

fn result(description: &str, cves: &[String]) -> ScanResult {
    ScanResult {
        name: String::new(),
        description: description.to_owned(),
        cves: cves.to_vec(),
        bugtraqs: Vec::new(),
    }
}

/// The state after the report, from its meaning.
fn after(report: &[Scanned], ending: Ending) -> HostMap {
    let mut map = before();
    let mut clear: BTreeSet<IpAddr> = ["192.0.2.8", "192.0.2.9"].map(|text| text.parse().unwrap()).into();
    let (mut seen, mut keep) = (BTreeSet::new(), BTreeSet::new());
    for scanned in report {
        let Ok(address) = scanned.address.parse::<IpAddr>().map(|address| address.to_canonical()) else {
            continue;
        };
        if address.is_unspecified() {
            continue;
        }
        let is_complete = scanned.status != "down";
        let sent: Vec<&Finding> = scanned.findings.iter().filter(|finding| is_wanted(finding)).collect();
        let (sent, bad): (Vec<_>, Vec<_>) = sent.into_iter().partition(|finding| finding.qid != "none");
        if sent.is_empty() {
            if is_complete && bad.is_empty() {
                clear.insert(address)
            } else {
                keep.insert(address)
            };
            continue;
        }
        let asset = map.assets.entry(("Global".to_owned(), address)).or_default();
        if seen.insert(address) {
            asset.is_added = true;
            if is_complete && ending == Ending::Complete {
                forget(asset);
            }
        }
        asset.results.extend(results(&sent));
    }
    if ending == Ending::Complete {
        for address in clear.difference(&keep).filter(|address| !seen.contains(address)) {
            forget(map.assets.get_mut(&("Global".to_owned(), *address)).unwrap());
        }
    }
    map
}

fn is_wanted(finding: &Finding) -> bool {
    !["Fixed", "Ignored", "Disabled"].contains(&finding.status) && finding.kind != FindingKind::Information
}

fn forget(asset: &mut Asset) {
    asset.results.retain(|key, _| key.scanner != "QualysGuard");
}

/// One result for each QID, port and protocol.
fn results(sent: &[&Finding]) -> BTreeMap<ResultKey, ScanResult> {
    let mut groups: BTreeMap<ResultKey, (Vec<&str>, Vec<String>)> = BTreeMap::new();
    for finding in sent {
        let has_service = finding.port > 0 && ["tcp", "udp"].contains(&finding.protocol);
        let service = has_service.then_some((finding.port, finding.protocol));
        let (texts, cves) = groups.entry(key("QualysGuard", finding.qid, service)).or_insert_with(|| {
            // That of the definition.
            (Vec::new(), vec![format!("2026-000{}", finding.qid)])
        });
        if !finding.result.is_empty() && !texts.contains(&finding.result) {
            texts.push(finding.result);
        }
        for cve in finding.cves.iter().map(|cve| cve.to_ascii_uppercase().replace("CVE-", "")) {
            if !cves.contains(&cve) {
                cves.push(cve);
            }
        }
    }
    groups.into_iter().map(|(key, (texts, cves))| (key, result(&texts.join(" "), &cves))).collect()
}

/// Passes the report to the output, and counts its rejections.
fn deliver(output: &mut SourcefireOutput, report: &[Scanned], ending: Ending) -> usize {
    let is_incomplete = (ending == Ending::Incomplete).then_some(true);
    let hints = Hints::default().with_flag("host-input.add_host", Some(true));
    let start = start().with_hints(hints.with_flag("host-input.incomplete", is_incomplete));
    let how = if ending == Ending::Partial { Begin::PARTIAL } else { Begin::NEW };
    output.begin(&start, how).unwrap();
    let mut rejected = 0;
    let mut batch = BatchBuilder::default();
    for scanned in report {
        let row = asset_row(scanned);
        let split = scanned.split.min(scanned.findings.len());
        let asset = batch.push_asset(&row, false);
        scanned.findings[..split].iter().for_each(|finding| push(&mut batch, asset, finding));
        if split < scanned.findings.len() {
            rejected += write(output, std::mem::take(&mut batch));
            let asset = batch.push_asset(&row, true);
            scanned.findings[split..].iter().for_each(|finding| push(&mut batch, asset, finding));
        }
    }
    rejected += write(output, batch);
    let end = ReportEnd::default().with_deliver(true).with_complete(ending == Ending::Complete);
    output.end(&end.with_clean_assets(vec![CLEAN.parse().unwrap()])).unwrap();
    rejected
}

fn asset_row(scanned: &Scanned) -> AssetRow {
    let mut row = AssetRow::default();
    row.set(AssetField::Id, &scanned.id.to_string());
    row.set(AssetField::Address, scanned.address);
    row.set(AssetField::Status, scanned.status);
    row
}

fn push(batch: &mut BatchBuilder, asset: scanbridge_plugin_api::batch::RowIndex, finding: &Finding) {
    let mut definition = DefinitionRow::default();
    definition.set(DefinitionField::Id, finding.qid);
    definition.append_item(DefinitionField::Cves, &format!("CVE-2026-000{}", finding.qid));
    let definition = batch.push_definition(&definition);
    let mut row = FindingRow::default();
    row.set_kind(finding.kind);
    row.set_status(FindingStatus::from_word(finding.status));
    row.set_port(finding.port);
    row.set_protocol(Protocol::of(finding.protocol));
    row.set(FindingField::Result, finding.result);
    finding.cves.iter().for_each(|cve| row.append_item(FindingField::Cves, cve));
    batch.push_finding(asset, definition, &row);
}

fn write(output: &mut SourcefireOutput, batch: BatchBuilder) -> usize {
    let raw = batch.finish();
    let columns = Columns::of(Schema::default());
    output.write(Batch::of(&raw, &columns).unwrap()).unwrap().rejected.len()
}

/// The findings that cannot be sent, each of which becomes a dead letter.
fn unsendable(report: &[Scanned]) -> usize {
    let has_address =
        |scanned: &Scanned| scanned.address.parse::<IpAddr>().is_ok_and(|address| !address.is_unspecified());
    let of_asset = |scanned: &Scanned| {
        let wanted = scanned.findings.iter().filter(|finding| is_wanted(finding));
        wanted.filter(|finding| !has_address(scanned) || finding.qid == "none").count()
    };
    report.iter().map(of_asset).sum()
}

/// A center that resets unknown clients treats a known one like any other, whatever size of message it announces.
#[test]
fn center_has_what_the_report_says() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| behavior.rude = true);
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() });
    let case = (
        prop::collection::vec(scanned(), 0..6),
        prop::sample::select(vec![Ending::Complete, Ending::Complete, Ending::Incomplete, Ending::Partial]),
        prop::sample::select(vec!["asset", "flush"]),
        prop::sample::select(vec![512, 524_288]),
    );
    runner
        .run(&case, |(report, ending, replace, max_size)| {
            registered.center.reset();
            registered.center.change_host_map(|map| *map = before());
            registered.center.change(|behavior| behavior.max_size = max_size);
            let options = json!({ "replace": replace, "description": ["result"] });
            let mut output = registered.open(&options).unwrap();
            let rejected = deliver(&mut output, &report, ending);
            output.close().unwrap();
            registered.center.wait_until_idle();
            prop_assert_eq!(registered.center.host_map(), after(&report, ending));
            prop_assert_eq!(rejected, unsendable(&report));
            let lines = registered.center.lines();
            let deletes = |line: &&String| line.starts_with("DeleteScanResult") || **line == "ScanFlush";
            if ending != Ending::Complete {
                prop_assert_eq!(lines.iter().filter(deletes).count(), 0);
            }
            Ok(())
        })
        .unwrap();
}
