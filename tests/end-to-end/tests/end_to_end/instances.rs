//! A pipeline with several instances, each with its own saved state: the service runs all of them, and the commands of
//! operators reach each of them.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox};
use crate::service::{Service, control, http, view, wait_for, wait_for_state, write_pipeline};
use crate::service_dead_letters::{call, rogue};

/// A pipeline that waits for reports.
fn watching(instances: u32) -> String {
    format!(
        "version: 1\nname: fetch\ninstances: {instances}\nschedule: continuous\n\
         inputs: [{{ id: reports, plugin: Rogue, with: {{ act: watch }} }}]\n\
         outputs: [{{ id: bad, plugin: Rogue, with: {{ act: behave }} }}]\n"
    )
}

/// A pipeline whose output rejects all nine findings.
fn rejecting(instances: u32) -> String {
    rogue("behave", "reject-all", &format!("name: fetch\ninstances: {instances}"))
}

/// A command on the pipeline file, for the service that runs it.
fn on_file(sandbox: &Sandbox, command: &[&str], options: &[&str]) -> Outcome {
    call(sandbox, &[command, &["pipelines/fetch.yaml"], options].concat())
}

fn json(outcome: Outcome) -> Value {
    serde_json::from_str(&outcome.expect_code(0).stdout).unwrap()
}

/// The numbers of instances in a JSON array.
fn numbers(list: &Value) -> Vec<u64> {
    list.as_array().unwrap().iter().map(|entry| entry["run_instance"].as_u64().unwrap()).collect()
}

#[test]
fn service_runs_each_instance_and_a_faulty_file_stops_none() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("inbox")).unwrap();
    write_pipeline(&sandbox, "fetch", &watching(2));
    let service = Service::start(&sandbox);
    let running = ["fetch.1", "fetch.2"].map(|name| wait_for_state(&sandbox, name, "running"));
    let processes = running.each_ref().map(|view| view["run"]["pid"].as_u64().unwrap());
    assert_ne!(processes[0], processes[1]);
    assert_eq!(running.map(|view| view["instance"].clone()), [1, 2]);
    let status = control(&sandbox, &["status"]).expect_code(0).stdout;
    assert!(status.contains("fetch.1") && status.contains("fetch.2"), "{status}");

    // Commands that only read show all; the others require a choice.
    let shown = on_file(&sandbox, &["state", "show"], &[]).expect_code(0).stdout;
    assert!(shown.contains("pipeline fetch.1 (") && shown.contains("\npipeline fetch.2 ("), "{shown}");
    let all = json(on_file(&sandbox, &["state", "export"], &[]));
    assert_eq!((numbers(&all), &all[1]["name"]), (vec![1, 2], &Value::from("fetch.2")), "{all}");
    let second = json(on_file(&sandbox, &["state", "export"], &["--run-instance", "2"]));
    assert_eq!((&second["name"], &second["run_instance"]), (&Value::from("fetch.2"), &Value::from(2)));
    let unclear = on_file(&sandbox, &["state", "discard"], &[]).expect_code(64).stderr;
    assert!(unclear.contains("choose one with --run-instance N: 1, 2"), "{unclear}");
    let busy = on_file(&sandbox, &["state", "discard"], &["--run-instance", "2"]).expect_code(75).stderr;
    assert!(busy.contains("`scanbridge service pause fetch.2`"), "{busy}");

    // A file with errors keeps the runs of all instances, also after a restart of the service.
    write_pipeline(&sandbox, "fetch", "version: 1\nname: fetch\ninstances: many\n");
    control(&sandbox, &["reload"]).expect_code(78);
    for (name, process) in [("fetch.1", processes[0]), ("fetch.2", processes[1])] {
        let view = view(&sandbox, name);
        assert_eq!((&view["state"], view["run"]["pid"].as_u64()), (&Value::from("running"), Some(process)));
        assert!(!view["rejected"].as_array().unwrap().is_empty(), "{view:#}");
    }
    assert_eq!(service.stop(), Some(0));
    let service = Service::start(&sandbox);
    let running = ["fetch.1", "fetch.2"].map(|name| wait_for_state(&sandbox, name, "running"));
    assert_eq!(running.map(|view| view["instance"].clone()), [1, 2]);

    // One instance has no number.
    write_pipeline(&sandbox, "fetch", &watching(1));
    control(&sandbox, &["reload"]).expect_code(0);
    let only = wait_for_state(&sandbox, "fetch", "running");
    assert!(only["instance"].is_null(), "{only:#}");
    for name in ["fetch.1", "fetch.2"] {
        wait_for(&sandbox, name, Value::is_null);
    }
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn instances_that_would_each_deliver_everything_are_refused() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("inbox")).unwrap();
    let folder = "plugin: QualysGuardFile, with: { path: inbox, watch: yes }";
    let pipeline = |instances| watching(instances).replace("plugin: Rogue, with: { act: watch }", folder);
    write_pipeline(&sandbox, "fetch", &pipeline(2));
    for (command, options) in [("check", &[][..]), ("run", &["--state-dir", "state"])] {
        let refused = on_file(&sandbox, &[command], options).expect_code(78).stderr;
        assert!(refused.contains("would deliver everything of input reports 2 times"), "{refused}");
    }
    write_pipeline(&sandbox, "fetch", &pipeline(1));
    on_file(&sandbox, &["check"], &[]).expect_code(0);
}

