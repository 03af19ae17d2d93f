//! `scanbridge run FILE FILE…`: several pipelines at once, each in a process of its own.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox};
use crate::service::{sandbox_with_report, simple};

/// Writes a pipeline of the plugin `Rogue`.
fn write_rogue(sandbox: &Sandbox, name: &str, input: &str, output: &str) {
    let text = format!(
        "version: 1\ninputs: [{{ id: source, plugin: Rogue, with: {{ act: {input} }} }}]\n\
         outputs: [{{ id: bad, plugin: Rogue, with: {{ act: {output} }} }}]\n"
    );
    sandbox.write(&format!("{name}.yaml"), text);
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(sandbox.host_with_rogue(&[&["run"], arguments].concat()).output().unwrap())
}

fn summaries(outcome: &Outcome) -> Vec<Value> {
    outcome.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn each_pipeline_has_its_summary_and_the_worst_code_counts() {
    let sandbox = sandbox_with_report();
    for name in ["one", "two"] {
        sandbox.write(&format!("{name}.yaml"), simple(name, ""));
    }
    write_rogue(&sandbox, "rejects", "behave", "reject-all");
    write_rogue(&sandbox, "crashes", "behave", "segfault-in-write");
    sandbox.write("wrong.yaml", "version: 1\n");
    for (files, code) in [
        (&["one.yaml", "two.yaml"][..], 0),
        (&["one.yaml", "rejects.yaml"], 65),
        (&["rejects.yaml", "wrong.yaml", "two.yaml"], 78),
        (&["wrong.yaml", "crashes.yaml", "one.yaml", "absent.yaml"], 70),
    ] {
        for jobs in ["1", "3"] {
            let options = ["--summary", "json", "--jobs", jobs];
            let outcome = run(&sandbox, &[files, &options].concat()).expect_code(code);
            let mut found: Vec<(String, u64)> = summaries(&outcome)
                .iter()
                .map(|summary| {
                    let file = summary["file"].as_str().unwrap().to_owned();
                    (file, summary["exit_code"].as_u64().unwrap())
                })
                .collect();
            found.sort();
            let mut expected: Vec<(String, u64)> = files
                .iter()
                .map(|file| {
                    let code = match *file {
                        "rejects.yaml" => 65,
                        "wrong.yaml" | "absent.yaml" => 78,
                        "crashes.yaml" => 70,
                        _ => 0,
                    };
                    ((*file).to_owned(), code)
                })
                .collect();
            expected.sort();
            assert_eq!(found, expected, "{}", outcome.stderr);
        }
    }
    assert_eq!(sandbox.read("one.csv"), sandbox.read("two.csv"));

    let text = run(&sandbox, &["one.yaml", "rejects.yaml", "wrong.yaml"]).expect_code(78);
    for file in ["one.yaml", "rejects.yaml"] {
        let (_, summary) = text.stdout.split_once(&format!("pipeline {file}:\n")).expect(&text.stdout);
        let first: Vec<&str> = summary.lines().take(2).collect();
        assert!(first[0].starts_with("read") && first[1].starts_with("written"), "{}", text.stdout);
    }
    let is_prefixed =
        |line: &str| ["one: ", "rejects: ", "wrong: "].iter().any(|name| line.starts_with(name));
    assert!(text.stderr.lines().all(is_prefixed), "{}", text.stderr);
    assert!(text.stderr.contains("wrong: error: "), "{}", text.stderr);
    let json = run(&sandbox, &["one.yaml", "rejects.yaml", "--log-format", "json", "--summary", "none"]);
    for line in json.expect_code(65).stderr.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}

#[test]
fn one_file_is_run_as_ever_and_wrong_combinations_are_refused() {
    let sandbox = sandbox_with_report();
    for name in ["one", "two"] {
        sandbox.write(&format!("{name}.yaml"), simple(name, ""));
    }
    let one = run(&sandbox, &["one.yaml", "--jobs", "3"]).expect_code(0);
    assert!(one.stdout.starts_with("read"), "{}", one.stdout);
    assert!(!one.stderr.contains("one: "), "{}", one.stderr);
    for (arguments, message) in [
        (&["one.yaml", "two.yaml", "--report", "r.html"][..], "with a single FILE only"),
        (&["one.yaml", "two.yaml", "--metrics-file", "m.prom"], "with a single FILE only"),
        (&["one.yaml", "two.yaml", "--jobs", "0"], "--jobs"),
        (&[], "<FILE>..."),
    ] {
        let refused = run(&sandbox, arguments).expect_code(64);
        assert!(refused.stderr.contains(message), "{}", refused.stderr);
    }
    let help = run(&sandbox, &["--help"]).expect_code(0).stdout;
    assert!(help.contains("run [OPTIONS] <FILE>..."), "{help}");
    assert!(help.contains("--jobs 2 --summary json") && !help.contains("bundle"), "{help}");
}

/// Each file gets the summary of its own dry run, and nothing is delivered or stored.
#[test]
fn dry_runs_of_several_files() {
    let sandbox = sandbox_with_report();
    for name in ["one", "two"] {
        sandbox.write(&format!("{name}.yaml"), simple(name, ""));
    }
    sandbox.write("wrong.yaml", "version: 1\n");
    write_rogue(&sandbox, "launches", "behave", "behave");
    for (files, code) in [
        (&["one.yaml", "two.yaml"][..], 0),
        (&["one.yaml", "launches.yaml"], 64),
        (&["launches.yaml", "wrong.yaml", "two.yaml"], 78),
    ] {
        for jobs in ["1", "3"] {
            let options = ["--dry-run", "--summary", "json", "--jobs", jobs];
            let outcome = run(&sandbox, &[files, &options].concat()).expect_code(code);
            let all = summaries(&outcome);
            assert_eq!(all.len(), files.len(), "{}", outcome.stdout);
            for summary in all {
                let (expected, would_deliver) = match summary["file"].as_str().unwrap() {
                    "launches.yaml" => (64, Value::Null),
                    "wrong.yaml" => (78, Value::Null),
                    _ => (0, 16.into()),
                };
                let found = (&summary["exit_code"], &summary["outputs"][0]["would_deliver"]);
                assert_eq!(found, (&expected.into(), &would_deliver), "{summary:#}");
                assert_eq!(summary["dry_run"], true, "{summary:#}");
            }
        }
    }
    let text = run(&sandbox, &["one.yaml", "two.yaml", "--dry-run"]).expect_code(0).stdout;
    assert_eq!(text.matches("dry run, nothing delivered,").count(), 2, "{text}");
    assert!(!sandbox.path("state").exists() && !sandbox.path("one.csv").exists());
}

/// Ctrl-C ends all runs at their next checkpoint, and the pipelines that wait are not started.
#[test]
fn signal_stops_all_runs_in_order() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 130)] {
        let sandbox = sandbox_with_report();
        for name in ["a", "b"] {
            write_rogue(&sandbox, name, "wait-forever", "behave");
        }
        sandbox.write("last.yaml", simple("last", ""));
        let arguments = ["run", "a.yaml", "b.yaml", "last.yaml", "--jobs", "2", "--summary", "json"];
        let mut command = sandbox.host_with_rogue(&arguments);
        let host = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let started = Instant::now();
        while !["a", "b"].iter().all(|name| sandbox.path(&format!("state/{name}/ledger.redb")).exists()) {
            assert!(started.elapsed() < Duration::from_secs(30), "the runs do not start");
            sleep(Duration::from_millis(20));
        }
        sleep(Duration::from_millis(300));
        kill_process(Pid::from_child(&host), signal).unwrap();
        let outcome = Outcome::of(host.wait_with_output().unwrap()).expect_code(code);
        let all = summaries(&outcome);
        assert_eq!(all.len(), 3, "{}", outcome.stdout);
        let last = all.iter().find(|summary| summary["file"] == "last.yaml").unwrap();
        assert_eq!(last["exit_code"], 130, "{last:#}");
        assert!(last["failures"][0]["message"].as_str().unwrap().contains("not started"), "{last:#}");
        assert!(!sandbox.path("last.csv").exists());
    }
}

