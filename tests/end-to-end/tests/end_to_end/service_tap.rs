//! `scanbridge tap`: samples of what a running pipeline writes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};
use crate::service::{Service, control, sandbox_with_report, simple, wait_for, with_input, write_pipeline};

/// `scanbridge tap …`.
fn tap(sandbox: &Sandbox, arguments: &[&str]) -> Child {
    let mut command = sandbox.program(installation::host(), &[&["tap"], arguments].concat());
    command.args(["--state-dir", "state"]).env_remove("RUNTIME_DIRECTORY");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn outcome(child: Child) -> Outcome {
    Outcome::of(child.wait_with_output().unwrap())
}

/// A service with a pipeline `watch` that waits for reports, and one that is not running.
fn service() -> (Sandbox, Service) {
    let sandbox = sandbox_with_report();
    fs::create_dir(sandbox.path("in")).unwrap();
    let input = "{ path: in, watch: yes, settle_secs: 0, poll_secs: 1 }";
    write_pipeline(&sandbox, "watch", &with_input("watch", input, "", "schedule: continuous"));
    write_pipeline(&sandbox, "manual", &simple("manual", ""));
    let service = Service::start(&sandbox);
    wait_for(&sandbox, "watch", |view| view["run"]["inputs"][0]["state"] == "idle");
    (sandbox, service)
}

/// Gives the pipeline reports until the command has ended.
fn feed(sandbox: &Sandbox, mut child: Child) -> Outcome {
    let started = Instant::now();
    for number in 0.. {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "tap does not end");
        let part = sandbox.path(&format!(".{number}.part"));
        fs::copy(sandbox.path("scan.xml"), &part).unwrap();
        fs::rename(part, sandbox.path(&format!("in/{number}.xml"))).unwrap();
        sleep(Duration::from_millis(300));
    }
    outcome(child)
}

#[test]
fn samples_are_records_of_the_output() {
    let (sandbox, service) = service();
    let shown = feed(&sandbox, tap(&sandbox, &["watch", "-n", "3"])).expect_code(0);
    let lines: Vec<&str> = shown.stdout.lines().collect();
    // A row can have several lines.
    assert!(lines.len() >= 3 && lines.iter().all(|line| line.starts_with("sheet: ")), "{}", shown.stdout);
    let file = sandbox.path("pipelines/watch.yaml");
    let arguments = [file.to_str().unwrap(), "--output", "sheet", "-n", "2", "--format", "json"];
    let json = feed(&sandbox, tap(&sandbox, &arguments)).expect_code(0);
    let records: Vec<Value> = json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 2, "{}", json.stdout);
    assert_eq!(service.stop(), Some(0));
    let table = sandbox.read("watch.csv");
    for record in records {
        assert_eq!(record["output"], "sheet");
        assert!(table.contains(record["rendered"].as_str().unwrap()), "{record}");
    }
}

#[test]
fn time_limit_ends_the_command_without_records() {
    let (sandbox, _service) = service();
    let started = Instant::now();
    let shown = outcome(tap(&sandbox, &["watch", "--seconds", "1"])).expect_code(0);
    assert_eq!(shown.stdout, "");
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[test]
fn end_of_the_run_ends_the_command() {
    let (sandbox, _service) = service();
    let child = tap(&sandbox, &["watch", "--seconds", "60"]);
    sleep(Duration::from_millis(300));
    control(&sandbox, &["pause", "watch"]).expect_code(0);
    let started = Instant::now();
    outcome(child);
    assert!(started.elapsed() < Duration::from_secs(50));
}

#[test]
fn reasons_why_nothing_can_be_shown() {
    let (sandbox, service) = service();
    for (arguments, code, message) in [
        (&["manual"][..], 69, "pipeline `manual` is not running"),
        (&["other"], 64, "no pipeline `other`"),
        (&["watch", "--output", "siem"], 64, "pipeline `watch` has no output `siem`: its outputs: sheet"),
        (&["watch", "-n", "101"], 64, "101"),
    ] {
        let outcome = outcome(tap(&sandbox, arguments)).expect_code(code);
        assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
    }
    let socket = sandbox.path("state/control.sock");
    assert_eq!(fs::metadata(socket).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(service.stop(), Some(0));
    outcome(tap(&sandbox, &["watch"])).expect_code(69);
}
