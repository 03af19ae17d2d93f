//! `scanbridge reports`: the stored scans of a fake Qualys and files of a directory are listed, sent by choice and skipped,
//! each exactly once, whatever interrupts it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_doubles::fake_qualys::{Population, Script, StoredScans};
use serde_json::Value;

use crate::qualys_api::Bench;
use crate::sandbox::{Outcome, Sandbox};
use crate::service;

/// A fake Qualys with stored scans, and `pipeline.yaml`, which appends their findings to `findings.csv`.
pub(crate) struct Scans {
    pub(crate) bench: Bench,
}

impl Scans {
    pub(crate) fn new(scans: StoredScans) -> Self {
        let bench = Bench::new(Script::new().scans(scans));
        let text = bench.pipeline("source: scan-reports");
        let csv = "{ id: sheet, plugin: CSV, with: { path: findings.csv, if_exists: append } }";
        let outputs = text.find("outputs:").unwrap();
        let file = bench.sandbox.write("pipeline.yaml", format!("{}outputs:\n  - {csv}\n", &text[..outputs]));
        // It contains a password.
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        Self { bench }
    }

    pub(crate) fn call(&self, arguments: &[&str]) -> Outcome {
        call(&self.bench.sandbox, arguments)
    }

    pub(crate) fn send(&self, more: &[&str]) -> Outcome {
        self.call(&[&["reports", "send", "pipeline.yaml", "--summary", "json"], more].concat())
    }

    /// The scans in the table in the order of delivery, each once.
    pub(crate) fn sent(&self) -> Vec<u32> {
        let path = self.bench.sandbox.path("findings.csv");
        let table = fs::read_to_string(path).unwrap_or_default();
        let marks = table.match_indices("in scan ").map(|(at, mark)| at + mark.len());
        let mut scans: Vec<u32> = marks.map(|at| table[at..at + 5].parse().unwrap()).collect();
        let findings = scans.len();
        scans.dedup();
        assert_eq!(findings, 2 * scans.len(), "a scan was sent in part or in pieces");
        scans
    }

    /// The number of reports in each state.
    fn counts(&self) -> Value {
        let list = self.call(&["reports", "list", "pipeline.yaml", "--state", "all", "--format", "json"]);
        serde_json::from_str::<Value>(&list.expect_code(0).stdout).unwrap()["counts"].clone()
    }
}

pub(crate) fn call(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(sandbox.host(arguments).args(["--state-dir", "state"]).output().unwrap())
}

fn id(number: u32) -> String {
    StoredScans::reference(number)
}

/// All files below a directory with their content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn stored_scans_are_listed_and_listing_changes_nothing() {
    let scans = Scans::new(StoredScans { running: 2, ..StoredScans::of(300) });
    let list = |more: &[&str]| {
        scans.call(&[&["reports", "list", "pipeline.yaml"], more].concat()).expect_code(0).stdout
    };
    assert!(list(&[]).starts_with("reports of pipeline (input api): 300 unsent, 0 sent, 2 not ready\n"));
    assert!(!scans.bench.sandbox.path("state").exists(), "a list makes no state");
    scans.send(&["--id", &id(7)]).expect_code(0);

    let before = files(&scans.bench.sandbox.path("state"));
    assert!(!before.is_empty());
    let text = list(&["--state", "all"]);
    assert!(text.starts_with("reports of pipeline (input api): 299 unsent, 1 sent, 2 not ready\n"), "{text}");
    let rows: Vec<&str> = text.lines().skip(3).collect();
    assert_eq!(rows.len(), 302);
    assert!(
        rows[0].contains("not-ready (RUNNING)") && rows[0].contains(&id(302)),
        "newest first: {}",
        rows[0]
    );
    assert!(rows[2].starts_with("2025-11-20 22:10") && rows[2].ends_with("Weekly EMEA 00300"), "{}", rows[2]);
    let sent = rows.iter().find(|row| row.contains(&id(7))).unwrap();
    assert!(sent.contains("  sent 20") && sent.contains("(run 1)"), "{sent}");

    let limited =
        list(&["--match", "emea", "--since", "2025-02-01", "--until", "2025-03-01", "--limit", "3"]);
    assert!(
        limited.contains("Weekly EMEA 00054") && limited.ends_with("6 more: raise --limit\n"),
        "{limited}"
    );
    let lines = list(&["--state", "sent", "--format", "ndjson"]);
    let entry: Value = serde_json::from_str(lines.trim_end()).unwrap();
    assert_eq!((&entry["id"], &entry["state"], &entry["run"]), (&id(7).into(), &"sent".into(), &1.into()));
    assert_eq!(entry["detail"]["target"], "192.0.2.1");
    assert_eq!(files(&scans.bench.sandbox.path("state")), before, "a list changes no byte of the state");
}