/// The runs end with the process that started them, also if it is killed.
#[test]
fn runs_end_when_their_parent_is_killed() {
    let sandbox = Sandbox::new();
    for name in ["a", "b"] {
        write_rogue(&sandbox, name, "wait-forever", "behave");
    }
    let mut command = sandbox.host_with_rogue(&["run", "a.yaml", "b.yaml"]);
    let mut host = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let holders = || {
        let lock =
            |name: &str| fs::read_to_string(sandbox.path(&format!("state/{name}/lock"))).unwrap_or_default();
        let pid = |text: String| {
            text.split(|c: char| !c.is_ascii_digit()).find_map(|word| word.parse::<i32>().ok())
        };
        ["a", "b"].map(|name| pid(lock(name)))
    };
    let started = Instant::now();
    while holders().iter().any(Option::is_none) {
        assert!(started.elapsed() < Duration::from_secs(30), "the runs do not start: {:?}", holders());
        sleep(Duration::from_millis(20));
    }
    let pids = holders();
    host.kill().unwrap();
    host.wait().unwrap();
    for pid in pids.into_iter().flatten().filter_map(Pid::from_raw) {
        while rustix::process::test_kill_process(pid).is_ok() {
            assert!(started.elapsed() < Duration::from_secs(60), "a run continues without its parent");
            sleep(Duration::from_millis(20));
        }
    }
}
