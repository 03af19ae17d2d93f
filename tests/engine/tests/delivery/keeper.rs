//! An output that keeps the checkpoint: faults and kills at each of its calls, on one machine and on another one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use scanbridge::pipeline::{Stop, Summary};
use scanbridge_plugin_api::keeper::Pairs;
use serde::Deserialize;

use crate::case::{Case, FAST, everything};

#[derive(Default, Deserialize)]
struct Store {
    pairs: Pairs,
    lines: Vec<String>,
}

/// A pipeline whose output keeps the checkpoint in this directory.
fn case(store: &Path, options: &str) -> Case {
    let store = store.display();
    Case::new(
        "behave",
        &[&format!("id: bus, plugin: RogueKeeper, {FAST}, with: {{ store: '{store}', {options} }}")],
    )
}

fn read(store: &Path) -> Store {
    fs::read(store.join("stored")).map(|json| serde_json::from_slice(&json).unwrap()).unwrap_or_default()
}

fn about(store: &Path) -> BTreeMap<String, serde_json::Value> {
    serde_json::from_slice(&read(store).pairs["about"]).unwrap()
}

/// Runs until a run succeeds. Returns the exit codes.
fn run_to_the_end(mut run: impl FnMut() -> u8) -> Vec<u8> {
    let mut codes = Vec::new();
    while codes.last() != Some(&0) && codes.len() < 9 {
        codes.push(run());
    }
    codes
}

fn code(result: Result<Summary, Vec<scanbridge::pipeline::Failure>>) -> u8 {
    result.map_or_else(|failures| failures[0].exit_code, |summary| summary.exit_code())
}

#[test]
fn findings_and_checkpoint_are_committed_together() {
    let folder = tempfile::tempdir().unwrap();
    let case = case(folder.path(), "");
    let summary = case.run();
    assert_eq!(summary.exit_code(), 0, "{summary:?}");
    assert_eq!((summary.outputs[0].records, summary.outputs[0].undelivered), (9, 0));
    let stored = read(folder.path());
    assert_eq!(stored.lines, everything(true));
    assert!(!stored.pairs.contains_key("position/in"), "a run that has finished has no position");
    assert!(
        stored.pairs.contains_key("key/in/batch:05") && stored.pairs.contains_key("key/in/stored:rogue.xml")
    );
    let about = about(folder.path());
    assert_eq!(
        (&about["format"], &about["slots"], &about["pipeline"]),
        (&1.into(), &1.into(), &"rogue".into())
    );
    // The first checkpoint, nine batches, the end of the report, the end of the run.
    assert_eq!(about["commit"], 12);
    assert_eq!(case.ledger().checkpoint().unwrap(), None);
    assert_eq!(case.ledger().reports().unwrap().len(), 1);
}

/// Each fault at each call: every finding is stored once, whatever was interrupted. Without `same_machine`, each run has
/// another state directory, as on another machine.
fn faults(act: &str, same_machine: bool, run: fn(&Case) -> u8) {
    for (at, calls) in [
        ("open", 1..=1),
        ("load", 1..=1),
        ("begin", 1..=1),
        ("write", 1..=9),
        ("end", 1..=1),
        ("before-commit", 1..=12),
        ("after-commit", 1..=12),
        ("close", 1..=1),
    ] {
        for call in calls {
            let folder = tempfile::tempdir().unwrap();
            let options = format!("act: {act}, at: {at}, call: {call}");
            let first = case(folder.path(), &options);
            let codes =
                run_to_the_end(
                    || {
                        if same_machine { run(&first) } else { run(&case(folder.path(), &options)) }
                    },
                );
            let what = format!("{act} in call {call} of {at}, {codes:?}");
            let is_closed = at == "close";
            if is_closed || (at, call) == ("after-commit", 12) {
                // Everything was committed before the fault: the next run reads the report again.
                let twice = read(folder.path()).lines.len() == 2 * everything(true).len();
                assert_eq!(twice, codes.len() > 1, "{what}");
            } else {
                assert_eq!(read(folder.path()).lines, everything(true), "{what}");
            }
            let expected: &[u8] = match act {
                // The outcome of the commit is unknown.
                "unavailable" if at == "after-commit" => &[75, 0],
                "unavailable" if is_closed => &[69, 0],
                "unavailable" => &[0],
                "displaced" => &[75, 0],
                "auth" => &[77, 0],
                "abort" => &[134, 0],
                _ => &[70, 0],
            };
            assert_eq!(codes, expected, "{what}");
        }
    }
}

