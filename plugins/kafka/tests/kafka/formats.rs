//! The options of the formats: what is in a record, and records that are about no finding.

use scanbridge_kafka::KafkaOutput;
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, RawBatch2,
};
use scanbridge_plugin_api::keeper::PairChanges;
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, ReportEnd, Severity,
};
use scanbridge_plugin_api::{Begin, CommitPoint, ErrorKind, Output as _, Written};
use serde_json::{Value, json};

use crate::case::{batch, deliver, output, output_for, scan};
use crate::cluster::Cluster;
use crate::topic;

/// An asset with an operating system and these findings: severity and open port.
struct Asset(&'static str, &'static [(u8, u16)]);

/// A batch with these assets; the first one began in the batch before.
fn assets(is_continued: bool, assets: &[Asset]) -> RawBatch2 {
    let mut batch = BatchBuilder::default();
    for (index, Asset(address, findings)) in assets.iter().enumerate() {
        let mut asset = AssetRow::default();
        asset.set(AssetField::Address, address);
        asset.set(AssetField::Os, "Linux");
        let asset = batch.push_asset(&asset, is_continued && index == 0);
        let mut definition = DefinitionRow::default();
        definition.set(DefinitionField::Id, "38170");
        let definition = batch.push_definition(&definition);
        for (severity, port) in *findings {
            let mut finding = FindingRow::default();
            finding.set_kind(FindingKind::Vulnerability);
            finding.set_severity(Severity::new(*severity));
            finding.set(FindingField::Facts, &format!("port\t{port}\ttcp\t\t"));
            batch.push_finding(asset, definition, &finding);
        }
    }
    batch.finish()
}

fn write(output: &mut KafkaOutput, raw: &RawBatch2) -> Written {
    output.write(Batch::of(raw, &Columns::of_report(&scan("scan/1"))).unwrap()).unwrap()
}

fn end(output: &mut KafkaOutput, deliver: bool) -> Written {
    output.end(&ReportEnd::default().with_complete(true).with_deliver(deliver)).unwrap()
}

/// The class and the severity of an event: `VULN 8`.
fn event(text: &str) -> String {
    let fields: Vec<_> = text.split('|').collect();
    format!("{} {}", fields[4].split(':').nth(1).unwrap(), fields[6])
}

/// The events of a topic by their keys, in their order; those of a key are in one partition.
fn events(cluster: &Cluster, name: &str) -> Vec<(String, Vec<String>)> {
    let mut keys: Vec<(String, i32, Vec<String>)> = Vec::new();
    for record in topic::read(&cluster.brokers, name) {
        let text = event(&String::from_utf8(record.value).unwrap());
        match keys.iter_mut().find(|(key, ..)| *key == record.key) {
            Some((key, partition, events)) => {
                assert_eq!(*partition, record.partition, "{key}");
                events.push(text);
            }
            None => keys.push((record.key, record.partition, vec![text])),
        }
    }
    keys.sort();
    keys.into_iter().map(|(key, _, events)| (key, events)).collect()
}

fn expected(events: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    events.iter().map(|(key, texts)| ((*key).to_owned(), owned(texts))).collect()
}

#[test]
fn options_decide_what_is_in_an_event() {
    let Some(cluster) = Cluster::shared() else { return };
    for (name, options, parts) in [
        (
            "form-default",
            json!({}),
            ["CEF:0|Qualys|Qualys|unknown|Qualys:VULN:1000|title 0|8|", " externalId=scan/1 "],
        ),
        (
            "form-options",
            json!({ "severity_style": "word", "class_id_separator": "pipe", "name_style": "guide",
                "device_vendor": "Acme", "additional_data": "ad", "additional_fields": ["finding.port"] }),
            [
                "CEF:0|Acme|Qualys|unknown|Qualys\\|VULN\\|1000|Vulnerability:1000|High|",
                " ad.FindingPort=443",
            ],
        ),
        (
            "form-additional",
            json!({ "additional_fields": ["report.id", "finding.severity"], "cef_version": 1 }),
            ["CEF:1|", " QualysQualysReportId=scan/1 QualysQualysFindingSeverity=4"],
        ),
    ] {
        topic::create(&cluster.brokers, name, 1, &[]);
        let mut all = json!({ "topic": name, "format": "cef" });
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let mut output = output(&cluster.brokers, &all).unwrap();
        deliver(&mut output, &scan("scan/1"), &[batch(&[("192.0.2.1", &[5])])]).unwrap();
        let records = topic::read(&cluster.brokers, name);
        let text = String::from_utf8(records[0].value.clone()).unwrap();
        assert_eq!(records.len(), 1);
        assert!(text.starts_with(parts[0]) && text.contains(parts[1]), "{text}");
    }
}

