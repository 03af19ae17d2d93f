//! The output: records of each format.

use scanbridge_plugin_api::batch::{Batch, Columns, unpack};
use scanbridge_plugin_api::model::{AddressRange, ReportEnd};
use scanbridge_plugin_api::{Begin, CommitPoint, ErrorKind, Output as _, Verdict};
use serde_json::json;

use crate::case::{batch, continued, deliver, output, output_for, scan};
use crate::cluster::Cluster;
use crate::topic::{self, Seen};

/// The number of findings in a record.
fn findings(record: &Seen) -> usize {
    let (raw, columns) = (unpack(&record.value).unwrap(), Columns::of_report(&scan("")));
    Batch::of(&raw, &columns).unwrap().finding_count()
}

#[test]
fn asset_is_one_record_with_key_and_headers() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "out-batch", 3, &[]);
    let mut output = output(&cluster.brokers, &json!({ "topic": "out-batch" })).unwrap();
    let batches = [
        batch(&[("192.0.2.1", &[5, 5]), ("192.0.2.2", &[5])]),
        continued(&[("192.0.2.2", &[6, 6]), ("192.0.2.3", &[])], true),
    ];
    let committed = deliver(&mut output, &scan("scan/1"), &batches).unwrap();
    assert_eq!(committed.late_rejected, []);
    let mut records = topic::read(&cluster.brokers, "out-batch");
    records.sort_by_key(|record| (record.key.clone(), record.headers.get("sb-part").cloned()));
    let shown: Vec<_> = records
        .iter()
        .map(|record| {
            (record.key.as_str(), record.headers.get("sb-part").map(String::as_str), findings(record))
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("Qualys/192.0.2.1", None, 2),
            ("Qualys/192.0.2.2", Some("1/2"), 1),
            ("Qualys/192.0.2.2", Some("2/2"), 2),
            ("Qualys/192.0.2.3", None, 0),
        ]
    );
    assert_eq!(records[1].partition, records[2].partition);
    let headers = &records[0].headers;
    assert_eq!((headers["sb-format"].as_str(), headers["sb-source"].as_str()), ("batch/1", "Qualys"));
    assert_eq!(headers["sb-report"], "scan/1");
    assert_eq!(headers["sb-crc"], format!("{:08x}", crc32c::crc32c(&records[0].value)));
    let start: serde_json::Value = serde_json::from_str(&headers["sb-start"]).unwrap();
    assert_eq!(start["source"]["vendor"], "Qualys");
    assert!(headers["sb-time"].parse::<u64>().unwrap() > 1_700_000_000_000);
}

#[test]
fn several_topics_get_their_formats() {
    let Some(cluster) = Cluster::shared() else { return };
    for topic in ["out-r-batch", "out-r-cef", "out-r-json", "out-r-ocsf", "out-r-ecs"] {
        topic::create(&cluster.brokers, topic, 2, &[]);
    }
    let routes = json!({ "routes": { "out-r-batch": "batch", "out-r-cef": "cef", "out-r-json": "json",
        "out-r-ocsf": "ocsf", "out-r-ecs": "ecs" } });
    let mut output = output(&cluster.brokers, &routes).unwrap();
    deliver(&mut output, &scan("scan/2"), &[batch(&[("192.0.2.1", &[5, 5])])]).unwrap();
    assert_eq!(topic::read(&cluster.brokers, "out-r-batch").len(), 1);
    for (topic, format, start) in [
        ("out-r-cef", "cef/0", "CEF:0|Qualys|"),
        ("out-r-json", "json/1", "{"),
        ("out-r-ocsf", "ocsf/1.8.0", "{"),
        ("out-r-ecs", "ecs/9.4.0", "{"),
    ] {
        let records = topic::read(&cluster.brokers, topic);
        assert_eq!(records.len(), 2, "{topic}");
        for record in records {
            assert_eq!(record.key, "Qualys/192.0.2.1");
            assert_eq!(record.headers["sb-format"], format);
            assert_eq!(record.headers.len(), 2, "text records have two headers");
            let text = String::from_utf8(record.value).unwrap();
            assert!(text.starts_with(start) && !text.contains('\n'), "{text}");
        }
    }
}

