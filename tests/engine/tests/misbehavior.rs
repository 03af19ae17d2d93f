//! How the host treats plugins that violate the plugin contract during a run.

use scanbridge_plugin_api::Purpose;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scanbridge::config;
use scanbridge::pipeline::{self, Failure, RunStatus, Settings, Stop, Summary, Watchers};
use scanbridge::plugins::{FilePermissionCheck, Folder, Registry};
use scanbridge::state::StateFolder;
use serde_json::json;

/// The directory of the library that Cargo has built next to this test.
fn folder() -> Folder {
    let name =
        format!("{}scanbridge_rogue_plugins{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let test = std::env::current_exe().expect("the test has a path");
    let found = test.ancestors().skip(1).find(|folder| folder.join(&name).is_file());
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
    let pipeline = config::check(&document, &registry).expect("the pipeline is valid");
    let state = tempfile::tempdir().expect("a temporary directory");
    let settings = Settings::without_run(StateFolder::of(state.path(), &pipeline.name), Purpose::Run);
    let built = pipeline::build(&pipeline, &registry, settings, stop)?;
    Ok(pipeline::run(built, Arc::clone(stop), &Watchers::default()).0)
}

/// Checks that every finding is counted at every output, whatever happens.
fn balanced(summary: &Summary) {
    let sent: u64 = summary.inputs.iter().map(|input| input.findings.total()).sum();
    for output in &summary.outputs {
        let counted = output.records + output.filtered + output.rejected + output.undelivered;
        assert_eq!(counted, sent, "{} of {summary:?}", output.id);
    }
}

#[test]
fn library_with_its_own_allocator_and_tokio_works() {
    let summary = run("behave", &[("behave", true)]).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Ok, 0));
    assert_eq!(summary.outputs[0].records, 9);
    assert_eq!(summary.inputs[0].assets, 9);
    balanced(&summary);
}

#[test]
fn panic_of_an_input_is_reported_as_plugin_bug() {
    let opened = run("panic-in-open", &[("behave", true)]).unwrap_err();
    assert_eq!((opened.len(), opened[0].exit_code), (1, 70));
    assert!(opened[0].message.contains("panic requested in open"));
    for act in ["panic-in-next", "panic-midway"] {
        let summary = run(act, &[("behave", true)]).unwrap();
        assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 70), "{act}");
        assert!(summary.failures[0].message.contains("panic requested in next"), "{summary:?}");
        assert_eq!(summary.outputs[0].records, 0, "a report that was not completed is rolled back");
        balanced(&summary);
    }
}

#[test]
fn panic_of_an_output_does_not_affect_other_outputs() {
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
fn failure_of_a_required_output_fails_the_run() {
    let summary = run("behave", &[("unavailable", true), ("behave", true)]).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 69));
    balanced(&summary);
}

#[test]
fn all_outputs_that_fail_to_open_are_reported_together() {
    let failures = run("panic-in-open", &[("refuse-to-open", true), ("panic-in-open", true)]).unwrap_err();
    let named: Vec<(&str, u8)> = failures.iter().map(|f| (f.instance.as_str(), f.exit_code)).collect();
    assert_eq!(named, [("in", 70), ("out0", 78), ("out1", 70)]);
    assert_eq!(failures[1].hint.as_deref(), Some("set `act: behave`"));
}

#[test]
fn optional_output_that_fails_to_open_is_skipped() {
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
    assert_eq!(alone[0].exit_code, 78, "a run needs at least one output");
}

#[test]
fn invalid_batch_is_rejected_before_any_output() {
    let summary = run("invalid-batch", &[("behave", true), ("behave", true)]).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 70));
    assert_eq!(
        summary
            .failures
            .iter()
            .filter(|f| f.message.contains("plugin bug: the input sent an invalid batch"))
            .count(),
        1
    );
    assert_eq!(summary.failures[0].instance, summary.inputs[0].id, "the failure names the input's ID");
    assert_eq!(summary.outputs.iter().map(|output| output.records).sum::<u64>(), 0);
    assert_eq!(summary.inputs[0].incomplete, 1, "the report counts as incomplete");
    balanced(&summary);
}

