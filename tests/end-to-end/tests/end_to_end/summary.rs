//! The summary of a run: its fields, its formats, and when it is printed.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_bench::generator::{Extent, Format, Shape};
use scanbridge_doubles::syslog_sink::SyslogSink;
use serde_json::{Value, json};

use crate::csv::Table;
use crate::installation::project_file;
use crate::json_schema::assert_valid;
use crate::sandbox::{CSV, Outcome, Sandbox, pipeline};

fn example() -> String {
    format!("path: {:?}", project_file("examples/reports/scan.xml"))
}

fn schema() -> Value {
    let printed = Outcome::of(Sandbox::new().host(&["config", "schema", "--summary"]).output().unwrap());
    serde_json::from_str(&printed.expect_code(0).stdout).unwrap()
}

/// The first 500 bytes of the example.
fn write_cut_report(sandbox: &Sandbox, name: &str) {
    let whole = fs::read(project_file("examples/reports/scan.xml")).unwrap();
    sandbox.write(name, &whole[..500]);
}

#[test]
fn json_has_a_head_and_matches_its_schema() {
    let schema = schema();
    let sandbox = Sandbox::new();
    for number in 1..=2 {
        let summary = sandbox.run(&pipeline(&example(), &[CSV])).expect_code(0).summary();
        assert_valid(&summary, &schema);
        for (field, value) in [
            ("schema", json!(1)),
            ("pipeline", json!("pipeline")),
            ("file", json!("pipeline.yaml")),
            ("run", json!(number)),
            ("version", json!(env!("CARGO_PKG_VERSION"))),
            ("trigger", json!("command")),
            ("status", json!("ok")),
            ("exit_code", json!(0)),
            ("interrupted", json!(false)),
        ] {
            assert_eq!(summary[field], value, "{field}: {summary:#}");
        }
        let time = |field: &str| summary[field].as_str().unwrap().to_owned();
        assert!(time("started") <= time("ended") && time("ended").ends_with('Z'), "{summary:#}");
        assert!(!time("host").is_empty() && time("digest").len() == 32, "{summary:#}");
    }
    let input = &sandbox.run(&pipeline(&example(), &[CSV])).summary()["inputs"][0];
    // Counted manually in the report.
    assert_eq!(input["severities"], json!({ "0": 0, "1": 9, "2": 4, "3": 1, "4": 1, "5": 1 }), "{input:#}");
    let by_kind = &input["findings_by_severity"];
    for severity in 0..=5 {
        let of = |kind: &str| by_kind[kind][severity.to_string()].as_u64().unwrap();
        let sum: u64 = ["vulnerability", "potential", "information", "service"].map(of).iter().sum();
        assert_eq!(input["severities"][severity.to_string()], sum, "{input:#}");
    }
    assert_eq!(by_kind["vulnerability"]["5"], 1, "{input:#}");
    let report = &input["reports_list"][0];
    assert_eq!((&report["result"], &report["findings"]), (&json!("complete"), &json!(16)), "{input:#}");
    assert_eq!(report["bytes"], input["bytes"], "{input:#}");
    assert_eq!(input["reports_omitted"], 0);
}

#[test]
fn digest_changes_with_what_is_delivered_only() {
    let digest = |text: &str| Sandbox::new().run(text).summary()["digest"].clone();
    let text = pipeline(&example(), &[CSV]);
    let same = text.clone() + "checkpoint: { secs: 9 }\n";
    assert_eq!(digest(&text), digest(&same));
    assert_ne!(digest(&text), digest(&(text.clone() + "filter: { min_severity: 3 }\n")));
}

/// Each file is in one class.
#[test]
fn truncated_missing_and_foreign_files_are_in_one_class_each() {
    let sandbox = Sandbox::new();
    write_cut_report(&sandbox, "cut.xml");
    sandbox.write("foreign.xml", "<?xml version=\"1.0\"?><MAP value=\"x\"></MAP>");
    let schema = schema();
    sandbox.write("empty.xml", "");
    for (path, class, code) in [
        ("empty.xml", "refused", 66),
        ("cut.xml", "incomplete", 65),
        ("none.xml", "not_found", 66),
        ("foreign.xml", "refused", 65),
    ] {
        let text = pipeline(&format!("path: {path}, settle_secs: 0"), &[CSV]);
        let summary = sandbox.run(&text).expect_code(code).summary();
        assert_valid(&summary, &schema);
        let input = &summary["inputs"][0];
        for other in ["incomplete", "not_found", "refused", "unfinished"] {
            assert_eq!(input[other], u64::from(other == class), "{path}: {input:#}");
        }
        let listed = input["reports_list"].as_array().unwrap();
        assert_eq!(listed.len(), 1, "{input:#}");
        assert_eq!((&listed[0]["result"], &listed[0]["path"]), (&json!(class), &json!(path)), "{input:#}");
        let text =
            Outcome::of(sandbox.host(&["run", "pipeline.yaml", "--state-dir", "state"]).output().unwrap());
        let word = class.to_uppercase().replace('_', " ");
        assert!(text.stdout.contains(&format!(": 0 reports, 1 {word}\n")), "{}", text.stdout);
    }
}

