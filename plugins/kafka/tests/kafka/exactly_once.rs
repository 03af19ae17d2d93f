//! `delivery: exactly-once`: records and checkpoint in one transaction, instances that take over from each other.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use scanbridge_plugin_api::batch::{Batch, Columns};
use scanbridge_plugin_api::keeper::{PairChanges, Pairs, Share};
use scanbridge_plugin_api::model::ReportEnd;
use scanbridge_plugin_api::{Begin, CommitPoint, ErrorKind, Output as _};
use serde_json::{Value, json};

use crate::case::{batch, output, output_of, scan};
use crate::cluster::Cluster;
use crate::host::{Installation, example};
use crate::topic;

fn options(name: &str) -> Value {
    json!({ "topic": name, "delivery": "exactly-once", "state_topic": format!("{name}-state"), "session_timeout": 3000,
        "takeover_wait": 100, "extra": {} })
}

fn create(cluster: &Cluster, name: &str, slots: i32) {
    topic::create(&cluster.brokers, name, 3, &[]);
    topic::create(&cluster.brokers, &format!("{name}-state"), slots, &[("cleanup.policy", "compact")]);
}

fn write(output: &mut scanbridge_kafka::KafkaOutput, id: &str, address: &str) {
    let (report, raw) = (scan(id), batch(&[(address, &[5, 5])]));
    output.begin(&report, Begin::NEW).unwrap();
    output.write(Batch::of(&raw, &Columns::of_report(&report)).unwrap()).unwrap();
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true)).unwrap();
}

fn changes(pairs: &[(&str, Option<&str>)]) -> PairChanges {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.map(|value| value.as_bytes().to_vec())))
        .collect()
}

fn reports(cluster: &Cluster, name: &str) -> Vec<String> {
    topic::read(&cluster.brokers, name).iter().map(|record| record.headers["sb-report"].clone()).collect()
}

#[test]
fn records_and_checkpoint_are_committed_together() {
    let Some(cluster) = Cluster::shared() else { return };
    create(cluster, "eo-both", 1);
    let mut first = output(&cluster.brokers, &options("eo-both")).unwrap();
    assert_eq!(first.load().unwrap(), Pairs::new());
    write(&mut first, "scan/1", "192.0.2.1");
    assert_eq!(reports(cluster, "eo-both"), [""; 0], "nothing is visible before the commit");
    let pairs = changes(&[("about", Some("1")), ("position/in", Some("a")), ("key/in/k", Some("v"))]);
    first.commit_with(CommitPoint::BetweenReports, &pairs).unwrap();
    assert_eq!(reports(cluster, "eo-both"), ["scan/1"]);
    let pairs = changes(&[("about", Some("2")), ("key/in/k", None)]);
    write(&mut first, "scan/2", "192.0.2.1");
    first.commit_with(CommitPoint::BetweenReports, &pairs).unwrap();
    first.commit_with(CommitPoint::BetweenReports, &PairChanges::new()).unwrap();
    // Written and not committed: dropped.
    write(&mut first, "scan/3", "192.0.2.1");
    drop(first);

    let mut second = output(&cluster.brokers, &options("eo-both")).unwrap();
    let expected: Pairs = [("about", "2"), ("position/in", "a")]
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .into();
    assert_eq!(second.load().unwrap(), expected);
    write(&mut second, "scan/4", "192.0.2.1");
    second.commit_with(CommitPoint::BetweenReports, &changes(&[("about", Some("3"))])).unwrap();
    assert_eq!(reports(cluster, "eo-both"), ["scan/1", "scan/2", "scan/4"]);
}

#[test]
fn former_owner_cannot_commit() {
    let Some(cluster) = Cluster::shared() else { return };
    create(cluster, "eo-fence", 1);
    let mut first = output(&cluster.brokers, &options("eo-fence")).unwrap();
    first.load().unwrap();
    write(&mut first, "scan/old", "192.0.2.1");
    // The same member: an instance that was restarted while its former process still lives.
    let mut second = output(&cluster.brokers, &options("eo-fence")).unwrap();
    second.load().unwrap();
    let error =
        first.commit_with(CommitPoint::BetweenReports, &changes(&[("about", Some("1"))])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Displaced, "{error}");
    write(&mut second, "scan/new", "192.0.2.1");
    second.commit_with(CommitPoint::BetweenReports, &changes(&[("about", Some("2"))])).unwrap();
    assert_eq!(reports(cluster, "eo-fence"), ["scan/new"]);
}