#[test]
fn large_asset_is_split_and_a_larger_finding_is_rejected() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "out-large", 1, &[("max.message.bytes", "100000")]);
    let mut output = output(&cluster.brokers, &json!({ "topic": "out-large" })).unwrap();
    let sizes = [30_000, 30_000, 200_000, 30_000, 30_000];
    let committed =
        deliver(&mut output, &scan("scan/3"), &[batch(&[("192.0.2.1", &sizes), ("192.0.2.2", &[9])])]);
    let rejected = committed.unwrap().late_rejected;
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert_eq!(rejected[0].0.row, 2);
    assert!(rejected[0].1.contains("max.message.bytes"), "{}", rejected[0].1);
    let records = topic::read(&cluster.brokers, "out-large");
    assert!(records.iter().all(|record| record.value.len() < 100_000));
    assert_eq!(records.iter().map(findings).sum::<usize>(), 5);
    assert!(records.len() > 2, "the asset has several parts: {}", records.len());
}

/// The limit of a topic also applies to a batch of small records.
#[test]
fn small_records_are_not_rejected_because_their_batch_is_large() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "out-small", 1, &[("max.message.bytes", "100000")]);
    let options =
        json!({ "topic": "out-small", "record_bytes": 10_000, "compression": "none", "linger": 500 });
    let mut output = output(&cluster.brokers, &options).unwrap();
    let addresses: Vec<String> = (1..=200).map(|number| format!("192.0.2.{number}")).collect();
    let assets: Vec<(&str, &[usize])> =
        addresses.iter().map(|address| (address.as_str(), &[3000][..])).collect();
    let committed = deliver(&mut output, &scan("scan/9"), &[batch(&assets)]).unwrap();
    assert_eq!(committed.late_rejected, []);
    assert_eq!(topic::read(&cluster.brokers, "out-small").len(), 200);
}

#[test]
fn assets_without_findings_are_records() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "out-clean", 1, &[]);
    let mut output = output(&cluster.brokers, &json!({ "topic": "out-clean" })).unwrap();
    output.begin(&scan("scan/4"), Begin::NEW).unwrap();
    let range =
        |first: &str, last: &str| AddressRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap();
    let clean = vec![range("192.0.2.8", "192.0.2.9"), range("2001:db8::1", "2001:db8::1")];
    let end = ReportEnd::default().with_complete(true).with_deliver(true).with_clean_assets(clean);
    output.end(&end).unwrap();
    output.commit(CommitPoint::BetweenReports).unwrap();
    let records = topic::read(&cluster.brokers, "out-clean");
    let keys: Vec<_> = records.iter().map(|record| record.key.as_str()).collect();
    assert_eq!(keys, ["Qualys/192.0.2.8", "Qualys/192.0.2.9", "Qualys/2001:db8::1"]);
    assert!(records.iter().all(|record| record.headers["sb-flags"] == "clean" && findings(record) == 0));
}

#[test]
fn missing_topic_is_a_configuration_error_with_the_command() {
    let Some(cluster) = Cluster::shared() else { return };
    let error = output(&cluster.brokers, &json!({ "topic": "out-missing" })).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
    assert!(error.message.contains("topic out-missing"), "{error}");
    assert!(error.hint.unwrap().contains("kafka-topics --bootstrap-server"));
}

#[test]
fn brokers_that_are_not_reachable_are_unavailable() {
    let error = output("127.0.0.1:1", &json!({ "topic": "t", "connect_timeout": 2000 })).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.message.contains("127.0.0.1:1") && error.message.contains("refused"), "{error}");
}

