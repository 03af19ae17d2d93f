//! Reload: a file with errors keeps its accepted version, a change inside a report waits, and many pipelines cost little.

use std::fs;
use std::io::BufWriter;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_bench::generator::{Extent, Format, Shape};
use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox};
use crate::service::{
    Service, control, log, sandbox_with_report, simple, view, wait_for, wait_for_state, with_input,
    write_pipeline,
};

fn reload(sandbox: &Sandbox, options: &[&str], code: i32) -> Value {
    let mut arguments = vec!["reload", "--format", "json"];
    arguments.extend(options);
    serde_json::from_str(&control(sandbox, &arguments).expect_code(code).stdout).unwrap()
}

fn names(report: &Value, what: &str) -> Vec<String> {
    let name = |entry: &Value| entry.as_str().or(entry["pipeline"].as_str()).unwrap().to_owned();
    report[what].as_array().unwrap().iter().map(name).collect()
}

#[test]
fn faulty_file_keeps_its_accepted_version_also_after_a_restart() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "good", &simple("good", ""));
    let service = Service::start(&sandbox);
    control(&sandbox, &["run", "good", "--wait"]).expect_code(0);
    fs::remove_file(sandbox.path("good.csv")).unwrap();

    // An editor has written the first half of the file.
    write_pipeline(&sandbox, "good", &simple("good", "")[..60]);
    write_pipeline(&sandbox, "new", "version: 1\nschedule: { every_minutes: 0 }\n");
    let report = reload(&sandbox, &[], 78);
    assert_eq!(names(&report, "rejected"), ["good", "new"], "{report:#}");
    assert!(names(&report, "removed").is_empty(), "{report:#}");
    assert_eq!(view(&sandbox, "new")["state"], "invalid");
    let status = control(&sandbox, &["status"]).expect_code(65).stdout;
    assert!(status.contains("good: the file has errors: ") && status.contains("new.yaml:2:"), "{status}");
    control(&sandbox, &["run", "good", "--wait"]).expect_code(0);
    assert!(sandbox.path("good.csv").exists());
    assert!(control(&sandbox, &["run", "new"]).expect_code(75).stderr.contains("it is invalid"));
    assert_eq!(service.stop(), Some(0));

    fs::remove_file(sandbox.path("good.csv")).unwrap();
    let service = Service::start(&sandbox);
    control(&sandbox, &["run", "good", "--wait"]).expect_code(0);
    assert!(sandbox.path("good.csv").exists());
    assert!(log(&sandbox).contains("the version that was accepted before is used"));

    // Corrected files are accepted.
    write_pipeline(&sandbox, "good", &simple("corrected", "name: good"));
    write_pipeline(&sandbox, "new", &simple("new", "schedule: { every_minutes: 60 }"));
    let report = reload(&sandbox, &[], 0);
    assert_eq!(names(&report, "changed"), ["good", "new"], "{report:#}");
    wait_for(&sandbox, "new", |view| view["last_run"]["status"] == "ok");
    control(&sandbox, &["run", "good", "--wait"]).expect_code(0);
    assert!(sandbox.path("corrected.csv").exists());
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn files_are_added_and_removed_and_with_all_or_nothing_none_is() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "first", &simple("first", ""));
    write_pipeline(&sandbox, "second", &simple("second", "schedule: { every_minutes: 60 }"));
    let service = Service::start(&sandbox);
    wait_for(&sandbox, "second", |view| view["last_run"]["status"] == "ok");
    fs::remove_file(sandbox.path("pipelines/second.yaml")).unwrap();
    write_pipeline(&sandbox, "third", &simple("third", ""));
    write_pipeline(&sandbox, "bad", "version: 2\n");
    let report = reload(&sandbox, &["--all-or-nothing"], 78);
    assert_eq!(names(&report, "rejected"), ["bad"]);
    assert!(view(&sandbox, "third").is_null() && view(&sandbox, "second").is_object());

    let report = reload(&sandbox, &[], 78);
    assert_eq!(names(&report, "added"), ["third"], "{report:#}");
    assert_eq!(names(&report, "removed"), ["second"]);
    assert_eq!(names(&report, "unchanged"), ["first"]);
    assert!(view(&sandbox, "second").is_null());
    assert!(sandbox.path("state/second/ledger.redb").exists(), "the state of a removed pipeline is kept");

    // Two files with one name: the first is used. SIGHUP reloads too.
    fs::remove_file(sandbox.path("pipelines/bad.yaml")).unwrap();
    write_pipeline(&sandbox, "zcopy", &simple("copy", "name: first"));
    service.signal(Signal::HUP);
    let started = Instant::now();
    while !log(&sandbox).contains("another file has the pipeline name `first`") {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", log(&sandbox));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(view(&sandbox, "first")["file"].as_str().unwrap().ends_with("/first.yaml"));
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn change_of_a_running_pipeline_applies_when_its_run_has_stopped() {
    let sandbox = sandbox_with_report();
    fs::create_dir(sandbox.path("inbox")).unwrap();
    let text = |file: &str| {
        let keys = "name: watch\nschedule: continuous\nrestart: { initial_secs: 1, max_secs: 1 }";
        with_input(file, "{ path: inbox, watch: yes, poll_secs: 1, settle_secs: 0 }", "", keys)
    };
    write_pipeline(&sandbox, "watch", &text("before"));
    let service = Service::start(&sandbox);
    let before = wait_for_state(&sandbox, "watch", "running");
    write_pipeline(&sandbox, "watch", &text("after"));
    let report = reload(&sandbox, &["--wait"], 0);
    assert_eq!(names(&report, "pending"), ["watch"], "{report:#}");
    let after = wait_for_state(&sandbox, "watch", "running");
    assert_ne!(after["run"]["pid"], before["run"]["pid"]);
    fs::copy(sandbox.path("scan.xml"), sandbox.path("inbox/scan.xml")).unwrap();
    wait_for(&sandbox, "watch", |_| sandbox.path("after.csv").exists());
    assert!(!sandbox.path("before.csv").exists());

    // A removed pipeline stops.
    fs::remove_file(sandbox.path("pipelines/watch.yaml")).unwrap();
    write_pipeline(&sandbox, "other", &simple("other", ""));
    reload(&sandbox, &[], 0);
    wait_for(&sandbox, "watch", Value::is_null);
    assert_eq!(service.stop(), Some(0));
}

/// Writes a report of about this size.
fn write_report(sandbox: &Sandbox, name: &str, bytes: u64, seed: u64) {
    let extent = Extent::Bytes(bytes);
    let shape =
        Shape { format: Format::Scan, extent, findings_per_asset: 30, qids: 200, own_texts: false, seed };
    shape.write(BufWriter::new(fs::File::create(sandbox.path(name)).unwrap())).unwrap();
}

/// Writes two reports, and a pipeline that reads both; its file is `FILE-REPORT.csv`.
fn write_two_reports(sandbox: &Sandbox, file: &str, limit: u32) {
    let keys = "name: two\nschedule: continuous\nrestart: { initial_secs: 1, max_secs: 1 }\n\
                checkpoint: { bytes: 64 KiB }";
    let input = "{ path: inbox, watch: yes, poll_secs: 1, settle_secs: 0 }";
    let text = with_input(file, input, &format!("max_findings_per_sec: {limit},"), keys);
    write_pipeline(sandbox, "two", &with_names(&text, file));
}

/// The pipeline with a file for each report.
fn with_names(text: &str, file: &str) -> String {
    text.replace(&format!("path: {file}.csv"), &format!("path: '{file}-{{report}}.csv'"))
}

/// The CSV files whose names begin with this word, in order.
fn files(sandbox: &Sandbox, word: &str) -> Vec<String> {
    sandbox.names().into_iter().filter(|name| name.starts_with(word) && name.ends_with(".csv")).collect()
}

/// A change during a report applies at its end; if the run was interrupted, the version with which it began finishes the
/// report first.
#[test]
fn change_inside_a_report_waits_also_over_a_crash_and_a_restart() {
    for interruption in ["none", "crash", "pause", "restart"] {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("inbox")).unwrap();
        write_report(&sandbox, "inbox/first.xml", 2_000_000, 1);
        write_two_reports(&sandbox, "before", 80);
        let mut service = Service::start(&sandbox);
        let running = wait_for(&sandbox, "two", |view| {
            view["state"] == "running" && view["run"]["outputs"][0]["counts"]["records"].as_u64() > Some(100)
        });
        write_report(&sandbox, "part", 60_000, 2);
        fs::rename(sandbox.path("part"), sandbox.path("inbox/second.xml")).unwrap();
        let pid = i32::try_from(running["run"]["pid"].as_u64().unwrap()).unwrap();
        match interruption {
            "none" => {
                write_two_reports(&sandbox, "after", 100_000);
                assert_eq!(names(&reload(&sandbox, &[], 75), "pending"), ["two"]);
            }
            "crash" => {
                write_two_reports(&sandbox, "after", 100_000);
                assert_eq!(names(&reload(&sandbox, &[], 75), "pending"), ["two"]);
                kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
            }
            "pause" => {
                control(&sandbox, &["pause", "two"]).expect_code(0);
                wait_for_state(&sandbox, "two", "paused");
                write_two_reports(&sandbox, "between", 100_000);
                reload(&sandbox, &[], 0);
                write_two_reports(&sandbox, "after", 100_000);
                reload(&sandbox, &[], 0);
                control(&sandbox, &["resume", "two"]).expect_code(0);
            }
            _ => {
                assert_eq!(service.stop(), Some(0));
                write_two_reports(&sandbox, "after", 100_000);
                service = Service::start(&sandbox);
            }
        }
        let is_read = || files(&sandbox, "after").len() == 1;
        wait_for(&sandbox, "two", |view| {
            assert_ne!(view["state"], "held", "{interruption}: {view:#}");
            is_read() && view["run"]["inputs"][0]["state"] == "idle"
        });
        assert_eq!(files(&sandbox, "before").len(), 1, "{interruption}: {:?}", sandbox.names());
        assert!(files(&sandbox, "between").is_empty(), "{interruption}: {:?}", sandbox.names());
        assert!(!sandbox.path("state/service/accepted/two.earlier").exists(), "{interruption}");
        // Without the header of each file.
        let lines = |name: &String| sandbox.read(name).lines().count() - 1;
        let delivered: usize =
            ["before", "after"].iter().flat_map(|word| files(&sandbox, word)).map(|name| lines(&name)).sum();
        assert_eq!(service.stop(), Some(0));

        // Nothing is missing or doubled.
        let input = "{ path: inbox, settle_secs: 0 }";
        sandbox.write("whole.yaml", with_names(&with_input("whole", input, "", ""), "whole"));
        Outcome::of(sandbox.host(&["run", "whole.yaml", "--state-dir", "other"]).output().unwrap())
            .expect_code(0);
        let whole: usize = files(&sandbox, "whole").iter().map(lines).sum();
        assert_eq!(delivered, whole, "{interruption}");
    }
}

/// The service itself is small, and one process of the host checks all files.
#[test]
fn fifty_pipelines_are_small_and_reload_quickly() {
    let sandbox = sandbox_with_report();
    for number in 0..50 {
        let name = format!("p{number:02}");
        write_pipeline(&sandbox, &name, &simple(&name, "schedule: { cron: '0 5 * * MON-FRI' }"));
    }
    let service = Service::start(&sandbox);
    let started = Instant::now();
    assert_eq!(names(&reload(&sandbox, &[], 0), "unchanged").len(), 50);
    let reloaded = started.elapsed();
    for number in 0..4 {
        control(&sandbox, &["run", &format!("p{number:02}"), "--wait"]).expect_code(0);
    }
    let status = fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    println!("50 pipelines: {kib} KiB resident, reload {reloaded:?}");
    assert!(kib <= 25 * 1024, "{kib} KiB");
    assert!(reloaded < Duration::from_secs(20), "{reloaded:?}");
    assert_eq!(service.stop(), Some(0));
}
