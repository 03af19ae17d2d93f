//! Runs that end in the middle of a report, and the ones that go on with them.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use scanbridge::pipeline::{RunStatus, Stop, Summary};

use crate::case::{Case, FAST, everything};

/// A pipeline whose source goes away after four of the nine findings: that ends its first run.
fn cut_short(outputs: &[&str]) -> Case {
    let mut case = Case::new("unavailable-midway", outputs);
    let input = format!("{{ id: in, plugin: Rogue, {FAST}, with");
    assert!(case.text.contains(&input));
    case.text = case.text.replace(&input, "{ id: in, plugin: Rogue, retry: { max_elapsed_secs: 0 }, with");
    case
}

/// Runs, and stops the run when this file is there.
fn stopped_at(case: &Case, file: &Path) -> Summary {
    let stop = Arc::new(Stop::default());
    thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            while !file.exists() && begun.elapsed() < Duration::from_secs(20) {
                thread::sleep(Duration::from_millis(1));
            }
            stop.give();
        });
        case.run_until(&stop, |_| {})
    })
}

#[test]
fn a_required_output_that_hangs_ends_the_run_and_the_next_one_goes_on() {
    let hangs = "id: out, plugin: Rogue, hang_secs: 1, with: { act: hang, times: 1, log: LOG }";
    let case = Case::new("behave", &["id: good, plugin: Rogue, with: { log: LOG }", hangs]);
    let first = case.run();
    assert_eq!((first.status, first.exit_code()), (RunStatus::Failed, 70), "{first:?}");
    let named = |failure: &scanbridge::pipeline::Failure| {
        failure.instance == "out" && failure.message.contains("has not answered `write` for 1 s")
    };
    assert!(first.failures.iter().any(named), "{first:?}");

    let second = case.run();
    assert_eq!((second.status, second.exit_code()), (RunStatus::Ok, 0), "{second:?}");
    assert!(second.inputs[0].resumed);
    assert_eq!((case.log(0), case.log(1)), (everything(true), everything(true)));
}

#[test]
fn a_standby_that_was_delivering_goes_on_with_its_part_and_ends_it() {
    let primary = "id: primary, plugin: Rogue, failover: standby, \
                   retry: { initial_secs: 1, max_secs: 600, max_elapsed_secs: 600, breaker_failures: 1 }, \
                   with: { act: fail-to-write, times: 1, log: LOG }";
    let case = cut_short(&[primary, "id: standby, plugin: Rogue, with: { log: LOG }"]);
    assert_eq!(case.run().exit_code(), 69);
    assert_eq!(case.log(1), everything(true)[..4], "the standby has delivered what there was");

    let second = case.run();
    assert_eq!((second.status, second.exit_code()), (RunStatus::Ok, 0), "{second:?}");
    assert_eq!(case.log(0), Vec::<String>::new());
    assert_eq!(case.log(1), everything(true), "nobody else would have ended its report");
}

#[test]
fn an_output_that_comes_to_the_rest_of_a_report_may_not_clear_what_it_missed() {
    let late = format!(
        "id: late, plugin: Rogue, required: no, {FAST}, with: {{ act: fail-to-open, times: 2, log: LOG }}"
    );
    let case = cut_short(&["id: good, plugin: Rogue, with: { log: LOG }", &late]);
    assert_eq!(case.run().exit_code(), 69);
    assert_eq!(case.log(1), Vec::<String>::new());

    let second = case.run();
    assert_eq!((second.status, second.exit_code()), (RunStatus::Ok, 0), "{second:?}");
    assert_eq!(case.log(0), everything(true));
    assert_eq!(case.log(1), everything(false)[4..], "only the rest came to it");
}

#[test]
fn a_stop_during_an_outage_is_an_interruption() {
    let away =
        format!("id: out, plugin: Rogue, {FAST}, with: {{ act: fail-to-write, times: 1000, log: LOG }}");
    let case = Case::new("behave", &[&away]);
    let stopped = stopped_at(&case, &case.instance("out").join("times"));
    assert_eq!((stopped.status, stopped.exit_code()), (RunStatus::Failed, 130), "{stopped:?}");
    assert!(stopped.failures.iter().any(|failure| failure.instance == "out" && failure.exit_code == 69));
}

#[test]
fn a_stop_makes_no_dead_letters_of_what_the_next_run_delivers() {
    let output = format!("id: picky, plugin: Rogue, {FAST}, with: {{ act: retry-rows, log: LOG }}");
    let case = Case::new("behave", &[&output]);
    // The first finding is asked for again, after a pause.
    let stopped = stopped_at(&case, &case.instance("picky").join("192.0.2.2-0"));
    assert_eq!((stopped.exit_code(), stopped.outputs[0].rejected), (130, 0), "{stopped:?}");
    let second = case.run();
    assert_eq!((second.status, second.exit_code()), (RunStatus::Ok, 0), "{second:?}");
    assert_eq!((case.log(0), case.letters()), (everything(true), 0));
}
