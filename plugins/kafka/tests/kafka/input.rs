//! The input: groups, positions, reports.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scanbridge_plugin_api::batch::{AssetRow, BatchBuilder, ColumnType, DefinitionRow, FindingRow};
use scanbridge_plugin_api::model::{AddressRange, AssetField, FindingField, FindingKind, ReportEnd};
use scanbridge_plugin_api::{Begin, CommitPoint, ErrorKind, Input as _, Output as _, Position, Verdict};
use serde_json::json;

use crate::case::{batch, deliver, input_for, input_with, output, read_to_end, scan, services};
use crate::cluster::Cluster;
use crate::topic;

fn read(
    cluster: &Cluster,
    topic: &str,
    more: serde_json::Value,
    resume: Option<&Position>,
) -> crate::case::Reading {
    let mut options =
        json!({ "topics": [topic], "group": format!("g-{topic}"), "window": 200, "session_timeout": 6000 });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (mut input, columns) = input_with(&cluster.brokers, &options, &services(), resume).unwrap();
    let reading = read_to_end(&mut input, &columns).unwrap();
    input.close().unwrap();
    reading
}

#[test]
fn written_assets_are_read() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "in-all", 3, &[]);
    let mut output = output(&cluster.brokers, &json!({ "topic": "in-all", "record_bytes": 20000 })).unwrap();
    let sizes = vec![900; 2000];
    let assets: [(&str, &[usize]); 3] = [("192.0.2.1", &[5, 5]), ("192.0.2.2", &sizes), ("192.0.2.3", &[])];
    deliver(&mut output, &scan("scan/1"), &[batch(&assets)]).unwrap();
    deliver(&mut output, &scan("scan/2"), &[batch(&[("192.0.2.1", &[7])])]).unwrap();
    let reading = read(cluster, "in-all", json!({}), None);
    let mut found: Vec<_> = reading
        .assets
        .iter()
        .map(|(report, address, results)| (report.as_str(), address.as_str(), results.len()))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("scan/1", "192.0.2.1", 2),
            ("scan/1", "192.0.2.2", 2000),
            ("scan/1", "192.0.2.3", 0),
            ("scan/2", "192.0.2.1", 1)
        ]
    );
    let large = reading.assets.iter().find(|(_, address, _)| address == "192.0.2.2").unwrap();
    assert!(large.2.iter().enumerate().all(|(index, result)| result.starts_with(&format!("{index}:"))));
    // The order of the reports of an asset is kept.
    let first = reading.assets.iter().position(|asset| asset.0 == "scan/1" && asset.1 == "192.0.2.1");
    assert!(first < reading.assets.iter().position(|asset| asset.0 == "scan/2"));
    let revisions: BTreeSet<_> = reading.starts.iter().map(|start| &start.revision).collect();
    assert_eq!(revisions.len(), reading.starts.len(), "each window is a report of its own");
    assert!(reading.starts.iter().all(|start| start.source.vendor == "Qualys" && start.kind == "SCAN"));
    assert!(reading.ends.iter().all(|end| end.complete && end.deliver && end.clean_assets.is_empty()));
}

#[test]
fn reading_continues_after_what_was_stored() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "in-resume", 2, &[]);
    let mut output = output(&cluster.brokers, &json!({ "topic": "in-resume" })).unwrap();
    deliver(&mut output, &scan("scan/1"), &[batch(&[("192.0.2.1", &[5]), ("192.0.2.2", &[5])])]).unwrap();
    let first = read(cluster, "in-resume", json!({}), None);
    assert_eq!(first.assets.len(), 2);
    let stored = topic::stored(&cluster.brokers, "g-in-resume", "in-resume", 2);
    assert_eq!(stored.iter().filter(|offset| **offset > 0).sum::<i64>(), 2, "{stored:?}");

    deliver(&mut output, &scan("scan/2"), &[batch(&[("192.0.2.1", &[5])])]).unwrap();
    // By the group: on another machine. And by the ledger: the group has no position.
    for (more, resume) in
        [(json!({ "member": "other" }), None), (json!({ "group": "g-fresh" }), first.position.as_ref())]
    {
        let next = read(cluster, "in-resume", more, resume);
        assert_eq!(next.assets.len(), 1, "{next:?}");
        assert_eq!(next.assets[0].0, "scan/2");
    }
}