#[test]
fn fault_at_any_call_loses_and_repeats_nothing() {
    for act in ["unavailable", "displaced", "auth"] {
        faults(act, true, |case| code(case.try_run()));
    }
}

#[test]
fn another_machine_continues_after_a_fault_at_any_call() {
    faults("displaced", false, |case| code(case.try_run()));
}

#[test]
fn kill_at_any_call_loses_and_repeats_nothing() {
    faults("abort", true, killed);
    faults("abort", false, killed);
}

/// Runs the case in a process of its own, which may be killed.
fn killed(case: &Case) -> u8 {
    let text = case.folder.path().join("pipeline.yaml");
    fs::write(&text, &case.text).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "keeper::child", "--ignored"]).env("KEEPER_CASE", case.folder.path());
    let status = child.output().unwrap().status;
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    signal.map_or_else(
        || u8::try_from(status.code().unwrap()).unwrap(),
        |signal| 128 + u8::try_from(signal).unwrap(),
    )
}

#[test]
#[ignore = "started by the tests that kill it"]
fn child() {
    let Some(folder) = std::env::var_os("KEEPER_CASE").map(PathBuf::from) else { return };
    let case = Case::new("behave", &[]);
    let text = fs::read_to_string(folder.join("pipeline.yaml")).unwrap();
    let code = code(Case { text, ..case }.try_run_in(&folder));
    #[expect(clippy::disallowed_methods, reason = "the exit code is the result")]
    std::process::exit(code.into());
}

/// Dead letters stay on the machine: exactly those of the commits that have happened.
#[test]
fn dead_letters_count_with_the_commit_that_they_belong_to() {
    for (act, at) in [
        ("displaced", "write"),
        ("displaced", "before-commit"),
        ("displaced", "after-commit"),
        ("unavailable", "before-commit"),
        ("unavailable", "after-commit"),
        ("abort", "before-commit"),
        ("abort", "after-commit"),
    ] {
        for call in [2, 3, 7] {
            let folder = tempfile::tempdir().unwrap();
            let mut case = case(folder.path(), &format!("rejects: yes, act: {act}, at: {at}, call: {call}"));
            case.text = case.text.replace("act: behave }", "act: behave, findings: 2 }");
            let codes = run_to_the_end(|| match killed(&case) {
                65 => 0,
                code => code,
            });
            let what = format!("{act} in call {call} of {at}: {codes:?}");
            assert_eq!(codes.last(), Some(&0), "{what}");
            let addresses = |letters: Vec<scanbridge::state::DeadLetter>| -> Vec<String> {
                letters.iter().map(|letter| letter.record.asset["address"].clone()).collect()
            };
            let expected: Vec<String> = (2..=10).map(|asset| format!("192.0.2.{asset}")).collect();
            let letters = case.dead_letters_of("bus");
            assert!(letters.iter().all(|letter| letter.attempts == 1), "{what}");
            assert_eq!(addresses(letters), expected, "{what}");
            assert_eq!(read(folder.path()).lines.len(), 10, "{what}");
        }
    }
}

