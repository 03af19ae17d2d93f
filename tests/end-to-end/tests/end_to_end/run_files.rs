//! The files about a run: new and gone findings, the report as HTML, metrics.

use std::fs;

use serde_json::json;

use crate::installation::project_file;
use crate::sandbox::{CSV, Outcome, Sandbox, pipeline};

const EXAMPLE: &str = "path: report.xml";

/// The example report without its last vulnerability, or with one more.
fn write_report(sandbox: &Sandbox, change: impl Fn(String) -> String) {
    let text = fs::read_to_string(project_file("examples/reports/scan.xml")).unwrap();
    sandbox.write("report.xml", change(text));
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    sandbox.write("pipeline.yaml", pipeline(EXAMPLE, &[CSV]));
    let mut all = vec!["run", "pipeline.yaml", "--summary", "json"];
    all.extend(arguments);
    Outcome::of(sandbox.host(&all).output().unwrap())
}

/// Removes one vulnerability element.
fn without_a_vulnerability(text: String) -> String {
    let start = text.find("<VULN ").unwrap();
    let end = start + text[start..].find("</VULN>").unwrap() + "</VULN>".len();
    text[..start].to_owned() + &text[end..]
}

#[test]
fn new_and_gone_findings_since_the_last_run() {
    let sandbox = Sandbox::new();
    let compared = |sandbox: &Sandbox| run(sandbox, &[]).expect_code(0).summary()["compared"].clone();
    write_report(&sandbox, |text| text);
    assert_eq!(compared(&sandbox), json!({ "against_run": null, "new": 0, "gone": 0, "same": 0 }));
    assert_eq!(compared(&sandbox), json!({ "against_run": 1, "new": 0, "gone": 0, "same": 16 }));
    write_report(&sandbox, without_a_vulnerability);
    assert_eq!(compared(&sandbox), json!({ "against_run": 2, "new": 0, "gone": 1, "same": 15 }));
    write_report(&sandbox, |text| text);
    assert_eq!(compared(&sandbox), json!({ "against_run": 3, "new": 1, "gone": 0, "same": 15 }));
    let text = Outcome::of(sandbox.host(&["run", "pipeline.yaml"]).output().unwrap()).expect_code(0).stdout;
    assert!(text.contains("compared with run 4: 0 new, 0 gone, 16 same\n"), "{text}");
}

#[test]
fn nothing_is_gone_after_a_truncated_report() {
    let sandbox = Sandbox::new();
    write_report(&sandbox, |text| text);
    run(&sandbox, &[]).expect_code(0);
    // The first assets are complete.
    write_report(&sandbox, |text| text[..text.rfind("<IP ").unwrap()].to_owned());
    let summary = run(&sandbox, &[]).expect_code(65).summary();
    assert_eq!(summary["compared"]["gone"].as_u64().unwrap_or_default(), 0, "{summary:#}");
    write_report(&sandbox, |text| text);
    let summary = run(&sandbox, &[]).expect_code(0).summary();
    assert_eq!(summary["compared"]["gone"], 0, "{summary:#}");
    assert_eq!(summary["compared"]["same"], 16, "{summary:#}");
}

#[test]
fn nothing_is_compared_with_compare_no() {
    let sandbox = Sandbox::new();
    write_report(&sandbox, |text| text);
    for _ in 0..2 {
        let summary = sandbox.run(&(pipeline(EXAMPLE, &[CSV]) + "compare: no\n")).expect_code(0).summary();
        assert_eq!(summary["compared"], json!(null));
    }
    assert!(!sandbox.path("state/pipeline/compare.bin").exists());
}

#[test]
fn report_of_a_run_is_one_file_that_adds_up() {
    let sandbox = Sandbox::new();
    write_report(&sandbox, |text| text);
    run(&sandbox, &["--report", "report.html"]).expect_code(0);
    let page = sandbox.read("report.html");
    assert!(page.contains("all delivered") && page.contains("adds up"), "{page}");
    assert!(!page.contains("differs") && !page.contains("<script"), "{page}");
    assert!(!sandbox.names().iter().any(|name| name.contains(".tmp")), "{:?}", sandbox.names());
}

#[test]
fn a_run_that_cannot_start_has_a_report() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "pipeline.yaml",
        pipeline("path: missing.xml", &["{ id: sheet, plugin: CSV, with: { path: no/such/dir.csv } }"]),
    );
    let outcome =
        Outcome::of(sandbox.host(&["run", "pipeline.yaml", "--report", "report.html"]).output().unwrap());
    assert_ne!(outcome.code, Some(0));
    assert!(sandbox.read("report.html").contains("failed"), "{}", sandbox.read("report.html"));
    sandbox.write("pipeline.yaml", "version: 1\ninputs: []\n");
    let invalid = ["run", "pipeline.yaml", "--report", "invalid.html"];
    Outcome::of(sandbox.host(&invalid).output().unwrap()).expect_code(78);
    assert!(sandbox.read("invalid.html").contains("exit code 78"), "{}", sandbox.read("invalid.html"));
}

#[test]
fn counters_of_the_metrics_file_continue_over_runs() {
    let sandbox = Sandbox::new();
    write_report(&sandbox, |text| text);
    for runs in 1..=3 {
        run(&sandbox, &["--metrics-file", "run.prom"]).expect_code(0);
        let metrics = sandbox.read("run.prom");
        let has = |line: String| assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
        has(format!("scanbridge_pipeline_runs_total{{pipeline=\"pipeline\",status=\"ok\"}} {runs}.0"));
        let delivered = runs * 16;
        let labels = "pipeline=\"pipeline\",output=\"sheet\",result=\"delivered\"";
        has(format!("scanbridge_output_findings_total{{{labels}}} {delivered}.0"));
        has("scanbridge_pipeline_last_run_exit_code{pipeline=\"pipeline\"} 0.0".to_owned());
    }
    let before = sandbox.read("run.prom");
    sandbox.write("pipeline.yaml", "version: 1\ninputs: []\n");
    let invalid = ["run", "pipeline.yaml", "--metrics-file", "run.prom"];
    Outcome::of(sandbox.host(&invalid).output().unwrap()).expect_code(78);
    assert_eq!(sandbox.read("run.prom"), before);
}

#[test]
fn a_file_that_cannot_be_written_is_known_before_the_run() {
    let sandbox = Sandbox::new();
    write_report(&sandbox, |text| text);
    let outcome = run(&sandbox, &["--report", "no/such/directory/report.html"]).expect_code(73);
    assert!(outcome.stderr.contains("cannot create no/such/directory/report.html"), "{}", outcome.stderr);
    assert!(!sandbox.path("state").exists());
}
