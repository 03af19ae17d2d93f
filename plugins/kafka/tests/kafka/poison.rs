//! Invalid records, records of newer versions, and assets in parts.

use scanbridge_plugin_api::{ErrorKind, Input as _};
use serde_json::{Value, json};

use crate::case::{Reading, batch, deliver, input_with, output, read_to_end, scan, services};
use crate::cluster::Cluster;
use crate::topic::{self, Seen};

/// Valid records of one partition: one asset in three parts, and one in a single record.
fn records(cluster: &Cluster, name: &str) -> Vec<Seen> {
    topic::create(&cluster.brokers, name, 1, &[]);
    let mut output = output(&cluster.brokers, &json!({ "topic": name, "record_bytes": 20000 })).unwrap();
    let assets: [(&str, &[usize]); 2] = [("192.0.2.1", &[9000, 9000, 9000, 9000]), ("192.0.2.2", &[5])];
    deliver(&mut output, &scan("scan/1"), &[batch(&assets)]).unwrap();
    let records = topic::read(&cluster.brokers, name);
    assert_eq!(records.len(), 3, "parts of the first asset, and the second one");
    records
}

fn read(cluster: &Cluster, topic: &str, more: &Value) -> scanbridge_plugin_api::Result<Reading> {
    let mut options =
        json!({ "topics": [topic], "group": format!("g-{topic}"), "window": 300, "session_timeout": 6000 });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (mut input, columns) = input_with(&cluster.brokers, &options, &services(), None)?;
    let reading = read_to_end(&mut input, &columns)?;
    input.close().unwrap();
    Ok(reading)
}

fn addresses(reading: &Reading) -> Vec<(&str, usize)> {
    reading.assets.iter().map(|(_, address, results)| (address.as_str(), results.len())).collect()
}

#[test]
fn invalid_record_ends_the_run_and_nothing_is_skipped() {
    let Some(cluster) = Cluster::shared() else { return };
    let valid = records(cluster, "p-src1");
    topic::create(&cluster.brokers, "p-stop", 1, &[]);
    let mut bad = valid[2].clone();
    bad.value[40] ^= 1;
    topic::write(&cluster.brokers, "p-stop", &[valid[2].clone(), bad, valid[2].clone()]);
    // What is before it is delivered, and then the run ends at it, each time.
    for _ in 0..2 {
        let error = read(cluster, "p-stop", &json!({})).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadData);
        assert!(error.message.contains("p-stop/0/1") && error.message.contains("checksum"), "{error}");
        assert!(error.hint.unwrap().contains("dead_topic"));
    }
    assert_eq!(topic::stored(&cluster.brokers, "g-p-stop", "p-stop", 1), [1]);
}

#[test]
fn invalid_records_are_copied_to_the_dead_topic() {
    let Some(cluster) = Cluster::shared() else { return };
    let valid = records(cluster, "p-src2");
    topic::create(&cluster.brokers, "p-copy", 1, &[]);
    topic::create(&cluster.brokers, "p-dead", 1, &[]);
    let (whole, part1, part2) = (&valid[2], &valid[0], &valid[1]);
    let with = |record: &Seen, name: &str, value: Option<&str>| {
        let mut record = record.clone();
        match value {
            Some(value) => drop(record.headers.insert(name.to_owned(), value.to_owned())),
            None => drop(record.headers.remove(name)),
        }
        record
    };
    let mut cut = whole.clone();
    cut.value.truncate(30);
    cut.headers.insert("sb-crc".to_owned(), format!("{:08x}", crc32c::crc32c(&cut.value)));
    let text = with(whole, "sb-format", Some("cef/0"));
    let written = [
        with(whole, "sb-crc", Some("00000000")),
        cut,
        with(whole, "sb-start", Some("{\"schema\": 5}")),
        with(whole, "sb-format", None),
        text,
        with(whole, "sb-flags", Some("partial")),
        // The second part without the first.
        part2.clone(),
        // The first part without the second: its sender sends the asset again.
        part1.clone(),
        part1.clone(),
        whole.clone(),
        part2.clone(),
        // A header that this version does not know.
        with(whole, "sb-later", Some("x")),
    ];
    topic::write(&cluster.brokers, "p-copy", &written);
    let reading = read(cluster, "p-copy", &json!({ "dead_topic": "p-dead" })).unwrap();
    let mut found = addresses(&reading);
    found.sort_unstable();
    assert_eq!(found, [("192.0.2.1", 4), ("192.0.2.2", 1), ("192.0.2.2", 1)]);
    assert_eq!(reading.refused.len(), 7, "{:#?}", reading.refused);
    let dead = topic::read(&cluster.brokers, "p-dead");
    assert_eq!(dead.len(), 7);
    for (number, (copy, original)) in dead.iter().zip(&written).enumerate() {
        assert_eq!((&copy.key, &copy.value), (&original.key, &original.value));
        assert_eq!(copy.headers["sb-origin"], format!("p-copy/0/{number}"));
        assert!(!copy.headers["sb-reason"].is_empty());
    }
    assert_eq!(topic::stored(&cluster.brokers, "g-p-copy", "p-copy", 1), [12]);
}