#[test]
fn state_topic_must_have_the_slots() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "eo-none", 1, &[]);
    let error = output(&cluster.brokers, &options("eo-none")).unwrap_err();
    assert_eq!((error.kind, error.option.as_deref()), (ErrorKind::Config, Some("state_topic")), "{error}");
    assert!(
        error.hint.unwrap().contains("--partitions 1 --replication-factor 3 --config cleanup.policy=compact")
    );
    create(cluster, "eo-slots", 3);
    let error = output(&cluster.brokers, &options("eo-slots")).unwrap_err();
    assert_eq!((error.kind, error.option.as_deref()), (ErrorKind::Config, Some("slots")), "{error}");
}

#[test]
fn two_slots_are_two_shares_with_checkpoints_of_their_own() {
    let Some(cluster) = Cluster::shared() else { return };
    create(cluster, "eo-two", 2);
    let mut options = options("eo-two");
    options["slots"] = json!(2);
    let (mut first, one) = output_of("a", &cluster.brokers, &options).unwrap();
    first.load().unwrap();
    // It has both slots and works on one. The second instance gets the other one.
    let (mut second, two) = output_of("b", &cluster.brokers, &options).unwrap();
    second.load().unwrap();
    let mut shares = [one.unwrap(), two.unwrap()];
    shares.sort_by_key(|share| share.number);
    assert_eq!(shares, [Share::new(0, 2), Share::new(1, 2)]);
    write(&mut first, "scan/1", "192.0.2.1");
    write(&mut second, "scan/2", "192.0.2.2");
    first.commit_with(CommitPoint::BetweenReports, &changes(&[("about", Some("first"))])).unwrap();
    second.commit_with(CommitPoint::BetweenReports, &changes(&[("about", Some("second"))])).unwrap();
    drop((first, second));
    // Each machine has its slot and its checkpoint again.
    for (machine, text) in [("b", "second"), ("a", "first")] {
        let (mut again, _) = output_of(machine, &cluster.brokers, &options).unwrap();
        assert_eq!(again.load().unwrap()["about"], text.as_bytes());
    }
}

/// Reports at the start, and added after each fault, so that no fault comes too late.
const FILES: usize = 60;
/// Assets of one report.
const ASSETS: usize = 3;

/// Instances as a service runs them: one that was killed or displaced starts again.
struct Instances<'a> {
    installation: &'a Installation,
    running: Vec<(Child, u64)>,
    /// Number of reports in the folder.
    files: usize,
}

impl Instances<'_> {
    fn log(&self, number: usize) -> String {
        fs::read_to_string(self.installation.path(&format!("state-{number}.log"))).unwrap_or_default()
    }

    fn start(installation: &Installation, number: usize) -> (Child, u64) {
        let log = installation.path(&format!("state-{number}.log"));
        let begins = fs::metadata(log).map_or(0, |log| log.len());
        (installation.start("fetch.yaml", &format!("state-{number}")), begins)
    }

    /// The instance that works on the slot.
    fn owner(&self) -> Option<usize> {
        (0..self.running.len()).find(|number| {
            let begins = usize::try_from(self.running[*number].1).unwrap();
            self.log(*number)[begins..].contains("works on slot")
        })
    }

    fn add_reports(&mut self) {
        for number in self.files..self.files + FILES {
            let path = |name| self.installation.path(&format!("reports/{name}-{number:03}.xml"));
            fs::copy(example("scan.xml"), path(".new")).unwrap();
            fs::rename(path(".new"), path("scan")).unwrap();
        }
        self.files += FILES;
    }

    /// Starts again what has ended.
    fn supervise(&mut self) {
        for number in 0..self.running.len() {
            if let Some(status) = self.running[number].0.try_wait().unwrap() {
                match status.code() {
                    None | Some(75 | 69) => {}
                    code => panic!("exit code {code:?}: {}", self.log(number)),
                }
                self.running[number] = Self::start(self.installation, number);
            }
        }
    }
}

