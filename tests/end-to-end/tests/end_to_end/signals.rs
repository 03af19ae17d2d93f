//! Interrupted runs: signals, kills and a full disk leave no incomplete file, and the next run resumes.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_bench::generator::{Extent, Format, Shape};

use crate::sandbox::{CEF, CSV, Outcome, Sandbox, pipeline};

/// Waits until the host has begun to write a part file.
fn wait_for_part_file(sandbox: &Sandbox, host: &mut Child) {
    let started = Instant::now();
    while !sandbox.names().iter().any(|name| name.contains(".part")) {
        assert!(host.try_wait().unwrap().is_none(), "the host ended before anything was written");
        assert!(started.elapsed() < Duration::from_secs(20), "nothing was written: {:?}", sandbox.names());
        sleep(Duration::from_millis(1));
    }
}

fn signal(host: &Child, signal: Signal) {
    kill_process(Pid::from_child(host), signal).unwrap();
}

/// Checkpoints are frequent, so that the run has one before a test stops it. One output is slow, so that the run takes
/// more than a second on any machine.
fn interrupted_pipeline() -> String {
    pipeline_with("max_findings_per_sec: 8000, ") + "checkpoint: { bytes: 512 KiB }\n"
}

fn pipeline_with(rate_limit: &str) -> String {
    let lines = format!("{{ id: lines, plugin: JSON, {rate_limit}with: {{ path: findings.ndjson }} }}");
    pipeline("path: scan.xml", &[CSV, CEF, &lines])
}

