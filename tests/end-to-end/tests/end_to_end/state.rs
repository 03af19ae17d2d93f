//! The saved state of a pipeline, and the commands that show and reset it.

use std::fs;
use std::io::Write;
use std::process::Command;

use serde_json::{Value, json};

use crate::installation::project_file;
use crate::sandbox::{CSV, Outcome, Sandbox, pipeline};

fn after_a_run(sandbox: &Sandbox) {
    let scan = format!("path: {:?}", project_file("examples/reports/scan.xml"));
    sandbox.run(&pipeline(&scan, &[CSV])).expect_code(0);
}

fn command(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    let all = [arguments, &["pipeline.yaml", "--state-dir", "state"]].concat();
    Outcome::of(sandbox.host(&all).output().unwrap())
}

#[test]
fn state_is_shown_exported_and_archived() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", pipeline("path: a.xml", &[CSV]));
    let nothing = command(&sandbox, &["state", "show"]).expect_code(66);
    assert!(
        nothing.stderr.contains(": no saved state of pipeline pipeline in directory state/pipeline\n"),
        "{}",
        nothing.stderr
    );
    assert!(nothing.stderr.contains("--state-dir"), "{}", nothing.stderr);

    after_a_run(&sandbox);
    after_a_run(&sandbox);
    let shown = command(&sandbox, &["state", "show"]).expect_code(0).stdout;
    assert!(shown.contains("the next run starts from the beginning\n"), "{shown}");
    let export: Value =
        serde_json::from_str(&command(&sandbox, &["state", "export"]).expect_code(0).stdout).unwrap();
    assert_eq!(export["name"], "pipeline");
    assert_eq!(export["checkpoint"], Value::Null, "a finished run leaves nothing to resume");
    let runs = export["runs"].as_array().unwrap();
    assert_eq!(runs.iter().map(|run| run["number"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert!(
        runs.iter().all(|run| run["state"] == "finished" && run["exit_code"] == 0 && run["findings"] == 16)
    );
    let reports = export["reports"].as_array().unwrap();
    assert_eq!(reports.len(), 2);
    assert!(reports[0]["path"].as_str().unwrap().ends_with("examples/reports/scan.xml"));

    let reset = command(&sandbox, &["state", "reset"]).expect_code(0).stdout;
    assert!(
        reset.starts_with(
            "state of pipeline pipeline was reset: its next run starts from the beginning; \
             the previous state was archived in "
        ),
        "{reset}"
    );
    command(&sandbox, &["state", "show"]).expect_code(66);
    after_a_run(&sandbox);
}

#[test]
fn state_reset_instance_archives_only_that_instance() {
    let sandbox = Sandbox::new();
    after_a_run(&sandbox);
    let without_data = command(&sandbox, &["state", "reset", "--instance", "sheet"]).expect_code(64);
    assert!(without_data.stderr.contains("`sheet` has no data of its own"), "{}", without_data.stderr);
    assert!(
        without_data.stderr.contains("inputs and outputs with data of their own: reports"),
        "{}",
        without_data.stderr
    );
    for outside in ["..", "../../pipeline", "."] {
        command(&sandbox, &["state", "reset", "--instance", outside]).expect_code(64);
    }
    // Its list of delivered files is in the ledger; large data would be here.
    let own = sandbox.path("state/pipeline/instances/reports");
    fs::create_dir_all(&own).unwrap();
    let reset = command(&sandbox, &["state", "reset", "--instance", "reports"]).expect_code(0).stdout;
    assert!(
        reset.starts_with(
            "data of `reports` in pipeline pipeline was reset; 1 key was deleted; the previous files were archived in "
        ),
        "{reset}"
    );
    assert!(!own.exists());
    let export = command(&sandbox, &["state", "export"]).expect_code(0).stdout;
    assert_eq!(serde_json::from_str::<Value>(&export).unwrap()["keys"], json!({}), "{export}");
    let shown = command(&sandbox, &["state", "show"]).expect_code(0).stdout;
    assert!(shown.contains("finished"), "the history is kept: {shown}");
    after_a_run(&sandbox);
}

#[test]
fn read_only_state_directory_exits_73() {
    let sandbox = Sandbox::new();
    after_a_run(&sandbox);
    let state = sandbox.path("state");
    let mount = |options: &str| {
        let mut mount = Command::new("mount");
        mount.args(["-o", options]).arg(&state).arg(&state);
        mount.output().is_ok_and(|output| output.status.success())
    };
    if !(mount("bind") && mount("remount,ro,bind")) {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI must be able to mount");
        let _ = writeln!(std::io::stderr(), "skipped: this user cannot mount");
        return;
    }
    let scan = format!("path: {:?}", project_file("examples/reports/scan.xml"));
    let refused = sandbox.run(&pipeline(&scan, &[CSV]));
    let shown = command(&sandbox, &["state", "show"]);
    let _ = Command::new("umount").arg(&state).output();
    let refused = refused.expect_code(73);
    assert!(refused.stderr.contains("Read-only file system"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--state-dir"), "{}", refused.stderr);
    assert!(shown.expect_code(0).stdout.contains("the next run starts from the beginning"));
}

#[test]
fn corrupt_state_is_rejected_with_a_hint() {
    let sandbox = Sandbox::new();
    after_a_run(&sandbox);
    let ledger = sandbox.path("state/pipeline/ledger.redb");
    for damage in [b"".as_slice(), b"not a ledger at all"] {
        fs::write(&ledger, damage).unwrap();
        let scan = format!("path: {:?}", project_file("examples/reports/scan.xml"));
        let refused = sandbox.run(&pipeline(&scan, &[CSV])).expect_code(78);
        assert!(refused.stderr.contains("scanbridge state reset FILE"), "{}", refused.stderr);
        assert_eq!(fs::read(&ledger).unwrap(), damage, "the corrupt file is unchanged");
    }
    command(&sandbox, &["state", "reset"]).expect_code(0);
    after_a_run(&sandbox);
}

#[test]
fn pipelines_with_the_same_name_do_not_share_state() {
    let sandbox = Sandbox::new();
    after_a_run(&sandbox);
    fs::create_dir(sandbox.path("other")).unwrap();
    let scan = format!("path: {:?}", project_file("examples/reports/scan.xml"));
    sandbox.write("other/pipeline.yaml", pipeline(&scan, &[CSV]));
    let run = |file: &str| {
        let all = ["run", file, "--state-dir", "state", "--no-progress"];
        Outcome::of(sandbox.host(&all).output().unwrap())
    };
    let refused = run("other/pipeline.yaml").expect_code(78);
    assert!(
        refused.stderr.contains("set a different `name:` in one of the two pipelines"),
        "{}",
        refused.stderr
    );
    sandbox.write("other/pipeline.yaml", format!("name: second\n{}", pipeline(&scan, &[CSV])));
    run("other/pipeline.yaml").expect_code(0);
    assert!(sandbox.path("state/second/ledger.redb").exists());
}

#[test]
fn commands_report_that_no_dead_letters_exist() {
    let sandbox = Sandbox::new();
    after_a_run(&sandbox);
    for verb in ["list", "show", "purge"] {
        let outcome = command(&sandbox, &["dead-letters", verb]).expect_code(0);
        assert_eq!(outcome.stdout, "no dead letters in state/pipeline\n", "{verb}");
    }
    let outcome = command(&sandbox, &["dead-letters", "replay"]).expect_code(0);
    assert_eq!(outcome.stdout, "nothing to replay in state/pipeline\n");
    for verb in ["show", "purge"] {
        let outcome = command(&sandbox, &["dead-letters", verb, "--output", "sheet"]).expect_code(0);
        assert_eq!(outcome.stdout, "no dead letters of `sheet` in state/pipeline\n", "{verb}");
    }
    let shown = command(&sandbox, &["dead-letters", "show", "--format", "json"]).expect_code(0);
    assert_eq!(shown.stdout, "", "JSON output is empty without dead letters");
    let replayed = command(&sandbox, &["dead-letters", "replay", "--summary", "json"]).expect_code(0);
    let summary: Value = serde_json::from_str(&replayed.stdout).unwrap();
    assert_eq!((&summary["status"], &summary["outputs"]), (&json!("ok"), &json!([])));
}

#[test]
fn unknown_ids_exit_64_and_the_known_ones_are_listed() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", pipeline("path: a.xml", &[CSV]));
    // Before the first run and after it.
    for _ in 0..2 {
        for (arguments, parts) in [
            (
                ["state", "reset", "--instance", "report"],
                ["unknown instance `report`", "inputs and outputs of this pipeline: reports, sheet"],
            ),
            (
                ["dead-letters", "show", "--output", "sheat"],
                ["unknown output or input `sheat`", "outputs and inputs of this pipeline: reports, sheet"],
            ),
            (
                ["dead-letters", "purge", "--output", "report"],
                ["unknown output or input `report`", "outputs and inputs of this pipeline: reports, sheet"],
            ),
            (
                ["dead-letters", "replay", "--output", "sheat"],
                ["unknown output `sheat`", "outputs of this pipeline: sheet"],
            ),
        ] {
            let outcome = command(&sandbox, &arguments).expect_code(64);
            for part in parts {
                assert!(outcome.stderr.contains(part), "{arguments:?}: {}", outcome.stderr);
            }
        }
        after_a_run(&sandbox);
    }
}

#[test]
fn failed_run_is_shown_as_finished_with_errors() {
    let sandbox = Sandbox::new();
    sandbox.run(&pipeline("path: no-such-report.xml", &[CSV])).expect_code(66);
    let shown = command(&sandbox, &["state", "show"]).expect_code(0).stdout;
    for part in ["EXIT CODE", "FINDINGS READ", "finished with errors  66", "COMPLETENESS"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let export: Value =
        serde_json::from_str(&command(&sandbox, &["state", "export"]).expect_code(0).stdout).unwrap();
    assert_eq!(export["runs"][0]["state"], "finished", "the JSON is unchanged");
}

#[test]
fn commands_name_the_directory_in_which_they_find_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", pipeline("path: a.xml", &[CSV]));
    for arguments in [
        &["state", "show"][..],
        &["state", "export"],
        &["state", "discard"],
        &["state", "reset"],
        &["dead-letters", "list"],
        &["dead-letters", "list", "--format", "json"],
        &["dead-letters", "show"],
        &["dead-letters", "replay"],
        &["dead-letters", "purge"],
    ] {
        let outcome = command(&sandbox, arguments).expect_code(66);
        assert!(outcome.stderr.contains("in directory state/pipeline"), "{arguments:?}: {}", outcome.stderr);
        assert_eq!(outcome.stdout, "", "{arguments:?}");
    }
    assert!(!sandbox.path("state").exists(), "looking creates nothing");
}

#[test]
fn state_directory_is_set_by_option_or_environment() {
    let sandbox = Sandbox::new();
    after_a_run(&sandbox);
    let show = |name: &str, value: &str| {
        let mut host = sandbox.host(&["state", "show", "pipeline.yaml"]);
        Outcome::of(host.env("XDG_STATE_HOME", "/none").env(name, value).output().unwrap())
    };
    show("SCANBRIDGE_STATE_DIR", "state").expect_code(0);
    let state = sandbox.path("state").to_str().unwrap().to_owned();
    show("STATE_DIRECTORY", &state).expect_code(0);
    show("OTHER", "").expect_code(66);
    // The option has precedence.
    let mut host = sandbox.host(&["state", "show", "pipeline.yaml", "--state-dir", "state"]);
    Outcome::of(host.env("SCANBRIDGE_STATE_DIR", "/none").output().unwrap()).expect_code(0);
}

#[test]
fn all_pipelines_of_a_state_directory_are_listed() {
    let sandbox = Sandbox::new();
    let list = |format: &str| {
        let arguments = ["state", "list", "--format", format, "--state-dir", "state"];
        Outcome::of(sandbox.host(&arguments).output().unwrap())
    };
    assert!(list("text").expect_code(66).stderr.contains("no saved state in directory state"));
    assert_eq!(list("json").expect_code(0).stdout.trim(), "[]");
    after_a_run(&sandbox);
    let text = pipeline("path: none.xml", &[CSV]) + "name: weekly\n";
    sandbox.run(&text).expect_code(66);
    fs::create_dir(sandbox.path("state/broken")).unwrap();
    sandbox.write("state/broken/ledger.redb", "not a ledger");
    let shown = list("text").expect_code(0).stdout;
    for part in ["state directory: state\n", "PIPELINE", "weekly", "finished with errors (66)", "is corrupt"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let listed: Value = serde_json::from_str(&list("json").expect_code(0).stdout).unwrap();
    let names: Vec<_> =
        listed.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["broken", "pipeline", "weekly"]);
    assert_eq!(
        (&listed[1]["last_run"]["number"], &listed[1]["last_run"]["exit_code"]),
        (&json!(1), &json!(0))
    );
    assert!(listed[1]["file"].as_str().unwrap().ends_with("pipeline.yaml"), "{listed:#}");
    assert!(listed[1]["bytes"].as_u64().unwrap() > 0 && listed[0]["error"].is_string(), "{listed:#}");
}

#[test]
fn summaries_and_days_are_exported() {
    let sandbox = Sandbox::new();
    after_a_run(&sandbox);
    sandbox.run(&pipeline("path: none.xml", &[CSV])).expect_code(66);
    let export: Value =
        serde_json::from_str(&command(&sandbox, &["state", "export"]).expect_code(0).stdout).unwrap();
    let summaries = export["summaries"].as_array().unwrap();
    assert_eq!((&summaries[0]["run"], &summaries[0]["inputs"][0]["reports"]), (&json!(1), &json!(1)));
    assert_eq!(summaries[1]["exit_code"], 66);
    let sum = |name: &str| {
        export["days"].as_array().unwrap().iter().map(|day| day[name].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(["ok", "failed", "findings", "delivered"].map(sum), [1, 1, 16, 16], "{export:#}");
}

/// Correcting the address of a receiver does not need another command.
#[test]
fn changed_pipeline_starts_from_the_beginning_if_nothing_was_delivered() {
    let sandbox = Sandbox::new();
    let scan = format!("path: {:?}", project_file("examples/reports/scan.xml"));
    let siem = |port: u16| {
        format!(
            "{{ id: siem, plugin: ArcSightCEF, retry: {{ max_elapsed_secs: 0 }}, with: {{ transport: tcp, address: \"127.0.0.1:{port}\" }} }}"
        )
    };
    sandbox.run(&pipeline(&scan, &[&siem(1)])).expect_code(69);
    // Another output, another filter, another address.
    let text = pipeline(&scan, &[CSV]) + "filter: { kinds: [service] }\n";
    let outcome = sandbox.run(&text).expect_code(0);
    assert!(
        outcome.stderr.contains("which has delivered nothing: starting from the beginning"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.summary()["outputs"][0]["records"], 5);
}

#[test]
fn state_discard_discards_the_interruption_only() {
    let sandbox = Sandbox::new();
    after_a_run(&sandbox);
    let nothing = command(&sandbox, &["state", "discard"]).expect_code(0).stdout;
    assert_eq!(
        nothing,
        "pipeline pipeline in state/pipeline: no run is interrupted: nothing was discarded\n"
    );
    // One output delivers, the other one is unavailable.
    let scan = format!("path: {:?}", project_file("examples/reports/scan.xml"));
    let siem = "{ id: siem, plugin: ArcSightCEF, retry: { max_elapsed_secs: 0 }, with: { transport: tcp, address: \"127.0.0.1:1\" } }";
    sandbox.run(&pipeline(&scan, &[CSV, siem])).expect_code(69);
    let discarded = command(&sandbox, &["state", "discard"]).expect_code(0).stdout;
    assert!(discarded.ends_with(": the next run starts from the beginning\n"), "{discarded}");
    let shown = command(&sandbox, &["state", "show"]).expect_code(0).stdout;
    assert!(shown.contains("the next run starts from the beginning\n"), "{shown}");
    assert!(shown.contains("finished"), "the history is kept: {shown}");
    after_a_run(&sandbox);
}

#[test]
fn state_of_another_user_is_refused_before_anything_is_written() {
    if !rustix::process::geteuid().is_root() {
        let _ = writeln!(std::io::stderr(), "skipped: only root can change the owner of a directory");
        return;
    }
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("state")).unwrap();
    std::os::unix::fs::chown(sandbox.path("state"), Some(12_345), None).unwrap();
    let scan = format!("path: {:?}", project_file("examples/reports/scan.xml"));
    let refused = sandbox.run(&pipeline(&scan, &[CSV])).expect_code(77);
    assert!(
        refused.stderr.contains(
            "the saved state in state belongs to the user with ID 12345 (uid 12345), and you are root"
        ),
        "{}",
        refused.stderr
    );
    assert_eq!(fs::read_dir(sandbox.path("state")).unwrap().count(), 0);
    assert_eq!(refused.summary()["exit_code"], 77);
}
