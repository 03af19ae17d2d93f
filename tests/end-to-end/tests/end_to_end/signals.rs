//! An operator who stops a run finds nothing half-written.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_bench::generator::{Extent, Format, Shape};

use crate::installation::project_file;
use crate::sandbox::{CEF, CSV, Outcome, Sandbox, pipeline};

/// Waits until the host has begun to write, with the report that it reads kept open.
fn wait_for_part_file(sandbox: &Sandbox, host: &mut Child) {
    let begun = Instant::now();
    while !sandbox.names().iter().any(|name| name.contains(".part")) {
        assert!(host.try_wait().unwrap().is_none(), "the host ended before anything was written");
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing was written: {:?}", sandbox.names());
        sleep(Duration::from_millis(1));
    }
}

fn signal(host: &Child, signal: Signal) {
    kill_process(Pid::from_child(host), signal).unwrap();
}

/// A report that keeps the host busy for a while even on a fast machine, and the host reading it.
fn busy_host(sandbox: &Sandbox) -> Child {
    let extent = Extent::Bytes(150_000_000);
    let shape = Shape { format: Format::Scan, extent, findings_per_asset: 30, qids: 200, seed: 3 };
    let file = fs::File::create(sandbox.path("scan.xml")).unwrap();
    shape.write(std::io::BufWriter::with_capacity(1 << 20, file)).unwrap();
    let mut host = sandbox
        .host_running(&pipeline("path: scan.xml", &[CSV, CEF]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_part_file(sandbox, &mut host);
    host
}

#[test]
fn an_interrupted_run_ends_with_130_and_leaves_no_half_written_file() {
    for stop in [Signal::INT, Signal::TERM] {
        let sandbox = Sandbox::new();
        let host = busy_host(&sandbox);
        signal(&host, stop);
        let outcome = Outcome::of(host.wait_with_output().unwrap()).expect_code(130);
        assert_ne!(outcome.summary()["status"], "ok");
        assert_eq!(sandbox.names(), ["pipeline.yaml", "scan.xml"]);
    }
}

#[test]
fn a_killed_run_leaves_no_file_under_its_name_and_nothing_in_the_way_of_the_next() {
    let sandbox = Sandbox::new();
    let host = busy_host(&sandbox);
    signal(&host, Signal::KILL);
    assert_eq!(host.wait_with_output().unwrap().status.code(), None);
    for name in ["findings.csv", "findings.cef"] {
        assert!(!sandbox.path(name).exists(), "{name}");
    }

    sandbox.run_report(&project_file("examples/reports/scan.xml")).expect_code(0);
    assert_eq!(sandbox.names(), ["findings.cef", "findings.csv", "pipeline.yaml", "scan.xml"]);
}

#[test]
fn one_signal_ends_a_host_that_waits_for_standard_input() {
    let sandbox = Sandbox::new();
    let mut host = sandbox
        .host_running(&pipeline("path: '-'", &[CSV]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = host.stdin.take().unwrap();
    input.write_all(b"<?xml version=\"1.0\"?>\n<SCAN value=\"scan/1.2\">\n").unwrap();
    sleep(Duration::from_millis(500));
    signal(&host, Signal::INT);
    let asked = Instant::now();
    while host.try_wait().unwrap().is_none() {
        assert!(asked.elapsed() < Duration::from_secs(10), "the host does not stop");
        sleep(Duration::from_millis(10));
    }
    drop(input);
    Outcome::of(host.wait_with_output().unwrap()).expect_code(130);
    assert_eq!(sandbox.names(), ["pipeline.yaml"]);
}
