//! Dead letters as an operator works with them: one for each finding, by reason, a part of them.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use scanbridge::state::{Ledger, LetterFilter};
use serde_json::{Value, json};

use crate::sandbox::{Outcome, Sandbox};

fn command(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(sandbox.host_with_rogue(arguments).output().unwrap())
}

fn dead_letters(sandbox: &Sandbox, verb: &str, more: &[&str]) -> Outcome {
    command(sandbox, &[&["dead-letters", verb, "pipeline.yaml"], more].concat())
}

fn run(sandbox: &Sandbox) -> Outcome {
    command(sandbox, &["run", "pipeline.yaml", "--no-progress"])
}

/// The dead letters, as `show --format json` prints them.
fn shown(sandbox: &Sandbox, more: &[&str]) -> Vec<Value> {
    let shown = dead_letters(sandbox, "show", &[&["--format", "json"], more].concat()).expect_code(0).stdout;
    shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn listed(sandbox: &Sandbox) -> Value {
    let listed = dead_letters(sandbox, "list", &["--format", "json"]).expect_code(0).stdout;
    serde_json::from_str(&listed).unwrap()
}

/// A pipeline whose output rejects all nine findings, after one run.
fn rejected() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_rogue_pipeline("behave", "reject-all");
    run(&sandbox).expect_code(65);
    sandbox
}

#[test]
fn finding_that_is_rejected_in_each_run_is_one_dead_letter() {
    let sandbox = rejected();
    let first = shown(&sandbox, &[]);
    assert_eq!(first.len(), 9);
    sleep(Duration::from_millis(1100));
    for _ in 0..3 {
        run(&sandbox).expect_code(65);
    }
    let later = shown(&sandbox, &[]);
    assert_eq!(later.len(), 9, "{later:#?}");
    for (first, later) in first.iter().zip(&later) {
        assert_eq!((&later["attempts"], &later["run"]), (&json!(4), &json!(1)), "{later:#}");
        assert_eq!((&later["id"], &later["first"]), (&first["id"], &first["time"]), "{later:#}");
        assert!(later["time"].as_str() > first["time"].as_str(), "{later:#}");
    }
    // A replay that is refused adds its attempt to the same dead letters.
    let replayed = dead_letters(&sandbox, "replay", &["--summary", "json"]).expect_code(65).summary();
    assert_eq!(replayed["outputs"][0]["rejected"], 9, "{replayed:#}");
    let replayed = shown(&sandbox, &[]);
    assert_eq!(replayed.len(), 9);
    for (first, letter) in first.iter().zip(&replayed) {
        assert_eq!((&letter["attempts"], &letter["first"]), (&json!(5), &first["first"]), "{letter:#}");
    }
}

