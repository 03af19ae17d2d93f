//! Several outputs in one run: each gets all findings, and the failure of one does not affect the others.

use serde_json::Value;

use crate::csv::Table;
use crate::installation::project_file;
use crate::sandbox::{CEF, CSV, Outcome, Sandbox, pipeline};

fn scan() -> String {
    format!("path: {:?}", project_file("examples/reports/scan.xml"))
}

#[test]
fn failure_of_an_optional_output_is_partial() {
    let sandbox = Sandbox::new();
    let siem = "{ id: siem, plugin: ArcSightCEF, required: false, with: { path: /dev/full } }";
    let outcome = sandbox.run(&pipeline(&scan(), &[CSV, siem])).expect_code(74);
    let summary = outcome.summary();
    assert_eq!(Table::parse(&sandbox.read("findings.csv")).len(), 16);
    assert_eq!(summary["status"], "partial", "{summary:#}");
    assert_eq!(summary["outputs"][0]["records"], 16, "{summary:#}");
    assert_eq!(summary["outputs"][1]["undelivered"], 16, "{summary:#}");
    assert_eq!(summary["failures"][0]["instance"], "siem", "{summary:#}");
    assert!(outcome.stderr.contains("/dev/full"), "{}", outcome.stderr);
}

#[test]
fn failure_of_a_required_output_fails_the_run() {
    let sandbox = Sandbox::new();
    let siem = "{ id: siem, plugin: ArcSightCEF, with: { path: /dev/full } }";
    let summary = sandbox.run(&pipeline(&scan(), &[CSV, siem])).expect_code(74).summary();
    assert_eq!(summary["status"], "failed", "{summary:#}");
}

#[test]
fn pipeline_may_use_a_plugin_twice() {
    let sandbox = Sandbox::new();
    let second = "{ id: second, plugin: csv, filter: { kinds: [service] }, with: { path: services.csv } }";
    let summary = sandbox.run(&pipeline(&scan(), &[CSV, second, CEF])).expect_code(0).summary();
    assert_eq!(Table::parse(&sandbox.read("findings.csv")).len(), 16);
    assert_eq!(Table::parse(&sandbox.read("services.csv")).len(), 5);
    assert_eq!(summary["outputs"][1]["records"], 5, "{summary:#}");
    assert_eq!(summary["outputs"][1]["filtered"], 11, "{summary:#}");
}

#[test]
fn same_input_gives_identical_files() {
    let sandbox = Sandbox::new();
    let text = pipeline(&scan(), &[CSV, CEF]);
    sandbox.run(&text).expect_code(0);
    let first = (sandbox.read("findings.csv"), sandbox.read("findings.cef"));
    sandbox.run(&text).expect_code(0);
    assert_eq!((sandbox.read("findings.csv"), sandbox.read("findings.cef")), first);
}

/// Two outputs that share no code for writing deliver the same findings.
#[test]
fn json_lines_and_csv_rows_agree() {
    let sandbox = Sandbox::new();
    let lines = "{ id: lines, plugin: JSON, with: { path: findings.ndjson } }";
    let summary = sandbox.run(&pipeline(&scan(), &[CSV, lines])).expect_code(0).summary();
    assert_eq!(summary["outputs"][1]["records"], 16, "{summary:#}");
    let table = Table::parse(&sandbox.read("findings.csv"));
    let text = sandbox.read("findings.ndjson");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), table.len());
    for (column, pointer) in [
        ("asset.address", "/asset/address"),
        ("definition.qid", "/definition/qid"),
        ("definition.title", "/definition/title"),
        ("finding.kind", "/finding/kind"),
    ] {
        let values =
            lines.iter().map(|line| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
        assert_eq!(values.collect::<Vec<_>>(), table.column(column), "{column}");
    }
    assert!(lines.iter().all(|line| line["report"]["kind"] == "SCAN"));
}

/// Information and services have no place in OCSF; both standard formats have one ID for each finding.
#[test]
fn standard_formats_have_the_same_findings() {
    let sandbox = Sandbox::new();
    let ocsf = "{ id: ocsf, plugin: JSON, with: { path: ocsf.ndjson, format: ocsf } }";
    let ecs =
        "{ id: ecs, plugin: JSON, with: { path: ecs.ndjson, format: ecs, leave_out: [finding.result] } }";
    let outcome = sandbox.run(&pipeline(&scan(), &[ocsf, ecs])).expect_code(0);
    let summary = outcome.summary();
    assert_eq!(summary["outputs"][0]["records"], 7, "{summary:#}");
    assert_eq!(summary["outputs"][0]["filtered"], 9, "{summary:#}");
    assert_eq!(summary["outputs"][1]["records"], 16, "{summary:#}");
    for note in
        ["information and service findings left out", "columns left out (`leave_out`): finding.result"]
    {
        assert_eq!(outcome.stderr.matches(note).count(), 1, "{note}: {}", outcome.stderr);
    }
    let ids = |file: &str, pointer: &str, is_wanted: fn(&Value) -> bool| -> Vec<String> {
        let text = sandbox.read(file);
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(is_wanted)
            .map(|line| line.pointer(pointer).and_then(Value::as_str).unwrap().to_owned())
            .collect()
    };
    let of_ocsf = ids("ocsf.ndjson", "/finding_info/uid", |line| line["class_uid"] == 2002);
    let of_ecs = ids("ecs.ndjson", "/event/id", |line| line["event"]["category"][0] == "vulnerability");
    assert_eq!(of_ocsf.len(), 7);
    assert_eq!(of_ocsf, of_ecs);
}