#[test]
fn chosen_scans_are_sent_in_order_each_once() {
    let scans = Scans::new(StoredScans { running: 1, ..StoredScans::of(300) });
    let summary = scans.send(&["--id", &id(30), "--id", &id(2), "--id", &id(30)]).expect_code(0).summary();
    assert_eq!((&summary["trigger"], &summary["status"]), (&"choice".into(), &"ok".into()), "{summary:#}");
    assert_eq!(scans.sent(), [30, 2]);
    assert_eq!(scans.bench.count("GET /msp/scan_report.php"), 2, "only the chosen scans are downloaded");

    // Unknown, unready and sent ones are refused by their IDs; the others are sent.
    let outcome = scans.send(&["--id", "scan/9.9", "--id", &id(301), "--id", &id(2), "--id", &id(3)]);
    let summary = outcome.expect_code(66).summary();
    let failures = summary["failures"].as_array().unwrap();
    let messages: Vec<&str> = failures.iter().map(|failure| failure["message"].as_str().unwrap()).collect();
    for (message, expected) in messages.iter().zip([
        "scan/9.9 is not in the list of stored reports",
        "scan/1.00301 is not ready: its state is RUNNING",
        "scan/1.00002 was sent on 20",
    ]) {
        assert!(message.starts_with(expected), "{messages:?}");
    }
    assert_eq!(messages.len(), 3);
    let refused = summary["inputs"][0]["reports_list"].as_array().unwrap();
    let paths: Vec<&str> = refused.iter().take(3).map(|report| report["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["scan/9.9", "scan/1.00301", "scan/1.00002"]);
    assert_eq!(scans.sent(), [30, 2, 3]);

    scans.send(&["--id", &id(2), "--again"]).expect_code(0);
    assert_eq!(scans.sent(), [30, 2, 3, 2]);
    // Other runs send what is left.
    let run = scans.call(&["run", "pipeline.yaml", "--summary", "json"]).expect_code(0);
    assert_eq!(run.summary()["trigger"], "command");
    let mut rest: Vec<u32> = (1..=300).filter(|number| ![30, 2, 3].contains(number)).collect();
    rest.splice(0..0, [30, 2, 3, 2]);
    assert_eq!(scans.sent(), rest);
}

#[test]
fn old_scans_are_skipped_and_the_new_ones_sent() {
    let scans = Scans::new(StoredScans::of(300));
    let skip = |more: &[&str]| {
        scans.call(&[&["reports", "skip", "pipeline.yaml", "--format", "json"], more].concat())
    };
    let changed = |outcome: Outcome| {
        let json: Value = serde_json::from_str(&outcome.expect_code(0).stdout).unwrap();
        (json["reports"].as_u64().unwrap(), json["changed"].as_u64().unwrap())
    };
    assert_eq!(changed(skip(&["--before", "2025-11-01"])), (280, 280));
    assert_eq!(changed(skip(&["--before", "2025-11-01"])), (0, 0), "they do not count as unsent");
    assert_eq!(changed(skip(&["--id", &id(5), "--id", &id(290), "--undo"])), (2, 1));
    assert_eq!(scans.counts(), serde_json::json!({ "new": 21, "sent": 279, "not-ready": 0, "refused": 0 }));
    assert_eq!(scans.bench.count("GET /msp/scan_report.php"), 0, "nothing is downloaded");

    scans.send(&["--all-new"]).expect_code(0);
    let expected: Vec<u32> = [5].into_iter().chain(281..=300).collect();
    assert_eq!(scans.sent(), expected, "oldest first");
    let nothing = scans.send(&["--all-new"]).expect_code(66);
    assert_eq!(nothing.summary()["exit_code"], 66);
    let list = scans.call(&["reports", "list", "pipeline.yaml"]).expect_code(0);
    assert_eq!(list.stdout, "reports of pipeline (input api): no unsent report; 300 were sent\n");
    scans.call(&["run", "pipeline.yaml"]).expect_code(0);
    assert_eq!(scans.sent(), expected, "a run sends nothing that was skipped");
}

#[test]
fn killed_choice_is_continued_by_the_next_run_and_ends() {
    let scans = Scans::new(StoredScans { delay: Duration::from_millis(3), ..StoredScans::of(300) });
    let chosen: Vec<u32> = (1..=200).rev().collect();
    let ids: String = chosen.iter().map(|number| id(*number) + "\n").collect();
    scans.bench.sandbox.write("ids.txt", ids);
    let mut command: &[&str] = &["reports", "send", "pipeline.yaml", "--ids-from", "ids.txt"];
    for fetched in [20, 90, 91, 170] {
        let mut host = scans.bench.sandbox.host(command);
        let host = host.args(["--state-dir", "state"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut host = host.spawn().unwrap();
        let started = Instant::now();
        while scans.bench.count("GET /msp/scan_report.php") < fetched {
            assert!(host.try_wait().unwrap().is_none(), "the host ended before it was killed");
            assert!(started.elapsed() < Duration::from_secs(120), "scan {fetched} is not requested");
            sleep(Duration::from_millis(1));
        }
        kill_process(Pid::from_child(&host), Signal::KILL).unwrap();
        host.wait().unwrap();
        // Until the choice is done, other reports are not chosen.
        let other = scans.send(&["--id", &id(250)]).expect_code(75);
        assert!(other.stderr.contains("has not finished sending 200 chosen reports"), "{}", other.stderr);
        // A report of the choice cannot be skipped: the next run would take it for one that it has sent.
        let skip = scans.call(&["reports", "skip", "pipeline.yaml", "--id", &id(1)]).expect_code(75);
        let expected = "report scan/1.00001 is one of the 200 chosen reports that run";
        assert!(skip.stderr.contains(expected) && skip.stderr.contains("state discard"), "{}", skip.stderr);
        command = &["run", "pipeline.yaml"];
    }
    let run = scans.call(&["run", "pipeline.yaml", "--summary", "json"]).expect_code(0);
    assert_eq!(run.summary()["trigger"], "choice");
    assert_eq!(scans.sent(), chosen, "each once, in the order of the choice");
    let fetches = scans.bench.count("GET /msp/scan_report.php");
    // Again after a kill: the one that was read, and those that waited for the output. On a busy machine these are several.
    assert!((200..=240).contains(&fetches), "{fetches} downloads with 4 kills");
    // Then regular runs follow.
    scans.call(&["run", "pipeline.yaml"]).expect_code(0);
    let all: Vec<u32> = chosen.into_iter().chain(201..=300).collect();
    assert_eq!(scans.sent(), all);
}

#[test]
fn discarded_choice_is_not_continued() {
    let scans = Scans::new(StoredScans { delay: Duration::from_millis(20), ..StoredScans::of(50) });
    let start = |arguments: &[&str]| {
        let mut host = scans.bench.sandbox.host(arguments);
        let host = host.args(["--state-dir", "state"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut host = host.spawn().unwrap();
        let started = Instant::now();
        while scans.sent_so_far() < 2 {
            assert!(started.elapsed() < Duration::from_secs(60), "nothing is fetched");
            sleep(Duration::from_millis(1));
        }
        kill_process(Pid::from_child(&host), Signal::KILL).unwrap();
        host.wait().unwrap();
    };
    start(&["reports", "send", "pipeline.yaml", "--all-new"]);
    scans.call(&["state", "discard", "pipeline.yaml"]).expect_code(0);
    let sent = scans.send(&["--id", &id(50)]).expect_code(0).summary();
    assert_eq!(sent["inputs"][0]["reports"], 1, "{sent:#}");
    assert_eq!(scans.sent().last(), Some(&50));
}

impl Scans {
    fn sent_so_far(&self) -> usize {
        self.bench.count("GET /msp/scan_report.php")
    }
}

#[test]
fn ids_come_from_standard_input_as_a_list_prints_them() {
    let scans = Scans::new(StoredScans::of(5));
    let list = scans.call(&["reports", "list", "pipeline.yaml", "--match", "EMEA", "--format", "ndjson"]);
    let mut host = scans.bench.sandbox.host(&["reports", "send", "pipeline.yaml", "--ids-from", "-"]);
    let host = host.args(["--state-dir", "state"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut host = host.spawn().unwrap();
    host.stdin.take().unwrap().write_all(list.expect_code(0).stdout.as_bytes()).unwrap();
    assert_eq!(host.wait().unwrap().code(), Some(0));
    assert_eq!(scans.sent(), [3]);
}

#[test]
fn interrupted_run_must_be_finished_or_discarded_before_a_choice() {
    let scans = Scans::new(StoredScans { delay: Duration::from_millis(20), ..StoredScans::of(20) });
    let mut host = scans.bench.sandbox.host(&["run", "pipeline.yaml", "--state-dir", "state"]);
    let mut host = host.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while scans.sent_so_far() < 5 {
        sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&host), Signal::KILL).unwrap();
    host.wait().unwrap();
    let refused = scans.send(&["--id", &id(20)]).expect_code(75);
    assert!(
        refused.stderr.contains("cannot send chosen reports: run 1 was interrupted")
            && refused.stderr.contains("finish it with `scanbridge run FILE`"),
        "{}",
        refused.stderr
    );
    scans.send(&["--id", &id(20), "--restart"]).expect_code(0);
    assert_eq!(scans.sent().last(), Some(&20));
}

#[test]
fn sources_without_a_choice_say_so() {
    let bench = Bench::new(Script::new().population(Population::of(3)));
    bench.sandbox.write("pipeline.yaml", bench.pipeline("source: host-detections"));
    for command in [
        &["reports", "list", "pipeline.yaml"][..],
        &["reports", "send", "pipeline.yaml", "--id", "1"],
        &["reports", "skip", "pipeline.yaml", "--id", "1"],
    ] {
        let outcome = call(&bench.sandbox, command).expect_code(78);
        assert!(
            outcome.stderr.contains("api: this source has no reports to choose from"),
            "{command:?}: {}",
            outcome.stderr
        );
    }
    assert_eq!(bench.requests(), 0);
    // A plugin without the table.
    bench.sandbox.write_rogue_pipeline("behave", "behave");
    let mut command = bench.sandbox.host_with_rogue(&["reports", "list", "pipeline.yaml"]);
    let outcome = Outcome::of(command.output().unwrap()).expect_code(78);
    assert!(
        outcome.stderr.contains("source: this source has no reports to choose from"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn selection_and_input_must_be_clear() {
    let sandbox = Sandbox::new();
    let input = |id: &str| {
        format!("  - {{ id: {id}, plugin: QualysGuardFile, with: {{ path: in, watch: true }} }}\n")
    };
    let text = format!(
        "version: 1\ninputs:\n{}{}outputs:\n  - {}\n",
        input("one"),
        input("two"),
        crate::sandbox::CSV
    );
    sandbox.write("pipeline.yaml", text);
    fs::create_dir(sandbox.path("in")).unwrap();
    for (arguments, message) in [
        (&["list", "pipeline.yaml"][..], "several inputs have reports to choose from: one, two"),
        (
            &["list", "pipeline.yaml", "--input", "three"],
            "the pipeline has no input `three`; it has one, two",
        ),
        (
            &["send", "pipeline.yaml", "--input", "one"],
            "no report is selected; set --id, --ids-from or --all-new",
        ),
        (&["skip", "pipeline.yaml"], "no report is selected; set --id, --ids-from, --before or --all-new"),
        (&["skip", "pipeline.yaml", "--before", "soon"], "neither a time"),
        (&["send", "pipeline.yaml", "--all-new", "--id", "1"], "cannot be used with"),
        (&["pick", "pipeline.yaml"], "reports pick needs a terminal; use reports list and reports send"),
    ] {
        let outcome = call(&sandbox, &[&["reports"], arguments].concat()).expect_code(64);
        assert!(outcome.stderr.contains(message), "{arguments:?}: {}", outcome.stderr);
    }
    let list = call(&sandbox, &["reports", "list", "pipeline.yaml", "--input", "two"]).expect_code(0);
    assert_eq!(list.stdout, "reports of pipeline (input two): no unsent report; 0 were sent\n");
}

#[test]
fn files_of_a_directory_are_chosen_and_skipped() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("in")).unwrap();
    let report = fs::read_to_string(scanbridge_fixtures::good("scan-ipv6.xml")).unwrap();
    for (day, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let path = sandbox.write(&format!("in/{name}.xml"), report.replace("Front", name));
        let time = std::time::UNIX_EPOCH + Duration::from_secs(1_780_000_000 + 86_400 * day as u64);
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }
    sandbox.write("in/ignored.xml", "<MAP/>");
    let csv =
        "{ id: sheet, plugin: CSV, with: { path: findings.csv, if_exists: append, columns: [report.path] } }";
    let settings = "path: in, watch: true, settle_secs: 0, ignore_kinds: [MAP], on_done: move";
    sandbox.write("pipeline.yaml", crate::sandbox::pipeline(settings, &[csv]));
    let sent = || -> Vec<String> {
        let table = fs::read_to_string(sandbox.path("findings.csv")).unwrap_or_default();
        let paths =
            table.lines().filter_map(|line| Some(line.strip_prefix("in/")?.strip_suffix(".xml")?.to_owned()));
        let mut paths: Vec<String> = paths.collect();
        paths.dedup();
        paths
    };
    let call = |arguments: &[&str]| call(&sandbox, arguments);
    let list = call(&["reports", "list", "pipeline.yaml", "--format", "json"]).expect_code(0);
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let entries = list["reports"].as_array().unwrap();
    let ids: Vec<&str> = entries.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["in/ignored.xml", "in/d.xml", "in/c.xml", "in/b.xml", "in/a.xml"], "newest first");
    assert_eq!(entries[1]["bytes"], fs::metadata(sandbox.path("in/d.xml")).unwrap().len());

    let unknown = call(&["reports", "skip", "pipeline.yaml", "--id", "in/d.xlm"]).expect_code(66);
    assert!(
        unknown.stderr.contains("no report has the ID in/d.xlm; nothing was changed"),
        "{}",
        unknown.stderr
    );
    let skipped = call(&["reports", "skip", "pipeline.yaml", "--id", "in/d.xml"]).expect_code(0);
    assert_eq!(skipped.stdout, "1 report now marked as sent\n");
    let outcome = call(&[
        "reports",
        "send",
        "pipeline.yaml",
        "--id",
        "in/c.xml",
        "--id",
        "in/none.xml",
        "--id",
        "in/d.xml",
        "--id",
        "in/ignored.xml",
        "--id",
        "in/a.xml",
    ]);
    let outcome = outcome.expect_code(66);
    for message in [
        "in/none.xml is not one of the files of option `path`",
        "in/d.xml was sent before",
        "in/ignored.xml is of the kind MAP",
    ] {
        assert!(outcome.stderr.contains(message) || outcome.stdout.contains(message), "{}", outcome.stdout);
    }
    assert_eq!(sent(), ["c", "a"]);
    let names = || {
        let entries = fs::read_dir(sandbox.path("in")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["b.xml", "d.xml", "done", "ignored.xml"], "sent files are moved");
    call(&["run", "pipeline.yaml", "--once"]).expect_code(0);
    assert_eq!(sent(), ["c", "a", "b"]);
    assert_eq!(names(), ["d.xml", "done", "ignored.xml"], "a skipped file is neither sent nor moved");
    call(&["reports", "send", "pipeline.yaml", "--id", "in/d.xml", "--again"]).expect_code(0);
    assert_eq!(sent(), ["c", "a", "b", "d"]);
}

#[test]
fn service_that_runs_the_pipeline_is_not_disturbed() {
    let sandbox = service::sandbox_with_report();
    let input = "{ path: scan.xml, watch: true, settle_secs: 0 }";
    let text = service::with_input("nightly", input, "", "name: daily\nuntil: idle");
    service::write_pipeline(&sandbox, "nightly", &text);
    let running = service::Service::start(&sandbox);
    let call = |arguments: &[&str]| {
        let mut command = sandbox.host(&[&["reports"], arguments].concat());
        Outcome::of(command.env("RUNTIME_DIRECTORY", sandbox.path("state")).output().unwrap())
    };
    // The list comes from the state of the service.
    let list = call(&["list", "pipelines/nightly.yaml"]).expect_code(0);
    assert!(list.stdout.contains("1 unsent, 0 sent"), "{}", list.stdout);
    service::control(&sandbox, &["run", "daily", "--wait"]).expect_code(0);
    let list = call(&["list", "pipelines/nightly.yaml", "--state", "sent"]).expect_code(0);
    assert!(list.stdout.contains("(run 1)"), "{}", list.stdout);
    // Nothing else is done with the state of the service, also not for a choice.
    let again = ["send", "pipelines/nightly.yaml", "--id", "scan.xml", "--again", "--wait"];
    call(&again).expect_code(0);
    assert_eq!(running.stop(), Some(0));
}
