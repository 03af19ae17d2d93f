//! Calls that do not return: of inputs and outputs, also in `open` and `close`.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use engine_tests::ManualClock;
use scanbridge::pipeline::{RunStatus, Stop};

use crate::case::{Case, everything};

#[test]
fn output_that_hangs_in_any_call_is_abandoned_and_named() {
    for call in ["begin", "end", "commit", "stored", "close"] {
        let output = format!("id: out, plugin: Rogue, hang_secs: 600, with: {{ act: hang-in-{call} }}");
        let case =
            Case::new("behave", &["id: good, plugin: Rogue, with: { log: LOG }", &output]).with_hangs();
        let summary = case.run();
        assert_eq!(summary.exit_code(), 70, "{call}: {summary:?}");
        let limit = if call == "close" { 10 } else { 600 };
        let is_named = |failure: &scanbridge::pipeline::Failure| {
            failure.instance == "out"
                && failure
                    .message
                    .contains(&format!("timed out: `{call}` ran for {limit} s without progress"))
        };
        assert!(summary.failures.iter().any(is_named), "{call}: {summary:?}");
        if call == "close" {
            assert_eq!(case.log(0), everything(true));
        }
    }
}

#[test]
fn input_that_hangs_is_abandoned_and_the_next_run_resumes_its_report() {
    let mut case = Case::new("hang-in-next", &["id: out, plugin: Rogue, with: { log: LOG }"]).with_hangs();
    case.text = case.text.replace("id: in, plugin: Rogue,", "id: in, plugin: Rogue, hang_secs: 600,");
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 70), "{summary:?}");
    let message = &summary.failures[0].message;
    assert!(message.contains("timed out: `next` ran for 600 s without progress"), "{message}");
}

#[test]
fn instance_that_hangs_in_open_prevents_the_run() {
    let output = "id: out, plugin: Rogue, hang_secs: 600, with: { act: hang-in-open }";
    let case = Case::new("behave", &[output]).with_hangs();
    let failures = case.try_run().expect_err("the output does not open");
    assert_eq!(failures[0].exit_code, 70, "{failures:?}");
    assert!(failures[0].message.contains("timed out: `open` ran for 600 s"), "{failures:?}");
    let mut case = Case::new("hang-in-open", &["id: out, plugin: Rogue"]).with_hangs();
    case.text = case.text.replace("id: in, plugin: Rogue,", "id: in, plugin: Rogue, hang_secs: 600,");
    let failures = case.try_run().expect_err("the input does not open");
    assert_eq!((failures[0].instance.as_str(), failures[0].exit_code), ("in", 70), "{failures:?}");
}

const STEP: Duration = Duration::from_millis(50);

/// Whatever a plugin does, a run ends within ten seconds of a stop request.
#[test]
fn run_ends_within_ten_seconds_of_a_stop_request() {
    let cases = [("behave", "hang-in-commit"), ("behave", "hang"), ("hang-in-next", "behave")];
    let runs = cases.map(|(input, output)| {
        thread::spawn(move || {
            let output = format!("id: out, plugin: Rogue, with: {{ act: {output}, times: 1000 }}");
            let case = Case::new(input, &[&output]);
            let clock = Arc::new(ManualClock::default());
            let stop = Arc::new(Stop::with_clock(Arc::<ManualClock>::clone(&clock)));
            let (waited, summary) = thread::scope(|scope| {
                let run = scope.spawn(|| case.run_until(&stop, |_| {}));
                thread::sleep(Duration::from_millis(300));
                stop.request();
                let mut waited = Duration::ZERO;
                while !run.is_finished() && waited < Duration::from_secs(60) {
                    thread::sleep(Duration::from_millis(10));
                    clock.advance(STEP);
                    waited += STEP;
                }
                (waited, run.join().unwrap())
            });
            assert!(waited < Duration::from_secs(10), "{input}, {output}: {waited:?}");
            assert_eq!(summary.exit_code(), 130, "{input}, {output}: {summary:?}");
        })
    });
    runs.into_iter().for_each(|run| run.join().unwrap());
}

/// An optional output whose call never returns: the input waits for it half a second, not until `hang_secs`.
#[test]
fn optional_output_that_accepts_nothing_costs_the_others_half_a_second() {
    let never = "id: never, plugin: Rogue, required: no, hang_secs: 600, queue: { findings: 1 }, \
                 with: { act: hang, times: 1000 }";
    let case = Case::new("behave", &["id: good, plugin: Rogue, with: { log: LOG }", never]).with_hangs();
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Partial, 70), "{summary:?}");
    assert_eq!(summary.inputs[0].reports_list[0].duration_ms, 500, "{summary:?}");
    assert_eq!((summary.outputs[0].records, summary.outputs[1].undelivered), (9, 9), "{summary:?}");
    assert_eq!(case.log(0), everything(true));
    let missed = case.ledger().missed().unwrap();
    assert_eq!(missed[0].missed.reason, "a call of the output made no progress while its queue was full");
}
