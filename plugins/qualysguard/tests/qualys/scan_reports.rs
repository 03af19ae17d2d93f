//! Source `scan-reports`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use scanbridge_doubles::fake_qualys::{Reply, Script, Seen};
use scanbridge_fixtures::good;
use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::{ErrorKind, Input, Next};
use serde_json::json;

use crate::drive::{Bench, Told, finish, step};

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
fn finished_scans_are_fetched_once_oldest_first() {
    let bench = bench(some_scans());
    let told = bench.run().unwrap();
    let counts: Vec<(usize, usize)> =
        told.reports.iter().map(|report| (report.assets.len(), report.findings.len())).collect();
    assert_eq!(counts, [(3, 13), (2, 2)]);
    assert!(told.reports.iter().all(|report| report.end().complete));
    assert_eq!(
        told.reports[0].start.path,
        format!("{}/msp/scan_report.php?ref=scan/1.1", bench.qualys.url())
    );
    assert_eq!(bench.qualys.count(FETCH), 2);
    assert!(bench.qualys.requests().iter().all(|request| request.header("authorization").is_some()));

    assert!(bench.run().unwrap().reports.is_empty(), "they were sent");
    assert_eq!((bench.qualys.count(LIST), bench.qualys.count(FETCH)), (2, 2));
}

#[test]
fn only_what_is_delivered_is_remembered_and_a_crash_loses_no_memory() {
    let bench = bench(some_scans());
    let mut input = bench.open(None).unwrap();
    let mut told = Told::default();
    while told.reports.len() < 2 {
        assert!(step(&mut input, &mut told).unwrap());
    }
    drop(input);
    // Nothing was told to be delivered: all is sent again.
    let again = finish(&mut bench.open(None).unwrap()).unwrap();
    assert_eq!(again.reports.len(), 2);
    // The host has stored the position behind the first scan, but did not come to say so.
    let (position, _) = told.positions.last().unwrap();
    let rest = finish(&mut bench.open(Some(position)).unwrap()).unwrap();
    assert_eq!(rest.reports.len(), 1);
    assert_eq!(rest.reports[0].assets.len(), 2);
}

#[test]
fn a_scan_is_fetched_when_it_has_finished_and_the_interval_is_kept() {
    let finished = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&finished);
    let bench = Bench::new(move |request: &Seen| {
        let status = if seen.load(Ordering::SeqCst) { "FINISHED" } else { "RUNNING" };
        if request.path.ends_with("_list.php") {
            list(&[("scan/1.1", "2026-03-01T00:00:00Z", status)])
        } else {
            scan("scan-ipv6.xml")
        }
    })
    .with(json!({ "source": "scan-reports", "interval_minutes": 1 }));
    let mut input = bench.open(None).unwrap();
    let Next::Idle(rest) = input.next(BatchBuilder::default()).unwrap() else {
        panic!("no scan is finished")
    };
    assert!((55..=60).contains(&rest.as_secs()), "{rest:?}");
    assert_eq!(bench.qualys.requests().len(), 1);
    finished.store(true, Ordering::SeqCst);
    drop(input);
    assert_eq!(finish(&mut bench.open(None).unwrap()).unwrap().reports.len(), 1);
}

#[test]
fn a_scan_that_cannot_be_had_keeps_no_other_back() {
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
                [Reply::xml("<SCAN><ERROR number=\"3509\">None</ERROR></SCAN>")],
            )
            .on(&format!("{FETCH} ref=scan/5.1"), [Reply::xml(report)]),
    );
    // The second run meets the same two at the head of the list.
    for (reports, refused) in [(1, 2), (0, 2)] {
        let (mut input, mut told) = (bench.open(None).unwrap(), Told::default());
        let error = loop {
            match step(&mut input, &mut told) {
                Ok(goes_on) => assert!(goes_on, "two scans are still to be had"),
                Err(error) => break error,
            }
            if let Some((position, _)) = told.positions.last() {
                input.committed(position).unwrap();
            }
        };
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert_eq!((told.reports.len(), told.refused.len()), (reports, refused), "{:?}", told.refused);
    }
}

#[test]
fn scans_without_vulnerabilities_are_fetched_if_the_settings_say_so() {
    let empty = "<SCAN value=\"scan/9.3\"><HEADER><KEY value=\"DATE\">2026-03-01T00:00:00Z</KEY></HEADER>\
        <IP value=\"192.0.2.1\"><OS>Linux</OS></IP></SCAN>";
    let script = some_scans().on(&format!("{FETCH} ref=scan/9.3"), [Reply::xml(empty)]);
    let bench = bench(script).with(json!({ "scan_statuses": ["NOVULNSFOUND"] }));
    let told = bench.run().unwrap();
    let report = told.only_report();
    assert_eq!((report.assets.len(), report.findings.len()), (1, 0));
}

#[test]
fn scans_can_be_chosen() {
    let bench = bench(some_scans()).with(json!({
        "scan_refs": ["scan/3.3"], "scans_since": "2026-01-01", "extra_parameters": ["target=192.0.2.1"]
    }));
    assert_eq!(bench.run().unwrap().reports.len(), 1);
    assert_eq!(bench.qualys.count("GET ref=scan/3.3"), 1);
    assert_eq!(bench.qualys.count(&format!("{LIST} since_datetime=2026-01-01 target=192.0.2.1")), 1);
}

#[test]
fn a_platform_without_the_call_is_named() {
    for reply in [Reply::html(404), Reply::html(200)] {
        let error = bench(Script::new().on("", [reply])).fails();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.message.contains("no longer offers the v1 call"), "{error}");
    }
}

#[test]
fn a_list_that_is_an_error_is_one() {
    let list =
        "<SCAN_REPORT_LIST><ERROR number=\"2007\">Your address is not allowed</ERROR></SCAN_REPORT_LIST>";
    let bench = bench(Script::new().on("", [Reply::xml(list)]));
    let error = bench.fails();
    assert_eq!((error.kind, bench.qualys.requests().len()), (ErrorKind::Auth, 1));
    let cut = bench_of_cut_list();
    assert_eq!(cut.fails().kind, ErrorKind::Unavailable);
}

fn bench_of_cut_list() -> Bench {
    bench(Script::new().on(
        "",
        [Reply::xml("<SCAN_REPORT_LIST><SCAN_REPORT ref=\"scan/1.1\" status=\"FINISHED\"/>").until_close()],
    ))
}
