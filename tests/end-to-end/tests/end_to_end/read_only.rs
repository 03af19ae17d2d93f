//! `preview` and `run --dry-run`: what would be delivered, without any effect.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use scanbridge_doubles::fake_qualys::{Reply, Script};
use serde_json::Value;

use crate::installation::project_file;
use crate::qualys_api::{Bench, body};
use crate::sandbox::{CEF, CSV, Outcome, Sandbox, pipeline};

/// Every file below a directory with its content; directories have none.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
                found.insert(path, None);
            } else {
                let content = fs::read(&path).unwrap();
                found.insert(path, Some(content));
            }
        }
    }
    found
}

/// Runs a command that must change no file of the sandbox.
#[track_caller]
fn without_change(sandbox: &Sandbox, text: &str, arguments: &[&str]) -> Outcome {
    sandbox.write("pipeline.yaml", text);
    let before = tree(&sandbox.path(""));
    let arguments = [arguments, &["--state-dir", "state", "-q"]].concat();
    let outcome = Outcome::of(sandbox.host(&arguments).output().unwrap());
    let after = tree(&sandbox.path(""));
    let changed = before.iter().find(|(path, content)| after.get(*path) != Some(content));
    let added = after.keys().find(|path| !before.contains_key(*path));
    assert_eq!((changed.map(|(path, _)| path), added), (None, None), "{arguments:?}\n{}", outcome.stderr);
    outcome
}

#[track_caller]
fn preview(sandbox: &Sandbox, text: &str, more: &[&str]) -> Outcome {
    without_change(sandbox, text, &[&["preview", "pipeline.yaml"], more].concat())
}

#[track_caller]
fn dry_run(sandbox: &Sandbox, text: &str) -> Outcome {
    without_change(sandbox, text, &["run", "pipeline.yaml", "--dry-run", "--summary", "json"])
}

fn scan() -> String {
    format!("path: {:?}", project_file("examples/reports/scan.xml"))
}

const COMMANDS: &str = "{ id: center, plugin: CSV, with: { path: commands.txt, format: host-input } }";
const LINES: &str = "{ id: lines, plugin: JSON, with: { path: findings.ndjson } }";
const OCSF: &str = "{ id: ocsf, plugin: JSON, with: { path: findings.ocsf, format: ocsf } }";
const ECS: &str = "{ id: ecs, plugin: JSON, with: { path: findings.ecs, format: ecs } }";

/// Times of the run itself.
fn without_times(text: &str) -> String {
    let mut value: Value = serde_json::from_str(text).unwrap();
    for name in ["time", "metadata", "@timestamp", "event"] {
        value.as_object_mut().unwrap().remove(name);
    }
    value.to_string()
}

#[test]
fn preview_shows_what_each_output_writes() {
    let sandbox = Sandbox::new();
    let text = pipeline(&scan(), &[CSV, CEF, LINES, OCSF, ECS, COMMANDS]);
    let outcome = preview(&sandbox, &text, &["-n", "1000", "--format", "json"]).expect_code(0);
    let shown: Value = serde_json::from_str(&outcome.stdout).unwrap();
    sandbox.run(&text).expect_code(0);
    let records = |id: &str| -> Vec<String> {
        let outputs = shown["outputs"].as_array().unwrap();
        let output = outputs.iter().find(|output| output["id"] == id).unwrap();
        assert_eq!(
            (&output["rendered"], &output["read"], &output["filtered"]),
            (&true.into(), &16.into(), &0.into())
        );
        let records = output["records"].as_array().unwrap().iter();
        let records: Vec<String> = records.filter_map(|one| Some(one["text"].as_str()?.to_owned())).collect();
        records
    };
    let table = sandbox.read("findings.csv");
    let rows: String = records("sheet").iter().map(|row| format!("{row}\r\n")).collect();
    assert!(table.ends_with(&rows) && table.len() > rows.len(), "{rows}");
    // An event of an asset follows its last finding in both.
    let events: String = records("siem").iter().map(|event| format!("{event}\n")).collect();
    assert_eq!(events, sandbox.read("findings.cef"));
    let lines: String = records("lines").iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(lines, sandbox.read("findings.ndjson"));
    for (id, file) in [("ocsf", "findings.ocsf"), ("ecs", "findings.ecs")] {
        let text = sandbox.read(file);
        let written: Vec<String> = text.lines().map(without_times).collect();
        let shown: Vec<String> = records(id).iter().map(|line| without_times(line)).collect();
        assert_eq!(shown, written, "{id}");
    }
    let commands: String = records("center").iter().map(|block| format!("{block}\n")).collect();
    assert_eq!(commands, sandbox.read("commands.txt"));
}

