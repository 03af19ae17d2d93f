//! Reload: a file with errors keeps its accepted version, a change inside a report waits, and many pipelines cost little.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::sandbox::Sandbox;
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
