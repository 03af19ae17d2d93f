//! Runs that end when their inputs have nothing more to read: `run --once` and `until: idle`.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::installation::project_file;
use crate::sandbox::{CSV, Outcome, Sandbox, pipeline};

fn run(sandbox: &Sandbox, more: &[&str]) -> Outcome {
    let all = ["run", "pipeline.yaml", "--summary", "json", "--no-progress", "--state-dir", "state"];
    let all = [&all, more].concat();
    Outcome::of(sandbox.host(&all).output().unwrap())
}

fn input(summary: &Value) -> &Value {
    &summary["inputs"][0]
}

fn fixture(name: &str) -> PathBuf {
    project_file("tests/fixtures/reports/other").join(name)
}

fn with_reports() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("in")).unwrap();
    fs::copy(project_file("examples/reports/scan.xml"), sandbox.path("in/a.xml")).unwrap();
    sandbox
}

#[test]
fn watching_pipeline_delivers_each_file_once_over_runs_that_end() {
    let text = pipeline("path: in, watch: yes, settle_secs: 0", &[CSV]);
    for (text, option) in [
        (text.clone(), &["--once"][..]),
        (format!("{text}until: idle\n"), &[]),
        (format!("{text}until: idle\n"), &["--once"]),
    ] {
        let sandbox = with_reports();
        sandbox.write("pipeline.yaml", text);
        let first = run(&sandbox, option).expect_code(0).summary();
        assert_eq!(input(&first)["reports"], 1, "{first:#}");
        let delivered = sandbox.read("findings.csv");
        let second = run(&sandbox, option).expect_code(0).summary();
        assert_eq!((&input(&second)["reports"], &second["status"]), (&json!(0), &json!("ok")), "{second:#}");
        assert_eq!(sandbox.read("findings.csv"), delivered, "a run without a report changes no file");
        assert!(sandbox.path("in/a.xml").exists(), "nothing is moved");
        fs::copy(project_file("examples/reports/template.xml"), sandbox.path("in/b.xml")).unwrap();
        let third = run(&sandbox, option).expect_code(0).summary();
        assert_eq!(input(&third)["reports_list"][0]["path"], "in/b.xml", "{third:#}");
    }
}

#[test]
fn refused_file_is_reported_once_until_it_changes() {
    let sandbox = with_reports();
    let report = fs::read(project_file("examples/reports/scan.xml")).unwrap();
    sandbox.write("in/cut.xml", &report[..500]);
    sandbox.write("in/foreign.xml", "<?xml version=\"1.0\"?><MAP value=\"x\"></MAP>");
    // Its end is that of a report, but an element in the middle is damaged.
    let damaged = String::from_utf8(report.clone()).unwrap().replacen("</SERVICE>", "</SERVICES>", 1);
    sandbox.write("in/damaged.xml", damaged);
    sandbox
        .write("pipeline.yaml", pipeline("path: in, watch: yes, settle_secs: 0", &[CSV]) + "until: idle\n");
    let first = run(&sandbox, &[]).expect_code(65).summary();
    assert_eq!(input(&first)["refused_known"], 0, "{first:#}");
    assert_eq!(first["failures"].as_array().unwrap().len(), 3, "{first:#}");
    for _ in 0..2 {
        let later = run(&sandbox, &["-v"]).expect_code(0);
        assert_eq!(later.stderr.matches("was refused by an earlier run").count(), 3, "{}", later.stderr);
        let later = later.summary();
        assert_eq!(input(&later)["refused_known"], 3, "{later:#}");
        assert_eq!((&later["failures"], &later["status"]), (&json!([]), &json!("ok")), "{later:#}");
        for class in ["incomplete", "refused", "not_found", "reports"] {
            assert_eq!(input(&later)[class], 0, "{class}: {later:#}");
        }
    }
    // The writer completes the file.
    sandbox.write("in/cut.xml", &report);
    let completed = run(&sandbox, &[]).expect_code(0).summary();
    assert_eq!((&input(&completed)["reports"], &input(&completed)["refused_known"]), (&json!(1), &json!(2)));
    // Other options can accept a file that was refused.
    sandbox.write("in/later.xml", &report[..report.len() / 2]);
    run(&sandbox, &[]).expect_code(65);
    let text = pipeline("path: in, watch: yes, settle_secs: 0, deliver_incomplete: yes", &[CSV]);
    sandbox.write("pipeline.yaml", text + "until: idle\n");
    let accepted = run(&sandbox, &[]).summary();
    assert!(input(&accepted)["findings"]["information"].as_u64().unwrap() > 0, "{accepted:#}");
}