#[test]
fn json_summary_is_printed_in_every_case() {
    let schema = schema();
    let sandbox = Sandbox::new();
    let run = |arguments: &[&str]| {
        let all = [arguments, &["--summary", "json", "--state-dir", "state"]].concat();
        Outcome::of(sandbox.host(&all).output().unwrap())
    };
    sandbox.write("typo.yaml", pipeline("paht: a.xml", &[CSV]));
    sandbox.write("pipeline.yaml", pipeline(&example(), &[CSV]));
    sandbox.write("broken.yaml", "version: [");
    for (arguments, code, message) in [
        (&["run", "typo.yaml"][..], 78, "typo.yaml:3:"),
        (&["run", "broken.yaml"], 78, "broken.yaml"),
        (&["run", "none.yaml"], 78, "none.yaml"),
        (&["dead-letters", "replay", "typo.yaml"], 78, "typo.yaml:3:"),
        (&["dead-letters", "replay", "pipeline.yaml", "--output", "sheat"], 64, "unknown output `sheat`"),
    ] {
        let outcome = run(arguments).expect_code(code);
        let summary = outcome.summary();
        assert_valid(&summary, &schema);
        assert_eq!((&summary["exit_code"], &summary["run"]), (&json!(code), &json!(null)), "{summary:#}");
        let first = &summary["failures"][0]["message"];
        assert!(first.as_str().unwrap().contains(message), "{arguments:?}: {summary:#}");
        assert!(outcome.stderr.contains("error"), "the error is on standard error too: {}", outcome.stderr);
    }
}

#[test]
fn summary_none_is_silent_unless_something_failed() {
    let sandbox = Sandbox::new();
    let run = |path: &str| {
        sandbox.write("pipeline.yaml", pipeline(path, &[CSV]));
        let arguments = ["run", "pipeline.yaml", "--summary", "none", "-qq", "--state-dir", "state"];
        Outcome::of(sandbox.host(&arguments).output().unwrap())
    };
    let silent = run(&example()).expect_code(0);
    assert_eq!((silent.stdout.as_str(), silent.stderr.as_str()), ("", ""));
    let failed = run("path: none.xml").expect_code(66);
    assert_eq!(failed.stdout, "");
    assert!(failed.stderr.contains("1 NOT FOUND"), "{}", failed.stderr);
}

#[test]
fn events_over_udp_are_sent_but_not_called_delivered() {
    let sink = SyslogSink::udp();
    let sandbox = Sandbox::new();
    let siem = format!(
        "{{ id: siem, plugin: ArcSightCEF, with: {{ transport: udp, address: \"{}\" }} }}",
        sink.address()
    );
    let summary = sandbox.run(&pipeline(&example(), &[&siem])).expect_code(0).summary();
    assert_valid(&summary, &schema());
    let output = &summary["outputs"][0];
    let sent = output["records"].as_u64().unwrap() + output["derived"].as_u64().unwrap();
    assert_eq!(output["unconfirmed"], sent, "{output:#}");
    let text = Outcome::of(sandbox.host(&["run", "pipeline.yaml", "--state-dir", "state"]).output().unwrap());
    let shown = format!("{sent} events sent over UDP, not confirmed by the receiver\n");
    assert!(text.stdout.contains(&shown), "{}", text.stdout);
    assert!(!text.stdout.contains("all delivered"), "{}", text.stdout);
}

/// A failure of a report was reported at its time: it does not make every stop of a watching run a failure.
#[test]
fn watching_run_stopped_while_idle_ends_with_0() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("in")).unwrap();
    sandbox.write("in/bad.xml", "<?xml version=\"1.0\"?><MAP value=\"x\"></MAP>");
    let text = pipeline("path: in, watch: yes, poll_secs: 1, settle_secs: 0", &[CSV]);
    let mut command = sandbox.host_running(&text);
    let log = fs::File::create(sandbox.path("log")).unwrap();
    let host = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let started = Instant::now();
    while !sandbox.read("log").contains("bad.xml") {
        assert!(started.elapsed() < Duration::from_secs(20), "{}", sandbox.read("log"));
        sleep(Duration::from_millis(20));
    }
    sleep(Duration::from_millis(500));
    kill_process(Pid::from_child(&host), Signal::TERM).unwrap();
    let outcome = Outcome::of(host.wait_with_output().unwrap()).expect_code(0);
    let summary = outcome.summary();
    assert_valid(&summary, &schema());
    assert_eq!((&summary["status"], &summary["exit_code"]), (&json!("partial"), &json!(0)), "{summary:#}");
    assert_eq!(summary["failures"][0]["exit_code"], 65, "the failure stays in the summary: {summary:#}");
}

