//! What the host does with plugins that break their promises while it runs them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scanbridge::config;
use scanbridge::pipeline::{self, Failure, RunStatus, Settings, Stop, Summary};
use scanbridge::plugins::{FilePermissionCheck, Folder, Registry};
use scanbridge::state::StateFolder;

/// The folder of the library, which cargo has built beside this test.
fn folder() -> Folder {
    let name =
        format!("{}scanbridge_rogue_plugins{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let beside = std::env::current_exe().expect("the test has a path");
    let found = beside.ancestors().skip(1).find(|folder| folder.join(&name).is_file());
    Folder { path: found.expect("the library was built").to_owned(), named: false }
}

fn run(input: &str, outputs: &[(&str, bool)]) -> Result<Summary, Vec<Failure>> {
    run_until(input, outputs, &Arc::new(Stop::default()))
}

fn run_until(input: &str, outputs: &[(&str, bool)], stop: &Arc<Stop>) -> Result<Summary, Vec<Failure>> {
    let mut text =
        format!("version: 1\ninputs:\n  - {{ id: in, plugin: Rogue, with: {{ act: {input} }} }}\noutputs:\n");
    for (number, (act, required)) in outputs.iter().enumerate() {
        text += &format!(
            "  - {{ id: out{number}, plugin: Rogue, required: {required}, retry: {{ max_elapsed_secs: 0 }}, with: {{ act: {act} }} }}\n"
        );
    }
    let registry = Registry::discover(&[folder()], FilePermissionCheck::OwnerOnly);
    let document = config::read_text(&PathBuf::from("rogue.yaml"), &text).expect("the pipeline is YAML");
    let pipeline = config::check(&document, &registry).expect("the pipeline is in order");
    let state = tempfile::tempdir().expect("a temporary folder");
    let settings = Settings::fresh(StateFolder::of(state.path(), &pipeline.name));
    let built = pipeline::build(&pipeline, &registry, settings, stop)?;
    Ok(pipeline::run(built, Arc::clone(stop), false, None).0)
}

/// Whatever happens, no finding disappears from the books.
fn balanced(summary: &Summary) {
    let sent: u64 = summary.inputs.iter().map(|input| input.findings.total()).sum();
    for output in &summary.outputs {
        let counted = output.records + output.filtered + output.rejected + output.undelivered;
        assert_eq!(counted, sent, "{} of {summary:?}", output.id);
    }
}

#[test]
fn a_library_with_its_own_allocator_and_tokio_works() {
    let summary = run("behave", &[("behave", true)]).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Ok, 0));
    assert_eq!(summary.outputs[0].records, 9);
    assert_eq!(summary.inputs[0].assets, 9);
    balanced(&summary);
}

#[test]
fn a_panic_of_the_input_in_any_call_is_a_bug_and_not_the_end_of_the_host() {
    let opened = run("panic-in-open", &[("behave", true)]).unwrap_err();
    assert_eq!((opened.len(), opened[0].exit_code), (1, 70));
    assert!(opened[0].message.contains("told to panic in open"));
    for act in ["panic-in-next", "panic-midway"] {
        let summary = run(act, &[("behave", true)]).unwrap();
        assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 70), "{act}");
        assert!(summary.failures[0].message.contains("told to panic in next"), "{summary:?}");
        assert_eq!(summary.outputs[0].records, 0, "an abandoned report is taken back");
        balanced(&summary);
    }
}

#[test]
fn a_panic_of_an_output_in_any_call_is_a_bug_and_the_others_go_on() {
    for act in ["panic-in-begin", "panic-in-write", "panic-in-end", "panic-in-commit"] {
        let summary = run("behave", &[(act, false), ("behave", true)]).unwrap();
        assert_eq!((summary.status, summary.exit_code()), (RunStatus::Partial, 70), "{act}");
        assert_eq!(summary.outputs[0].undelivered, 9, "{act}");
        assert_eq!(summary.outputs[1].records, 9, "{act}");
        balanced(&summary);
    }
    let closed = run("behave", &[("panic-in-close", false), ("behave", true)]).unwrap();
    assert_eq!((closed.status, closed.exit_code()), (RunStatus::Partial, 70));
    balanced(&closed);
}

#[test]
fn a_required_output_that_fails_ends_the_run() {
    let summary = run("behave", &[("unavailable", true), ("behave", true)]).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 69));
    balanced(&summary);
}

#[test]
fn every_output_that_cannot_be_opened_is_named_at_once() {
    let failures = run("panic-in-open", &[("refuse-to-open", true), ("panic-in-open", true)]).unwrap_err();
    let named: Vec<(&str, u8)> = failures.iter().map(|f| (f.instance.as_str(), f.exit_code)).collect();
    assert_eq!(named, [("in", 70), ("out0", 78), ("out1", 70)]);
    assert_eq!(failures[1].hint.as_deref(), Some("ask it to behave"));
}

#[test]
fn an_output_that_is_not_required_and_cannot_be_opened_is_left_behind() {
    let summary = run("behave", &[("refuse-to-open", false), ("behave", true)]).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Partial, 78));
    let records: Vec<(&str, u64, u64)> = summary
        .outputs
        .iter()
        .map(|output| (output.id.as_str(), output.records, output.undelivered))
        .collect();
    assert_eq!(records, [("out0", 0, 9), ("out1", 9, 0)]);
    balanced(&summary);
    let alone = run("behave", &[("refuse-to-open", false)]).unwrap_err();
    assert_eq!(alone[0].exit_code, 78, "without any output there is nothing to run");
}

#[test]
fn a_damaged_batch_is_refused_before_any_output_sees_it() {
    let summary = run("damaged-batch", &[("behave", true), ("behave", true)]).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 70));
    assert_eq!(summary.failures.iter().filter(|f| f.message.contains("damaged batch")).count(), 1);
    assert_eq!(summary.outputs.iter().map(|output| output.records).sum::<u64>(), 0);
    assert_eq!(summary.inputs[0].incomplete, 1, "the input does not look as if it had read a whole report");
    balanced(&summary);
}

#[test]
fn marks_out_of_order_are_a_bug_of_the_input() {
    for act in ["batch-outside-report", "nested-report", "finish-in-report", "idle-in-report"] {
        let summary = run(act, &[("behave", true)]).unwrap();
        assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 70), "{act}");
        balanced(&summary);
    }
}

#[test]
fn rejections_are_counted_and_decide_the_exit_code() {
    let summary = run("behave", &[("reject-all", true)]).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 65), "nothing was delivered");
    assert_eq!((summary.outputs[0].records, summary.outputs[0].rejected), (0, 9));
    balanced(&summary);
    for act in ["reject-what-is-not-there", "reject-and-leave-out", "reject-at-the-end"] {
        let nonsense = run("behave", &[(act, true)]).unwrap();
        assert_eq!(nonsense.exit_code(), 70, "{act}");
        balanced(&nonsense);
    }
}

#[test]
fn a_stop_ends_an_input_that_waits_for_ever_at_once() {
    let stop = Arc::new(Stop::default());
    let giver = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        giver.give();
    });
    let started = Instant::now();
    let summary = run_until("wait-for-ever", &[("behave", true)], &stop).unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(summary.exit_code(), 130);
    balanced(&summary);
    thread.join().unwrap();
}