#[test]
fn unknown_column_to_leave_out_is_refused_with_a_suggestion() {
    let sandbox = Sandbox::new();
    let lines = "{ id: lines, plugin: JSON, with: { path: a.ndjson, leave_out: [definition.diagnossis] } }";
    sandbox.write("pipeline.yaml", pipeline(&scan(), &[lines]));
    for command in [&["check", "pipeline.yaml", "--offline"][..], &["run", "pipeline.yaml"]] {
        let outcome = Outcome::of(sandbox.host(command).output().unwrap()).expect_code(78);
        let shown = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(shown.contains("did you mean `definition.diagnosis`?"), "{shown}");
        assert!(
            shown.contains("found `definition.diagnossis`") && !shown.contains("definition.title"),
            "{shown}"
        );
    }
}

#[test]
fn events_can_be_written_to_standard_output() {
    let sandbox = Sandbox::new();
    let siem = "{ id: siem, plugin: ArcSightCEF, with: { path: '-', derive: no } }";
    sandbox.write("pipeline.yaml", pipeline(&scan(), &[siem]));
    let output = sandbox.host(&["run", "pipeline.yaml", "--no-progress", "--quiet"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("CEF:0|")).count(), 16, "{text}");
}

#[test]
fn host_input_commands_are_printable_ascii() {
    let sandbox = Sandbox::new();
    let template = format!("path: {:?}", project_file("examples/reports/template.xml"));
    let commands = "{ id: commands, plugin: CSV, with: { path: commands.csv, format: host-input } }";
    sandbox.run(&pipeline(&template, &[commands])).expect_code(0);
    let text = sandbox.read("commands.csv");
    assert!(text.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "{text}");
    for command in ["SetSource", "AddScanResult"] {
        assert!(text.lines().any(|line| line.starts_with(command)), "{command}: {text}");
    }
}

/// F-140: a run that ended inside a report has left data in a hidden file. The log says where, and what happens to it.
#[test]
fn part_file_that_a_failed_run_leaves_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "pipeline.yaml",
        "version: 1
checkpoint: { bytes: 1 KiB }
inputs:
  - { id: source, plugin: Rogue, retry: { max_elapsed_secs: 0 }, with: { act: unavailable-midway } }
outputs:
  - { id: sheet, plugin: CSV, with: { path: out.csv } }
",
    );
    let run = || Outcome::of(sandbox.host_with_rogue(&["run", "pipeline.yaml"]).output().unwrap());
    let failed = run().expect_code(69);
    let size = std::fs::metadata(sandbox.path(".out.csv.1.part")).unwrap().len();
    let line = format!(
        ".out.csv.1.part ({size} bytes) has what was written of the report: a run that resumes continues it"
    );
    assert_eq!(failed.stderr.matches(&line).count(), 1, "{}", failed.stderr);
    let resumed = run().expect_code(0);
    assert!(!resumed.stderr.contains(".part"), "{}", resumed.stderr);
    assert!(sandbox.path("out.csv").exists() && !sandbox.path(".out.csv.1.part").exists());
}

/// F-146: `{date}` in a run that waits for new reports.
#[test]
fn date_in_a_file_name_is_that_of_the_run_or_of_the_report() {
    let files = |options: &str, arguments: &[&str]| {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("in")).unwrap();
        std::fs::copy(project_file("examples/reports/scan.xml"), sandbox.path("in/scan.xml")).unwrap();
        let output = "{ id: sheet, plugin: CSV, with: { path: 'a-{date}.csv' } }";
        sandbox.write("pipeline.yaml", pipeline(&format!("path: in, settle_secs: 0{options}"), &[output]));
        let mut host = sandbox.host(&[&["run", "pipeline.yaml", "--state-dir", "state"], arguments].concat());
        let mut child = host.spawn().unwrap();
        let begun = std::time::Instant::now();
        let written =
            || -> Vec<String> { sandbox.names().into_iter().filter(|name| name.starts_with("a-")).collect() };
        while written().is_empty() && begun.elapsed().as_secs() < 30 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&child),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        child.wait().unwrap();
        written()
    };
    let report = std::fs::read_to_string(project_file("examples/reports/scan.xml")).unwrap();
    let day = &report.split_once("value=\"DATE\">").unwrap().1[..10];
    assert_eq!(files(", watch: yes", &[]), [format!("a-{day}.csv")]);
    let today = || {
        let date = std::process::Command::new("date").args(["-u", "+a-%Y-%m-%d.csv"]).output().unwrap();
        String::from_utf8(date.stdout).unwrap().trim_end().to_owned()
    };
    for (options, arguments) in [(", watch: yes", &["--once"][..]), ("", &[])] {
        let before = today();
        let found = files(options, arguments);
        assert!(found == [before] || found == [today()], "{found:?}");
    }
}
