//! Source `scan-reports`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use scanbridge_doubles::fake_qualys::{ReceivedRequest, Reply, Script};
use scanbridge_fixtures::good;
use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::{ErrorKind, Event, Input, Stored};
use serde_json::json;

use crate::drive::{Bench, Outcome, finish, step};

const LIST: &str = "GET /msp/scan_report_list.php";
const FETCH: &str = "GET /msp/scan_report.php";

fn list(scans: &[(&str, &str, &str)]) -> Reply {
    let scans: String = scans
        .iter()
        .map(|(reference, date, status)| {
            format!("<SCAN_REPORT ref=\"{reference}\" date=\"{date}\" status=\"{status}\" target=\"192.0.2.1\"/>\n")
        })
        .collect();
    Reply::xml(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<!DOCTYPE SCAN_REPORT_LIST SYSTEM \
         \"https://qualysapi.example.com/scan_report_list.dtd\">\n<SCAN_REPORT_LIST user=\"x\">{scans}</SCAN_REPORT_LIST>"
    ))
}

fn scan(name: &str) -> Reply {
    Reply::xml(std::fs::read(good(name)).unwrap())
}

pub(crate) fn some_scans() -> Script {
    Script::new()
        .on(
            LIST,
            [list(&[
                ("scan/3.3", "2026-03-03T00:00:00Z", "FINISHED"),
                ("scan/1.1", "2026-03-01T00:00:00Z", "FINISHED"),
                ("scan/9.1", "2026-03-01T00:00:00Z", "RUNNING"),
                ("scan/9.2", "2026-03-01T00:00:00Z", "CANCELED"),
                ("scan/9.3", "2026-03-01T00:00:00Z", "NOVULNSFOUND"),
            ])],
        )
        .on(&format!("{FETCH} ref=scan/1.1"), [scan("scan-all-kinds.xml")])
        .on(&format!("{FETCH} ref=scan/3.3"), [scan("scan-ipv6.xml")])
}

fn bench(script: Script) -> Bench {
    Bench::new(script).with(json!({ "source": "scan-reports", "template_id": null }))
}

#[test]
fn finished_scans_are_downloaded_once_oldest_first() {
    let bench = bench(some_scans());
    let outcome = bench.run().unwrap();
    let counts: Vec<(usize, usize)> =
        outcome.reports.iter().map(|report| (report.assets.len(), report.findings.len())).collect();
    assert_eq!(counts, [(3, 13), (2, 2)]);
    assert!(outcome.reports.iter().all(|report| report.end().complete));
    assert_eq!(
        outcome.reports[0].start.path,
        format!("{}/msp/scan_report.php?ref=scan/1.1", bench.qualys.url())
    );
    assert_eq!(bench.qualys.count(FETCH), 2);
    assert!(bench.qualys.requests().iter().all(|request| request.header("authorization").is_some()));

    assert!(bench.run().unwrap().reports.is_empty(), "all scans were delivered before");
    assert_eq!((bench.qualys.count(LIST), bench.qualys.count(FETCH)), (2, 2));
}

#[test]
fn only_delivered_scans_are_skipped_after_a_crash() {
    let bench = bench(some_scans());
    let mut input = bench.open(None).unwrap();
    let mut outcome = Outcome::default();
    while outcome.reports.len() < 2 {
        assert!(step(&mut input, &mut outcome).unwrap());
    }
    drop(input);
    let keys = bench.keys();
    assert_eq!(keys.len(), 1, "the first scan was delivered");
    // No checkpoint was stored: all scans are delivered again.
    bench.restore_keys(&BTreeMap::new());
    let again = finish(&mut bench.open(None).unwrap()).unwrap();
    assert_eq!(again.reports.len(), 2);
    // The host stored the position after the first scan, but stopped before it called `stored`.
    bench.restore_keys(&keys);
    let (position, _) = outcome.positions.last().unwrap();
    let rest = finish(&mut bench.open(Some(position)).unwrap()).unwrap();
    assert_eq!(rest.reports.len(), 1);
    assert_eq!(rest.reports[0].assets.len(), 2);
}

#[test]
fn scan_is_downloaded_after_it_finished() {
    let finished = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&finished);
    let bench = Bench::new(move |request: &ReceivedRequest| {
        let status = if seen.load(Ordering::SeqCst) { "FINISHED" } else { "RUNNING" };
        if request.path.ends_with("_list.php") {
            list(&[("scan/1.1", "2026-03-01T00:00:00Z", status)])
        } else {
            scan("scan-ipv6.xml")
        }
    })
    .with(json!({ "source": "scan-reports", "interval_minutes": 1 }));
    let mut input = bench.open(None).unwrap();
    let Event::Idle(rest) = input.next(BatchBuilder::default()).unwrap().event else {
        panic!("no scan is finished")
    };
    assert!((55..=60).contains(&rest.as_secs()), "{rest:?}");
    assert_eq!(bench.qualys.requests().len(), 1);
    finished.store(true, Ordering::SeqCst);
    drop(input);
    assert_eq!(finish(&mut bench.open(None).unwrap()).unwrap().reports.len(), 1);
}

