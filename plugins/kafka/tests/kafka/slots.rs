//! QualysGuard with two slots: six instances on three machines, on whose owners kills fall, and once on a broker.
//!
//! `SCANBRIDGE_SLOT_KILLS` sets the number of kills, `SCANBRIDGE_SLOT_INTERVAL_SECS` the pause before each; the number of assets
//! grows with both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::Cluster;
use crate::host::{Installation, programs};
use crate::topic;

const KILLS: usize = 6;
const SLOTS: usize = 2;
const MACHINES: usize = 3;
/// Instances of each machine.
const INSTANCES: usize = 2;
/// For each second between two kills.
const ASSETS_PER_SECOND: usize = 54;
const FINDINGS: usize = 5;
const PAGE: usize = 10;
/// Pause before the next kill.
const INTERVAL_SECS: usize = 3;

fn number_of(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The program `fake-qualys`.
struct Qualys {
    program: Child,
    url: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Qualys {
    fn start(installation: &Installation, assets: usize) -> Self {
        let script = installation.path("script.txt");
        let text = format!("* => population assets={assets} per_asset={FINDINGS} qids=40 delay=300\n");
        fs::write(&script, text).unwrap();
        // Release programs have no doubles next to them: those are in the build of the tests.
        let debug = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debug");
        let path = [programs(), debug].map(|folder| folder.join("fake-qualys"));
        let mut program = Command::new(path.iter().find(|path| path.exists()).unwrap_or(&path[0]))
            .arg("--script")
            .arg(script)
            .arg("--ca")
            .arg(installation.path("ca.pem"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("fake-qualys: {error}; run `cargo build --workspace` first"));
        let mut output = BufReader::new(program.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = output.next().unwrap().strip_prefix("listening on ").unwrap().to_owned();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&lines);
        std::thread::spawn(move || output.for_each(|line| log.lock().unwrap().push(line)));
        Self { program, url, lines }
    }

    /// The most calls at one time.
    fn most_calls(&self) -> usize {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter_map(|line| line.strip_prefix("calls at once: ")?.parse().ok()).max().unwrap_or(0)
    }

    /// The assets of each request for a page.
    fn pages(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        let pages = lines.iter().filter(|line| line.contains("/fo/asset/host/vm/detection/"));
        let ids = |line: &String| {
            line.split_whitespace().find_map(|word| word.strip_prefix("ids=")).map(str::to_owned)
        };
        pages.map(|line| ids(line).unwrap_or_else(|| panic!("not the page of a share: {line}"))).collect()
    }
}

impl Drop for Qualys {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// A running instance, and where its part of the log begins.
struct Running {
    child: Child,
    begins: usize,
}

/// All instances, as a service runs them.
struct Instances<'a> {
    installation: &'a Installation,
    running: Vec<Running>,
    /// Ends with 69 or 75: the instance could not reach the brokers or lost its slot.
    displaced: usize,
}

impl<'a> Instances<'a> {
    fn start(installation: &'a Installation) -> Self {
        let running = (0..MACHINES * INSTANCES).map(|number| Self::start_one(installation, number)).collect();
        Self { installation, running, displaced: 0 }
    }

    fn start_one(installation: &Installation, number: usize) -> Running {
        let begins = Self::log(installation, number).len();
        let (machine, instance) = (number / INSTANCES, (number % INSTANCES + 1).to_string());
        let child = installation.start_with(
            "fetch.yaml",
            &format!("machine-{machine}"),
            &["--instance", &instance],
            &format!("instance-{number}.log"),
        );
        Running { child, begins }
    }

    fn log(installation: &Installation, number: usize) -> String {
        fs::read_to_string(installation.path(&format!("instance-{number}.log"))).unwrap_or_default()
    }

    /// The log of the present run of an instance.
    fn own_log(&self, number: usize) -> String {
        Self::log(self.installation, number)[self.running[number].begins..].to_owned()
    }

    /// The owner of each slot, by slot; the last one if the former owner has not noticed that it lost it.
    fn owners(&self) -> BTreeMap<usize, usize> {
        let owner = |number: usize| {
            let log = self.own_log(number);
            let slot = log.split("works on slot ").nth(1)?.chars().next()?.to_digit(10)?;
            Some((slot as usize, number))
        };
        (0..self.running.len()).filter_map(owner).collect()
    }

    /// Whether this instance has read its share.
    fn is_complete(&self, number: usize) -> bool {
        self.own_log(number).contains("QualysGuard Report Processing Complete")
    }

    /// Starts again what has ended.
    fn supervise(&mut self) {
        for number in 0..self.running.len() {
            if let Some(status) = self.running[number].child.try_wait().unwrap() {
                let log = Self::log(self.installation, number);
                assert!(matches!(status.code(), Some(69 | 75)), "{status}: {log}");
                self.displaced += 1;
                self.running[number] = Self::start_one(self.installation, number);
            }
        }
    }

    fn kill(&mut self, number: usize) {
        self.running[number].child.kill().unwrap();
        self.running[number].child.wait().unwrap();
    }

    /// Ends all instances. Those that wait for a slot are killed first: none of them can take one over.
    fn end(mut self) {
        let owners: Vec<usize> = self.owners().into_values().collect();
        (0..self.running.len())
            .filter(|number| !owners.contains(number))
            .for_each(|number| self.kill(number));
        for number in &owners {
            let child = &self.running[*number].child;
            assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        }
        for number in owners {
            let status = self.running[number].child.wait().unwrap();
            assert_eq!(status.code(), Some(0), "{}", Self::log(self.installation, number));
        }
    }

    fn all_logs(&self) -> String {
        (0..self.running.len())
            .map(|number| format!("--- instance {number}\n{}", Self::log(self.installation, number)))
            .collect()
    }
}

impl Drop for Instances<'_> {
    fn drop(&mut self) {
        for running in &mut self.running {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

fn write_pipeline(installation: &Installation, cluster: &Cluster, qualys: &Qualys) {
    let brokers: Vec<String> = cluster.brokers.split(',').map(|broker| format!("{broker:?}")).collect();
    // With an interval an instance that has read its share keeps its slot.
    let pipeline = format!(
        "version: 1
instances: {INSTANCES}
inputs:
  - {{ id: scans, plugin: QualysGuard, with: {{ url: \"{}\", user_id: test, password: \"test\", tls_ca_file: ca.pem,
      source: host-detections, page_size: {PAGE}, busy_wait_secs: 1, interval_minutes: 60 }} }}
outputs:
  - {{ id: bus, plugin: Kafka, with: {{ brokers: [{}], security: plaintext, topic: qs-findings, format: json,
      delivery: exactly-once, slots: {SLOTS}, state_topic: qs-state, session_timeout: 3 s, takeover_wait: 700 ms,
      linger: 0 s }} }}
",
        qualys.url,
        brokers.join(", ")
    );
    fs::write(installation.path("fetch.yaml"), pipeline).unwrap();
}

/// Kills owners until both shares are read; once a broker. Returns the number of kills.
fn kill_owners(instances: &mut Instances<'_>, broker: u32, wanted: usize, interval: usize) {
    let interval = Duration::from_secs(interval as u64);
    let (began, mut done, mut last) = (Instant::now(), 0, Instant::now());
    loop {
        instances.supervise();
        let limit = Duration::from_secs(120) + (interval * 2 + Duration::from_secs(24)) * wanted as u32;
        assert!(began.elapsed() < limit, "it takes too long: {}", instances.all_logs());
        std::thread::sleep(Duration::from_millis(50));
        let owners = instances.owners();
        let working: Vec<usize> =
            owners.values().copied().filter(|number| !instances.is_complete(*number)).collect();
        if owners.len() == SLOTS && working.is_empty() {
            assert_eq!(done, wanted, "the work was done before all kills: {}", instances.all_logs());
            return;
        }
        let Some(owner) = owners.get(&(done % SLOTS)).filter(|owner| working.contains(owner)) else {
            continue;
        };
        if done == wanted || last.elapsed() < interval + Duration::from_millis(130 * (done as u64 % 7)) {
            continue;
        }
        instances.kill(*owner);
        (done, last) = (done + 1, Instant::now());
        if done == wanted / 2 {
            assert!(Command::new("kill").args(["-KILL", &broker.to_string()]).status().unwrap().success());
        }
        // Two of three times long enough for another instance to take over.
        if done % 3 > 0 {
            std::thread::sleep(Duration::from_secs(4));
        }
        instances.running[*owner] = Instances::start_one(instances.installation, *owner);
    }
}

/// Whether each finding of each asset is there once, those of an asset in their order and in one partition.
fn each_once_in_order(cluster: &Cluster, assets: usize) {
    let mut seen: BTreeMap<String, Vec<(i32, u64)>> = BTreeMap::new();
    for record in topic::read(&cluster.brokers, "qs-findings") {
        let value: Value = serde_json::from_slice(&record.value).unwrap();
        let port = value.pointer("/finding/port").and_then(Value::as_u64);
        let port = port.unwrap_or_else(|| panic!("no port: {value}"));
        seen.entry(record.key).or_default().push((record.partition, port));
    }
    assert_eq!(seen.len(), assets, "an asset was lost");
    let expected: Vec<u64> = (1000..1000 + FINDINGS as u64).collect();
    for (asset, findings) in &seen {
        let ports: Vec<u64> = findings.iter().map(|(_, port)| *port).collect();
        assert_eq!(ports, expected, "{asset}: lost, doubled or in another order");
        assert!(findings.iter().all(|(partition, _)| *partition == findings[0].0), "{asset}: {findings:?}");
    }
}

#[test]
fn killed_owners_of_two_slots_double_nothing_and_call_qualys_twice_at_once() {
    let Some(cluster) = Cluster::start(&["3"]) else { return };
    let kills = number_of("SCANBRIDGE_SLOT_KILLS", KILLS);
    let interval = number_of("SCANBRIDGE_SLOT_INTERVAL_SECS", INTERVAL_SECS);
    let assets = kills * interval * ASSETS_PER_SECOND;
    topic::create(&cluster.brokers, "qs-findings", 6, &[]);
    topic::create(&cluster.brokers, "qs-state", SLOTS as i32, &[("cleanup.policy", "compact")]);
    let installation = Installation::new();
    let qualys = Qualys::start(&installation, assets);
    write_pipeline(&installation, &cluster, &qualys);
    let mut instances = Instances::start(&installation);
    kill_owners(&mut instances, cluster.pids[1], kills, interval);
    let displaced = instances.displaced;
    let owners: BTreeSet<String> = instances
        .all_logs()
        .split("--- ")
        .filter(|log| log.contains("works on slot"))
        .map(|log| log.lines().next().unwrap_or_default().to_owned())
        .collect();
    instances.end();
    each_once_in_order(&cluster, assets);
    let pages = qualys.pages();
    let different: BTreeSet<&String> = pages.iter().collect();
    let repeated = pages.len() - different.len();
    eprintln!(
        "{kills} kills of owners and 1 of a broker, {displaced} ends with 69 or 75, {} instances worked, {} findings, each \
         once; {} pages, {repeated} of them fetched again; {} calls at once",
        owners.len(),
        assets * FINDINGS,
        pages.len(),
        qualys.most_calls()
    );
    assert!(owners.len() > SLOTS, "no other instance has taken over: {owners:?}");
    assert!(repeated <= kills + displaced, "{repeated} pages were fetched again");
    assert_eq!(qualys.most_calls(), SLOTS, "calls of Qualys at one time");
}