#[test]
fn option_without_its_format_is_refused_by_name() {
    let routes = json!({ "a": "batch", "b": "ocsf" });
    for (mut options, routes, option, format) in [
        (json!({ "severity_style": "word" }), json!({ "a": "batch" }), "severity_style", "`cef`"),
        (json!({ "derive": true }), routes.clone(), "derive", "`cef`"),
        (json!({ "time_offset_secs": 60 }), routes.clone(), "time_offset_secs", "`cef`"),
        (json!({ "additional_fields": ["asset.owner"] }), routes.clone(), "additional_fields", "`cef`"),
        (json!({ "assets": true }), routes, "assets", "`json`"),
        (
            json!({ "leave_out": ["finding.result"] }),
            json!({ "a": "cef" }),
            "leave_out",
            "`json`, `ocsf`, `ecs`",
        ),
    ] {
        options["routes"] = routes;
        let error = output("127.0.0.1:1", &options).unwrap_err();
        assert_eq!((error.kind, error.option.as_deref()), (ErrorKind::Config, Some(option)), "{error}");
        let message = format!("option `{option}` has no effect: no record has the format {format}");
        assert_eq!(error.message, message);
        assert_eq!(error.hint.unwrap(), format!("remove it, or set the format {format}"));
        // With a topic of the format, and with the default value, it is accepted.
        options["routes"]["c"] = json!(format.trim_matches('`').split('`').next().unwrap());
        output_for("preview", "127.0.0.1:1", &options).unwrap();
    }
    let defaults = json!({ "topic": "t", "severity_style": "number", "derive": false, "extra_fields": [] });
    output_for("preview", "127.0.0.1:1", &defaults).unwrap();
    let error = output("127.0.0.1:1", &json!({ "topic": "t", "format": "cef", "additional_fields": ["x"] }));
    assert!(error.unwrap_err().message.contains("unknown column `x`"));
}

/// Events about the asset have its key and follow its findings, also over batches and a checkpoint in the report.
#[test]
fn events_of_assets_are_records_of_the_asset() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "form-derive", 3, &[]);
    let options = json!({ "topic": "form-derive", "format": "cef", "derive": true, "asset_events": true });
    let mut output = output(&cluster.brokers, &options).unwrap();
    output.begin(&scan("scan/1"), Begin::NEW).unwrap();
    let first = [Asset("192.0.2.1", &[(3, 80)]), Asset("192.0.2.2", &[(5, 22)])];
    let mut derived = vec![write(&mut output, &assets(false, &first)).derived];
    let second = [Asset("192.0.2.2", &[(4, 22), (4, 443)]), Asset("192.0.2.3", &[])];
    derived.push(write(&mut output, &assets(true, &second)).derived);
    output.commit(CommitPoint::InReport).unwrap();
    let at_checkpoint = topic::read(&cluster.brokers, "form-derive").len();
    derived.push(write(&mut output, &assets(false, &[Asset("192.0.2.4", &[(1, 21)])])).derived);
    derived.push(end(&mut output, true).derived);
    output.commit(CommitPoint::BetweenReports).unwrap();
    assert_eq!(
        events(cluster, "form-derive"),
        expected(&[
            ("Qualys/192.0.2.1", &["VULN 7", "Open Port 7", "URI 0", "SCANNER 0"]),
            (
                "Qualys/192.0.2.2",
                &["VULN 10", "Open Port 10", "VULN 8", "VULN 8", "Open Port 8", "URI 0", "SCANNER 0"]
            ),
            ("Qualys/192.0.2.3", &["URI 0", "SCANNER 0"]),
            ("Qualys/192.0.2.4", &["VULN 3", "Open Port 3", "URI 0", "SCANNER 0"]),
        ])
    );
    assert_eq!(at_checkpoint, 13, "the checkpoint contains complete assets");
    // Two events of the third asset are written at the checkpoint, and reported with the next batch.
    assert_eq!(derived, [4, 3, 3, 2]);
}

