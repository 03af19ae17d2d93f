//! The host is killed while it posts: every finding arrives, and where the destination uses the IDs, none twice.
//!
//! `SCANBRIDGE_HTTP_KILLS` sets the number of kills for each destination.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use scanbridge_doubles::http_destination::{
    Bulk, DefectDojo, Destination, HttpDestination, Lines, SecOps, Sentinel, Splunk,
};

use crate::http::{self, ids_of};
use crate::installation::project_file;
use crate::sandbox::{Sandbox, pipeline};

/// Kills for each destination, unless the environment sets them.
const KILLS: usize = 10;
/// Assets of the report: enough for several batches.
const ASSETS: usize = 400;

/// The example report with its first asset many times.
fn report(path: &Path) {
    let report = fs::read_to_string(project_file("examples/reports/scan.xml")).unwrap();
    let (start, end) = (report.find("<IP ").unwrap(), report.find("</IP>").unwrap() + "</IP>".len());
    let asset = |number: usize| {
        let address = format!("198.51.{}.{}", 100 + number / 250, 1 + number % 250);
        report[start..end].replace("192.0.2.10", &address)
    };
    let assets: String = (0..ASSETS).map(asset).collect();
    fs::write(path, format!("{}{assets}{}", &report[..start], &report[end..])).unwrap();
}

/// Delivers the report again and again until it was killed often enough. `ids` are those of the records that have arrived;
/// `clear` removes them before the next round. Returns how many records came more than once.
#[expect(clippy::print_stdout, reason = "says how often the host was killed")]
fn deliver_under_kills<D: Destination>(
    server: &HttpDestination<D>,
    options: &str,
    ids: impl Fn(&mut D) -> Vec<String>,
    clear: impl Fn(&mut D),
) -> usize {
    let wanted =
        std::env::var("SCANBRIDGE_HTTP_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let sandbox = Sandbox::new();
    report(&sandbox.path("scan.xml"));
    let output = format!("{{ id: dest, plugin: HTTP, queue: {{ bytes: 64 KiB }}, with: {{ {options} }} }}");
    let text = pipeline("path: scan.xml, settle_secs: 0", &[&output]);
    sandbox.write(
        "pipeline.yaml",
        text.replacen("version: 1\n", "version: 1\ncheckpoint: { bytes: 1 KiB }\n", 1),
    );
    let arguments = ["run", "pipeline.yaml", "--quiet", "--quiet", "--no-progress", "--state-dir", "state"];
    let host = || sandbox.host(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();

    assert!(host().wait().unwrap().success());
    let expected: BTreeSet<String> = server.with(&ids).into_iter().collect();
    assert!(expected.len() > ASSETS, "{}", expected.len());

    let (mut kills, mut rounds, mut repeated) = (0, 0, 0);
    // A fixed sequence: the same places in each run of the test.
    let mut random = 7_u64;
    while kills < wanted {
        server.with(&clear);
        fs::remove_dir_all(sandbox.path("state")).unwrap();
        loop {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (requests, pause) = (1 + (random >> 33) % 12, (random >> 40) % 5);
            // Their bodies would fill the memory.
            server.discard_requests();
            let mut child = host();
            let status = loop {
                let posted = server.request_count();
                if let Some(status) = child.try_wait().unwrap() {
                    break Some(status);
                }
                if posted as u64 >= requests {
                    break None;
                }
                sleep(Duration::from_millis(1));
            };
            if let Some(status) = status {
                assert!(status.success(), "{status} after {kills} kills");
                break;
            }
            sleep(Duration::from_millis(pause));
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
        }
        rounds += 1;
        let all = server.with(&ids);
        let arrived: BTreeSet<String> = all.iter().cloned().collect();
        assert_eq!(expected.difference(&arrived).next(), None, "lost after {kills} kills");
        repeated += all.len() - expected.len();
    }
    println!("{kills} kills in {rounds} rounds: {} records, {repeated} repeated", expected.len());
    repeated
}

/// With requests of few records.
fn small(options: &str) -> String {
    format!("{options}, batch_records: 300")
}

#[test]
fn webhook_loses_nothing() {
    let server = HttpDestination::start(http::webhook());
    let ids = |lines: &mut Lines| ids_of(&lines.received, "/record_id");
    deliver_under_kills(&server, &small(&http::webhook_options(&server.url())), ids, |lines| {
        lines.received.clear()
    });
}

#[test]
fn splunk_loses_nothing() {
    let server = HttpDestination::start(http::splunk());
    let ids = |splunk: &mut Splunk| ids_of(&splunk.events, "/fields/id");
    deliver_under_kills(&server, &small(&http::splunk_options(&server.url())), ids, |splunk| {
        splunk.events.clear()
    });
}

#[test]
fn sentinel_loses_nothing() {
    let server = HttpDestination::start(http::sentinel());
    let ids = |sentinel: &mut Sentinel| {
        let rows: Vec<_> = sentinel.rows.iter().map(|(_, row)| row.clone()).collect();
        ids_of(&rows, "/RecordId")
    };
    deliver_under_kills(&server, &small(&http::sentinel_options(&server.url())), ids, |sentinel| {
        sentinel.rows.clear()
    });
}

#[test]
fn google_secops_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = HttpDestination::start(http::secops());
    let Some(options) = http::secops_options(&server.url(), folder.path()) else { return };
    let ids = |secops: &mut SecOps| ids_of(&secops.logs, "/labels/record_id/value");
    deliver_under_kills(&server, &small(&options), ids, |secops| secops.logs.clear());
}

#[test]
fn defectdojo_has_each_finding_once() {
    let server = HttpDestination::start(http::defectdojo());
    let options = format!("{}, max_findings: 300", http::defectdojo_options(&server.url()));
    let ids = |dojo: &mut DefectDojo| dojo.active().into_iter().map(|(_, _, id)| id).collect();
    let repeated = deliver_under_kills(&server, &options, ids, |dojo| dojo.tests.clear());
    assert_eq!(repeated, 0, "no finding is in two tests");
}

#[test]
fn elasticsearch_loses_nothing_and_doubles_nothing() {
    let server = HttpDestination::start(Bulk::default());
    let ids = |bulk: &mut Bulk| bulk.written.clone();
    let clear = |bulk: &mut Bulk| *bulk = Bulk::default();
    let repeated = deliver_under_kills(&server, &small(&http::bulk_options(&server.url())), ids, clear);
    assert_eq!(repeated, 0);
    server.with(|bulk| assert_eq!(bulk.documents.len(), bulk.written.len()));
}
