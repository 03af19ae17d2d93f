//! An operator who stops a run finds nothing half-written.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_bench::generator::{Extent, Format, Shape};

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

/// Checkpoints stand close together, so that one lies behind every place at which a test stops the run; and one output
/// is slow, so that the run takes over a second on the fastest machine.
fn interrupted_pipeline() -> String {
    pipeline_at("max_findings_per_sec: 8000, ") + "checkpoint: { bytes: 512 KiB }\n"
}

fn pipeline_at(pace: &str) -> String {
    let lines = format!("{{ id: lines, plugin: JSON, {pace}with: {{ path: findings.ndjson }} }}");
    pipeline("path: scan.xml", &[CSV, CEF, &lines])
}

/// A report that keeps the host busy for a while even on a fast machine, and the host reading it.
fn busy_host(sandbox: &Sandbox) -> Child {
    let extent = Extent::Bytes(60_000_000);
    let shape = Shape { format: Format::Scan, extent, findings_per_asset: 30, qids: 200, seed: 3 };
    let file = fs::File::create(sandbox.path("scan.xml")).unwrap();
    shape.write(std::io::BufWriter::with_capacity(1 << 20, file)).unwrap();
    let mut host = sandbox
        .host_running(&interrupted_pipeline())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_part_file(sandbox, &mut host);
    host
}

const FILES: [&str; 3] = ["findings.csv", "findings.cef", "findings.ndjson"];

fn contents(sandbox: &Sandbox) -> [String; 3] {
    FILES.map(|name| sandbox.read(name))
}

/// What an undisturbed run of the same pipeline makes of the same report.
fn undisturbed(sandbox: &Sandbox) -> [String; 3] {
    let other = Sandbox::new();
    fs::hard_link(sandbox.path("scan.xml"), other.path("scan.xml")).unwrap();
    other.run(&pipeline_at("")).expect_code(0);
    contents(&other)
}

#[test]
fn the_next_run_goes_on_where_one_was_interrupted_and_the_files_are_the_same() {
    for stop in [Signal::INT, Signal::TERM] {
        let sandbox = Sandbox::new();
        let host = busy_host(&sandbox);
        signal(&host, stop);
        let outcome = Outcome::of(host.wait_with_output().unwrap()).expect_code(130);
        let first = outcome.summary();
        assert_eq!(first["inputs"][0]["unfinished"], 1, "{first:#}");
        assert!(FILES.iter().all(|name| !sandbox.path(name).exists()), "a half-written file has its name");

        let second = sandbox.run(&interrupted_pipeline()).expect_code(0).summary();
        assert_eq!(second["inputs"][0]["resumed"], true, "{second:#}");
        let read = |summary: &serde_json::Value| summary["inputs"][0]["assets"].as_u64().unwrap();
        assert!(read(&second) > 0, "{second:#}");
        assert_eq!(contents(&sandbox), undisturbed(&sandbox));
        let lines = contents(&sandbox)[2].lines().count() as u64;
        let delivered = |summary: &serde_json::Value| summary["outputs"][2]["records"].as_u64().unwrap();
        assert_eq!(delivered(&first) + delivered(&second), lines);

        let third = sandbox.run(&interrupted_pipeline()).expect_code(0).summary();
        assert_eq!(third["inputs"][0]["resumed"], false, "after a finished run one starts over");
        assert_eq!(read(&third), read(&first) + read(&second));
    }
}

#[test]
fn a_killed_run_leaves_no_file_under_its_name_and_is_gone_on_with() {
    let sandbox = Sandbox::new();
    let host = busy_host(&sandbox);
    sleep(Duration::from_millis(200));
    signal(&host, Signal::KILL);
    assert_eq!(host.wait_with_output().unwrap().status.code(), None);
    assert!(FILES.iter().all(|name| !sandbox.path(name).exists()));
    sandbox.run(&interrupted_pipeline()).expect_code(0);
    assert_eq!(contents(&sandbox), undisturbed(&sandbox));
    let mut names = FILES.to_vec();
    names.extend(["pipeline.yaml", "scan.xml"]);
    names.sort_unstable();
    assert_eq!(sandbox.names(), names);
}

