//! Plugins with one fault each, and the check that finds it.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::{examine, library, not_passed, repository, scanbridge};

/// Fault of the output `Faulty`, and the checks that find it.
const OUTPUT_FAULTS: [(&str, &[&str]); 28] = [
    ("writes-in-open", &["G2"]),
    ("creates-the-file-in-check", &["G2"]),
    ("keeps-a-report-that-is-begun-again", &["O6"]),
    ("constant-receipt", &["O7", "O2"]),
    ("shared-state", &["G7"]),
    ("keeps-an-incomplete-report", &["O4"]),
    ("clears-on-an-incomplete-report", &["O4"]),
    ("prints", &["G3"]),
    ("false-byte-count", &["O1"]),
    ("deaf", &["G5"]),
    ("exit-in-close", &["G4"]),
    ("publishes-in-end", &["O5"]),
    ("truncates-although-continued", &["O2"]),
    ("repeats-although-exact", &["O2"]),
    ("counts-from-the-resume", &["O2"]),
    ("drops-rows", &["O1"]),
    ("drops-findings-without-a-port", &["O1"]),
    ("drops-long-titles", &["O1"]),
    ("secret-in-an-error", &["G3"]),
    ("silent-in-close", &["G5"]),
    ("splits-at-own-columns", &["O8"]),
    ("ignores-the-selection", &["O1"]),
    ("writes-in-render", &["O9"]),
    ("renders-every-other", &["O9"]),
    ("renders-nothing-without-a-reason", &["O9"]),
    ("merges-findings-of-a-definition", &["O1"]),
    ("drops-retried-rows", &["O1"]),
    ("loses-the-last-batch-when-reopened", &["O3"]),
];

/// Fault of the output `FaultyFiles`, and the checks that find it.
const FILES_FAULTS: [(&str, &[&str]); 2] =
    [("appends-to-the-last-file", &["O2", "O6"]), ("publishes-what-it-has-in-memory", &["O2"])];

/// Fault of the output `FaultySender`, and the check that finds it.
const SENDER_FAULTS: [(&str, &[&str]); 3] =
    [("sends-in-check", &["G2"]), ("commits-before-it-sends", &["O2"]), ("sends-twice", &["O1"])];

/// Fault of the input `Faulty`, and the check that finds it.
const INPUT_FAULTS: [(&str, &[&str]); 35] = [
    ("never-complete", &["I1"]),
    ("complete-although-truncated", &["I1"]),
    ("asset-in-pieces", &["I3"]),
    ("position-inside-an-asset", &["I3"]),
    ("each-finding-twice", &["I1"]),
    ("loses-a-finding-on-resume", &["I4"]),
    ("resumes-late", &["I4"]),
    ("resumes-early", &["I4"]),
    ("invalid-kind", &["I2"]),
    ("invalid-severity", &["I2"]),
    ("invalid-address", &["I2"]),
    ("invalid-time", &["I2"]),
    ("no-id", &["I2"]),
    ("no-vendor", &["I2"]),
    ("deletes-in-next", &["I5", "G2"]),
    ("deletes-for-missed", &["I5"]),
    ("deletes-for-withdrawn", &["I5"]),
    ("counts-from-the-resume", &["I4"]),
    ("expects-removed-files", &["I5"]),
    ("never-returns", &["G5"]),
    ("long-position", &["I4"]),
    ("mixes-changed-files", &["I7"]),
    ("finishes-inside-a-report", &["I1"]),
    ("keeps-a-file-of-its-own", &["I5"]),
    ("marks-delivered-files", &["I5"]),
    ("ignores-named-reports", &["I5"]),
    ("drops-other-on-resume", &["I4"]),
    ("drops-details-on-resume", &["I4"]),
    ("other-ids-in-each-run", &["I6"]),
    ("writes-in-list", &["I8"]),
    ("lists-in-another-order", &["I8"]),
    ("delivers-what-was-not-chosen", &["I8"]),
    ("chosen-in-another-order", &["I8"]),
    ("choice-starts-again-on-resume", &["I8"]),
    ("discards-marks", &["I8"]),
];