#[test]
fn new_group_can_begin_at_the_end() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "in-latest", 1, &[]);
    let mut output = output(&cluster.brokers, &json!({ "topic": "in-latest" })).unwrap();
    deliver(&mut output, &scan("scan/1"), &[batch(&[("192.0.2.1", &[5])])]).unwrap();
    assert_eq!(read(cluster, "in-latest", json!({ "start": "latest" }), None).assets.len(), 0);
}

#[test]
fn assets_without_findings_are_named_at_the_end() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "in-clean", 1, &[]);
    let mut output = output(&cluster.brokers, &json!({ "topic": "in-clean" })).unwrap();
    output.begin(&scan("scan/4"), Begin::NEW).unwrap();
    let address = "192.0.2.8".parse().unwrap();
    let clean = vec![AddressRange::new(address, address).unwrap()];
    let end = ReportEnd::default().with_complete(true).with_deliver(true).with_clean_assets(clean.clone());
    output.end(&end).unwrap();
    output.commit(CommitPoint::BetweenReports).unwrap();
    let reading = read(cluster, "in-clean", json!({}), None);
    assert_eq!(reading.ends.len(), 1);
    assert_eq!(reading.ends[0].clean_assets, clean);
    assert!(reading.assets.is_empty());
}

#[test]
fn own_columns_are_added_when_records_have_them() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "in-own", 1, &[]);
    let mut output = output(&cluster.brokers, &json!({ "topic": "in-own" })).unwrap();
    let mut report = scan("scan/1");
    let epss = report.schema.add_column::<FindingField>("acme:epss", ColumnType::Decimal, "EPSS").unwrap();
    let mut builder = BatchBuilder::new(&report.schema);
    let mut asset = AssetRow::default();
    asset.set(AssetField::Address, "192.0.2.1");
    let asset = builder.push_asset(&asset, false);
    let definition = builder.push_definition(&DefinitionRow::default());
    let mut finding = FindingRow::default();
    finding.set_kind(FindingKind::Vulnerability);
    finding.set_own(epss, "0.97");
    builder.push_finding(asset, definition, &finding);
    deliver(&mut output, &report, &[builder.finish()]).unwrap();

    let options = json!({ "topics": ["in-own"], "window": 200, "session_timeout": 6000 });
    let services = services();
    let (mut input, columns) = input_with(&cluster.brokers, &options, &services, None).unwrap();
    let error = read_to_end(&mut input, &columns).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "the host opens the input again: {error}");
    drop(input);
    let (mut input, columns) = input_with(&cluster.brokers, &options, &services, None).unwrap();
    let reading = read_to_end(&mut input, &columns).unwrap();
    assert_eq!(reading.assets.len(), 1);
    assert!(reading.own[0].contains("0.97"), "{:?}", reading.own);
}

#[test]
fn probe_shows_what_the_group_has_not_read() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "in-probe", 2, &[]);
    let mut output = output(&cluster.brokers, &json!({ "topic": "in-probe" })).unwrap();
    deliver(&mut output, &scan("scan/1"), &[batch(&[("192.0.2.1", &[5]), ("192.0.2.2", &[5])])]).unwrap();
    let mut input = input_for("probe", &cluster.brokers, &json!({ "topics": ["in-probe"] })).unwrap();
    let steps = input.check().unwrap().steps;
    let shown: Vec<_> = steps.iter().map(|step| (step.verdict, step.detail.as_str())).collect();
    assert_eq!(shown, [(Verdict::Ok, "2 partitions"), (Verdict::Ok, "2 records not read")]);
    let mut input = input_for("probe", &cluster.brokers, &json!({ "topics": ["in-no"] })).unwrap();
    assert_eq!(input.check().unwrap().steps[0].kind, Some(ErrorKind::Config));
}