#[test]
fn an_interrupted_run_is_not_gone_on_with_by_another_pipeline_unless_told_to_start_over() {
    let sandbox = Sandbox::new();
    let host = busy_host(&sandbox);
    sleep(Duration::from_millis(300));
    signal(&host, Signal::TERM);
    Outcome::of(host.wait_with_output().unwrap()).expect_code(130);
    let other = pipeline("path: scan.xml", &[CSV]);
    let refused = sandbox.run(&other).expect_code(78);
    assert!(refused.stderr.contains("cannot resume run 1"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--restart"), "{}", refused.stderr);
    let mut again = sandbox.host_running(&other);
    let summary = Outcome::of(again.arg("--restart").output().unwrap()).expect_code(0).summary();
    assert_eq!(summary["inputs"][0]["resumed"], false);
}

#[test]
fn a_second_run_beside_the_first_ends_with_75_or_waits() {
    let sandbox = Sandbox::new();
    let host = busy_host(&sandbox);
    let text = interrupted_pipeline();
    let refused = sandbox.run(&text).expect_code(75);
    let process = format!("in use by process {} since", host.id());
    assert!(refused.stderr.contains(&process), "{}", refused.stderr);
    let look = |verb: &str| {
        let arguments = ["state", verb, "pipeline.yaml", "--state-dir", "state"];
        Outcome::of(sandbox.host(&arguments).output().unwrap()).expect_code(0).stdout
    };
    let shown = look("show");
    assert!(shown.contains(&format!("run 1 is in progress: process {} since 2", host.id())), "{shown}");
    assert!(shown.contains("its last checkpoint: in the middle of a report of reports, stored 2"), "{shown}");
    let known: serde_json::Value = serde_json::from_str(&look("export")).unwrap();
    assert!(known["in_use_by"].as_str().unwrap().starts_with(&format!("process {} since", host.id())));
    assert!(known["checkpoint"]["positions"].get("reports").is_some(), "{known:#}");
    let waiting = sandbox
        .host_running(&text)
        .arg("--wait")
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Outcome::of(host.wait_with_output().unwrap()).expect_code(0);
    let summary = Outcome::of(waiting.wait_with_output().unwrap()).expect_code(0).summary();
    assert_eq!(summary["status"], "ok");
}

/// A file system of this size at the path; none where this user may not mount one.
fn small_disk(path: &std::path::Path, megabytes: u32) -> Option<()> {
    fs::create_dir_all(path).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
        .arg(path)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI must be able to mount a tmpfs");
        let _ = writeln!(std::io::stderr(), "skipped: this user cannot mount a tmpfs");
    }
    mounted.then_some(())
}

#[test]
fn disk_full_exits_74_and_next_run_resumes() {
    let sandbox = Sandbox::new();
    let disk = sandbox.path("disk");
    if small_disk(&disk, 8).is_none() {
        return;
    }
    let shape = Shape {
        format: Format::Scan,
        extent: Extent::Bytes(40_000_000),
        findings_per_asset: 30,
        qids: 200,
        seed: 3,
    };
    shape.write(fs::File::create(sandbox.path("scan.xml")).unwrap()).unwrap();
    let text = |path: &str| {
        let output = format!("{{ id: sheet, plugin: CSV, with: {{ path: {path} }} }}");
        pipeline("path: scan.xml", &[&output]) + "checkpoint: { bytes: 512 KiB }\n"
    };
    let full = sandbox.run(&text("disk/findings.csv")).expect_code(74);
    assert!(full.stderr.contains("No space left on device"), "{}", full.stderr);
    assert!(!disk.join("findings.csv").exists(), "something half-written has the name");
    let grown =
        std::process::Command::new("mount").args(["-o", "remount,size=200m"]).arg(&disk).output().unwrap();
    assert!(grown.status.success());
    let second = sandbox.run(&text("disk/findings.csv")).expect_code(0).summary();
    assert_eq!(second["inputs"][0]["resumed"], true, "{second:#}");
    let resumed = fs::read(disk.join("findings.csv")).unwrap();
    let _ = std::process::Command::new("umount").arg(&disk).output();
    sandbox.run(&text("findings.csv")).expect_code(0);
    assert!(resumed == sandbox.read("findings.csv").into_bytes(), "the file differs from an undisturbed one");
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
