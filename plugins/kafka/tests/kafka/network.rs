//! The network between workers and brokers breaks: packets get lost, or connections are closed, when workers are idle and in
//! the middle of a transaction. And an output that is too slow while workers join.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::case::{batch, deliver, output, scan};
use crate::cluster::Cluster;
use crate::host::{Installation, example};
use crate::proxy::Proxy;
use crate::topic;

const FILES: usize = 400;
/// The assets of the example report.
const ASSETS: usize = 3;
const PARTITIONS: i32 = 4;
/// Assets of a report for deliver workers.
const DELIVERED: usize = 20;

/// An installation with reports, and a fetch pipeline for each of these brokers.
fn fetch(cluster: &Cluster, name: &str, brokers: &[&str]) -> Installation {
    topic::create(&cluster.brokers, name, 3, &[]);
    topic::create(&cluster.brokers, &format!("{name}-state"), 1, &[("cleanup.policy", "compact")]);
    let installation = Installation::new();
    fs::create_dir(installation.path("reports")).unwrap();
    let content = fs::read(example("scan.xml")).unwrap();
    for number in 0..FILES {
        fs::write(installation.path(&format!("reports/scan-{number:03}.xml")), &content).unwrap();
    }
    for (number, brokers) in brokers.iter().enumerate() {
        let pipeline = format!(
            "version: 1
name: fetch
inputs:
  - {{ id: scans, plugin: QualysGuardFile, with: {{ path: reports, settle_secs: 0 }} }}
outputs:
  - {{ id: bus, plugin: Kafka, with: {{ brokers: [\"{brokers}\"], security: plaintext, topic: {name}, delivery: exactly-once,
      state_topic: {name}-state, session_timeout: 3 s, takeover_wait: 100 ms, linger: 0 s }} }}
"
        );
        fs::write(installation.path(&format!("fetch-{number}.yaml")), pipeline).unwrap();
    }
    installation
}

fn log(installation: &Installation, state: &str) -> String {
    fs::read_to_string(installation.path(&format!("{state}.log"))).unwrap_or_default()
}

fn wait_for(limit: Duration, what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < limit, "{what} takes longer than {} s", limit.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn wait_until_working(installation: &Installation, state: &str) {
    wait_for(Duration::from_secs(60), "getting a slot", || {
        log(installation, state).contains("works on slot")
    });
}

/// The exit code of a worker that ends by itself.
fn exit_code(worker: &mut Child, limit: Duration) -> Option<i32> {
    wait_for(limit, "the end of a worker", || worker.try_wait().unwrap().is_some());
    worker.wait().unwrap().code()
}

/// Whether all assets of all files are on the topic once.
fn each_once(cluster: &Cluster, name: &str) {
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for record in topic::read(&cluster.brokers, name) {
        let start: Value = serde_json::from_str(&record.headers["sb-start"]).unwrap();
        *seen.entry((start["path"].as_str().unwrap().to_owned(), record.key)).or_default() += 1;
    }
    let doubled = seen.values().filter(|count| **count != 1).count();
    assert_eq!((seen.len(), doubled), (FILES * ASSETS, 0), "assets, and those that came more than once");
}

#[test]
fn connections_that_are_reset_in_transactions_lose_and_double_nothing() {
    let Some((cluster, proxy)) = Proxy::start() else { return };
    let installation = fetch(&cluster, "n-reset", &[&proxy.address]);
    let mut worker = installation.start("fetch-0.yaml", "state");
    wait_until_working(&installation, "state");
    let (mut resets, mut restarts) = (0, 0);
    let code = loop {
        std::thread::sleep(Duration::from_millis(150));
        match worker.try_wait().unwrap().map(|status| status.code()) {
            None if resets < 10 => {
                proxy.reset();
                resets += 1;
            }
            None => {}
            Some(Some(69 | 75)) => {
                restarts += 1;
                worker = installation.start("fetch-0.yaml", "state");
            }
            Some(code) => break code,
        }
    };
    assert_eq!((code, resets), (Some(0), 10), "{}", log(&installation, "state"));
    eprintln!("10 resets, {restarts} restarts");
    each_once(&cluster, "n-reset");
}

#[test]
fn short_losses_of_packets_in_transactions_lose_and_double_nothing() {
    let Some((cluster, proxy)) = Proxy::start() else { return };
    let installation = fetch(&cluster, "n-short", &[&proxy.address]);
    let mut worker = installation.start("fetch-0.yaml", "state");
    wait_until_working(&installation, "state");
    // Shorter than `session_timeout`.
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(130));
        assert_eq!(worker.try_wait().unwrap(), None, "the work was done before all interruptions");
        proxy.halt();
        std::thread::sleep(Duration::from_millis(1_200));
        proxy.resume();
    }
    let code = exit_code(&mut worker, Duration::from_secs(120));
    assert_eq!(code, Some(0), "{}", log(&installation, "state"));
    each_once(&cluster, "n-short");
}

