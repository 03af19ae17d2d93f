//! Runs that are interrupted in the middle of a report, and the runs that resume them.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use scanbridge::pipeline::{RunStatus, Stop, Summary};

use crate::case::{Case, FAST, everything};

/// A pipeline whose input becomes unavailable after four of the nine findings: that ends its first run.
pub(crate) fn interrupted(outputs: &[&str]) -> Case {
    let mut case = Case::new("unavailable-midway", outputs);
    let input = format!("{{ id: in, plugin: Rogue, {FAST}, with");
    assert!(case.text.contains(&input));
    case.text = case.text.replace(&input, "{ id: in, plugin: Rogue, retry: { max_elapsed_secs: 0 }, with");
    case
}

/// Runs, and requests a stop when this file exists.
fn stopped_at(case: &Case, file: &Path) -> Summary {
    let stop = Arc::new(Stop::default());
    thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            while !file.exists() && begun.elapsed() < Duration::from_secs(20) {
                thread::sleep(Duration::from_millis(1));
            }
            stop.request();
        });
        case.run_until(&stop, |_| {})
    })
}

/// The exit code is that of the output that failed, not 130 for the others, whose calls were cancelled.
#[test]
fn cancelled_output_keeps_the_exit_code_of_the_failure() {
    let waits = "id: waits, plugin: Rogue, with: { act: wait-for-stop }";
    let fails = "id: fails, plugin: Rogue, with: { act: panic-in-write }";
    let summary = Case::new("behave", &[waits, fails]).run();
    let failures: Vec<_> =
        summary.failures.iter().map(|failure| (failure.instance.as_str(), failure.exit_code)).collect();
    assert_eq!((failures, summary.exit_code()), (vec![("fails", 70)], 70), "{summary:?}");
}

#[test]
fn run_resumes_after_a_required_output_hung() {
    let hangs = "id: out, plugin: Rogue, hang_secs: 1, queue: { findings: 1 }, \
                 with: { act: hang, times: 1, log: LOG }";
    let case = Case::new("behave", &["id: good, plugin: Rogue, with: { log: LOG }", hangs]).with_hangs();
    let first = case.run();
    assert_eq!((first.status, first.exit_code()), (RunStatus::Failed, 70), "{first:?}");
    let named = |failure: &scanbridge::pipeline::Failure| {
        failure.instance == "out"
            && failure.message.contains("timed out: `write` ran for 1 s without progress (hang_secs)")
    };
    assert!(first.failures.iter().any(named), "{first:?}");

    let second = case.run();
    assert_eq!((second.status, second.exit_code()), (RunStatus::Ok, 0), "{second:?}");
    assert!(second.inputs[0].resumed);
    assert_eq!((case.log(0), case.log(1)), (everything(true), everything(true)));
}

#[test]
fn failover_output_resumes_and_ends_its_part() {
    let primary = "id: primary, plugin: Rogue, failover: standby, \
                   retry: { initial_secs: 1, max_secs: 600, max_elapsed_secs: 600, breaker_failures: 1 }, \
                   with: { act: fail-to-write, times: 1, log: LOG }";
    let case = interrupted(&[primary, "id: standby, plugin: Rogue, with: { log: LOG }"]);
    assert_eq!(case.run().exit_code(), 69);
    assert_eq!(
        case.log(1),
        everything(true)[..4],
        "the failover output has delivered all findings that were read"
    );

    let second = case.run();
    assert_eq!((second.status, second.exit_code()), (RunStatus::Ok, 0), "{second:?}");
    assert_eq!(case.log(0), Vec::<String>::new());
    assert_eq!(case.log(1), everything(true), "only the failover output can end its report");
}

#[test]
fn output_that_joins_late_gets_an_incomplete_report() {
    let late = format!(
        "id: late, plugin: Rogue, required: no, {FAST}, with: {{ act: fail-to-open, times: 2, log: LOG }}"
    );
    let case = interrupted(&["id: good, plugin: Rogue, with: { log: LOG }", &late]);
    // By the clock of the system: the pause of a second is longer than the run.
    assert_eq!(case.run_until(&Arc::new(Stop::default()), |_| {}).exit_code(), 69);
    assert_eq!(case.log(1), Vec::<String>::new());

    let second = case.run();
    assert_eq!((second.status, second.exit_code()), (RunStatus::Partial, 69), "{second:?}");
    let message = "lacks findings of 1 report, a part of which an interrupted run has read";
    assert_eq!(second.failures[0].message, message);
    assert_eq!(case.log(0), everything(true));
    assert_eq!(case.log(1), everything(false)[4..], "it received only the rest of the report");
}

#[test]
fn stop_during_an_outage_exits_130() {
    let unavailable =
        format!("id: out, plugin: Rogue, {FAST}, with: {{ act: fail-to-write, times: 1000, log: LOG }}");
    let case = Case::new("behave", &[&unavailable]);
    let stopped = stopped_at(&case, &case.instance("out").join("times"));
    assert_eq!((stopped.status, stopped.exit_code()), (RunStatus::Failed, 130), "{stopped:?}");
    assert!(stopped.failures.iter().any(|failure| failure.instance == "out" && failure.exit_code == 69));
}

#[test]
fn stop_does_not_create_dead_letters() {
    let output = format!("id: strict, plugin: Rogue, {FAST}, with: {{ act: retry-rows, log: LOG }}");
    let case = Case::new("behave", &[&output]);
    // The output requests a retry of the first finding, which happens after a delay.
    let stopped = stopped_at(&case, &case.instance("strict").join("192.0.2.2-0"));
    assert_eq!((stopped.exit_code(), stopped.outputs[0].rejected), (130, 0), "{stopped:?}");
    let second = case.run();
    assert_eq!((second.status, second.exit_code()), (RunStatus::Ok, 0), "{second:?}");
    assert_eq!((case.log(0), case.dead_letters()), (everything(true), 0));
}