/// Starts the host with a report that takes a while to read, even on a fast machine.
fn busy_host(sandbox: &Sandbox) -> Child {
    let extent = Extent::Bytes(60_000_000);
    let shape =
        Shape { format: Format::Scan, extent, findings_per_asset: 30, qids: 200, own_texts: false, seed: 3 };
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

/// The output files of an uninterrupted run with the same report.
fn uninterrupted(sandbox: &Sandbox) -> [String; 3] {
    let other = Sandbox::new();
    fs::hard_link(sandbox.path("scan.xml"), other.path("scan.xml")).unwrap();
    other.run(&pipeline_with("")).expect_code(0);
    contents(&other)
}

#[test]
fn interrupted_run_is_resumed_with_identical_files() {
    for stop in [Signal::INT, Signal::TERM] {
        let sandbox = Sandbox::new();
        let host = busy_host(&sandbox);
        signal(&host, stop);
        let outcome = Outcome::of(host.wait_with_output().unwrap()).expect_code(130);
        let first = outcome.summary();
        assert_eq!(first["inputs"][0]["unfinished"], 1, "{first:#}");
        assert!(FILES.iter().all(|name| !sandbox.path(name).exists()), "an incomplete file was published");

        let second = sandbox.run(&interrupted_pipeline()).expect_code(0).summary();
        assert_eq!(second["inputs"][0]["resumed"], true, "{second:#}");
        let read = |summary: &serde_json::Value| summary["inputs"][0]["assets"].as_u64().unwrap();
        assert!(read(&second) > 0, "{second:#}");
        assert_eq!(contents(&sandbox), uninterrupted(&sandbox));
        let lines = contents(&sandbox)[2].lines().count() as u64;
        let delivered = |summary: &serde_json::Value| summary["outputs"][2]["records"].as_u64().unwrap();
        assert_eq!(delivered(&first) + delivered(&second), lines);

        let third = sandbox.run(&interrupted_pipeline()).expect_code(0).summary();
        assert_eq!(
            third["inputs"][0]["resumed"], false,
            "after a finished run the next one starts from the beginning"
        );
        assert_eq!(read(&third), read(&first) + read(&second));
    }
}

#[test]
fn killed_run_publishes_no_file_and_is_resumed() {
    let sandbox = Sandbox::new();
    let host = busy_host(&sandbox);
    sleep(Duration::from_millis(200));
    signal(&host, Signal::KILL);
    assert_eq!(host.wait_with_output().unwrap().status.code(), None);
    assert!(FILES.iter().all(|name| !sandbox.path(name).exists()));
    sandbox.run(&interrupted_pipeline()).expect_code(0);
    assert_eq!(contents(&sandbox), uninterrupted(&sandbox));
    let mut names = FILES.to_vec();
    names.extend(["pipeline.yaml", "scan.xml"]);
    names.sort_unstable();
    assert_eq!(sandbox.names(), names);
}

#[test]
fn signal_is_logged_by_name() {
    for (given, name, again) in
        [(Signal::TERM, "SIGTERM", "send it again"), (Signal::INT, "SIGINT", "press Ctrl-C again")]
    {
        let sandbox = Sandbox::new();
        let host = busy_host(&sandbox);
        sleep(Duration::from_millis(300));
        signal(&host, given);
        let outcome = Outcome::of(host.wait_with_output().unwrap()).expect_code(130);
        let line = format!(
            "{name}: stopping at the next checkpoint; the next run resumes there ({again} to cancel all calls)"
        );
        assert!(outcome.stderr.contains(&line), "{}", outcome.stderr);
        assert_eq!(outcome.summary()["failures"][0]["message"], "the run was interrupted");
    }
}

#[test]
fn changed_pipeline_needs_restart_to_run() {
    let sandbox = Sandbox::new();
    let host = busy_host(&sandbox);
    sleep(Duration::from_millis(300));
    signal(&host, Signal::TERM);
    Outcome::of(host.wait_with_output().unwrap()).expect_code(130);
    let other = pipeline("path: scan.xml", &[CSV]);
    let refused = sandbox.run(&other).expect_code(78);
    assert!(refused.stderr.contains("output `lines` was removed since"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--restart"), "{}", refused.stderr);
    let mut restarted = sandbox.host_running(&other);
    let summary = Outcome::of(restarted.arg("--restart").output().unwrap()).expect_code(0).summary();
    assert_eq!(summary["inputs"][0]["resumed"], false);
}

#[test]
fn concurrent_run_exits_75_or_waits() {
    let sandbox = Sandbox::new();
    let host = busy_host(&sandbox);
    let text = interrupted_pipeline();
    let refused = sandbox.run(&text).expect_code(75);
    let process = format!("is already running: process {}, started 2", host.id());
    assert!(refused.stderr.contains(&process), "{}", refused.stderr);
    let state = |verb: &str| {
        let arguments = ["state", verb, "pipeline.yaml", "--state-dir", "state"];
        Outcome::of(sandbox.host(&arguments).output().unwrap()).expect_code(0).stdout
    };
    let shown = state("show");
    assert!(shown.contains(&format!("run 1 is in progress: process {}, started 2", host.id())), "{shown}");
    assert!(shown.contains("last checkpoint: in the middle of a report of reports, saved 2"), "{shown}");
    let known: serde_json::Value = serde_json::from_str(&state("export")).unwrap();
    assert!(known["in_use_by"].as_str().unwrap().starts_with(&format!("process {}, started", host.id())));
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

/// Mounts a file system of this size at the path. None if the user may not mount.
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
        own_texts: false,
        seed: 3,
    };
    shape.write(fs::File::create(sandbox.path("scan.xml")).unwrap()).unwrap();
    let text = |path: &str| {
        let output = format!("{{ id: sheet, plugin: CSV, with: {{ path: {path} }} }}");
        pipeline("path: scan.xml", &[&output]) + "checkpoint: { bytes: 512 KiB }\n"
    };
    let full = sandbox.run(&text("disk/findings.csv")).expect_code(74);
    assert!(full.stderr.contains("No space left on device"), "{}", full.stderr);
    assert!(!disk.join("findings.csv").exists(), "an incomplete file was published");
    let grown =
        std::process::Command::new("mount").args(["-o", "remount,size=200m"]).arg(&disk).output().unwrap();
    assert!(grown.status.success());
    let second = sandbox.run(&text("disk/findings.csv")).expect_code(0).summary();
    assert_eq!(second["inputs"][0]["resumed"], true, "{second:#}");
    let resumed = fs::read(disk.join("findings.csv")).unwrap();
    let _ = std::process::Command::new("umount").arg(&disk).output();
    sandbox.run(&text("findings.csv")).expect_code(0);
    assert!(
        resumed == sandbox.read("findings.csv").into_bytes(),
        "the file differs from that of an uninterrupted run"
    );
}

#[test]
fn signal_ends_a_host_that_waits_for_standard_input() {
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
    let requested = Instant::now();
    while host.try_wait().unwrap().is_none() {
        assert!(requested.elapsed() < Duration::from_secs(10), "the host does not stop");
        sleep(Duration::from_millis(10));
    }
    drop(input);
    Outcome::of(host.wait_with_output().unwrap()).expect_code(130);
    assert_eq!(sandbox.names(), ["pipeline.yaml"]);
}

/// While the failover output delivers, kills at any moment lose and repeat nothing in its file.
#[test]
fn kills_during_failover_lose_and_repeat_nothing() {
    const KILLS: u64 = 8;
    let sandbox = Sandbox::new();
    let extent = Extent::Bytes(12_000_000);
    let shape =
        Shape { format: Format::Scan, extent, findings_per_asset: 30, qids: 200, own_texts: false, seed: 5 };
    shape.write(std::io::BufWriter::new(fs::File::create(sandbox.path("scan.xml")).unwrap())).unwrap();
    // A port that refuses connections: it was free a moment ago, and nothing listens there.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let primary = format!(
        "{{ id: siem, plugin: ArcSightCEF, failover: lines, max_findings_per_sec: 3000, \
         retry: {{ initial_secs: 1, max_secs: 600, max_elapsed_secs: 600, breaker_failures: 1 }}, \
         with: {{ transport: tcp, address: \"127.0.0.1:{port}\" }} }}"
    );
    let standby = "{ id: lines, plugin: JSON, with: { path: findings.ndjson } }";
    let text = pipeline("path: scan.xml", &[&primary, standby]) + "checkpoint: { bytes: 128 KiB }\n";
    let mut killed = 0;
    for kill in 0..KILLS {
        let mut host =
            sandbox.host_running(&text).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for_part_file(&sandbox, &mut host);
        sleep(Duration::from_millis(kill * 37 % 200));
        if host.try_wait().unwrap().is_none() {
            host.kill().unwrap();
            killed += 1;
        }
        host.wait().unwrap();
        if sandbox.path("findings.ndjson").exists() {
            break;
        }
    }
    assert!(killed > 3, "only {killed} kills");
    let last = sandbox.run(&text).expect_code(0).summary();
    assert_eq!(last["outputs"][0]["records"], 0, "{last}");

    let undisturbed = Sandbox::new();
    fs::hard_link(sandbox.path("scan.xml"), undisturbed.path("scan.xml")).unwrap();
    let lines = "{ id: lines, plugin: JSON, with: { path: findings.ndjson } }";
    undisturbed.run(&pipeline("path: scan.xml", &[lines])).expect_code(0);
    let (killed, whole) = (sandbox.read("findings.ndjson"), undisturbed.read("findings.ndjson"));
    assert!(killed == whole, "{} bytes for {}", killed.len(), whole.len());
}

/// A receiver that accepts connections and never reads costs the other outputs little, not its timeouts.
#[test]
fn optional_output_that_accepts_nothing_does_not_hold_up_the_others() {
    let sandbox = Sandbox::new();
    let extent = Extent::Bytes(40_000_000);
    let shape =
        Shape { format: Format::Scan, extent, findings_per_asset: 30, qids: 200, own_texts: false, seed: 6 };
    shape.write(std::io::BufWriter::new(fs::File::create(sandbox.path("scan.xml")).unwrap())).unwrap();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = format!(
        "{{ id: siem, plugin: ArcSightCEF, required: no, retry: {{ max_elapsed_secs: 0 }}, \
         with: {{ transport: tcp, address: \"127.0.0.1:{port}\", write_timeout_secs: 25 }} }}"
    );
    let lines = "{ id: lines, plugin: JSON, with: { path: findings.ndjson } }";
    let text = pipeline("path: scan.xml", &[lines, &receiver]);
    let started = Instant::now();
    let host = sandbox.host_running(&text).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !sandbox.path("findings.ndjson").exists() {
        assert!(started.elapsed() < Duration::from_secs(20), "the file waits for the receiver");
        sleep(Duration::from_millis(10));
    }
    let outcome = Outcome::of(host.wait_with_output().unwrap()).expect_code(69);
    assert!(started.elapsed() > Duration::from_secs(24), "the receiver was not slow");
    let summary = outcome.summary();
    let findings = summary["outputs"][0]["records"].as_u64().unwrap();
    assert_eq!(summary["outputs"][1]["undelivered"], findings, "{summary}");
    let shown = sandbox.host(&["dead-letters", "show", "pipeline.yaml", "--state-dir", "state"]);
    let shown = Outcome::of({ shown }.output().unwrap()).expect_code(0).stdout;
    assert!(shown.contains(&format!("siem: lacks {findings} findings of the report scan.xml")), "{shown}");
}

#[test]
fn hup_and_usr1_do_not_end_a_run() {
    let sandbox = Sandbox::new();
    let host = busy_host(&sandbox);
    sleep(Duration::from_millis(300));
    signal(&host, Signal::HUP);
    signal(&host, Signal::USR1);
    let outcome = Outcome::of(host.wait_with_output().unwrap()).expect_code(0);
    let ignored = outcome.stderr.matches("SIGHUP is ignored").count();
    let statistics: Vec<_> = outcome.stderr.lines().filter(|line| line.contains(" reports read, ")).collect();
    assert_eq!((ignored, statistics.len()), (1, 1), "{}", outcome.stderr);
    assert!(statistics[0].contains("(reports reading "), "{statistics:?}");
}

#[test]
fn requested_stop_is_logged_as_information() {
    let sandbox = Sandbox::new();
    let host = busy_host(&sandbox);
    sleep(Duration::from_millis(300));
    signal(&host, Signal::TERM);
    let outcome = Outcome::of(host.wait_with_output().unwrap()).expect_code(130);
    assert!(!outcome.stderr.contains("ERROR") && !outcome.stderr.contains("WARN"), "{}", outcome.stderr);
}

/// The terminal of a run is closed: SIGHUP stops it in order, although nothing can be written to standard error any more.
#[test]
fn closed_terminal_stops_a_run_in_order() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("in")).unwrap();
    sandbox.write("pipeline.yaml", pipeline("path: in, watch: yes, settle_secs: 0", &[CSV]));
    let host = crate::installation::host().display();
    // Runs the host in a terminal of its own.
    let mut script = sandbox.program(
        std::path::Path::new("script"),
        &["-qfc", &format!("exec {host} run pipeline.yaml --state-dir state -v"), "typescript"],
    );
    let mut terminal =
        script.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let shown = || fs::read_to_string(sandbox.path("typescript")).unwrap_or_default();
    let started = Instant::now();
    while !shown().contains("nothing to read") {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", shown());
        sleep(Duration::from_millis(20));
    }
    signal(&terminal, Signal::KILL);
    terminal.wait().unwrap();
    let stopped = Instant::now();
    loop {
        let export = ["state", "export", "pipeline.yaml", "--state-dir", "state"];
        let known = Outcome::of(sandbox.host(&export).output().unwrap()).stdout;
        let known: serde_json::Value = serde_json::from_str(&known).unwrap_or_default();
        let run = &known["runs"][0];
        if run["exit_code"].is_number() {
            assert_eq!((&run["state"], &run["exit_code"]), (&"finished".into(), &0.into()), "{known:#}");
            return;
        }
        assert!(stopped.elapsed() < Duration::from_secs(20), "the run has not ended: {known:#}");
        sleep(Duration::from_millis(100));
    }
}
