//! Several deliver workers of one group, on which kills and stops fall.

use std::collections::BTreeMap;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::case::{batch, deliver, output, scan};
use crate::cluster::Cluster;
use crate::host::Installation;
use crate::topic;

const PARTITIONS: i32 = 6;
const REPORTS: usize = 12;
const ASSETS: usize = 60;

fn pipeline(brokers: &str, worker: usize) -> String {
    format!(
        "version: 1
inputs:
  - {{ id: bus, plugin: Kafka, with: {{ brokers: [\"{brokers}\"], security: plaintext, topics: [w-in], group: w-deliver,
      member: worker-{worker}, window: 300 ms, window_bytes: 1 MiB, session_timeout: 6 s }} }}
outputs:
  - {{ id: siem, plugin: Kafka, with: {{ brokers: [\"{brokers}\"], security: plaintext, topic: w-out, format: json }} }}
"
    )
}

fn terminate(worker: &mut Child) {
    assert!(Command::new("kill").arg(worker.id().to_string()).status().unwrap().success());
    let status = worker.wait().unwrap();
    assert_eq!(status.code(), Some(0), "a stop of an idle worker loses nothing");
}

/// Waits until the group has stored this number of records.
fn wait_until_read(brokers: &str, records: i64) {
    let began = Instant::now();
    loop {
        let read: i64 =
            topic::stored(brokers, "w-deliver", "w-in", PARTITIONS).iter().map(|next| (*next).max(0)).sum();
        if read >= records {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{read} of {records} records were delivered");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn killed_workers_lose_nothing_and_keep_the_order() {
    let Some(cluster) = Cluster::shared() else { return };
    let brokers = &cluster.brokers;
    topic::create(brokers, "w-in", PARTITIONS, &[]);
    topic::create(brokers, "w-out", PARTITIONS, &[]);
    let installation = Installation::new();
    let mut workers: Vec<Child> = Vec::new();
    for worker in 0..3 {
        std::fs::write(installation.path(&format!("deliver-{worker}.yaml")), pipeline(brokers, worker))
            .unwrap();
        workers.push(installation.start(&format!("deliver-{worker}.yaml"), &format!("state-{worker}")));
    }
    let addresses: Vec<String> = (0..ASSETS).map(|number| format!("192.0.2.{number}")).collect();
    let mut source = output(brokers, &json!({ "topic": "w-in" })).unwrap();
    let mut kills = 0;
    for report in 0..REPORTS {
        let assets: Vec<(&str, &[usize])> =
            addresses.iter().map(|address| (address.as_str(), &[2000, 10, 10][..])).collect();
        deliver(&mut source, &scan(&format!("scan/{report:03}")), &[batch(&assets)]).unwrap();
        std::thread::sleep(Duration::from_millis(700));
        if report % 2 == 1 {
            let worker = kills % 3;
            workers[worker].kill().unwrap();
            workers[worker].wait().unwrap();
            workers[worker] =
                installation.start(&format!("deliver-{worker}.yaml"), &format!("state-{worker}"));
            kills += 1;
        }
    }
    // A worker leaves in order; the others read its partitions.
    wait_until_read(brokers, (REPORTS * ASSETS) as i64);
    workers.iter_mut().for_each(terminate);

    let mut seen: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let records = topic::read(brokers, "w-out");
    for record in &records {
        let value: Value = serde_json::from_slice(&record.value).unwrap();
        let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let finding = (record.key.clone(), text("/definition/title"));
        seen.entry(finding).or_default().push(text("/report/id"));
    }
    assert_eq!(seen.len(), ASSETS * 3, "each finding of each asset has arrived");
    for (finding, reports) in &seen {
        let mut first: Vec<&String> = Vec::new();
        reports.iter().for_each(|report| {
            if !first.contains(&report) {
                first.push(report);
            }
        });
        assert_eq!(first.len(), REPORTS, "{finding:?}: {reports:?}");
        assert!(first.is_sorted(), "the reports of an asset came in another order: {finding:?}: {reports:?}");
    }
    let repeated = records.len() - REPORTS * ASSETS * 3;
    // A window has at most the records that fit it; a kill repeats at most one window.
    let window = (1 << 20) / 2_000 * 3;
    assert!(repeated <= kills * window, "{repeated} repeated findings after {kills} kills");
    eprintln!("{kills} kills, {repeated} of {} findings came twice", REPORTS * ASSETS * 3);
}