/// What happens to the owner of the slot.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Killed,
    /// Stopped until another instance has the slot, then continued.
    Frozen,
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// Three instances of a pipeline with one slot.
fn start<'a>(installation: &'a Installation, cluster: &Cluster, name: &str) -> Instances<'a> {
    create(cluster, name, 1);
    fs::create_dir(installation.path("reports")).unwrap();
    let mut instances = Instances { installation, running: vec![], files: 0 };
    instances.add_reports();
    let brokers: Vec<String> = cluster.brokers.split(',').map(|broker| format!("{broker:?}")).collect();
    let pipeline = format!(
        "version: 1
inputs:
  - {{ id: scans, plugin: QualysGuardFile, with: {{ path: reports, settle_secs: 0, watch: yes, poll_secs: 1 }} }}
outputs:
  - {{ id: bus, plugin: Kafka, with: {{ brokers: [{}], security: plaintext, topic: {name}, delivery: exactly-once,
      state_topic: {name}-state, session_timeout: 3 s, takeover_wait: 100 ms, linger: 0 s }} }}
",
        brokers.join(", ")
    );
    fs::write(installation.path("fetch.yaml"), pipeline).unwrap();
    instances.running = (0..3).map(|number| Instances::start(installation, number)).collect();
    instances
}

/// Faults fall on the owner; once a broker is killed, if there are several.
fn faults(cluster: &Cluster, name: &str, fault: Fault, count: usize, broker: Option<u32>) {
    let installation = Installation::new();
    let mut instances = start(&installation, cluster, name);
    let (began, mut done, mut broker) = (Instant::now(), 0, broker);
    while done < count || records(cluster, name) < ASSETS * instances.files {
        instances.supervise();
        assert!(began.elapsed() < Duration::from_secs(240), "{}", instances.log(0));
        std::thread::sleep(Duration::from_millis(50));
        let Some(owner) = instances.owner().filter(|_| done < count) else { continue };
        std::thread::sleep(Duration::from_millis(300 + 170 * done as u64));
        let child = &mut instances.running[owner].0;
        if child.try_wait().unwrap().is_some() {
            continue;
        }
        done += 1;
        if let Some(pid) = broker.take_if(|_| done == count / 2) {
            signal(pid, "-KILL");
        }
        if fault == Fault::Frozen {
            signal(child.id(), "-STOP");
            std::thread::sleep(Duration::from_secs(6));
            signal(child.id(), "-CONT");
            assert_eq!(child.wait().unwrap().code(), Some(75), "{}", instances.log(owner));
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
            // Every second time long enough for another instance to take over.
            if done % 2 == 0 {
                std::thread::sleep(Duration::from_secs(4));
            }
        }
        instances.add_reports();
        instances.running[owner] = Instances::start(&installation, owner);
    }
    for (child, _) in &mut instances.running {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let owners: usize = (0..3).map(|number| instances.log(number).matches("works on slot").count()).sum();
    eprintln!(
        "{count} faults, {owners} owners, {} records, each once",
        each_once(cluster, name, instances.files)
    );
}

/// Committed records.
fn records(cluster: &Cluster, name: &str) -> usize {
    topic::read(&cluster.brokers, name).len()
}

/// Checks that all assets of this number of files are there once; returns their number.
fn each_once(cluster: &Cluster, name: &str, files: usize) -> usize {
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for record in topic::read(&cluster.brokers, name) {
        let start: Value = serde_json::from_str(&record.headers["sb-start"]).unwrap();
        let path = start["path"].as_str().unwrap().to_owned();
        *seen.entry((path, record.key)).or_default() += 1;
    }
    let doubled: Vec<_> = seen.iter().filter(|(_, count)| **count != 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    assert_eq!(seen.len(), files * ASSETS, "a report was lost");
    seen.len()
}

#[test]
fn killed_owners_lose_nothing_and_double_nothing() {
    let Some(cluster) = Cluster::shared() else { return };
    faults(cluster, "eo-kill", Fault::Killed, 6, None);
}

#[test]
fn frozen_owner_cannot_commit_and_ends_with_75() {
    let Some(cluster) = Cluster::shared() else { return };
    faults(cluster, "eo-frozen", Fault::Frozen, 2, None);
}

#[test]
fn killed_owners_and_a_killed_broker() {
    let Some(cluster) = Cluster::start(&["3"]) else { return };
    faults(&cluster, "eo-three", Fault::Killed, 4, Some(cluster.pids[1]));
}
