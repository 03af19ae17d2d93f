//! `state list`, `discard` and `reset` of pipelines that a service runs, while it runs.

use std::fs;

use serde_json::Value;

use crate::sandbox::Outcome;
use crate::sandbox::Sandbox;
use crate::service::{Service, control, sandbox_with_report, simple, wait_for_state, write_pipeline};
use crate::service_dead_letters::{call, host, rogue};

fn names(listed: &Outcome) -> Vec<String> {
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    listed.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn pipelines_of_the_service_and_of_the_user_are_listed() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "nightly", &simple("nightly", ""));
    let service = Service::start(&sandbox);
    let list = |more: &[&str]| {
        let mut command = host(&sandbox, &[&["state", "list"], more].concat());
        Outcome::of(command.env("SCANBRIDGE_STATE_DIR", sandbox.path("own")).output().unwrap())
    };
    let none = list(&[]).expect_code(66).stderr;
    assert!(none.contains("/state and ") && none.contains("the first is that of the service"), "{none}");
    control(&sandbox, &["run", "nightly", "--wait"]).expect_code(0);
    sandbox.write("mine.yaml", simple("mine", ""));
    call(&sandbox, &["run", "mine.yaml", "--state-dir", "own"]).expect_code(0);
    let text = list(&[]).expect_code(0).stdout;
    let directories: Vec<&str> = text.lines().filter(|line| line.starts_with("state directory:")).collect();
    assert!(directories[0].ends_with("/state") && directories[1].ends_with("/own"), "{text}");
    assert_eq!(names(&list(&["--format", "json"])), ["nightly", "mine"]);
    assert_eq!(names(&list(&["--format", "json", "--state-dir", "own"])), ["mine"]);
    assert_eq!(service.stop(), Some(0));
    assert_eq!(names(&list(&["--format", "json"])), ["mine"], "without a service, that of the user");
}

/// An interrupted run is discarded, and the state reset, while the service runs; not during a run.
#[test]
fn state_is_discarded_and_reset_while_the_service_runs() {
    let sandbox = Sandbox::new();
    write_pipeline(&sandbox, "nightly", &rogue("wait-forever", "behave", ""));
    let _service = Service::start(&sandbox);
    let file = "pipelines/nightly.yaml";
    let state = |verb: &str, more: &[&str]| call(&sandbox, &[&["state", verb, file], more].concat());
    control(&sandbox, &["run", "nightly"]).expect_code(0);
    wait_for_state(&sandbox, "nightly", "running");
    for verb in ["discard", "reset"] {
        let refused = state(verb, &[]).expect_code(75).stderr;
        for part in ["pipeline `nightly` is already running", "`scanbridge service pause nightly`"] {
            assert!(refused.contains(part), "{verb}: {refused}");
        }
    }
    control(&sandbox, &["pause", "nightly"]).expect_code(0);
    wait_for_state(&sandbox, "nightly", "paused");
    let discarded = state("discard", &[]).expect_code(0).stdout;
    assert!(discarded.contains("/state/nightly: the interrupted run was discarded"), "{discarded}");
    let again = state("discard", &[]).expect_code(0).stdout;
    assert!(again.contains("no run is interrupted"), "{again}");
    let reset = state("reset", &[]).expect_code(0).stdout;
    assert!(reset.contains("state of pipeline nightly was reset"), "{reset}");
    assert!(!sandbox.path("state/nightly/ledger.redb").exists());
    // The service continues with the pipeline: the run is its first.
    control(&sandbox, &["resume", "nightly"]).expect_code(0);
    let view = wait_for_state(&sandbox, "nightly", "running");
    assert_eq!(view["last_run"]["run"], 1, "{view:#}");
    let archives = fs::read_dir(sandbox.path("state/nightly")).unwrap().flatten();
    let is_archive = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("archive-");
    assert_eq!(archives.filter(is_archive).count(), 1);
}