#[test]
fn failed_scan_does_not_block_the_others() {
    let report = std::fs::read(good("scan-ipv6.xml")).unwrap();
    let finished = |number: u32| (format!("scan/{number}.1"), format!("2026-03-0{number}T00:00:00Z"));
    let scans: Vec<_> = (1..=5).map(finished).collect();
    let scans: Vec<_> = scans.iter().map(|(scan, date)| (scan.as_str(), date.as_str(), "FINISHED")).collect();
    let bench = bench(
        Script::new()
            .on(LIST, [list(&scans)])
            .on(&format!("{FETCH} ref=scan/1.1"), [Reply::generic(3509, "No host alive")])
            .on(&format!("{FETCH} ref=scan/2.1"), [Reply::generic(999, "Internal error")])
            .on(&format!("{FETCH} ref=scan/3.1"), [Reply::xml(&report[..report.len() / 2]).until_close()])
            .on(
                &format!("{FETCH} ref=scan/4.1"),
                [Reply::xml("<SCAN><ERROR number=\"3510\">None</ERROR></SCAN>")],
            )
            .on(&format!("{FETCH} ref=scan/5.1"), [Reply::xml(report)]),
    );
    // The second run finds the same two failing scans at the start of the list.
    for (reports, refused) in [(1, 2), (0, 2)] {
        let (mut input, mut outcome) = (bench.open(None).unwrap(), Outcome::default());
        let error = loop {
            match step(&mut input, &mut outcome) {
                Ok(has_more) => assert!(has_more, "two scans are not downloaded yet"),
                Err(error) => break error,
            }
            if let Some((position, _)) = outcome.positions.last() {
                let stored = Stored::new(position.clone(), Vec::new());
                input.stored(&stored).unwrap();
            }
        };
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert_eq!(
            (outcome.reports.len(), outcome.refused.len()),
            (reports, refused),
            "{:?}",
            outcome.refused
        );
    }
}

#[test]
fn scan_statuses_can_include_scans_without_vulnerabilities() {
    let empty = "<SCAN value=\"scan/9.3\"><HEADER><KEY value=\"DATE\">2026-03-01T00:00:00Z</KEY></HEADER>\
        <IP value=\"192.0.2.1\"><OS>Linux</OS></IP></SCAN>";
    let script = some_scans().on(&format!("{FETCH} ref=scan/9.3"), [Reply::xml(empty)]);
    let bench = bench(script).with(json!({ "scan_statuses": ["NOVULNSFOUND"] }));
    let outcome = bench.run().unwrap();
    let report = outcome.only_report();
    assert_eq!((report.assets.len(), report.findings.len()), (1, 0));
}

#[test]
fn scans_are_selected_by_options() {
    let bench = bench(some_scans()).with(json!({
        "scan_refs": ["scan/3.3"], "scans_since": "2026-01-01", "extra_parameters": {"target": "192.0.2.1"}
    }));
    assert_eq!(bench.run().unwrap().reports.len(), 1);
    assert_eq!(bench.qualys.count("GET ref=scan/3.3"), 1);
    assert_eq!(bench.qualys.count(&format!("{LIST} since_datetime=2026-01-01 target=192.0.2.1")), 1);
}

#[test]
fn platform_without_the_v1_call_is_reported() {
    for reply in [Reply::html(404), Reply::html(200)] {
        let error = bench(Script::new().on("", [reply])).fails();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.message.contains("no longer offers the v1 call"), "{error}");
    }
}

#[test]
fn error_or_truncated_scan_list_fails_the_run() {
    let list =
        "<SCAN_REPORT_LIST><ERROR number=\"2007\">Your address is not allowed</ERROR></SCAN_REPORT_LIST>";
    let bench = bench(Script::new().on("", [Reply::xml(list)]));
    let error = bench.fails();
    assert_eq!((error.kind, bench.qualys.requests().len()), (ErrorKind::Auth, 1));
    let truncated = bench_of_truncated_list();
    assert_eq!(truncated.fails().kind, ErrorKind::Unavailable);
}

fn bench_of_truncated_list() -> Bench {
    bench(Script::new().on(
        "",
        [Reply::xml("<SCAN_REPORT_LIST><SCAN_REPORT ref=\"scan/1.1\" status=\"FINISHED\"/>").until_close()],
    ))
}