#[test]
fn probe_compares_the_settings_of_topics() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "out-compact", 4, &[("cleanup.policy", "compact")]);
    let mut output = output_for("probe", &cluster.brokers, &json!({ "topic": "out-compact" })).unwrap();
    let report = output.check().unwrap();
    assert_eq!((report.steps[0].verdict, report.steps[0].detail.as_str()), (Verdict::Ok, "4 partitions"));
    assert_eq!(report.steps[1].verdict, Verdict::Warning);
    assert!(report.steps[1].detail.contains("kafka-configs"), "{}", report.steps[1].detail);
    let mut output = output_for("probe", &cluster.brokers, &json!({ "topic": "out-none" })).unwrap();
    let report = output.check().unwrap();
    assert_eq!(report.steps[0].verdict, Verdict::Failed);
    assert_eq!(report.steps[0].kind, Some(ErrorKind::Config));
}

#[test]
fn preview_shows_texts_without_a_connection() {
    let report = scan("scan/1");
    let (raw, columns) = (batch(&[("192.0.2.1", &[5])]), Columns::of_report(&report));
    let show = |options: serde_json::Value| {
        let output = output_for("preview", "127.0.0.1:1", &options).unwrap();
        output.render(&report, Batch::of(&raw, &columns).unwrap()).unwrap()
    };
    let rendered = show(json!({ "topic": "t", "format": "cef" }));
    assert!(rendered.len() == 1 && rendered[0].text.starts_with("CEF:0|Qualys|"), "{rendered:?}");
    let rendered = show(json!({ "topic": "t" }));
    assert!(rendered.len() == 1 && rendered[0].omitted.contains("format: batch"), "{rendered:?}");
}

#[test]
fn missing_topics_are_created_with_the_settings_of_the_manual() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = json!({ "routes": { "new-batch": "batch", "new-cef": "cef" }, "delivery": "exactly-once", "slots": 2,
        "state_topic": "new-state", "takeover_wait": 0, "session_timeout": 3000, "create_topics": true });
    let mut probe = output_for("probe", &cluster.brokers, &options).unwrap();
    let report = probe.check().unwrap();
    assert!(report.steps.iter().all(|step| step.verdict == Verdict::Ok), "{report:?}");
    assert!(report.steps[0].detail.contains("the run creates it with 12 partitions"), "{report:?}");
    assert_eq!(topic::partitions(&cluster.brokers, "new-batch"), 0, "a probe changes nothing");

    drop(output(&cluster.brokers, &options).unwrap());
    for (name, partitions, settings) in [
        ("new-batch", 12, &[("cleanup.policy", "delete"), ("retention.ms", "259200000")][..]),
        ("new-cef", 12, &[]),
        ("new-state", 2, &[("cleanup.policy", "compact")]),
    ] {
        assert_eq!(topic::partitions(&cluster.brokers, name), partitions, "{name}");
        let found = topic::settings(&cluster.brokers, name);
        for (key, value) in settings {
            assert_eq!(found.get(*key).map(String::as_str), Some(*value), "{name} {key}");
        }
        // There is only one broker.
        assert_eq!(found["min.insync.replicas"], "1", "{name}");
    }
    // Again: nothing is to be created.
    drop(output(&cluster.brokers, &options).unwrap());
}

/// What a finding costs on a topic besides its texts, before compression: a bound that does not depend on the machine.
#[test]
fn records_are_little_larger_than_their_texts() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "out-size", 1, &[]);
    let mut output = output(&cluster.brokers, &json!({ "topic": "out-size" })).unwrap();
    const FINDINGS: usize = 50;
    deliver(&mut output, &scan("scan/1"), &[batch(&[("192.0.2.1", &[300; FINDINGS])])]).unwrap();
    let records = topic::read(&cluster.brokers, "out-size");
    assert_eq!(records.len(), 1);
    let headers: usize = records[0].headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let beyond = records[0].value.len() - FINDINGS * 300;
    assert!(beyond < FINDINGS * 300, "{beyond} bytes for {FINDINGS} findings besides their results");
    assert!(headers < 8_000, "{headers} bytes of headers for each asset");
}