/// The exam file with this fault for one of the plugins. Paths of samples are relative to the file.
fn exam_file(plugin: &str, fault: &str) -> (TempDir, PathBuf) {
    let source = repository().join("tests/rogue-plugins/exam");
    let text = fs::read_to_string(source.join("exam.yaml")).unwrap();
    let mut text = text;
    for key in ["samples: samples", "truncated: truncated.txt", "changed: changed"] {
        let (name, path) = key.split_once(": ").unwrap();
        assert!(text.contains(key));
        text = text.replace(key, &format!("{name}: {}", source.join(path).display()));
    }
    let (kind, name) = plugin.split_once(' ').unwrap();
    let start = text.find(&format!("{kind}s:\n")).unwrap();
    let start = start + text[start..].find(&format!("  {name}:\n")).unwrap();
    let start = start + text[start..].find("fault: none").unwrap();
    text.replace_range(start..start + "fault: none".len(), &format!("fault: {fault}"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exam.yaml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

/// Examines a plugin, `KIND NAME`, with each of the faults.
fn are_found(plugin: &str, faults: &[(&str, &[&str])]) {
    let (kind, name) = plugin.split_once(' ').unwrap();
    let library = library("scanbridge_rogue_plugins");
    let mut missed = Vec::new();
    for (fault, checks) in faults {
        let (_folder, config) = exam_file(plugin, fault);
        for check in *checks {
            let (code, result) = examine(&library, &config, Some(check));
            let failed = not_passed(&result, kind, name);
            if !failed.iter().any(|line| line.starts_with(&format!("{check} failed"))) || code != 70 {
                missed.push(format!("{check} does not find {fault}: exit code {code}, {failed:?}"));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn faults_of_outputs_are_found() {
    are_found("output Faulty", &OUTPUT_FAULTS);
    are_found("output FaultyFiles", &FILES_FAULTS);
}

#[test]
fn faults_of_outputs_over_http_are_found() {
    let library = library("scanbridge_rogue_plugins");
    let text = fs::read_to_string(repository().join("tests/exam/exams/sender.yaml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("exam.yaml");
    let exam = |fault: &str, check: Option<&str>| {
        fs::write(&config, text.replace("fault: none", &format!("fault: {fault}"))).unwrap();
        not_passed(&examine(&library, &config, check).1, "output", "FaultySender")
    };
    assert_eq!(exam("none", None), Vec::<String>::new());
    for (fault, checks) in SENDER_FAULTS {
        for check in checks {
            let failed = exam(fault, Some(check));
            assert!(
                failed.iter().any(|line| line.starts_with(&format!("{check} failed"))),
                "{fault}: {failed:?}"
            );
        }
    }
}

#[test]
fn faults_of_inputs_are_found() {
    are_found("input Faulty", &INPUT_FAULTS);
}

#[test]
fn correct_plugins_pass_all_checks() {
    let (_folder, config) = exam_file("input Faulty", "none");
    let (_, result) = examine(&library("scanbridge_rogue_plugins"), &config, None);
    for (kind, name) in [("input", "Faulty"), ("output", "Faulty"), ("output", "FaultyFiles")] {
        assert_eq!(not_passed(&result, kind, name), Vec::<String>::new(), "{kind} {name}");
    }
}

#[test]
fn unusual_but_correct_outputs_pass() {
    for (habit, checks) in [("alive-in-close", &["G5"][..]), ("uses-a-thread-local", &["G7", "O2", "O3"])] {
        let (_folder, config) = exam_file("output Faulty", habit);
        for check in checks {
            let (_, result) = examine(&library("scanbridge_rogue_plugins"), &config, Some(check));
            assert_eq!(not_passed(&result, "output", "Faulty"), Vec::<String>::new(), "{habit}");
        }
    }
}

#[test]
fn plugin_without_an_entry_in_the_exam_file_is_not_examined() {
    let (_folder, config) = exam_file("input Faulty", "none");
    let (code, result) = examine(&library("scanbridge_rogue_plugins"), &config, Some("G8"));
    let missing = not_passed(&result, "output", "Rogue");
    assert!(missing[0].starts_with("G8 not examined: "), "{missing:?}");
    assert_eq!(code, 78, "only an exam that was made completely succeeds");
}

#[test]
fn mistakes_in_the_exam_file_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exam.yaml");
    let library = library("scanbridge_rogue_plugins").display().to_string();
    for (text, message) in [
        ("outputs:\n  Faulti: {}\n", "unknown output plugin `Faulti`"),
        ("outputs:\n  Faulty: { deliverd: x, with: { path: x } }\n", "did you mean `delivered`?"),
        ("outputs:\n  Faulty: { with: { path: x, fault: none-at-all } }\n", "option `fault` must be one of"),
        ("inputs:\n  Faulty: { with: {} }\n", "requires option `folder`"),
        (
            "inputs:\n  Faulty: { with: { folder: x }, expect: { reports: many } }\n",
            "`reports` must be a number",
        ),
    ] {
        fs::write(&path, text).unwrap();
        let config = path.display().to_string();
        let (code, output, errors) = scanbridge(&["plugin", "test", &library, "--config", &config]);
        assert_eq!((code, output.as_str()), (78, ""), "{errors}");
        assert!(errors.contains(message) && errors.contains("nothing was examined"), "{message}: {errors}");
    }
    let (code, _, errors) = scanbridge(&["plugin", "test", &library, "--only", "G9"]);
    assert!(code == 64 && errors.contains("unknown check `G9`"), "{code} {errors}");
}