#[test]
fn preview_counts_what_filters_leave_out_until_then() {
    let sandbox = Sandbox::new();
    let services =
        "{ id: services, plugin: CSV, filter: { kinds: [service] }, with: { path: services.csv } }";
    let text = pipeline(&scan(), &[CSV, services]);
    let outcome = preview(&sandbox, &text, &["-n", "2"]).expect_code(0);
    assert!(
        outcome.stdout.contains("sheet (CSV)\n") && outcome.stdout.contains("2 of 2 findings read"),
        "{}",
        outcome.stdout
    );
    let outcome = preview(&sandbox, &text, &["--output", "services", "--format", "json"]).expect_code(0);
    let shown: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let [output] = shown["outputs"].as_array().unwrap().as_slice() else { panic!("{shown}") };
    assert_eq!(output["findings"], 5, "{output:#}");
    let (read, filtered) = (output["read"].as_u64().unwrap(), output["filtered"].as_u64().unwrap());
    assert_eq!((read - filtered, output["records"].as_array().unwrap().len()), (5, 5), "{output:#}");
    let outcome = preview(&sandbox, &text, &["--output", "other"]).expect_code(64);
    assert!(outcome.stderr.contains("no output `other`; it has sheet, services"), "{}", outcome.stderr);
}

#[test]
fn preview_of_an_output_that_cannot_render_is_json() {
    let sandbox = Sandbox::new();
    let output = "{ id: bad, plugin: Rogue, with: { act: behave } }";
    sandbox.write("pipeline.yaml", pipeline(&scan(), &[output]));
    let arguments = ["preview", "pipeline.yaml", "-n", "1", "--format", "json"];
    let outcome = Outcome::of(sandbox.host_with_rogue(&arguments).output().unwrap()).expect_code(0);
    let shown: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let output = &shown["outputs"][0];
    assert_eq!(output["rendered"], false, "{shown:#}");
    let record: Value = serde_json::from_str(output["records"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(record["asset"]["address"], "192.0.2.10", "{record:#}");
}

#[test]
fn preview_ends_with_the_code_of_a_run() {
    let sandbox = Sandbox::new();
    let report = fs::read(project_file("examples/reports/scan.xml")).unwrap();
    sandbox.write("cut.xml", &report[..report.len() / 2]);
    for (settings, code) in [
        ("path: cut.xml, settle_secs: 0", 65),
        ("path: missing.xml", 66),
        ("path: cut.xml, unknown_option: 1", 78),
    ] {
        preview(&sandbox, &pipeline(settings, &[CSV]), &["-n", "1000"]).expect_code(code);
    }
    let text = pipeline(&scan(), &["{ id: siem, plugin: ArcSightCEF, with: { path: absent/findings.cef } }"]);
    preview(&sandbox, &text, &[]).expect_code(73);
}

#[test]
fn dry_run_counts_what_would_be_delivered() {
    let sandbox = Sandbox::new();
    let services =
        "{ id: services, plugin: CSV, filter: { kinds: [service] }, with: { path: services.csv } }";
    let text = pipeline(&scan(), &[CEF, services]);
    let summary = dry_run(&sandbox, &text).expect_code(0).summary();
    assert_eq!((&summary["dry_run"], &summary["run"]), (&true.into(), &Value::Null), "{summary:#}");
    let outputs = &summary["outputs"];
    assert_eq!(
        (&outputs[0]["would_deliver"], &outputs[0]["records"]),
        (&16.into(), &0.into()),
        "{outputs:#}"
    );
    assert_eq!(
        (&outputs[1]["would_deliver"], &outputs[1]["filtered"]),
        (&5.into(), &11.into()),
        "{outputs:#}"
    );
    let outcome = without_change(&sandbox, &text, &["run", "pipeline.yaml", "--dry-run"]).expect_code(0);
    assert!(
        outcome.stdout.contains("would deliver to siem (ArcSightCEF): 16 findings\n"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("dry run, nothing delivered,"), "{}", outcome.stdout);
    // A real run takes its first number afterwards.
    assert_eq!(sandbox.run(&text).expect_code(0).summary()["run"], 1);
}

/// Each way of reading files, before and after a run that delivers them.
#[test]
fn dry_run_changes_nothing_at_a_file_source() {
    for more in [
        "",
        ", watch: true",
        ", on_done: delete",
        ", on_done: move, done_folder: done",
        ", watch: true, on_done: delete",
        ", watch: true, on_done: move, done_folder: done",
    ] {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("reports")).unwrap();
        fs::create_dir(sandbox.path("done")).unwrap();
        fs::copy(project_file("examples/reports/scan.xml"), sandbox.path("reports/scan.xml")).unwrap();
        sandbox.write("reports/foreign.xml", "<OTHER/>");
        let text = pipeline(&format!("path: reports, settle_secs: 0{more}"), &[CSV]);
        let first = dry_run(&sandbox, &text).expect_code(65).summary();
        assert_eq!(first["outputs"][0]["would_deliver"], 16, "{more}: {first:#}");
        sandbox.write("pipeline.yaml", &text);
        let run = ["run", "pipeline.yaml", "--once", "--state-dir", "state", "--summary", "json"];
        Outcome::of(sandbox.host(&run).output().unwrap()).expect_code(65);
        let second = dry_run(&sandbox, &text).summary();
        let is_read_again = more.is_empty();
        let expected = if is_read_again { 16 } else { 0 };
        assert_eq!(second["outputs"][0]["would_deliver"], expected, "{more}: {second:#}");
    }
}

/// A file that is delivered, but that the killed run could not move, stays where it is.
#[test]
fn dry_run_does_not_finish_what_an_earlier_run_left() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("reports")).unwrap();
    fs::copy(project_file("examples/reports/scan.xml"), sandbox.path("reports/scan.xml")).unwrap();
    let text =
        |on_done: &str| pipeline(&format!("path: reports, settle_secs: 0, watch: true{on_done}"), &[CSV]);
    sandbox.write("pipeline.yaml", text(""));
    let run = ["run", "pipeline.yaml", "--once", "--state-dir", "state"];
    Outcome::of(sandbox.host(&run).output().unwrap()).expect_code(0);
    let summary = dry_run(&sandbox, &text(", on_done: delete")).expect_code(0).summary();
    assert_eq!(summary["outputs"][0]["would_deliver"], 0, "{summary:#}");
}

