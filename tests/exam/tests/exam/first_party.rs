//! Scanbridge's own plugins take the exam like any other.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{examine, examine_with, library, not_passed, repository};

fn passes(folder: &Path, file: &str, kind: &str, plugin: &str, settings: &str) {
    let config = folder.join("exam.yaml");
    fs::write(&config, format!("{kind}s:\n  {plugin}:\n{settings}")).unwrap();
    let (code, result) = examine(&library(file), &config, None);
    assert_eq!(not_passed(&result, kind, plugin), Vec::<String>::new());
    assert_eq!(code, 0, "{result:#}");
}

#[test]
fn file_outputs_pass() {
    for (file, plugin) in
        [("scanbridge_csv", "CSV"), ("scanbridge_json", "JSON"), ("scanbridge_arcsight_cef", "ArcSightCEF")]
    {
        let folder = tempfile::tempdir().unwrap();
        let settings = "    with: { path: \"{dir}/records\" }\n    delivered: \"{dir}/records\"\n";
        passes(folder.path(), file, "output", plugin, settings);
    }
}

/// Examines a plugin with each of these files.
fn passes_with(file: &str, plugin: &str, exams: &[&str]) {
    for exam in exams {
        let config = repository().join(format!("tests/exam/exams/{exam}.yaml"));
        let (code, result) = examine(&library(file), &config, None);
        assert_eq!(not_passed(&result, "output", plugin), Vec::<String>::new(), "{exam}");
        assert_eq!(code, 0, "{exam}");
    }
}

#[test]
fn cef_with_other_options_passes() {
    let exams = ["arcsight-cef-tcp", "arcsight-cef-syslog", "arcsight-cef-assets"];
    passes_with("scanbridge_arcsight_cef", "ArcSightCEF", &exams);
}

#[test]
fn csv_with_other_options_passes() {
    passes_with(
        "scanbridge_csv",
        "CSV",
        &["csv-pieces", "csv-own-columns", "csv-commands", "csv-commands-pieces"],
    );
}

#[test]
fn http_passes() {
    passes_with("scanbridge_http", "HTTP", &["http-webhook", "http-cef"]);
}

#[test]
fn json_with_other_options_passes() {
    passes_with("scanbridge_json", "JSON", &["json-assets", "json-ocsf", "json-ecs"]);
}

#[test]
fn qualysguard_file_passes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    // The example report with its first asset 12 times, so that it gives several batches.
    let report = fs::read_to_string(repository().join("examples/reports/scan.xml")).unwrap();
    let (start, end) = (report.find("<IP ").unwrap(), report.find("</IP>").unwrap() + "</IP>".len());
    let asset = &report[start..end];
    let assets: String =
        (100..112).map(|number| asset.replace("192.0.2.10", &format!("192.0.2.{number}"))).collect();
    let scan = format!("{}{assets}{}", &report[..start], &report[end..]);
    fs::write(at("scan.xml"), &scan).unwrap();
    fs::write(at("truncated.xml"), &scan[..scan.len() / 2]).unwrap();
    fs::write(at("changed.xml"), scan.replace("shop", "store").replace("00042", "00043")).unwrap();
    let findings = scan.matches(" number=\"").count();
    for more in ["", ", watch: true", ", on_done: delete", ", on_done: move, done_folder: \"{dir}/archive\""]
    {
        let settings = format!(
            "    with: {{ path: \"{{dir}}/scan.xml\", settle_secs: 0{more} }}\n    samples: scan.xml\n    expect: {{ \
             reports: 1, findings: {findings} }}\n    truncated: truncated.xml\n    changed: changed.xml\n"
        );
        passes(folder.path(), "scanbridge_qualysguard_file", "input", "QualysGuardFile", &settings);
    }
}

/// The fake peers, under the names by which exam files start them.
fn peers() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, program) in [
        ("fake-qualys", env!("CARGO_BIN_EXE_fake-qualys-for-exams")),
        ("fake-defense-center", env!("CARGO_BIN_EXE_fake-defense-center-for-exams")),
    ] {
        std::os::unix::fs::symlink(program, folder.path().join(name)).unwrap();
    }
    folder
}

/// Examines a plugin that needs a peer with a protocol of its own. Returns what did not pass.
fn with_peer(library_name: &str, exam: &str, kind: &str, plugin: &str) -> Vec<String> {
    let peers = peers();
    let path = format!("{}:{}", peers.path().display(), std::env::var("PATH").unwrap());
    let config = repository().join(format!("tests/exam/exams/{exam}.yaml"));
    let (_, result) = examine_with(&library(library_name), &config, None, &[("PATH", &path)]);
    not_passed(&result, kind, plugin)
}

#[test]
fn sourcefire_passes_with_a_fake_defense_center() {
    let failed = with_peer("scanbridge_sourcefire", "sourcefire", "output", "Sourcefire");
    assert_eq!(failed, Vec::<String>::new());
}

/// Pages of an API have no version by which a changed source could be recognized.
#[test]
fn qualysguard_passes_with_a_fake_qualys() {
    let failed = with_peer("scanbridge_qualysguard", "qualysguard", "input", "QualysGuard");
    assert_eq!(failed, ["I7 not examined: the exam file has no `changed` samples"]);
}

/// The scans that an operator can choose from are listed, chosen and marked (I8).
#[test]
fn qualysguard_passes_with_stored_scans() {
    let failed = with_peer("scanbridge_qualysguard", "qualysguard-scans", "input", "QualysGuard");
    let expected = [
        "I1 not examined: the samples are read correctly, but the exam file has no `truncated` sample",
        "I7 not examined: the exam file has no `changed` samples",
    ];
    assert_eq!(failed, expected);
}
