//! A run that a service supervises: events and requests over a socket, one JSON object per line.

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_bench::generator::{Extent, Format, Shape};
use serde_json::{Value, json};

use crate::installation;
use crate::sandbox::{CEF, CSV, Outcome, Sandbox, pipeline};

/// The service's end of the channel.
struct Service {
    events: BufReader<UnixStream>,
    requests: UnixStream,
}

/// Starts a supervised run of `pipeline.yaml` by this shell script, in which `"$@"` is the command.
fn start_by(sandbox: &Sandbox, script: &str) -> (Child, Service) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let child = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(installation::host())
        .args(["run", "pipeline.yaml", "--summary", "json", "--state-dir", "state", "--supervised", "3"])
        .current_dir(sandbox.path("."))
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (child, Service { events: BufReader::new(ours.try_clone().unwrap()), requests: ours })
}

fn start(sandbox: &Sandbox) -> (Child, Service) {
    start_by(sandbox, "exec \"$@\" 3<&0 0</dev/null")
}

impl Service {
    /// The next event; `None` when the run has closed the channel.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        if self.events.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// The next event for which the condition holds.
    fn until(&mut self, is_right: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next().expect("the channel ended");
            if is_right(&event) {
                return event;
            }
        }
    }

    fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next()).collect()
    }

    fn request(&mut self, request: &Value) {
        writeln!(self.requests, "{request}").unwrap();
    }
}

fn outcome(child: Child, code: i32) -> Outcome {
    Outcome::of(child.wait_with_output().unwrap()).expect_code(code)
}

fn write_scan(sandbox: &Sandbox, name: &str, bytes: u64) {
    let extent = Extent::Bytes(bytes);
    let shape =
        Shape { format: Format::Scan, extent, findings_per_asset: 30, qids: 200, own_texts: false, seed: 3 };
    shape.write(BufWriter::new(fs::File::create(sandbox.path(name)).unwrap())).unwrap();
}

/// A run that waits for new reports.
fn write_watching_pipeline(sandbox: &Sandbox) {
    fs::create_dir(sandbox.path("in")).unwrap();
    sandbox.write("pipeline.yaml", pipeline("path: in, watch: yes, settle_secs: 0", &[CSV]));
}

fn is_idle(event: &Value) -> bool {
    event["event"] == "tick" && event["inputs"][0]["state"] == "idle"
}

#[test]
fn events_of_a_run_from_hello_to_summary() {
    let sandbox = Sandbox::new();
    write_scan(&sandbox, "scan.xml", 300_000);
    sandbox.write("pipeline.yaml", pipeline("path: scan.xml, settle_secs: 0", &[CSV, CEF]));
    let (child, mut service) = start(&sandbox);
    let events = service.rest();
    let summary = outcome(child, 0).summary();
    let hello = &events[0];
    assert_eq!((&hello["event"], &hello["protocol"], &hello["run"]), (&json!("hello"), &json!(1), &json!(1)));
    assert_eq!(hello["pipeline"], "pipeline");
    assert_eq!(hello["inputs"], json!([{ "id": "reports", "plugin": "QualysGuardFile" }]));
    assert_eq!(hello["outputs"][1], json!({ "id": "siem", "plugin": "ArcSightCEF", "required": true }));
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["summary"]), (&json!("summary"), &summary));

    let of = |word: &str| events.iter().filter(move |event| event["event"] == word).collect::<Vec<_>>();
    let findings = summary["outputs"][0]["records"].as_u64().unwrap();
    assert!(findings > 0, "{summary}");
    let [report] = of("report")[..] else { panic!("{events:?}") };
    assert_eq!(report["findings"], findings);
    assert_eq!(report["assets"], summary["inputs"][0]["assets"]);
    assert_eq!(report["outputs"], json!({ "sheet": findings, "siem": findings }));
    assert_eq!(report["complete"], true);
    let tick = of("tick").pop().unwrap();
    assert_eq!(tick["inputs"][0]["state"], "ended");
    assert_eq!(tick["inputs"][0]["counts"]["findings"], findings);
    assert_eq!(tick["outputs"][1]["counts"]["records"], findings);
    assert_eq!(tick["outputs"][1]["queue_findings"], 0);
    assert!(!of("checkpoint").is_empty(), "{events:?}");
}

#[test]
fn failure_of_a_run_that_did_not_start_is_an_event() {
    let sandbox = Sandbox::new();
    write_scan(&sandbox, "scan.xml", 30_000);
    let missing = "{ id: sheet, plugin: CSV, with: { path: nowhere/findings.csv } }";
    sandbox.write("pipeline.yaml", pipeline("path: scan.xml, settle_secs: 0", &[missing]));
    let (child, mut service) = start(&sandbox);
    let events = service.rest();
    let code = outcome(child, 73).code;
    let failure = events.iter().find(|event| event["event"] == "failure").unwrap();
    assert_eq!((&failure["instance"], &failure["exit_code"]), (&json!("sheet"), &json!(code)));
    assert_eq!(events.last().unwrap()["summary"]["status"], "failed");
}

#[test]
fn end_of_the_channel_stops_the_run_like_sigterm() {
    let sandbox = Sandbox::new();
    write_watching_pipeline(&sandbox);
    let (child, mut service) = start(&sandbox);
    service.until(is_idle);
    drop(service);
    let stderr = outcome(child, 0).stderr;
    assert!(stderr.contains("the service closed its channel"), "{stderr}");
}

