//! A plugin that ends the process must not look like a successful run: exit code 70 and a line that names the
//! instance and the call, in every command.

use std::fs;

use crate::sandbox::{Outcome, Sandbox};

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(sandbox.host_with_rogue(arguments).output().unwrap())
}

#[test]
fn exit_in_a_plugin_call_ends_with_70_and_names_the_call() {
    for (input_act, output_act, line) in [
        ("exit-in-next", "behave", "input source (Rogue 0.2.0) called exit in `next`"),
        ("behave", "exit-in-open", "output bad (Rogue 0.2.0) called exit in `open`"),
        ("behave", "exit-in-write", "output bad (Rogue 0.2.0) called exit in `write`"),
        ("behave", "quick-exit-in-write", "output bad (Rogue 0.2.0) called exit in `write`"),
        ("behave", "exit-in-close", "output bad (Rogue 0.2.0) called exit in `close`"),
        ("behave", "exit-in-a-thread", "a plugin called exit from a thread of its own"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write_rogue_pipeline(input_act, output_act);
        let outcome = run(&sandbox, &["run", "pipeline.yaml"]).expect_code(70);
        assert!(outcome.stderr.contains(line), "{input_act}, {output_act}: {}", outcome.stderr);
    }
}

#[test]
fn exit_during_check_ends_with_70() {
    for act in ["exit-in-open", "exit-in-check"] {
        let sandbox = Sandbox::new();
        sandbox.write_rogue_pipeline("behave", act);
        let outcome = run(&sandbox, &["check", "--probe", "pipeline.yaml"]).expect_code(70);
        assert!(
            outcome.stderr.contains("output bad (Rogue 0.2.0) called exit in"),
            "{act}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn exit_during_a_replay_of_dead_letters_ends_with_70() {
    let sandbox = Sandbox::new();
    sandbox.write_rogue_pipeline("behave", "reject-all");
    run(&sandbox, &["run", "pipeline.yaml"]).expect_code(65);
    sandbox.write_rogue_pipeline("behave", "exit-in-write");
    let outcome = run(&sandbox, &["dead-letters", "replay", "pipeline.yaml"]).expect_code(70);
    assert!(outcome.stderr.contains("output bad (Rogue 0.2.0) called exit in `write`"), "{}", outcome.stderr);
}

#[test]
fn run_after_an_exit_delivers_everything() {
    let sandbox = Sandbox::new();
    sandbox.write_rogue_pipeline("behave", "exit-in-write");
    run(&sandbox, &["run", "pipeline.yaml"]).expect_code(70);
    assert!(!sandbox.path("out.csv").exists(), "a file of an unfinished report was published");
    sandbox.write_rogue_pipeline("behave", "behave");
    run(&sandbox, &["run", "pipeline.yaml", "--restart"]).expect_code(0);
    let lines = fs::read_to_string(sandbox.path("out.csv")).unwrap().lines().count();
    assert_eq!(lines, 10, "a header and nine findings");
}
