//! The service starts, repeats, holds and stops runs of real plugins.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_bench::generator::{Extent, Format, Shape};
use serde_json::Value;

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};
use crate::service::{
    Service, control, log, sandbox_with_report, serve, simple, view, wait_for, wait_for_state, with_input,
    write_pipeline,
};

const QUICK: &str = "restart: { initial_secs: 1, max_secs: 1 }";

/// Writes a report that takes some seconds to deliver, because its output is slow.
fn write_large_report(sandbox: &Sandbox) {
    let shape = Shape {
        format: Format::Scan,
        extent: Extent::Bytes(40_000_000),
        findings_per_asset: 30,
        qids: 200,
        own_texts: false,
        seed: 3,
    };
    let file = fs::File::create(sandbox.path("large.xml")).unwrap();
    shape.write(std::io::BufWriter::new(file)).unwrap();
}

fn large(name: &str, keys: &str) -> String {
    let keys = format!("{keys}\ncheckpoint: {{ bytes: 256 KiB }}\n{QUICK}");
    with_input(name, "{ path: large.xml, settle_secs: 0 }", "max_findings_per_sec: 1500,", &keys)
}

/// The file of an uninterrupted run.
fn uninterrupted(sandbox: &Sandbox) -> String {
    let text = with_input("whole", "{ path: large.xml, settle_secs: 0 }", "", "");
    sandbox.write("whole.yaml", text);
    Outcome::of(sandbox.host(&["run", "whole.yaml", "--state-dir", "other"]).output().unwrap())
        .expect_code(0);
    sandbox.read("whole.csv")
}

fn pid(view: &Value) -> Pid {
    Pid::from_raw(i32::try_from(view["run"]["pid"].as_u64().unwrap()).unwrap()).unwrap()
}

/// A run that has made a checkpoint, so that the next one resumes.
fn wait_for_findings(sandbox: &Sandbox, name: &str) -> Value {
    wait_for(sandbox, name, |view| {
        view["state"] == "running" && view["run"]["outputs"][0]["counts"]["records"].as_u64() > Some(100)
    })
}

#[test]
fn each_schedule_starts_its_pipeline_and_sigterm_ends_the_service() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "hourly", &simple("hourly", "schedule: { every_minutes: 60 }"));
    write_pipeline(&sandbox, "on-request", &simple("on-request", ""));
    write_pipeline(&sandbox, "always", &simple("always", &format!("schedule: continuous\n{QUICK}")));
    write_pipeline(&sandbox, "later", &simple("later", "schedule: { cron: '0 0 29 2 *', timezone: UTC }"));
    let service = Service::start(&sandbox);
    let hourly = wait_for(&sandbox, "hourly", |view| view["last_run"]["status"] == "ok");
    assert_eq!(
        (&hourly["state"], &hourly["last_run"]["exit_code"]),
        (&"waiting".into(), &0.into()),
        "{hourly:#}"
    );
    assert!(hourly["next_run"].is_string() && hourly["last_run"]["findings"] == 16, "{hourly:#}");
    assert_eq!(hourly["last_run"]["outputs"]["sheet"], 16);
    wait_for(&sandbox, "always", |view| view["last_run"]["run"].as_u64() >= Some(3));
    assert_eq!(view(&sandbox, "on-request")["state"], "manual");
    assert!(!sandbox.path("on-request.csv").exists());
    control(&sandbox, &["run", "on-request", "--wait"]).expect_code(0);
    assert_eq!(sandbox.read("on-request.csv"), sandbox.read("hourly.csv"));
    let later = view(&sandbox, "later");
    assert!(later["next_run"].as_str().unwrap().contains("-02-29T00:00:00"), "{later:#}");

    let status = control(&sandbox, &["status"]).expect_code(0).stdout;
    let row = status.lines().find(|line| line.starts_with("on-request")).unwrap();
    assert!(row.contains("manual") && row.contains("16") && row.contains("sheet 16"), "{status}");
    assert!(status.contains("/state") && status.contains("service.log"), "{status}");
    let statistics = control(&sandbox, &["statistics"]).expect_code(0).stdout;
    assert!(statistics.contains("hourly: waiting; last run: ok, 16 findings"), "{statistics}");
    assert!(control(&sandbox, &["run", "absent"]).expect_code(64).stderr.contains("no pipeline `absent`"));
    assert!(control(&sandbox, &["resume", "hourly"]).expect_code(75).stderr.contains("it is waiting"));

    assert_eq!(service.stop(), Some(0));
    control(&sandbox, &["status"]).expect_code(69);
    let text = log(&sandbox);
    assert!(text.contains("on-request the pipeline has no schedule; it runs only on request"), "{text}");
}