#[test]
fn owner_without_network_ends_with_75_and_another_one_continues() {
    let Some((cluster, proxy)) = Proxy::start() else { return };
    let installation = fetch(&cluster, "n-owner", &[&proxy.address, &cluster.brokers]);
    let mut owner = installation.start("fetch-0.yaml", "owner");
    wait_until_working(&installation, "owner");
    let mut other = installation.start("fetch-1.yaml", "other");
    wait_for(Duration::from_secs(60), "the first delivery", || {
        log(&installation, "owner").contains("delivered")
    });
    proxy.halt();
    assert_eq!(owner.try_wait().unwrap(), None, "the work was done before the interruption");
    let began = Instant::now();
    let code = exit_code(&mut owner, Duration::from_secs(120));
    eprintln!("the owner has ended after {:.1} s", began.elapsed().as_secs_f64());
    let words = log(&installation, "owner");
    assert_eq!(code, Some(75), "{words}");
    assert!(words.contains("slot 0 of group n-owner-state.slots was given to another instance"), "{words}");
    // What the former owner has sent arrives when the other one has the slot.
    wait_until_working(&installation, "other");
    proxy.resume();
    let code = exit_code(&mut other, Duration::from_secs(120));
    assert_eq!(code, Some(0), "{}", log(&installation, "other"));
    each_once(&cluster, "n-owner");
}

