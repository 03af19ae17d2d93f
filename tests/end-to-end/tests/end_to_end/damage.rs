//! A damaged report is reported, and no output file is published as if the report were complete.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use scanbridge_fixtures::Group;

use crate::installation::project_file;
use crate::sandbox::{CEF, CSV, Outcome, Sandbox, pipeline};

fn scan() -> Vec<u8> {
    fs::read(project_file("examples/reports/scan.xml")).unwrap()
}

/// Checks that no output file exists.
#[track_caller]
fn expect_no_output(sandbox: &Sandbox) {
    let left: Vec<String> = sandbox.names().into_iter().filter(|name| name.contains("findings")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn truncated_report_leaves_no_file() {
    let complete = scan();
    let root_end = complete.windows(7).rposition(|window| window == b"</SCAN>").unwrap();
    // Truncated between two elements, within a tag, within CDATA, and before and within the end tag of the root.
    let after_asset = complete.windows(5).position(|window| window == b"</IP>").unwrap() + 5;
    for length in [after_asset, after_asset + 25, complete.len() / 3, root_end, root_end + 4] {
        let sandbox = Sandbox::new();
        let report = sandbox.write("truncated.xml", &complete[..length]);
        let outcome = sandbox.run_report(&report).expect_code(65);
        let input = &outcome.summary()["inputs"][0];
        assert_eq!(input["incomplete"], 1, "truncated at {length}");
        assert_eq!(input["refused"], 0, "a report is counted once; truncated at {length}");
        assert!(outcome.stderr.contains("truncated.xml"), "truncated at {length}: {}", outcome.stderr);
        expect_no_output(&sandbox);
    }
}

#[test]
fn truncated_report_from_standard_input_leaves_no_file() {
    let complete = scan();
    let sandbox = Sandbox::new();
    let mut host = sandbox
        .host_running(&pipeline("path: '-'", &[CSV, CEF]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    host.stdin.take().unwrap().write_all(&complete[..complete.len() / 2]).unwrap();
    Outcome::of(host.wait_with_output().unwrap()).expect_code(65);
    expect_no_output(&sandbox);
}

#[test]
fn invalid_xml_leaves_no_file() {
    let text = String::from_utf8(scan()).unwrap();
    for (damage, content) in [
        ("a mismatched tag", text.replacen("</VULNS>", "</VULMS>", 1)),
        ("a second root", format!("{text}<SCAN></SCAN>")),
        ("text after the root", format!("{text}junk")),
        ("an unknown reference", text.replacen("Windows Server 2022", "]]>&nonsense;<![CDATA[", 1)),
    ] {
        let sandbox = Sandbox::new();
        let report = sandbox.write("damaged.xml", content);
        let outcome = sandbox.run_report(&report);
        assert_eq!(outcome.code, Some(65), "{damage}: {}", outcome.stderr);
        expect_no_output(&sandbox);
    }
}

#[test]
fn damaged_fixtures_leave_no_file() {
    // In these fixtures only the invalid bytes are replaced; nothing else is lost.
    let repairable = ["scan-control-characters.xml", "scan-invalid-utf8.xml"];
    for report in Group::Damaged.files() {
        let name = report.file_name().unwrap().to_str().unwrap();
        let sandbox = Sandbox::new();
        let outcome = sandbox.run_report(&report);
        if repairable.contains(&name) {
            assert_eq!(outcome.code, Some(0), "{name}: {}", outcome.stderr);
            continue;
        }
        assert_eq!(outcome.code, Some(65), "{name}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(name), "{name}: {}", outcome.stderr);
        expect_no_output(&sandbox);
    }
}

#[test]
fn fixtures_of_another_kind_leave_no_file() {
    for report in Group::Other.files() {
        let name = report.file_name().unwrap().to_str().unwrap();
        let sandbox = Sandbox::new();
        let outcome = sandbox.run_report(&report);
        assert!(matches!(outcome.code, Some(65 | 66)), "{name}: {:?} {}", outcome.code, outcome.stderr);
        assert_eq!(outcome.summary()["inputs"][0]["refused"], 1, "{name}");
        assert!(outcome.stderr.contains(name), "{name}: {}", outcome.stderr);
        expect_no_output(&sandbox);
    }
}

#[test]
fn damaged_report_keeps_the_file_of_an_earlier_run() {
    let sandbox = Sandbox::new();
    let complete = scan();
    let report = sandbox.write("scan.xml", &complete);
    sandbox.run_report(&report).expect_code(0);
    let before = sandbox.read("findings.csv");
    sandbox.write("scan.xml", &complete[..complete.len() / 2]);
    sandbox.run_report(&report).expect_code(65);
    assert_eq!(sandbox.read("findings.csv"), before);
}

#[test]
fn damaged_report_does_not_affect_the_other_reports() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("reports")).unwrap();
    let complete = scan();
    sandbox.write("reports/a.xml", &complete);
    sandbox.write("reports/b.xml", &complete[..complete.len() / 2]);
    sandbox.write("reports/c.xml", "<!DOCTYPE html>\n<html><body>Sign in</body></html>\n");
    let outcome =
        sandbox.run(&pipeline("path: [reports], pattern: ['*'], settle_secs: 0", &[CSV])).expect_code(65);
    assert_eq!(outcome.summary()["status"], "partial");
    let rows = crate::csv::Table::parse(&sandbox.read("findings.csv")).len();
    assert_eq!(rows, 16);
}

#[test]
fn invalid_bytes_are_replaced_and_reported() {
    let mut bytes = scan();
    let at = bytes
        .windows(6)
        .position(|window| window == b"SNMP a")
        .or_else(|| bytes.windows(9).position(|window| window == b"community"));
    bytes[at.unwrap()] = 0xFF;
    let sandbox = Sandbox::new();
    let report = sandbox.write("invalid.xml", bytes);
    let outcome = sandbox.run_report(&report).expect_code(0);
    assert!(sandbox.read("findings.csv").contains('\u{FFFD}'));
    assert!(outcome.stderr.contains("invalid"), "{}", outcome.stderr);
}
