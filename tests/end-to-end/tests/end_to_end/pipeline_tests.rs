//! `scanbridge test`: the tests of pipelines.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::installation::project_file;
use crate::sandbox::{Outcome, Sandbox, pipeline};

const TLS_SIEM: &str = "{ id: siem, plugin: ArcSightCEF, filter: { min_severity: 4 }, with: { transport: tls, address: \
                        siem.example.com, tls_check_name: no, device_vendor: Acme, receiver: splunk } }";

fn test(sandbox: &Sandbox, text: &str, code: i32) -> Outcome {
    sandbox.write("a.test.yaml", text);
    Outcome::of(sandbox.host(&["test", "a.test.yaml", "--state-dir", "state"]).output().unwrap())
        .expect_code(code)
}

/// A pipeline in `pipeline.yaml` and the example report in `reports`.
fn sandbox(settings: &str, outputs: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("reports")).unwrap();
    fs::copy(project_file("examples/reports/scan.xml"), sandbox.path("reports/scan.xml")).unwrap();
    sandbox.write("pipeline.yaml", pipeline(settings, outputs));
    sandbox
}

fn with_tests(tests: &str) -> String {
    format!("pipeline: pipeline.yaml\ntests:\n{tests}")
}

#[test]
fn example_passes() {
    let sandbox = Sandbox::new();
    let example = project_file("examples/tests/scan-to-csv-and-cef.yaml");
    let outcome = Outcome::of(sandbox.host(&["test", example.to_str().unwrap()]).output().unwrap());
    let outcome = outcome.expect_code(0);
    assert!(outcome.stdout.starts_with("ok "), "{}", outcome.stdout);
    assert!(outcome.stdout.ends_with("1 test: 1 passed, 0 failed\n"), "{}", outcome.stdout);
    assert_eq!(outcome.stderr, "");
    assert_eq!(sandbox.names(), [""; 0], "nothing is written");
}

/// The pipeline watches a directory and moves files to another one, sends to a SIEM over TLS and to a Defense Center, and
/// replaces a file. Its test does nothing of that.
#[test]
fn test_touches_nothing_and_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let tcp = format!(
        "{{ id: tcp, plugin: ArcSightCEF, max_findings_per_sec: 1, with: {{ transport: tcp, address: '{address}' }} }}"
    );
    let center =
        "{ id: center, plugin: Sourcefire, required: no, with: { server: dc.example.com, password: x } }";
    let sheet = "{ id: sheet, plugin: CSV, with: { path: 'out-{report}.csv' } }";
    let sandbox = sandbox(
        "path: in, watch: yes, on_done: move, done_folder: done, settle_secs: 600",
        &[sheet, TLS_SIEM, &tcp, center],
    );
    let before = sandbox.names();
    let outcome = test(
        &sandbox,
        &with_tests(
            "  - input: reports/scan.xml
    expect:
      sheet: { records: 16, contains: ['192.0.2.10'] }
      siem: { filtered: 14, contains: ['CEF:0|Acme|'], lacks: ['<134>'] }
      tcp: { records: 16, contains: ['CEF:0|Qualys|'] }
",
        ),
        0,
    );
    assert!(
        outcome.stdout.contains("center: left out, because it cannot write to a file"),
        "{}",
        outcome.stdout
    );
    assert!(listener.accept().is_err(), "nothing has connected");
    fs::remove_file(sandbox.path("a.test.yaml")).unwrap();
    assert_eq!(sandbox.names(), before);
    assert!(!sandbox.path("state").exists() && sandbox.path("reports/scan.xml").exists());
}