#[test]
fn dead_letters_are_listed_by_reason() {
    let sandbox = rejected();
    let listed = listed(&sandbox);
    let of_output = &listed[0];
    assert_eq!(
        (&of_output["output"], &of_output["letters"], &of_output["corrupt"]),
        (&json!("bad"), &json!(9), &json!(0))
    );
    let reasons = of_output["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 1, "{listed:#}");
    let reason = "rejected by the rogue output";
    assert_eq!((&reasons[0]["reason"], &reasons[0]["letters"]), (&json!(reason), &json!(9)), "{listed:#}");
    let text = dead_letters(&sandbox, "list", &[]).expect_code(0).stdout;
    for part in ["state directory: state/pipeline\n", "bad: 9 dead letters, ", "ATTEMPTS", reason] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn part_of_the_dead_letters_is_shown_replayed_and_purged() {
    let sandbox = rejected();
    let all = shown(&sandbox, &[]);
    let id = all[4]["id"].as_str().unwrap();
    let definition = all[4]["record"]["definition"]["id"].as_str().unwrap();
    let of_definition =
        all.iter().filter(|letter| letter["record"]["definition"]["id"] == definition).count();
    for (conditions, count) in [
        (&["--reason", "rogue"][..], 9),
        (&["--reason", "other"], 0),
        (&["--definition", definition], of_definition),
        (&["--qid", definition], of_definition),
        (&["--qid", "none"], 0),
        (&["--id", id], 1),
        (&["--id", id, "--reason", "other"], 0),
        (&["--older-than", "1h"], 0),
        (&["--output", "bad", "--reason", "rogue"], 9),
    ] {
        assert_eq!(shown(&sandbox, conditions).len(), count, "{conditions:?}");
    }
    let unit = dead_letters(&sandbox, "show", &["--older-than", "7"]).expect_code(64);
    assert!(unit.stderr.contains("is not a number with a unit"), "{}", unit.stderr);
    let none = dead_letters(&sandbox, "purge", &["--reason", "other"]).expect_code(0);
    assert_eq!(none.stdout, "no dead letters in state/pipeline\n");

    // The output accepts one finding now.
    sandbox.write_rogue_pipeline("behave", "behave");
    let replayed =
        dead_letters(&sandbox, "replay", &["--id", id, "--summary", "json"]).expect_code(0).summary();
    assert_eq!(replayed["outputs"][0]["records"], 1, "{replayed:#}");
    let rest = shown(&sandbox, &[]);
    assert_eq!(rest.len(), 8);
    assert!(rest.iter().all(|letter| letter["id"] != id));
    let none = dead_letters(&sandbox, "replay", &["--id", id]).expect_code(0).stdout;
    assert_eq!(none, "nothing to replay in state/pipeline\n");

    let other = rest[0]["id"].as_str().unwrap();
    let purged = dead_letters(&sandbox, "purge", &["--id", other, "--format", "json"]).expect_code(0).stdout;
    let purged: Value = serde_json::from_str(&purged).unwrap();
    assert_eq!(purged, json!([{ "instance": "bad", "removed": 1, "abandoned_reports": 0 }]));
    assert_eq!(shown(&sandbox, &[]).len(), 7);
    let purged = dead_letters(&sandbox, "purge", &[]).expect_code(0).stdout;
    assert_eq!(purged, "bad: removed 7 dead letters from state/pipeline\n");
    assert_eq!(listed(&sandbox), json!([]));
}

#[test]
fn corrupt_dead_letter_does_not_block_the_others() {
    let sandbox = rejected();
    let path = sandbox.path("state/pipeline/ledger.redb");
    let ledger = Ledger::open(&path, &sandbox.path("pipeline.yaml")).unwrap();
    let last = ledger.dead_letter_end("bad").unwrap().number;
    ledger.write_dead_letters("bad", last + 1, &[b"{\"stage\":\"output\",\"outp".to_vec()]).unwrap();
    ledger.remove_dead_letters("bad", 0, last + 1, &LetterFilter::default()).unwrap();
    ledger.close();

    let listed = listed(&sandbox);
    assert_eq!((&listed[0]["letters"], &listed[0]["corrupt"]), (&json!(10), &json!(1)), "{listed:#}");
    let text = dead_letters(&sandbox, "list", &[]).expect_code(0).stdout;
    assert!(text.contains("1 CORRUPT"), "{text}");
    let shown = dead_letters(&sandbox, "show", &[]).expect_code(65);
    assert_eq!(shown.stdout.lines().count(), 9, "{}", shown.stdout);
    assert!(
        shown.stderr.contains(&format!("dead letter {} of bad is corrupt", last + 1)),
        "{}",
        shown.stderr
    );

    sandbox.write_rogue_pipeline("behave", "behave");
    let replayed = dead_letters(&sandbox, "replay", &["--summary", "json"]).expect_code(0);
    assert_eq!(replayed.summary()["outputs"][0]["records"], 9);
    assert!(replayed.stderr.contains("is corrupt"), "{}", replayed.stderr);
    dead_letters(&sandbox, "show", &[]).expect_code(65);
    dead_letters(&sandbox, "purge", &[]).expect_code(0);
    dead_letters(&sandbox, "show", &[]).expect_code(0);
}

#[test]
fn replay_during_a_run_gives_advice_that_it_can_follow() {
    let sandbox = rejected();
    sandbox.write_rogue_pipeline("wait-forever", "behave");
    let arguments = ["run", "pipeline.yaml", "--no-progress"];
    let mut run = sandbox.host_with_rogue(&arguments);
    let run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sleep(Duration::from_millis(700));
    let refused = dead_letters(&sandbox, "replay", &[]);
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    run.wait_with_output().unwrap();
    let refused = refused.expect_code(75);
    assert!(refused.stderr.contains("then repeat this command"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("--wait"), "{}", refused.stderr);
}
