//! F-093: the host is killed while it waits between two rounds of `interval_minutes`. Nothing is lost, nothing is delivered
//! twice, and what was delivered is not downloaded again.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_doubles::fake_qualys::{ReceivedRequest, Reply};

use crate::qualys_api::{Bench, body, files, from_files};
use crate::sandbox::Outcome;

const SCANS: [(&str, &str); 2] = [("scan/1.1", "scan-all-kinds.xml"), ("scan/3.3", "scan-ipv6.xml")];

#[test]
fn host_killed_between_two_rounds_delivers_each_scan_once() {
    let finished = Arc::new(AtomicUsize::new(1));
    let known = Arc::clone(&finished);
    let bench = Bench::new(move |request: &ReceivedRequest| {
        if request.path.ends_with("_list.php") {
            let scans = SCANS[..known.load(Ordering::SeqCst)].iter().map(|(reference, _)| {
                format!("<SCAN_REPORT ref=\"{reference}\" date=\"2026-03-01T00:00:00Z\" status=\"FINISHED\" target=\"192.0.2.1\"/>")
            });
            let scans: String = scans.collect();
            return Reply::xml(format!(
                "<?xml version=\"1.0\"?>\n<SCAN_REPORT_LIST user=\"x\">{scans}</SCAN_REPORT_LIST>"
            ));
        }
        let wanted = SCANS.iter().find(|(reference, _)| request.field("ref") == Some(reference));
        body(wanted.expect("a scan that is in the list").1)
    });
    let text = bench.pipeline("source: scan-reports, interval_minutes: 60");
    for round in 1..=3 {
        // The third round has nothing new.
        let scans = round.min(SCANS.len());
        finished.store(scans, Ordering::SeqCst);
        let log = format!("log-{round}");
        let mut command = bench.sandbox.host_running(&text);
        command.arg("--log-file").arg(bench.sandbox.path(&log)).stdout(Stdio::null()).stderr(Stdio::null());
        let mut host = command.spawn().unwrap();
        let started = Instant::now();
        let is_waiting = || {
            let delivered = bench.sandbox.read(&log).matches(" delivered ").count();
            bench.count("GET /msp/scan_report_list.php") >= round
                && delivered == usize::from(round <= SCANS.len())
        };
        while !bench.sandbox.path(&log).exists() || !is_waiting() {
            assert!(host.try_wait().unwrap().is_none(), "the host ended before it was killed");
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "round {round}: {}",
                bench.sandbox.read(&log)
            );
            sleep(Duration::from_millis(20));
        }
        // It stores the checkpoint, and waits for an hour.
        sleep(Duration::from_millis(500));
        assert!(host.try_wait().unwrap().is_none());
        kill_process(Pid::from_child(&host), Signal::KILL).unwrap();
        host.wait().unwrap();
    }
    let mut last = bench.sandbox.host_running(&text);
    let ended = Outcome::of(last.arg("--once").output().unwrap()).expect_code(0);
    assert_eq!(bench.count("GET /msp/scan_report.php"), SCANS.len(), "{}", ended.stderr);
    assert_eq!(files(&bench.sandbox), from_files(&SCANS.map(|(_, file)| file), ""));
}