#[test]
fn failed_expectation_shows_what_was_found() {
    let sandbox = sandbox("path: in", &["{ id: sheet, plugin: CSV, with: { path: a.csv } }", TLS_SIEM]);
    let text = with_tests(
        "  - name: passes
    input: reports/scan.xml
    expect: { sheet: { records: 16 } }
  - name: fails
    input: reports/scan.xml
    exit_code: 65
    expect:
      sheet: { records: 17, rejected: 0, contains: ['192.0.2.10', '192.0.2.199'], lacks: ['192.0.2.10'] }
",
    );
    let outcome = test(&sandbox, &text, 65);
    let failed: Vec<&str> = outcome.stdout.lines().map(str::trim_start).collect();
    assert_eq!(failed[..2], ["ok      a.test.yaml: passes", "FAILED  a.test.yaml: fails"]);
    assert_eq!(
        failed[2..4],
        ["the run: `exit_code` is 0, expected 65", "sheet: `records` is 16, expected 17"]
    );
    assert!(
        failed[4].starts_with("sheet: no `192.0.2.199`; the most similar line: 192.0.2.1"),
        "{}",
        failed[4]
    );
    assert!(failed[5].starts_with("sheet: unexpected `192.0.2.10`: 192.0.2.10"), "{}", failed[5]);
    assert_eq!(failed[6..], ["2 tests: 1 passed, 1 failed"]);

    let mut host = sandbox.host(&["test", "a.test.yaml", "--format", "json"]);
    let outcome = Outcome::of(host.output().unwrap()).expect_code(65);
    let result: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let file = &result["files"][0];
    assert_eq!((&result["ok"], &file["pipeline"]), (&json!(false), &json!("pipeline")));
    assert_eq!(
        file["tests"][0],
        json!({ "name": "passes", "ok": true, "exit_code": 0, "left_out": [], "failed": [], "failures": [] })
    );
    assert_eq!(
        file["tests"][1]["failed"][1],
        json!({ "output": "sheet", "key": "records", "expected": 17, "found": 16 })
    );
}

/// A pipeline that downloads its reports is tested with a plugin that reads files. A truncated report ends with 65.
#[test]
fn another_plugin_reads_the_report_and_exit_codes_are_expected() {
    let sandbox = Sandbox::new();
    let report = fs::read(project_file("examples/reports/scan.xml")).unwrap();
    sandbox.write("scan.xml", &report);
    sandbox.write("cut.xml", &report[..report.len() / 2]);
    sandbox.write(
        "pipeline.yaml",
        "version: 1
inputs:
  - { id: api, plugin: QualysGuard, with: { user_id: acme_ab1, password: x, source: scan-reports } }
outputs:
  - { id: sheet, plugin: CSV, with: { path: '-' } }
",
    );
    let text = with_tests(
        "  - input: { plugin: QualysGuardFile, path: [scan.xml] }
    expect: { sheet: { records: 16, contains: ['asset.address'] } }
  - input: { plugin: QualysGuardFile, path: cut.xml, with: { settle_secs: 600 } }
    exit_code: 65
    expect: { sheet: { records: 0 } }
",
    );
    test(&sandbox, &text, 0);
}

#[test]
fn invalid_test_files_are_reported_with_their_lines() {
    let center = "{ id: center, plugin: Sourcefire, with: { server: dc.example.com, password: x } }";
    let sandbox = sandbox("path: in", &["{ id: sheet, plugin: CSV, with: { path: a.csv } }", center]);
    for (text, message) in [
        ("tests: []", "`pipeline` is missing"),
        ("pipeline: pipeline.yaml\ntests: []", "`tests` must be a list with at least one test"),
        ("pipeline: none.yaml\ntests: []", "none.yaml"),
        ("version: 1\ninputs: []", "tests are in a file of their own, which names the pipeline"),
        (&with_tests("  - { input: a.xml }"), "the test has no `expect`"),
        (&with_tests("  - { input: a.xml, expect: { sheat: { records: 1 } } }"), "did you mean `sheet`?"),
        (&with_tests("  - { input: a.xml, expect: { sheet: { record: 1 } } }"), "did you mean `records`?"),
        (
            &with_tests("  - { input: a.xml, expect: { sheet: { records: many } } }"),
            "`records` must be a number",
        ),
        (
            &with_tests("  - { input: a.xml, expect: { center: { records: 1 } } }"),
            "output `center` (Sourcefire) cannot write to a file",
        ),
        (
            &with_tests(
                "  - { input: { plugin: QualysGuard, path: a.xml }, expect: { sheet: { records: 1 } } }",
            ),
            "`QualysGuard` requires option `user_id`",
        ),
        (
            &with_tests("  - { input: { id: other, path: a.xml }, expect: { sheet: {} } }"),
            "the pipeline has no input `other`",
        ),
    ] {
        let outcome = test(&sandbox, text, 78);
        assert!(outcome.stderr.contains(message), "{text}\n{}", outcome.stderr);
    }
    // A report that does not exist is found when the test runs.
    let outcome =
        test(&sandbox, &with_tests("  - { input: none.xml, expect: { sheet: { records: 1 } } }"), 78);
    assert!(outcome.stdout.contains("cannot copy the report none.xml"), "{}", outcome.stdout);
    // Given to another command, the file is named as what it is.
    let check = Outcome::of(sandbox.host(&["check", "a.test.yaml"]).output().unwrap()).expect_code(78);
    assert!(check.stderr.contains("this file contains tests of a pipeline"), "{}", check.stderr);
}