#[test]
fn merged_and_sorted_events_stay_with_their_asset() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "form-order", 3, &[]);
    let options = json!({ "topic": "form-order", "format": "cef", "order": "severity", "aggregate": true });
    let mut output = output(&cluster.brokers, &options).unwrap();
    output.begin(&scan("scan/1"), Begin::NEW).unwrap();
    let first = [Asset("192.0.2.1", &[(1, 80), (5, 81)]), Asset("192.0.2.2", &[(2, 22)])];
    write(&mut output, &assets(false, &first));
    write(&mut output, &assets(true, &[Asset("192.0.2.2", &[(4, 22), (3, 443)])]));
    end(&mut output, true);
    // A report that is not delivered: what its last asset still needs is dropped.
    output.begin(&scan("scan/2"), Begin::NEW).unwrap();
    write(&mut output, &assets(false, &[Asset("192.0.2.9", &[(5, 80)])]));
    end(&mut output, false);
    let committed = output.commit(CommitPoint::BetweenReports).unwrap();
    assert_eq!(committed.late_rejected, []);
    assert_eq!(
        events(cluster, "form-order"),
        expected(&[
            ("Qualys/192.0.2.1", &["VULN 10", "VULN 3"]),
            ("Qualys/192.0.2.2", &["VULN 8", "VULN 7", "VULN 5"]),
        ])
    );
}

/// An instance that was killed after a checkpoint in the report continues with the next asset: each record exists once.
#[test]
fn events_of_assets_exist_exactly_once() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "form-once", 3, &[]);
    topic::create(&cluster.brokers, "form-once-state", 1, &[("cleanup.policy", "compact")]);
    let options = json!({ "topic": "form-once", "format": "cef", "derive": true, "asset_events": true,
        "order": "severity", "delivery": "exactly-once", "state_topic": "form-once-state", "session_timeout": 3000,
        "takeover_wait": 100 });
    let changes = |number: &str| -> PairChanges { [("about".to_owned(), Some(number.into()))].into() };
    let mut first = output(&cluster.brokers, &options).unwrap();
    first.load().unwrap();
    first.begin(&scan("scan/1"), Begin::NEW).unwrap();
    write(&mut first, &assets(false, &[Asset("192.0.2.1", &[(3, 80)]), Asset("192.0.2.2", &[(5, 22)])]));
    write(&mut first, &assets(true, &[Asset("192.0.2.2", &[(4, 443)])]));
    // The question whether it may still commit writes nothing.
    first.commit_with(CommitPoint::InReport, &PairChanges::new()).unwrap();
    assert_eq!(events(cluster, "form-once"), []);
    first.commit_with(CommitPoint::InReport, &changes("1")).unwrap();
    let committed = events(cluster, "form-once");
    assert_eq!(
        committed,
        expected(&[
            ("Qualys/192.0.2.1", &["VULN 7", "Open Port 7", "URI 0", "SCANNER 0"]),
            ("Qualys/192.0.2.2", &["VULN 10", "Open Port 10", "VULN 8", "Open Port 8", "URI 0", "SCANNER 0"]),
        ])
    );
    write(&mut first, &assets(false, &[Asset("192.0.2.3", &[(2, 21)]), Asset("192.0.2.4", &[(2, 21)])]));
    drop(first);

    let mut second = output(&cluster.brokers, &options).unwrap();
    assert_eq!(second.load().unwrap()["about"], b"1");
    second.begin(&scan("scan/1"), Begin::CONTINUED).unwrap();
    write(&mut second, &assets(false, &[Asset("192.0.2.3", &[(2, 21)])]));
    write(&mut second, &assets(true, &[Asset("192.0.2.3", &[(2, 21)]), Asset("192.0.2.4", &[(2, 21)])]));
    end(&mut second, true);
    second.commit_with(CommitPoint::BetweenReports, &changes("2")).unwrap();
    let mut all = committed;
    all.extend(expected(&[
        ("Qualys/192.0.2.3", &["VULN 5", "Open Port 5", "VULN 5", "URI 0", "SCANNER 0"]),
        ("Qualys/192.0.2.4", &["VULN 5", "Open Port 5", "URI 0", "SCANNER 0"]),
    ]));
    assert_eq!(events(cluster, "form-once"), all);
}