#[test]
fn parts_that_do_not_come_are_invalid_after_a_time() {
    let Some(cluster) = Cluster::shared() else { return };
    let valid = records(cluster, "p-src3");
    topic::create(&cluster.brokers, "p-late", 1, &[]);
    topic::create(&cluster.brokers, "p-late-dead", 1, &[]);
    topic::write(&cluster.brokers, "p-late", &[valid[2].clone(), valid[0].clone(), valid[2].clone()]);
    let more = json!({ "dead_topic": "p-late-dead", "part_timeout": 2000 });
    let reading = read(cluster, "p-late", &more).unwrap();
    assert_eq!(addresses(&reading), [("192.0.2.2", 1), ("192.0.2.2", 1)]);
    assert!(reading.refused[0].contains("part_timeout"), "{:?}", reading.refused);
    assert_eq!(topic::read(&cluster.brokers, "p-late-dead").len(), 1);
    assert_eq!(topic::stored(&cluster.brokers, "g-p-late", "p-late", 1), [3]);
}

#[test]
fn too_large_asset_is_invalid() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "p-huge", 1, &[]);
    topic::create(&cluster.brokers, "p-huge-dead", 1, &[]);
    let mut output = output(&cluster.brokers, &json!({ "topic": "p-huge", "record_bytes": 500000 })).unwrap();
    let sizes = vec![100_000; 20];
    let assets: [(&str, &[usize]); 2] = [("192.0.2.1", &sizes), ("192.0.2.2", &[5])];
    deliver(&mut output, &scan("scan/1"), &[batch(&assets)]).unwrap();
    let more = json!({ "dead_topic": "p-huge-dead", "asset_bytes": 1 << 20 });
    let reading = read(cluster, "p-huge", &more).unwrap();
    assert_eq!(addresses(&reading), [("192.0.2.2", 1)]);
    assert!(reading.refused[0].contains("asset_bytes"), "{:?}", reading.refused);
}

#[test]
fn newer_format_stops_the_input() {
    let Some(cluster) = Cluster::shared() else { return };
    let valid = records(cluster, "p-src4");
    topic::create(&cluster.brokers, "p-newer", 1, &[]);
    topic::create(&cluster.brokers, "p-newer-dead", 1, &[]);
    let mut newer = valid[2].clone();
    newer.headers.insert("sb-format".to_owned(), "batch/2".to_owned());
    topic::write(&cluster.brokers, "p-newer", &[valid[2].clone(), newer, valid[2].clone()]);
    let error = read(cluster, "p-newer", &json!({ "dead_topic": "p-newer-dead" })).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("p-newer/0/1: format batch/2 needs a newer Scanbridge"), "{error}");
    assert_eq!(
        topic::stored(&cluster.brokers, "g-p-newer", "p-newer", 1),
        [1],
        "the record before it is delivered"
    );
    assert!(topic::read(&cluster.brokers, "p-newer-dead").is_empty());
}