#[test]
fn run_that_cannot_write_to_the_channel_continues() {
    let sandbox = Sandbox::new();
    write_scan(&sandbox, "scan.xml", 3_000_000);
    sandbox.write("pipeline.yaml", pipeline("path: scan.xml, settle_secs: 0", &[CSV]));
    let (child, service) = start(&sandbox);
    service.requests.shutdown(Shutdown::Read).unwrap();
    outcome(child, 0);
    drop(service);
}

#[test]
fn death_of_the_parent_process_stops_the_run() {
    let sandbox = Sandbox::new();
    write_watching_pipeline(&sandbox);
    let (mut shell, mut service) = start_by(&sandbox, "exec 3<&0 0</dev/null; \"$@\" & wait");
    service.until(is_idle);
    kill_process(Pid::from_child(&shell), Signal::KILL).unwrap();
    let events = service.rest();
    shell.wait().unwrap();
    assert_eq!(events.last().unwrap()["summary"]["status"], "ok", "{events:?}");
}

#[test]
fn statistics_are_logged_and_sent_at_once() {
    let sandbox = Sandbox::new();
    write_watching_pipeline(&sandbox);
    let (child, mut service) = start(&sandbox);
    service.until(is_idle);
    // Unknown and invalid requests change nothing.
    service.request(&json!({ "request": "later", "at": 1 }));
    service.request(&json!(["statistics"]));
    service.request(&json!({ "request": "statistics" }));
    let asked = std::time::Instant::now();
    service.until(is_idle);
    assert!(asked.elapsed() < Duration::from_secs(5), "a quiet run sends a tick each 10 s only");
    service.request(&json!({ "request": "stop", "at": "now" }));
    let stderr = outcome(child, 0).stderr;
    assert!(stderr.contains("0 reports read, 0 findings of 0 assets (reports idle) → sheet 0"), "{stderr}");
}

#[test]
fn stop_at_report_delivers_the_current_report_and_the_next_run_the_rest() {
    let sandbox = Sandbox::new();
    for name in ["a.xml", "b.xml", "c.xml"] {
        write_scan(&sandbox, name, 20_000_000);
    }
    let lines = "{ id: lines, plugin: JSON, max_findings_per_sec: 3000, queue: { findings: 100 }, \
                 with: { path: 'findings.ndjson', if_exists: append } }";
    sandbox.write("pipeline.yaml", pipeline("path: '*.xml', settle_secs: 0", &[lines]));
    let (child, mut service) = start(&sandbox);
    service.until(|event| event["inputs"][0]["report"].is_string());
    service.request(&json!({ "request": "stop", "at": "report" }));
    let events = service.rest();
    let first = outcome(child, 130).summary();
    let read = |summary: &Value| summary["inputs"][0]["reports"].as_u64().unwrap();
    assert_eq!(first["inputs"][0]["unfinished"], 0, "{first}");
    assert!((1..3).contains(&read(&first)), "{first}");
    let reported = |events: &[Value]| events.iter().filter(|event| event["event"] == "report").count() as u64;
    assert_eq!(reported(&events), read(&first), "{events:?}");

    let (child, mut service) = start(&sandbox);
    let rest = service.rest();
    let second = outcome(child, 0).summary();
    assert_eq!(read(&first) + read(&second), 3, "{second}");
    assert_eq!(reported(&rest), read(&second));
    let delivered = |summary: &Value| summary["outputs"][0]["records"].as_u64().unwrap();
    let lines = sandbox.read("findings.ndjson").lines().count() as u64;
    assert_eq!(delivered(&first) + delivered(&second), lines);
}

#[test]
fn channel_that_is_not_open_is_a_usage_error() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", pipeline("path: scan.xml", &[CSV]));
    let outcome = sandbox.host(&["run", "pipeline.yaml", "--supervised", "77"]).output().unwrap();
    let outcome = Outcome::of(outcome).expect_code(64);
    assert!(outcome.stderr.contains("--supervised: "), "{}", outcome.stderr);
}

#[test]
fn tap_shows_samples_and_changes_nothing_of_what_is_delivered() {
    let sandbox = Sandbox::new();
    write_watching_pipeline(&sandbox);
    let (child, mut service) = start(&sandbox);
    service.until(is_idle);
    service.request(&json!({ "request": "tap", "output": "other", "count": 5, "seconds": 60 }));
    service.request(&json!({ "request": "tap", "output": "sheet", "count": 5, "seconds": 60 }));
    write_scan(&sandbox, "in/.scan.part", 300_000);
    fs::rename(sandbox.path("in/.scan.part"), sandbox.path("in/scan.xml")).unwrap();
    let mut shown = Vec::new();
    loop {
        let tapped = service.until(|event| event["event"] == "tapped");
        assert_eq!(tapped["output"], "sheet", "{tapped}");
        shown.push(tapped["rendered"].as_str().unwrap().to_owned());
        if tapped["remaining"] == 0 {
            break;
        }
    }
    service.until(|event| event["event"] == "report");
    service.request(&json!({ "request": "stop", "at": "asset" }));
    let rest = service.rest();
    assert!(rest.iter().all(|event| event["event"] != "tapped"), "{rest:#?}");
    outcome(child, 0);
    let table = sandbox.read("findings.csv");
    assert_eq!(shown.len(), 5);
    assert!(shown.iter().all(|row| table.contains(row)), "{shown:#?}");
    fs::remove_file(sandbox.path("findings.csv")).unwrap();
    // The same table without a tap.
    let again = sandbox.run(&pipeline("path: in/scan.xml, settle_secs: 0", &[CSV])).expect_code(0);
    assert_eq!(again.summary()["outputs"][0]["rejected"], 0);
    assert_eq!(sandbox.read("findings.csv").lines().count(), table.lines().count());
}