#[test]
fn report_without_a_vendor_is_a_plugin_bug() {
    let summary = run("no-vendor", &[("behave", true)]).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 70));
    let failure = &summary.failures[0];
    assert_eq!(failure.instance, "in");
    let message = "plugin bug: the input started a report without a `source.vendor`";
    assert_eq!(failure.message, message);
}

#[test]
fn invalid_rows_are_counted_and_delivered_to_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let logs = ["first", "second"].map(|name| folder.path().join(name));
    let with_log = |log: &PathBuf| format!("behave, log: {}", log.display());
    let acts = logs.each_ref().map(with_log);
    let summary = run("invalid-rows", &[(&acts[0], true), (&acts[1], true)]).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Partial, 65));
    let invalid = serde_json::to_value(summary.inputs[0].invalid).unwrap();
    let reasons = json!({
        "unknown kind": 1,
        "unknown severity": 1,
        "unknown status": 1,
        "invalid address": 1,
        "asset without address, name or ID": 1,
        "finding on an invalid asset": 2,
        "definition without ID": 1,
    });
    assert_eq!(invalid, reasons);
    assert_eq!((summary.inputs[0].findings.total(), summary.inputs[0].assets), (3, 7));
    balanced(&summary);
    let failure = &summary.failures[0];
    assert_eq!((failure.instance.as_str(), failure.exit_code), ("in", 65));
    assert!(failure.message.starts_with("plugin Rogue sent 8 invalid rows"), "{}", failure.message);
    for log in logs {
        let text = std::fs::read_to_string(log).unwrap();
        assert_eq!(text.lines().last(), Some("end rogue.xml complete=false"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("192.0.2.")).count(), 3, "{text}");
    }
}

#[test]
fn invalid_rows_are_counted_once_when_an_output_fails() {
    let summary = run("invalid-rows", &[("panic-in-begin", false), ("behave", false)]).unwrap();
    assert_eq!(summary.inputs[0].invalid.total(), 8);
    assert_eq!(summary.outputs[0].undelivered, 3);
    balanced(&summary);
}

#[test]
fn rows_with_odd_cells_are_delivered() {
    let summary = run("odd-cells", &[("behave", true)]).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Ok, 0));
    assert_eq!(summary.outputs[0].records, 9);
    let odd = serde_json::to_value(&summary.inputs[0].odd_cells).unwrap();
    assert_eq!(odd, json!({ "asset.last_scan": 9 }));
}

#[test]
fn position_or_receipt_above_the_limit_is_a_plugin_bug() {
    for (input, output, message) in [
        (
            "long-position",
            "behave",
            "plugin bug: the input returned a position of 204800 bytes; the limit is 65536",
        ),
        (
            "behave",
            "long-receipt",
            "plugin bug: the output returned a receipt of 204800 bytes; the limit is 65536",
        ),
    ] {
        let summary = run(input, &[(output, true)]).unwrap();
        assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 70), "{input} {output}");
        assert_eq!(summary.failures[0].message, message);
        balanced(&summary);
    }
}

#[test]
fn report_events_in_wrong_order_are_a_plugin_bug() {
    for act in ["batch-outside-report", "nested-report", "finish-in-report", "idle-in-report"] {
        let summary = run(act, &[("behave", true)]).unwrap();
        assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 70), "{act}");
        balanced(&summary);
    }
}

#[test]
fn rejections_are_counted_and_set_the_exit_code() {
    let summary = run("behave", &[("reject-all", true)]).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 65), "nothing was delivered");
    assert_eq!((summary.outputs[0].records, summary.outputs[0].rejected), (0, 9));
    balanced(&summary);
    for act in ["reject-unknown-row", "reject-and-skip", "reject-in-end"] {
        let invalid = run("behave", &[(act, true)]).unwrap();
        assert_eq!(invalid.exit_code(), 70, "{act}");
        balanced(&invalid);
    }
}

#[test]
fn stop_request_ends_a_waiting_input_at_once() {
    let stop = Arc::new(Stop::default());
    let other = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        other.request();
    });
    let started = Instant::now();
    let summary = run_until("wait-forever", &[("behave", true)], &stop).unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(summary.exit_code(), 130);
    balanced(&summary);
    thread.join().unwrap();
}