#[test]
fn assets_of_json_are_records_before_their_findings() {
    let Some(cluster) = Cluster::shared() else { return };
    for name in ["form-json", "form-ecs"] {
        topic::create(&cluster.brokers, name, 3, &[]);
    }
    let options = json!({ "routes": { "form-json": "json", "form-ecs": "ecs" }, "assets": true });
    let mut output = output(&cluster.brokers, &options).unwrap();
    output.begin(&scan("scan/1"), Begin::NEW).unwrap();
    let first = [Asset("192.0.2.1", &[(3, 80)]), Asset("192.0.2.2", &[(5, 22)])];
    let mut derived = write(&mut output, &assets(false, &first)).derived;
    derived +=
        write(&mut output, &assets(true, &[Asset("192.0.2.2", &[(4, 22)]), Asset("192.0.2.3", &[])])).derived;
    derived += end(&mut output, true).derived;
    output.commit(CommitPoint::BetweenReports).unwrap();
    assert_eq!((derived, topic::read(&cluster.brokers, "form-ecs").len()), (3, 3));
    let mut shown: Vec<(String, Vec<bool>)> = Vec::new();
    for record in topic::read(&cluster.brokers, "form-json") {
        let line: Value = serde_json::from_slice(&record.value).unwrap();
        assert_eq!(record.key, format!("Qualys/{}", line["asset"]["address"].as_str().unwrap()));
        assert_eq!(record.headers["sb-format"], "json/1");
        let is_finding = !line["finding"].is_null();
        match shown.iter_mut().find(|(key, _)| *key == record.key) {
            Some((_, lines)) => lines.push(is_finding),
            None => shown.push((record.key, vec![is_finding])),
        }
    }
    shown.sort();
    let of = |number: u8, lines: &[bool]| (format!("Qualys/192.0.2.{number}"), lines.to_vec());
    assert_eq!(shown, [of(1, &[false, true]), of(2, &[false, true, true]), of(3, &[false])]);
}

/// A topic with a small limit: texts of events are truncated, so that also those that are about no finding fit.
#[test]
fn events_are_truncated_to_the_limit_of_the_topic() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "form-small", 1, &[("max.message.bytes", "3000")]);
    let options =
        json!({ "topic": "form-small", "format": "cef", "asset_events": true, "compression": "none" });
    let mut output = output(&cluster.brokers, &options).unwrap();
    let committed = deliver(&mut output, &scan("scan/1"), &[batch(&[("192.0.2.1", &[5, 3900])])]).unwrap();
    assert_eq!(committed.late_rejected, []);
    let sizes: Vec<_> =
        topic::read(&cluster.brokers, "form-small").iter().map(|record| record.value.len()).collect();
    assert_eq!(sizes.len(), 3);
    assert!(sizes[1] > 1_500 && sizes.iter().all(|size| *size < 2_000), "{sizes:?}");
}

#[test]
fn preview_shows_the_events_of_the_asset() {
    let report = scan("scan/1");
    let (raw, columns) = (assets(false, &[Asset("192.0.2.1", &[(3, 80)])]), Columns::of_report(&report));
    let show = |options: Value| -> Vec<String> {
        let output = output_for("preview", "127.0.0.1:1", &options).unwrap();
        let rendered = output.render(&report, Batch::of(&raw, &columns).unwrap()).unwrap();
        rendered.into_iter().map(|one| one.text).collect()
    };
    let texts = show(json!({ "topic": "t", "format": "cef", "derive": true, "order": "severity" }));
    assert_eq!(texts.iter().map(|text| event(text)).collect::<Vec<_>>(), ["VULN 7", "Open Port 7", "URI 0"]);
    let texts = show(json!({ "topic": "t", "format": "json", "assets": true }));
    assert!(texts.len() == 2 && texts[0].starts_with("{\"finding\":null"), "{texts:?}");
}
