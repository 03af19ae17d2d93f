//! A plugin that crashes the process: a line names the instance and the call, the signal ends the process, and the next
//! run delivers everything.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{Outcome, Sandbox};

#[test]
fn crash_in_a_plugin_call_names_the_call() {
    for (act, signal, line) in [
        ("segfault-in-write", 11, "output bad (Rogue 0.2.0) crashed in `write` (SIGSEGV"),
        ("overflow-in-write", 11, "output bad (Rogue 0.2.0) crashed in `write` (SIGSEGV"),
        ("abort-in-write", 6, "output bad (Rogue 0.2.0) crashed in `write` (SIGABRT"),
        ("segfault-in-a-thread", 11, "crashed (SIGSEGV"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write_rogue_pipeline("behave", act);
        let output = sandbox.host_with_rogue(&["run", "pipeline.yaml"]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.signal(), Some(signal), "{act}: {stderr}");
        assert!(stderr.contains(line), "{act}: {stderr}");
        assert!(!sandbox.path("out.csv").exists(), "{act}: a file of an unfinished report was published");

        sandbox.write_rogue_pipeline("behave", "behave");
        let next =
            Outcome::of(sandbox.host_with_rogue(&["run", "pipeline.yaml", "--restart"]).output().unwrap());
        let next = next.expect_code(0);
        let recorded = "the last run was killed or crashed while output bad (Rogue 0.2.0) was in `write`";
        assert!(next.stderr.contains(recorded), "{act}: {}", next.stderr);
        assert_eq!(sandbox.read("out.csv").lines().count(), 10, "{act}: a header and nine findings");
    }
}

#[test]
fn line_of_a_crash_is_json_with_log_format_json() {
    let sandbox = Sandbox::new();
    sandbox.write_rogue_pipeline("behave", "segfault-in-write");
    let output = sandbox.host_with_rogue(&["run", "pipeline.yaml", "--log-format", "json"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<serde_json::Value> =
        stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let message = lines.last().unwrap()["message"].as_str().unwrap();
    assert!(message.contains("output bad (Rogue 0.2.0) crashed in `write`"), "{message}");
}

#[test]
fn panic_whose_payload_panics_in_its_destructor() {
    let sandbox = Sandbox::new();
    sandbox.write_rogue_pipeline("behave", "panic-in-drop");
    let outcome =
        Outcome::of(sandbox.host_with_rogue(&["run", "pipeline.yaml"]).output().unwrap()).expect_code(70);
    assert!(outcome.stdout.contains("plugin panicked"), "{}\n{}", outcome.stdout, outcome.stderr);
}

#[test]
fn run_after_sigkill_names_the_interrupted_call() {
    let sandbox = Sandbox::new();
    sandbox.write_rogue_pipeline("wait-forever", "behave");
    let mut child = sandbox.host_with_rogue(&["run", "pipeline.yaml"]).stderr(Stdio::null()).spawn().unwrap();
    let calls = sandbox.path("state/pipeline/calls");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !fs::read_to_string(&calls).is_ok_and(|text| text.contains("\tnext\t")) {
        assert!(Instant::now() < deadline, "the call was not recorded");
        thread::sleep(Duration::from_millis(10));
    }
    // The input waits in its third call of `next`.
    thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    let recorded = "the last run was killed or crashed while input source (Rogue 0.2.0) was in `next`";
    let shown = Outcome::of(sandbox.host_with_rogue(&["state", "show", "pipeline.yaml"]).output().unwrap())
        .expect_code(0);
    assert!(shown.stdout.contains(&format!("{recorded} (since 20")), "{}", shown.stdout);

    sandbox.write_rogue_pipeline("behave", "behave");
    let next = Outcome::of(sandbox.host_with_rogue(&["run", "pipeline.yaml", "--restart"]).output().unwrap());
    let next = next.expect_code(0);
    assert!(next.stderr.contains(recorded), "{}", next.stderr);
    assert!(!calls.exists(), "a run that ended leaves no record");
}

#[cfg(target_os = "linux")]
#[test]
fn core_dumps_are_disabled_unless_allowed() {
    let is_dumped = |argument: &str| {
        let sandbox = Sandbox::new();
        sandbox.write_rogue_pipeline("behave", "segfault-in-write");
        let mut shell = sandbox.program("sh".as_ref(), &["-c", "ulimit -c unlimited && exec \"$@\"", "sh"]);
        let command = sandbox.host_with_rogue(&["run", "pipeline.yaml", argument]);
        shell.arg(command.get_program()).args(command.get_args());
        let output = shell.output().unwrap();
        assert_eq!(output.status.signal(), Some(11), "{}", String::from_utf8_lossy(&output.stderr));
        output.status.core_dumped()
    };
    assert!(!is_dumped("--no-progress"), "a core dump contains passwords");
    if !is_dumped("--allow-core-dumps") {
        eprintln!("this system writes no core dumps: the option --allow-core-dumps was not tested");
    }
}