/// F-141: reports of another kind in the directory do not fail the run if their kind is expected there.
#[test]
fn files_of_ignored_kinds_are_counted_and_named() {
    let ignored = "ignore_kinds: [WAS_SCAN_REPORT, MAP]";
    for (mode, later_notes) in [("", true), (", watch: yes", false), (", on_done: move", true)] {
        let sandbox = with_reports();
        for name in ["web-application-scan.xml", "map.xml"] {
            fs::copy(fixture(name), sandbox.path(&format!("in/{name}"))).unwrap();
        }
        let text = |ignored: &str| {
            pipeline(&format!("path: in, settle_secs: 0{mode}{ignored}"), &[CSV]) + "until: idle\n"
        };
        sandbox.write("pipeline.yaml", text(""));
        run(&sandbox, &[]).expect_code(65);
        sandbox.write("pipeline.yaml", text(&format!(", {ignored}")));
        let first = run(&sandbox, &["--restart"]).expect_code(0);
        for name in ["in/web-application-scan.xml", "in/map.xml"] {
            assert_eq!(first.stderr.matches(name).count(), 1, "{mode} {name}: {}", first.stderr);
        }
        let note = |text: &str| json!({ "warning": false, "text": text, "count": 1 });
        let notes = json!([
            note("files of the kind MAP ignored (`ignore_kinds`)"),
            note("files of the kind WAS_SCAN_REPORT ignored (`ignore_kinds`)"),
        ]);
        let summary = first.summary();
        assert_eq!(input(&summary)["notes"], notes, "{mode}: {summary:#}");
        assert_eq!(
            (&input(&summary)["refused"], &summary["failures"]),
            (&json!(0), &json!([])),
            "{summary:#}"
        );
        let later = run(&sandbox, &[]).expect_code(0).summary();
        assert_eq!(input(&later).get("notes").is_some(), later_notes, "{mode}: {later:#}");
        assert_eq!(input(&later)["refused_known"], if later_notes { 0 } else { 2 }, "{mode}: {later:#}");
        assert!(sandbox.path("in/map.xml").exists(), "it is not moved");
        // A kind that is not named still fails the run.
        fs::copy(fixture("scan-list.xml"), sandbox.path("in/list.xml")).unwrap();
        run(&sandbox, &[]).expect_code(65);
    }
}

#[test]
fn failed_downloads_cannot_be_ignored() {
    let sandbox = with_reports();
    for (kind, message) in [
        ("SIMPLE_RETURN", "`SIMPLE_RETURN` is an API response, such as an error"),
        ("<MAP>", "`<MAP>` is not the name of an XML element"),
    ] {
        sandbox.write("pipeline.yaml", pipeline(&format!("path: in, ignore_kinds: ['{kind}']"), &[CSV]));
        let refused = Outcome::of(sandbox.host(&["run", "pipeline.yaml"]).output().unwrap()).expect_code(78);
        assert!(refused.stderr.contains(message), "{}", refused.stderr);
    }
}

/// The example reads only new files, and keeps what an earlier run of the same day has written.
#[test]
fn daily_example_delivers_new_scans_only() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("in")).unwrap();
    fs::create_dir(sandbox.path("out")).unwrap();
    let example = project_file("examples/pipelines/daily.yaml");
    let daily = || {
        let mut host =
            sandbox.host(&["run", example.to_str().unwrap(), "--summary", "json", "--state-dir", "state"]);
        Outcome::of(host.env("SCAN_FOLDER", "in").output().unwrap()).expect_code(0).summary()
    };
    let events = || {
        let files = fs::read_dir(sandbox.path("out")).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "cef"));
        files.map(|path| fs::read_to_string(path).unwrap().lines().count()).sum::<usize>()
    };
    assert_eq!(input(&daily())["reports"], 0, "an empty directory does not fail the run");
    let copy = |name: &str| {
        fs::copy(project_file("examples/reports/scan.xml"), sandbox.path(&format!("in/{name}"))).unwrap()
    };
    copy("scan1.xml");
    assert_eq!(input(&daily())["reports"], 1);
    let first = events();
    assert!(first > 0);
    assert_eq!(input(&daily())["reports"], 0);
    copy("scan2.xml");
    assert_eq!(input(&daily())["reports"], 1);
    assert_eq!(events(), 2 * first);
}
