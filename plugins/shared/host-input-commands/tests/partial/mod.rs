//! Incomplete data replaces nothing: partial reports, and assets whose beginning or end is missing.

use super::*;

/// The lines other than results, without the scanner's name.
fn frame(outcome: &Outcome) -> Vec<String> {
    let lines = outcome.text.lines().filter(|line| !line.starts_with("AddScanResult,"));
    lines.map(|line| line.replace(",\"QualysGuard\"", "")).collect()
}

#[test]
fn a_partial_report_adds_and_replaces_nothing() {
    let batches = [vec![
        ("192.0.2.1", false, vec![finding("1")]),
        ("192.0.2.2", false, vec![]),
        ("192.0.2.3", false, vec![finding("2")]),
    ]];
    let start = start();
    for replace in [Replace::Asset, Replace::Flush, Replace::Merge] {
        let settings = Settings { replace, ..settings() };
        let outcome = run_report(settings, &start, Begin::PARTIAL, &batches, &end(true, &["192.0.2.9"]));
        assert_eq!(frame(&outcome), ["ScanUpdate", "ScanUpdate"]);
        assert_eq!((outcome.findings, outcome.totals.cleared), (2, 0));
    }
}

/// If batches are missing, one asset has no end and another one has no beginning.
#[test]
fn assets_truncated_by_a_gap_keep_their_old_results() {
    let batches = [
        vec![("192.0.2.1", false, vec![finding("1")]), ("192.0.2.2", false, vec![finding("2")])],
        vec![("192.0.2.3", true, vec![finding("3")]), ("192.0.2.4", false, vec![finding("4")])],
        vec![("192.0.2.5", true, vec![]), ("192.0.2.6", false, vec![finding("6")])],
    ];
    let outcome = run(settings(), Hints::default(), &batches, &end(true, &[]));
    let expected = [
        "DeleteScanResult,192.0.2.1",
        "ScanUpdate",
        "ScanUpdate",
        "ScanUpdate",
        "ScanUpdate",
        "DeleteScanResult,192.0.2.6",
        "ScanUpdate",
    ];
    assert_eq!(frame(&outcome), expected);
    assert_eq!(outcome.totals.warnings, [""; 0]);
    // An asset that is continued correctly is replaced.
    let batches = [vec![("192.0.2.1", false, vec![])], vec![("192.0.2.1", true, vec![finding("1")])]];
    let outcome = run(settings(), Hints::default(), &batches, &end(true, &[]));
    assert_eq!(frame(&outcome), ["DeleteScanResult,192.0.2.1", "ScanUpdate"]);
}