/// Deliver pipelines: brokers of the input, and the output.
fn deliver_pipeline(installation: &Installation, worker: &str, brokers: &str, name: &str, output: &str) {
    let pipeline = format!(
        "version: 1
inputs:
  - {{ id: bus, plugin: Kafka, with: {{ brokers: [\"{brokers}\"], security: plaintext, topics: [{name}], group: {name},
      member: {worker}, window: 200 ms, session_timeout: 6 s, drain_timeout: 1 s, connect_timeout: 20 s }} }}
outputs:
  - {output}
"
    );
    fs::write(installation.path(&format!("{worker}.yaml")), pipeline).unwrap();
}

fn csv(worker: &str) -> String {
    format!(
        "{{ id: sheet, plugin: CSV, with: {{ path: {worker}.csv, if_exists: append, columns: [report.id, asset.address] }} }}"
    )
}

/// Reports and addresses in the files of these workers, with the number of their rows.
fn delivered(installation: &Installation, workers: &[&str]) -> BTreeMap<String, usize> {
    let mut rows = BTreeMap::new();
    for worker in workers {
        let text = fs::read_to_string(installation.path(&format!("{worker}.csv"))).unwrap_or_default();
        text.lines().skip(1).for_each(|row| *rows.entry(row.to_owned()).or_default() += 1);
    }
    rows
}

fn produce(source: &mut scanbridge_kafka::KafkaOutput, report: usize) {
    let addresses: Vec<String> = (0..DELIVERED).map(|number| format!("192.0.2.{number}")).collect();
    let assets: Vec<(&str, &[usize])> =
        addresses.iter().map(|address| (address.as_str(), &[10][..])).collect();
    deliver(source, &scan(&format!("scan/{report}")), &[batch(&assets)]).unwrap();
}

fn wait_until_stored(cluster: &Cluster, name: &str, reports: usize) {
    let stored = || -> i64 {
        topic::stored(&cluster.brokers, name, name, PARTITIONS).iter().map(|next| (*next).max(0)).sum()
    };
    wait_for(Duration::from_secs(90), "delivery", || stored() >= (reports * DELIVERED) as i64);
}

fn stop(worker: &mut Child) {
    assert!(Command::new("kill").arg(worker.id().to_string()).status().unwrap().success());
    assert_eq!(worker.wait().unwrap().code(), Some(0), "a stop of an idle worker loses nothing");
}

#[test]
fn idle_worker_without_network_ends_with_75_and_another_one_continues() {
    let Some((cluster, proxy)) = Proxy::start() else { return };
    topic::create(&cluster.brokers, "n-idle", PARTITIONS, &[]);
    let installation = Installation::new();
    deliver_pipeline(&installation, "a", &proxy.address, "n-idle", &csv("a"));
    deliver_pipeline(&installation, "b", &cluster.brokers, "n-idle", &csv("b"));
    let mut source = output(&cluster.brokers, &json!({ "topic": "n-idle" })).unwrap();
    let mut a = installation.start("a.yaml", "state-a");
    let mut b = installation.start("b.yaml", "state-b");
    produce(&mut source, 1);
    wait_until_stored(&cluster, "n-idle", 1);
    proxy.halt();
    produce(&mut source, 2);
    wait_until_stored(&cluster, "n-idle", 2);
    let code = exit_code(&mut a, Duration::from_secs(60));
    let words = log(&installation, "state-a");
    assert_eq!(code, Some(75), "{words}");
    assert!(words.contains("the partitions of this worker in group n-idle were given to others"), "{words}");
    proxy.resume();
    a = installation.start("a.yaml", "state-a");
    produce(&mut source, 3);
    wait_until_stored(&cluster, "n-idle", 3);
    stop(&mut a);
    stop(&mut b);
    let rows = delivered(&installation, &["a", "b"]);
    assert_eq!(rows.len(), 3 * DELIVERED, "lost");
    assert!(rows.values().all(|count| *count == 1), "nothing was in progress: {rows:?}");
}

#[test]
fn connections_that_are_reset_lose_nothing_of_a_worker() {
    let Some((cluster, proxy)) = Proxy::start() else { return };
    topic::create(&cluster.brokers, "n-read", PARTITIONS, &[]);
    let installation = Installation::new();
    deliver_pipeline(&installation, "a", &proxy.address, "n-read", &csv("a"));
    let mut source = output(&cluster.brokers, &json!({ "topic": "n-read" })).unwrap();
    let mut worker = installation.start("a.yaml", "state");
    for report in 1..=12 {
        produce(&mut source, report);
        std::thread::sleep(Duration::from_millis(150));
        proxy.reset();
    }
    wait_until_stored(&cluster, "n-read", 12);
    stop(&mut worker);
    let rows = delivered(&installation, &["a"]);
    assert_eq!(rows.len(), 12 * DELIVERED, "lost");
    assert!(rows.values().all(|count| *count == 1), "doubled: {rows:?}");
}

/// The output of a worker stops while another one joins: its partitions are given away after `drain_timeout`.
#[test]
fn output_slower_than_the_drain_timeout_ends_the_run_with_75() {
    let Some((cluster, proxy)) = Proxy::start() else { return };
    topic::create(&cluster.brokers, "n-slow", PARTITIONS, &[]);
    topic::create(&cluster.brokers, "n-slow-out", 1, &[]);
    let installation = Installation::new();
    for (worker, brokers) in [("slow", &proxy.address), ("other", &cluster.brokers)] {
        let output = format!(
            "{{ id: siem, plugin: Kafka, with: {{ brokers: [\"{brokers}\"], security: plaintext, topic: n-slow-out, format: json }} }}"
        );
        deliver_pipeline(&installation, worker, &cluster.brokers, "n-slow", &output);
    }
    let mut source = output(&cluster.brokers, &json!({ "topic": "n-slow" })).unwrap();
    let mut slow = installation.start("slow.yaml", "slow");
    produce(&mut source, 1);
    wait_until_stored(&cluster, "n-slow", 1);
    proxy.halt();
    produce(&mut source, 2);
    std::thread::sleep(Duration::from_secs(1));
    let mut other = installation.start("other.yaml", "other");
    // One minute more than `drain_timeout`.
    wait_until_stored(&cluster, "n-slow", 2);
    proxy.resume();
    let code = exit_code(&mut slow, Duration::from_secs(60));
    let words = log(&installation, "slow");
    assert_eq!(code, Some(75), "{words}");
    assert!(words.contains("drain_timeout"), "{words}");
    stop(&mut other);
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for record in topic::read(&cluster.brokers, "n-slow-out") {
        let value: Value = serde_json::from_slice(&record.value).unwrap();
        let report = value.pointer("/report/id").and_then(Value::as_str).unwrap().to_owned();
        *seen.entry((report, record.key)).or_default() += 1;
    }
    assert_eq!(seen.len(), 2 * DELIVERED, "lost");
    let repeated = |report: &str| seen.iter().filter(|((id, _), count)| id == report && **count > 1).count();
    assert_eq!(repeated("scan/1"), 0);
    eprintln!("{} of {DELIVERED} findings in progress came twice", repeated("scan/2"));
    assert!(
        seen.values().all(|count| *count <= 2),
        "more than the window in progress was repeated: {seen:?}"
    );
}