#[test]
fn service_handles_the_dead_letters_of_the_chosen_instance() {
    let sandbox = Sandbox::new();
    write_pipeline(&sandbox, "fetch", &rejecting(2));
    let service = Service::start(&sandbox);
    for name in ["fetch.1", "fetch.2"] {
        control(&sandbox, &["run", name, "--wait"]).expect_code(65);
    }
    let listed = json(on_file(&sandbox, &["dead-letters", "list"], &["--format", "json"]));
    assert_eq!(numbers(&listed), [1, 2], "{listed}");
    for verb in ["replay", "purge"] {
        let unclear = on_file(&sandbox, &["dead-letters", verb], &[]).expect_code(64).stderr;
        assert!(
            unclear.contains("pipeline fetch has 2 instances, each with its own saved state"),
            "{unclear}"
        );
    }
    let purged = on_file(&sandbox, &["dead-letters", "purge"], &["--run-instance", "2"]).expect_code(0);
    assert!(purged.stdout.starts_with("bad: removed 9 dead letters"), "{}", purged.stdout);
    let of_api = |name: &str, what: &str| -> Value {
        let (status, body) = http(&sandbox, &format!("GET /api/v1/pipelines/{name}/{what}"), "");
        assert_eq!(status, "200", "{body}");
        serde_json::from_str(&body).unwrap()
    };
    assert_eq!(of_api("fetch.1", "dead-letters")[0]["letters"], 9);
    assert_eq!(of_api("fetch.2", "dead-letters")[0]["letters"].as_u64().unwrap_or_default(), 0);
    for name in ["fetch.1", "fetch.2"] {
        let runs = of_api(name, "runs");
        assert!(runs.to_string().contains(&format!("\"pipeline\":\"{name}\"")), "{runs:#}");
    }
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn commands_without_a_service_reach_each_instance() {
    let sandbox = Sandbox::new();
    write_pipeline(&sandbox, "fetch", &rejecting(2));
    let at = |command: &[&str], options: &[&str]| {
        on_file(&sandbox, command, &[options, &["--state-dir", "state"]].concat())
    };
    at(&["run"], &["--instance", "1"]).expect_code(65);
    let only = json(at(&["dead-letters", "list"], &["--format", "json"]));
    assert_eq!(numbers(&only), [1], "instance 2 has no state yet");
    at(&["dead-letters", "list"], &["--run-instance", "2"]).expect_code(66);
    at(&["run"], &["--run-instance", "2"]).expect_code(65);

    let listed = at(&["dead-letters", "list"], &[]).expect_code(0).stdout;
    assert!(listed.contains("/state/fetch.1\n") || listed.contains(": state/fetch.1\n"), "{listed}");
    assert_eq!(listed.matches("bad: 9 dead letters").count(), 2, "{listed}");
    let shown = at(&["dead-letters", "show"], &["--format", "json"]).expect_code(0).stdout;
    let lines: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["run_instance"] == 2).count(), 9, "{shown}");
    assert_eq!(lines.len(), 18);
    let text = at(&["dead-letters", "show"], &["--run-instance", "2"]).expect_code(0).stdout;
    assert!(text.starts_with("pipeline fetch.2:\n") && !text.contains("fetch.1"), "{text}");

    let refused = at(&["dead-letters", "replay"], &["--summary", "json"]).expect_code(64);
    assert!(refused.summary()["failures"][0]["message"].as_str().unwrap().contains("2 instances"));
    let replayed = at(&["dead-letters", "replay"], &["--run-instance", "2", "--summary", "json"]);
    assert_eq!(replayed.expect_code(65).summary()["pipeline"], "fetch.2");
    let attempts = |number: &str| -> Value {
        let options = ["--run-instance", number, "--format", "json"];
        let shown = at(&["dead-letters", "show"], &options).expect_code(0).stdout;
        serde_json::from_str::<Value>(shown.lines().next().unwrap()).unwrap()["attempts"].clone()
    };
    assert_eq!((attempts("1"), attempts("2")), (1.into(), 2.into()));
    for command in [&["state", "reset"][..], &["state", "discard"], &["dead-letters", "purge"]] {
        at(command, &[]).expect_code(64);
    }
    let reset = at(&["state", "reset"], &["--run-instance", "1"]).expect_code(0).stdout;
    assert!(reset.starts_with("state of pipeline fetch.1 was reset"), "{reset}");

    // An instance that the file no longer has can be reached while its state is there.
    write_pipeline(&sandbox, "fetch", &rejecting(1));
    let purged = at(&["dead-letters", "purge"], &["--run-instance", "2"]).expect_code(0).stdout;
    assert!(purged.starts_with("bad: removed 9 dead letters"), "{purged}");
    let unknown = at(&["state", "show"], &["--run-instance", "3"]).expect_code(64).stderr;
    assert!(unknown.contains("pipeline fetch has no instance 3"), "{unknown}");
    at(&["run"], &[]).expect_code(65);
    let alone = json(at(&["state", "export"], &[]));
    assert!(alone.is_object() && alone.get("run_instance").is_none(), "{alone}");
}
