//! Runs that end when their inputs have nothing more to read: `run --once` and `until: idle`.

use std::fs;

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