#[test]
fn answers_that_are_wrong_end_the_run() {
    for (lie, expected) in [
        ("other-pairs", "is corrupt: no pair `about`"),
        ("garbage", "is corrupt"),
        ("slots", "is one of 9 shares; this run has one of 1"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        case(folder.path(), "act: displaced, at: write, call: 3").run();
        let before = read(folder.path()).lines;
        let failures = case(folder.path(), &format!("lie: {lie}")).try_run().unwrap_err();
        assert_eq!(failures[0].exit_code, 78, "{lie}: {failures:?}");
        assert!(failures[0].message.contains(expected), "{failures:?}");
        assert_eq!(read(folder.path()).lines, before, "nothing is delivered");
    }
    let folder = tempfile::tempdir().unwrap();
    let summary = case(folder.path(), "lie: late-rows").run();
    assert_eq!(summary.exit_code(), 70, "{summary:?}");
    assert!(summary.failures[0].message.contains("`commit_with` returned an invalid answer"), "{summary:?}");
}

#[test]
fn wake_asks_the_output_whether_it_may_still_commit() {
    let folder = tempfile::tempdir().unwrap();
    let summary = case(folder.path(), "lie: wake").run();
    assert_eq!(summary.exit_code(), 75, "{summary:?}");
    assert_eq!(case(folder.path(), "").run().exit_code(), 0);
    assert_eq!(read(folder.path()).lines, everything(true));
}

#[test]
fn keeper_is_the_only_output_of_one_input() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().display();
    let keeper = format!("id: bus, plugin: RogueKeeper, with: {{ store: '{store}' }}");
    let two = Case::new("behave", &[&keeper, "id: other, plugin: Rogue, with: { log: LOG }"]);
    let failures = two.try_run().unwrap_err();
    assert_eq!(failures[0].exit_code, 78, "{failures:?}");
    assert_eq!(
        failures[0].message,
        "output bus keeps the checkpoint of this pipeline, so it must be the only output"
    );
    let mut inputs = Case::new("behave", &[&keeper]);
    inputs.text = inputs.text.replace("inputs:\n", "inputs:\n  - { id: more, plugin: Rogue }\n");
    let failures = inputs.try_run().unwrap_err();
    assert_eq!(failures[0].exit_code, 78, "{failures:?}");
    assert!(failures[0].message.ends_with("so the pipeline must have exactly one input"), "{failures:?}");
    let shared = case(folder.path(), "share: 1, shares: 2").try_run().unwrap_err();
    assert_eq!(shared[0].exit_code, 78, "{shared:?}");
    assert!(shared[0].message.contains("cannot read a part of its source"), "{shared:?}");
    assert!(shared[0].message.ends_with("part 1 of 2"), "{shared:?}");
    assert_eq!(read(folder.path()).lines, Vec::<String>::new());
}

/// With its options, an instance can be an ordinary output.
#[test]
fn instance_without_the_capability_is_an_ordinary_output() {
    let folder = tempfile::tempdir().unwrap();
    let summary = case(folder.path(), "keeps: no, lie: commits").run();
    assert_eq!(summary.exit_code(), 0, "{summary:?}");
    let stored = read(folder.path());
    assert_eq!((stored.lines, stored.pairs), (everything(true), Pairs::new()));
}

#[test]
fn changed_options_are_refused_inside_a_report_on_any_machine() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(case(folder.path(), "act: displaced, at: write, call: 3").run().exit_code(), 75);
    let mut changed = case(folder.path(), "");
    changed.text = changed.text.replace("act: behave }", "act: behave, findings: 1 }");
    let failures = changed.try_run().unwrap_err();
    assert_eq!(failures[0].exit_code, 78, "{failures:?}");
    let message = "cannot resume at the checkpoint that output bus keeps (commit 3): option `findings` of input `in` was \
                   changed since";
    assert_eq!(failures[0].message, message);
    assert_eq!(case(folder.path(), "").run().exit_code(), 0);
    assert_eq!(read(folder.path()).lines, everything(true));
}

/// Another instance may have the work for days. `hang_secs` does not end the wait, and a stop does.
#[test]
fn output_that_waits_to_open_does_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("free");
    let case = case(folder.path(), &format!("wait_for: '{}'", file.display()));
    let case = Case {
        text: case.text.replace("plugin: RogueKeeper,", "plugin: RogueKeeper, hang_secs: 1,"),
        ..case
    };
    let stop = Arc::new(Stop::default());
    let summary = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(3));
            fs::write(&file, "").unwrap();
        });
        case.run_until(&stop, |_| {})
    });
    assert_eq!(summary.exit_code(), 0, "{summary:?}");
    fs::remove_file(&file).unwrap();
    let stop = Arc::new(Stop::default());
    let stopped = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_secs(1));
            stop.request();
        });
        case.try_until(&stop, |_| {})
    });
    assert_eq!(stopped.unwrap_err()[0].exit_code, 130);
}