#[test]
fn dry_run_and_preview_change_nothing_at_qualys() {
    let reports = Reply::xml(
        "<?xml version=\"1.0\"?>\n<REPORT_LIST_OUTPUT><RESPONSE><DATETIME>2026-04-01T00:00:00Z</DATETIME>\
         <REPORT_LIST><REPORT><ID>77</ID><TITLE>Front row</TITLE><TYPE>Scan</TYPE>\
         <LAUNCH_DATETIME>2026-04-01T00:00:00Z</LAUNCH_DATETIME><OUTPUT_FORMAT>XML</OUTPUT_FORMAT>\
         <SIZE>1 MB</SIZE><STATUS><STATE>Finished</STATE></STATUS></REPORT>\
         </REPORT_LIST></RESPONSE></REPORT_LIST_OUTPUT>",
    );
    let scans = Reply::xml(
        "<?xml version=\"1.0\"?>\n<SCAN_REPORT_LIST user=\"x\">\
         <SCAN_REPORT ref=\"scan/1.1\" date=\"2026-03-01T00:00:00Z\" status=\"FINISHED\" target=\"192.0.2.1\"/>\
         </SCAN_REPORT_LIST>",
    );
    for settings in [
        "report: newest, report_title: Front row",
        "report_id: 77",
        "source: scan-reports",
        "source: host-detections",
        "source: host-detections, incremental: true",
    ] {
        let script = Script::new()
            .on("/api/2.0/fo/report/ action=list", [reports.clone()])
            .on("action=fetch id=77", [body("template-report.xml")])
            .on("GET /msp/scan_report_list.php", [scans.clone()])
            .on("GET /msp/scan_report.php ref=scan/1.1", [body("scan-all-kinds.xml")])
            .on("/api/5.0/fo/asset/host/vm/detection/", [body("detections.xml")])
            .on("/api/4.0/fo/knowledge_base/vuln/", [body("knowledge-base.xml")]);
        let bench = Bench::new(script);
        let text = bench.pipeline(settings);
        let summary = dry_run(&bench.sandbox, &text).expect_code(0).summary();
        let expected = summary["outputs"][0]["would_deliver"].as_u64().unwrap();
        assert!(expected > 0, "{settings}: {summary:#}");
        preview(&bench.sandbox, &text, &["-n", "1"]).expect_code(0);
        for request in ["action=launch", "action=delete"] {
            assert_eq!(bench.count(request), 0, "{settings}");
        }
        let summary = bench.sandbox.run(&text).expect_code(0).summary();
        assert_eq!(summary["outputs"][0]["records"], expected, "{settings}: {summary:#}");
    }
}

#[test]
fn reading_with_an_effect_is_refused() {
    let bench = Bench::new(Script::new());
    let text = bench.pipeline("template_id: 424242");
    for outcome in [dry_run(&bench.sandbox, &text), preview(&bench.sandbox, &text, &[])] {
        let outcome = outcome.expect_code(64);
        assert!(
            outcome.stderr.contains("a report of template 424242 would be launched"),
            "{}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains("set `report: newest`"), "{}", outcome.stderr);
    }
    assert_eq!(bench.requests(), 0);
}

#[test]
fn input_that_does_not_declare_it_is_not_read() {
    let sandbox = Sandbox::new();
    sandbox.write_rogue_pipeline("panic-in-next", "behave");
    for command in [&["run", "--dry-run"][..], &["preview"]] {
        let arguments = [command, &["pipeline.yaml"]].concat();
        let outcome = Outcome::of(sandbox.host_with_rogue(&arguments).output().unwrap()).expect_code(64);
        assert!(
            outcome.stderr.contains("does not say whether reading changes its source"),
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn pipe_is_not_emptied() {
    let sandbox = Sandbox::new();
    let made = std::process::Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap();
    assert!(made.success());
    sandbox.write("pipeline.yaml", pipeline("path: pipe", &[CSV]));
    let outcome = Outcome::of(sandbox.host(&["preview", "pipeline.yaml"]).output().unwrap()).expect_code(64);
    assert!(outcome.stderr.contains("pipe is a pipe: reading removes its content"), "{}", outcome.stderr);
}
