//! Exit codes are a contract: scripts depend on them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::installation::project_file;
use crate::sandbox::{CEF, CSV, Outcome, Sandbox, pipeline};

fn scan() -> String {
    format!("path: {:?}", project_file("examples/reports/scan.xml"))
}

fn run(arguments: &[&str]) -> Outcome {
    Outcome::of(Sandbox::new().host(arguments).output().unwrap())
}

#[test]
fn all_delivered_is_0() {
    Sandbox::new().run(&pipeline(&scan(), &[CSV])).expect_code(0);
}

#[test]
fn wrong_usage_is_64() {
    for arguments in [&["run"][..], &["run", "a.yaml", "--no-such-option"], &["no-such-command"], &[]] {
        let outcome = run(arguments).expect_code(64);
        assert!(outcome.stderr.contains("Usage"), "{arguments:?}: {}", outcome.stderr);
    }
}

#[test]
fn asking_for_help_or_version_is_0_and_goes_to_standard_output() {
    for arguments in [["--help"], ["--version"]] {
        let outcome = run(&arguments).expect_code(0);
        assert!(outcome.stdout.contains("scanbridge"), "{arguments:?}: {}", outcome.stdout);
    }
}

#[test]
fn reports_of_another_kind_are_named_and_65() {
    let pages = [
        ("page.xml", "<!DOCTYPE html>\n<html><body><h1>Sign in</h1></body></html>\n", "HTML"),
        ("list.json", "[{\"ip\": \"192.0.2.1\"}]\n", "JSON"),
        ("map.xml", "<?xml version=\"1.0\"?><MAP value=\"map/1.2\"></MAP>", "MAP"),
        (
            "error.xml",
            "<?xml version=\"1.0\"?><SIMPLE_RETURN><RESPONSE><DATETIME>2026-03-04T10:14:53Z</DATETIME>\
             <CODE>7001</CODE><TEXT>Report cannot be fetched.</TEXT></RESPONSE></SIMPLE_RETURN>",
            "Report cannot be fetched.",
        ),
    ];
    for (name, content, told) in pages {
        let sandbox = Sandbox::new();
        let report = sandbox.write(name, content);
        let outcome = sandbox.run_report(&report);
        assert_eq!(outcome.code, Some(65), "{name}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(told), "{name}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(name), "{name}: {}", outcome.stderr);
        assert!(!sandbox.path("findings.csv").exists(), "{name}");
    }
}

#[test]
fn an_empty_report_is_66() {
    let sandbox = Sandbox::new();
    let report = sandbox.write("empty.xml", "");
    let outcome = sandbox.run_report(&report).expect_code(66);
    assert!(outcome.stderr.contains("empty.xml is empty"), "{}", outcome.stderr);
}

#[test]
fn a_missing_report_is_66() {
    let outcome = Sandbox::new().run(&pipeline("path: nowhere/scan.xml", &[CSV])).expect_code(66);
    assert!(outcome.stderr.contains("nowhere/scan.xml"), "{}", outcome.stderr);
}

#[test]
fn a_pattern_that_fits_nothing_is_66() {
    Sandbox::new().run(&pipeline("path: '*.xml'", &[CSV])).expect_code(66);
}

#[test]
fn an_output_that_cannot_be_created_is_73() {
    let sheet = "{ id: sheet, plugin: CSV, with: { path: no-such-folder/findings.csv } }";
    let outcome = Sandbox::new().run(&pipeline(&scan(), &[sheet])).expect_code(73);
    assert!(outcome.stderr.contains("no-such-folder"), "{}", outcome.stderr);
}

#[test]
fn a_full_disk_is_74() {
    let sheet = "{ id: sheet, plugin: CSV, with: { path: /dev/full } }";
    let outcome = Sandbox::new().run(&pipeline(&scan(), &[sheet])).expect_code(74);
    assert!(outcome.stderr.contains("/dev/full"), "{}", outcome.stderr);
}