#[test]
fn killed_run_is_repeated_without_loss_and_other_pipelines_continue() {
    let sandbox = sandbox_with_report();
    fs::create_dir(sandbox.path("inbox")).unwrap();
    write_large_report(&sandbox);
    write_pipeline(&sandbox, "large", &large("large", "schedule: { every_minutes: 60 }"));
    let watch =
        with_input("watch", "{ path: inbox, watch: yes, settle_secs: 0 }", "", "schedule: continuous");
    write_pipeline(&sandbox, "watch", &watch);
    let _service = Service::start(&sandbox);
    let other = pid(&wait_for_state(&sandbox, "watch", "running"));
    kill_process(pid(&wait_for_findings(&sandbox, "large")), Signal::KILL).unwrap();
    let failed = wait_for_state(&sandbox, "large", "retrying");
    assert!(failed["reason"].as_str().unwrap().contains("killed by signal 9"), "{failed:#}");
    wait_for(&sandbox, "large", |view| view["last_run"]["status"] == "ok");
    assert_eq!(sandbox.read("large.csv"), uninterrupted(&sandbox));
    assert_eq!(pid(&wait_for_state(&sandbox, "watch", "running")), other);
}

#[test]
fn faulty_plugins_are_repeated_then_held_and_other_pipelines_continue() {
    let sandbox = sandbox_with_report();
    let rogue = |act: &str, keys: &str| {
        format!(
            "version: 1\nschedule: {{ every_minutes: 60 }}\n{QUICK}\n\
             inputs: [{{ id: source, plugin: Rogue, with: {{ act: behave }} }}]\n\
             outputs: [{{ id: bad, plugin: Rogue, {keys} with: {{ act: {act} }} }}]\n"
        )
    };
    write_pipeline(&sandbox, "panics", &rogue("panic-in-drop", ""));
    write_pipeline(&sandbox, "crashes", &rogue("segfault-in-write", ""));
    write_pipeline(&sandbox, "hangs", &rogue("hang-in-begin", "hang_secs: 1,"));
    write_pipeline(&sandbox, "sound", &simple("sound", ""));
    let _service = Service::start(&sandbox);
    let held = wait_for_state(&sandbox, "panics", "held");
    assert!(held["reason"].as_str().unwrap().contains("exit code 70) (5 times in a row)"), "{held:#}");
    wait_for(&sandbox, "crashes", |view| {
        view["reason"].as_str().unwrap_or("").contains("killed by signal 11")
    });
    wait_for(&sandbox, "hangs", |view| view["last_run"]["exit_code"] == 70);
    control(&sandbox, &["run", "sound", "--wait"]).expect_code(0);

    let status = control(&sandbox, &["status"]).expect_code(65).stdout;
    assert!(status.contains("needs you: "), "{status}");
    assert!(control(&sandbox, &["run", "panics"]).expect_code(75).stderr.contains("resume it first"));
    let lines = control(&sandbox, &["log", "panics"]).expect_code(0).stdout;
    assert!(lines.contains("ERROR panics held: ") && lines.contains("plugin panicked"), "{lines}");
    control(&sandbox, &["resume", "panics"]).expect_code(0);
    wait_for(&sandbox, "panics", |view| {
        view["last_run"]["run"].as_u64() >= Some(6) || view["state"] == "retrying"
    });
}

