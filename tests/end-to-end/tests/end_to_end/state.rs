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
    let nothing = command(&sandbox, &["state", "show"]).expect_code(0);
    assert!(nothing.stdout.starts_with("no saved state for pipeline pipeline in "), "{}", nothing.stdout);

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
    let nothing = command(&sandbox, &["state", "show"]).stdout;
    assert!(nothing.starts_with("no saved state for pipeline pipeline in "), "{nothing}");
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
        assert_eq!(outcome.stdout, "no dead letters\n", "{verb}");
    }
    let outcome = command(&sandbox, &["dead-letters", "replay"]).expect_code(0);
    assert_eq!(outcome.stdout, "nothing to replay\n");
    for verb in ["show", "purge"] {
        let outcome = command(&sandbox, &["dead-letters", verb, "--output", "sheet"]).expect_code(0);
        assert_eq!(outcome.stdout, "no dead letters of `sheet`\n", "{verb}");
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