#[test]
fn a_wrong_pipeline_is_78_and_nothing_is_started() {
    let sandbox = Sandbox::new();
    let text = "version: 1\ninputs:\n  - { id: a, plugin: QualysGuardFile, with: { pth: x.xml } }\noutputs:\n  - { id: b, plugin: CVS, with: { path: b.csv } }\n";
    let outcome = sandbox.run(text).expect_code(78);
    for told in ["pth", "path", "CVS", "CSV", "pipeline.yaml:3", "pipeline.yaml:5"] {
        assert!(outcome.stderr.contains(told), "{told}: {}", outcome.stderr);
    }
    assert_eq!(sandbox.names(), ["pipeline.yaml"]);
}

#[test]
fn a_missing_pipeline_is_told_by_name() {
    let outcome = run(&["run", "no-such-pipeline.yaml"]);
    assert!(matches!(outcome.code, Some(66 | 78)), "{:?}: {}", outcome.code, outcome.stderr);
    assert!(outcome.stderr.contains("no-such-pipeline.yaml"), "{}", outcome.stderr);
}

#[test]
fn check_finds_problems_without_running() {
    let sandbox = Sandbox::new();
    sandbox.write("good.yaml", pipeline(&scan(), &[CSV, CEF]));
    sandbox.write("bad.yaml", pipeline("path: x.xml, pat: y", &[CSV]));
    let good = Outcome::of(sandbox.host(&["check", "good.yaml"]).output().unwrap());
    good.expect_code(0);
    let bad = Outcome::of(sandbox.host(&["check", "bad.yaml"]).output().unwrap());
    assert!(bad.expect_code(78).stderr.contains("pat"));
    assert_eq!(sandbox.names(), ["bad.yaml", "good.yaml"]);
}

#[test]
fn config_show_and_schema_print_what_they_say() {
    let sandbox = Sandbox::new();
    sandbox.write("good.yaml", pipeline(&scan(), &[CSV, CEF]));
    let shown = Outcome::of(sandbox.host(&["config", "show", "good.yaml"]).output().unwrap()).expect_code(0);
    for told in ["findings.csv", "findings.cef", "QualysGuardFile", "ArcSightCEF"] {
        assert!(shown.stdout.contains(told), "{told}: {}", shown.stdout);
    }
    let schema = Outcome::of(sandbox.host(&["config", "schema"]).output().unwrap()).expect_code(0);
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout).unwrap();
    assert!(schema.get("properties").is_some() || schema.get("$defs").is_some(), "{schema:#}");
}

/// A script that takes an empty answer for none at all must see that there was one.
#[test]
fn an_answer_that_cannot_be_written_is_74_and_one_that_nobody_reads_is_0() {
    let sandbox = Sandbox::new();
    sandbox.write("good.yaml", pipeline(&scan(), &[CSV]));
    for arguments in [
        &["run", "good.yaml", "--summary", "json"][..],
        &["check", "good.yaml", "--format", "json"],
        &["config", "show", "good.yaml"],
        &["state", "export", "good.yaml"],
        &["plugin", "list"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let outcome = Outcome::of(sandbox.host(arguments).stdout(full).output().unwrap()).expect_code(74);
        assert!(outcome.stderr.contains("standard output"), "{arguments:?}: {}", outcome.stderr);

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Outcome::of(sandbox.host(arguments).stdout(writer).output().unwrap()).expect_code(0);
    }
}

#[test]
fn every_example_pipeline_passes_the_check() {
    let root = project_file("Cargo.toml").parent().unwrap().to_owned();
    let folder = root.join("examples/pipelines");
    let mut checked = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut host = Sandbox::new().host(&["check", path.to_str().unwrap(), "--offline"]);
        Outcome::of(host.current_dir(&root).output().unwrap()).expect_code(0);
        checked += 1;
    }
    assert!(checked >= 5, "only {checked} example pipelines");
}

#[test]
fn output_files_are_readable_by_owner_and_group_alone() {
    let sandbox = Sandbox::new();
    sandbox.run(&pipeline(&scan(), &[CSV, CEF])).expect_code(0);
    for name in ["findings.csv", "findings.cef"] {
        assert_eq!(fs::metadata(sandbox.path(name)).unwrap().permissions().mode() & 0o777, 0o640, "{name}");
    }
}