#[test]
fn two_members_with_one_name_are_not_both_served() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "in-fenced", 1, &[]);
    let options = json!({ "topics": ["in-fenced"], "window": 200, "session_timeout": 6000, "member": "m" });
    let (mut first, columns) = input_with(&cluster.brokers, &options, &services(), None).unwrap();
    read_to_end(&mut first, &columns).unwrap();
    let (mut second, _) = input_with(&cluster.brokers, &options, &services(), None).unwrap();
    read_to_end(&mut second, &columns).unwrap();
    let error = (0..30).find_map(|_| read_to_end(&mut first, &columns).err()).unwrap();
    assert_eq!(error.kind, ErrorKind::Displaced, "{error}");
    assert!(error.hint.unwrap().contains("`member`"));
}

#[test]
fn newer_group_protocol() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "in-next", 2, &[]);
    let mut output = output(&cluster.brokers, &json!({ "topic": "in-next" })).unwrap();
    deliver(&mut output, &scan("scan/1"), &[batch(&[("192.0.2.1", &[5]), ("192.0.2.2", &[5])])]).unwrap();
    let more = json!({ "extra": { "group.protocol": "consumer" } });
    assert_eq!(read(cluster, "in-next", more.clone(), None).assets.len(), 2);
    assert_eq!(read(cluster, "in-next", more, None).assets.len(), 0);
}

#[test]
fn partitions_that_another_worker_gets_are_not_read_twice() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "in-join", 4, &[]);
    let mut output = output(&cluster.brokers, &json!({ "topic": "in-join" })).unwrap();
    let addresses: Vec<String> = (0..40).map(|number| format!("192.0.2.{number}")).collect();
    let assets: Vec<(&str, &[usize])> =
        addresses.iter().map(|address| (address.as_str(), &[5][..])).collect();
    let options = |member: &str| json!({ "topics": ["in-join"], "group": "g-in-join", "window": 100, "session_timeout": 6000, "member": member });
    let (mut first, columns) = input_with(&cluster.brokers, &options("a"), &services(), None).unwrap();
    deliver(&mut output, &scan("scan/1"), &[batch(&assets)]).unwrap();
    let mut all = read_to_end(&mut first, &columns).unwrap().assets;
    assert_eq!(all.len(), 40);
    // The second one joins while both read; what is written then is divided.
    let (mut second, _) = input_with(&cluster.brokers, &options("b"), &services(), None).unwrap();
    let (began, has_read) = (std::time::Instant::now(), std::sync::Arc::new(AtomicBool::new(false)));
    let other = {
        let (columns, has_read) = (std::sync::Arc::clone(&columns), std::sync::Arc::clone(&has_read));
        std::thread::spawn(move || {
            let mut read = Vec::new();
            while read.is_empty() && began.elapsed() < Duration::from_secs(60) {
                read.extend(read_to_end(&mut second, &columns).unwrap().assets);
            }
            has_read.store(true, Ordering::Relaxed);
            (0..3).for_each(|_| read.extend(read_to_end(&mut second, &columns).unwrap().assets));
            read
        })
    };
    let mut reports = 1;
    while !has_read.load(Ordering::Relaxed) {
        reports += 1;
        deliver(&mut output, &scan(&format!("scan/{reports}")), &[batch(&assets)]).unwrap();
        all.extend(read_to_end(&mut first, &columns).unwrap().assets);
    }
    (0..3).for_each(|_| all.extend(read_to_end(&mut first, &columns).unwrap().assets));
    let other = other.join().unwrap();
    assert!(!other.is_empty(), "the second worker has partitions");
    all.extend(other);
    let distinct: BTreeSet<_> = all.iter().map(|(report, address, _)| (report, address)).collect();
    assert_eq!((all.len(), distinct.len()), (reports * 40, reports * 40));
}