#[test]
fn interrupted_run_reports_the_bytes_that_it_read() {
    let sandbox = Sandbox::new();
    let extent = Extent::Bytes(30_000_000);
    let shape =
        Shape { format: Format::Scan, extent, findings_per_asset: 30, qids: 200, own_texts: false, seed: 3 };
    shape.write(fs::File::create(sandbox.path("scan.xml")).unwrap()).unwrap();
    let slow = "{ id: sheet, plugin: CSV, max_findings_per_sec: 1500, with: { path: findings.csv } }";
    let mut command = sandbox.host_running(&pipeline("path: scan.xml, settle_secs: 0", &[slow]));
    let host = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_millis(1500));
    kill_process(Pid::from_child(&host), Signal::TERM).unwrap();
    let summary = Outcome::of(host.wait_with_output().unwrap()).expect_code(130).summary();
    assert_valid(&summary, &schema());
    assert_eq!(summary["interrupted"], true, "{summary:#}");
    let input = &summary["inputs"][0];
    let bytes = input["bytes"].as_u64().unwrap();
    assert!(bytes > 1_000_000 && bytes < 30_000_000, "{input:#}");
    assert_eq!(input["reports_list"][0]["result"], "unfinished", "{input:#}");
    assert_eq!(input["reports_list"][0]["bytes"], bytes, "{input:#}");
}

#[test]
fn empty_folder_gives_no_warning_where_files_are_moved() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("in")).unwrap();
    sandbox.write("pipeline.yaml", pipeline("path: in, on_done: move", &[CSV]));
    let run = |quiet: &str| {
        let arguments = ["run", "pipeline.yaml", "--summary", "none", quiet, "--state-dir", "state"];
        Outcome::of(sandbox.host(&arguments).output().unwrap()).expect_code(0).stderr
    };
    assert_eq!(run("-q"), "");
    assert!(run("--no-progress").contains("no new reports"));
}

/// F-147: the summary says what the findings were about, and agrees with what the outputs got.
#[test]
fn definitions_and_assets_agree_with_what_was_delivered() {
    let sandbox = Sandbox::new();
    for report in ["examples/reports/scan.xml", "examples/reports/template.xml"] {
        let sheet = "{ id: sheet, plugin: CSV, with: { path: a.csv, columns: [asset.address, definition.qid, \
                     definition.title, finding.kind, finding.severity] } }";
        let path = format!("path: {:?}", project_file(report));
        let summary = sandbox.run(&pipeline(&path, &[sheet])).expect_code(0).summary();
        let table = Table::parse(&sandbox.read("a.csv"));
        let column = |name: &str| table.column(name);
        let (mut definitions, mut highest) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
        for (row, kind) in column("finding.kind").into_iter().enumerate() {
            let severity = column("finding.severity")[row].parse().unwrap_or(0);
            let asset = highest.entry(column("asset.address")[row]).or_default();
            *asset = severity.max(*asset);
            if ["vulnerability", "potential"].contains(&kind) {
                *definitions.entry(column("definition.qid")[row]).or_default() += 1;
            }
        }
        let top = summary["top_definitions"].as_array().unwrap();
        assert_eq!(top.len(), definitions.len().min(20), "{summary:#}");
        let mut last = u64::MAX;
        for definition in top {
            let findings = definition["findings"].as_u64().unwrap();
            assert_eq!(findings, definitions[definition["id"].as_str().unwrap()], "{definition}");
            assert_eq!((&definition["scheme"], &definition["lack"]), (&json!("qid"), &json!(0)));
            assert!(
                findings <= last
                    && column("definition.title").contains(&definition["title"].as_str().unwrap())
            );
            last = findings;
        }
        let input = &summary["inputs"][0];
        for severity in 0..6 {
            let mut expected = highest.values().filter(|highest| **highest == severity).count() as u64;
            if severity == 0 {
                // Assets without a finding are in no row.
                expected += input["assets"].as_u64().unwrap() - highest.len() as u64;
            }
            assert_eq!(input["assets_by_severity"][severity.to_string()], expected, "{severity}: {input:#}");
        }
    }
    let shown = Outcome::of(
        sandbox.host(&["state", "show", "pipeline.yaml", "--state-dir", "state"]).output().unwrap(),
    );
    let shown = shown.expect_code(0).stdout;
    assert!(shown.contains("most frequent vulnerabilities of the last run:"), "{shown}");
    assert!(shown.contains("assets of the last run by their highest severity: "), "{shown}");
}