#[test]
fn paused_pipeline_resumes_where_it_was_interrupted_also_after_a_restart() {
    let sandbox = sandbox_with_report();
    write_large_report(&sandbox);
    write_pipeline(&sandbox, "large", &large("large", "schedule: { every_minutes: 60 }"));
    let service = Service::start(&sandbox);
    wait_for_findings(&sandbox, "large");
    control(&sandbox, &["pause", "large"]).expect_code(0);
    let paused = wait_for_state(&sandbox, "large", "paused");
    assert_eq!(paused["last_run"]["exit_code"], 130, "{paused:#}");
    assert_eq!(service.stop(), Some(0));

    let service = Service::start(&sandbox);
    assert_eq!(view(&sandbox, "large")["state"], "paused");
    control(&sandbox, &["resume", "large"]).expect_code(0);
    wait_for_findings(&sandbox, "large");
    assert_eq!(service.stop(), Some(0), "the run stops in order");

    let _service = Service::start(&sandbox);
    wait_for(&sandbox, "large", |view| view["last_run"]["status"] == "ok");
    assert_eq!(sandbox.read("large.csv"), uninterrupted(&sandbox));
}

#[test]
fn runs_of_a_killed_service_end_and_are_resumed_by_the_next_one() {
    let sandbox = sandbox_with_report();
    write_large_report(&sandbox);
    write_pipeline(&sandbox, "large", &large("large", "schedule: { every_minutes: 60 }"));
    let service = Service::start(&sandbox);
    let run = pid(&wait_for_findings(&sandbox, "large"));
    let second = Outcome::of(serve(&sandbox, &[]).output().unwrap()).expect_code(75);
    assert!(second.stderr.contains("another service uses the state directory"), "{}", second.stderr);
    service.kill();
    let killed = Instant::now();
    while rustix::process::test_kill_process(run).is_ok() {
        assert!(killed.elapsed() < Duration::from_secs(30), "the run continues without the service");
        std::thread::sleep(Duration::from_millis(10));
    }
    let _service = Service::start(&sandbox);
    wait_for(&sandbox, "large", |view| view["last_run"]["status"] == "ok");
    assert_eq!(sandbox.read("large.csv"), uninterrupted(&sandbox));
}

#[test]
fn service_without_its_program_or_without_pipelines_is_refused() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("bin")).unwrap();
    fs::hard_link(installation::host(), sandbox.path("bin/scanbridge")).unwrap();
    let alone = Outcome::of(sandbox.program(&sandbox.path("bin/scanbridge"), &["serve"]).output().unwrap());
    let alone = alone.expect_code(69);
    assert!(
        alone.stderr.contains("the service is a separate program; install scanbridge-service as"),
        "{}",
        alone.stderr
    );

    fs::create_dir(sandbox.path("pipelines")).unwrap();
    let none = Outcome::of(serve(&sandbox, &[]).output().unwrap()).expect_code(78);
    assert!(none.stderr.contains("no pipeline files found"), "{}", none.stderr);
    write_pipeline(&sandbox, "good", &simple("good", ""));
    write_pipeline(&sandbox, "bad", "version: 1\nschedule: { cron: '0 0 30 2 *' }\n");
    let check = Outcome::of(serve(&sandbox, &["--check"]).output().unwrap()).expect_code(78);
    assert!(check.stdout.contains("good.yaml is valid (pipeline good)"), "{}", check.stdout);
    assert!(check.stdout.contains("has no time in any year"), "{}", check.stdout);
    Outcome::of(serve(&sandbox, &["--strict"]).output().unwrap()).expect_code(78);
    sandbox.write("service.yaml", "service: 1\nmax_runing: 2\n");
    let file = Outcome::of(serve(&sandbox, &["--config", "service.yaml"]).output().unwrap()).expect_code(78);
    assert!(file.stderr.contains("did you mean `max_running`?"), "{}", file.stderr);
}
