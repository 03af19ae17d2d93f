//! How the host delivers if an output or input is unavailable, slow or rejects findings. Rogue plugins simulate this.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

mod capabilities;
mod case;
mod failover;
mod filters;
mod hang;
mod interruption;
mod invalid_rows;
mod keeper;
mod keys;
mod random_behavior;
mod stored;

use std::sync::Arc;
use std::time::{Duration, Instant};

use case::{Case, FAST, everything};
use scanbridge::pipeline::{RunStatus, Stop};
use scanbridge::plugins::Metric;
use scanbridge::state::ReportRecord;
use scanbridge_plugin_api::model::ReportStart;

#[test]
fn unavailable_output_gets_all_findings_once_and_in_order() {
    for act in ["fail-to-write", "fail-to-open"] {
        let output = format!("id: out, plugin: Rogue, {FAST}, with: {{ act: {act}, log: LOG }}");
        let case = Case::new("behave", &[&output]);
        let summary = case.run();
        assert_eq!((summary.status, summary.exit_code()), (RunStatus::Ok, 0), "{act}: {summary:?}");
        assert_eq!(summary.outputs[0].records, 9);
        assert_eq!(case.log(0), everything(true), "{act}");
    }
}

/// Accounts are locked after a few refused logins.
#[test]
fn refused_login_is_not_retried() {
    for required in ["yes", "no"] {
        let output =
            format!("id: out, plugin: Rogue, required: {required}, {FAST}, with: {{ act: refuse-login }}");
        let case = Case::new("behave", &[&output, "id: other, plugin: Rogue, with: { log: LOG }"]);
        let summary = case.run();
        assert_eq!(summary.exit_code(), 77, "{summary:?}");
        let logins = std::fs::read_to_string(case.instance("out").join("logins")).unwrap();
        assert_eq!(logins, "1", "required: {required}");
    }
}

/// Two instances that take over from each other in turn would never end.
#[test]
fn displaced_output_ends_the_run_and_the_next_one_resumes() {
    let output = format!("id: out, plugin: Rogue, {FAST}, with: {{ act: displaced, times: 1, log: LOG }}");
    let case = Case::new("behave", &[&output, "id: other, plugin: Rogue, with: { log: LOG }"]);
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 75), "{summary:?}");
    assert_eq!(summary.outputs[0].retried, 0, "{summary:?}");
    assert_eq!(case.run().exit_code(), 0);
    assert_eq!((case.log(0), case.log(1)), (everything(true), everything(true)));
}

#[test]
fn required_output_loses_nothing_when_it_is_unavailable_and_its_queue_is_full() {
    let output = format!(
        "id: out, plugin: Rogue, {FAST}, queue: {{ findings: 1 }}, with: {{ act: fail-to-write, times: 2, log: LOG }}"
    );
    let case = Case::new("behave", &[&output, "id: other, plugin: Rogue, with: { log: LOG }"]);
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Ok, 0), "{summary:?}");
    assert_eq!(summary.outputs[0].undelivered, 0);
    assert_eq!((case.log(0), case.log(1)), (everything(true), everything(true)));
}

/// F-146: a run that waits for new reports is a service. An outage of any length does not end it, unless a limit is set.
#[test]
fn outage_does_not_end_a_run_that_waits_for_new_reports() {
    // Twenty pauses of at least 30 s; the default of a run with an end is 300 s.
    let pauses = "initial_secs: 60, max_secs: 60";
    for (input, limit, code, records) in
        [("watch", "", 0, 9), ("watch", ", max_elapsed_secs: 300", 69, 0), ("behave", "", 69, 0)]
    {
        let output = format!(
            "id: out, plugin: Rogue, retry: {{ {pauses}{limit} }}, with: {{ act: fail-to-write, times: 20, log: LOG }}"
        );
        let case = Case::new(input, &[&output]);
        let (stop, _driver) = case.driven();
        let summary = std::thread::scope(|scope| {
            scope.spawn(|| {
                let begun = Instant::now();
                while case.log(0).len() < 10 && begun.elapsed() < Duration::from_secs(10) && code == 0 {
                    std::thread::sleep(Duration::from_millis(10));
                }
                if code == 0 {
                    stop.request();
                }
            });
            case.run_until(&stop, |_| {})
        });
        assert_eq!(
            (summary.exit_code(), summary.outputs[0].records),
            (code, records),
            "{limit}: {summary:?}"
        );
    }
}

#[test]
fn only_rows_to_retry_are_resent() {
    let output = format!("id: out, plugin: Rogue, {FAST}, with: {{ act: retry-rows, log: LOG }}");
    let case = Case::new("behave", &[&output]);
    let summary = case.run();
    assert_eq!(summary.exit_code(), 0);
    assert_eq!(summary.outputs[0].records, 9);
    assert_eq!(summary.outputs[0].retried, 9);
    assert_eq!(case.log(0), everything(true));
}

#[test]
fn unavailable_input_resumes_at_its_last_position() {
    let case = Case::new("unavailable-midway", &["id: out, plugin: Rogue, with: { log: LOG }"]);
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Ok, 0), "{summary:?}");
    assert_eq!((summary.inputs[0].reports, summary.inputs[0].incomplete), (1, 0));
    assert_eq!(case.log(0), everything(true));
}

#[test]
fn run_resumes_after_a_required_output_was_unavailable() {
    let output = "id: out, plugin: Rogue, retry: { max_elapsed_secs: 0 }, \
                  with: { act: fail-to-write, times: 3, log: LOG }";
    let case = Case::new("behave", &[output, "id: other, plugin: Rogue, with: { log: LOG }"]);
    for _ in 0..3 {
        let summary = case.run();
        assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 69), "{summary:?}");
    }
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Ok, 0), "{summary:?}");
    assert_eq!(case.log(0), everything(true));
}

#[test]
fn a_hung_output_that_is_not_required_is_named_and_the_others_get_everything() {
    let hung =
        "id: hung, plugin: Rogue, required: no, hang_secs: 1, queue: { bytes: 64 KiB }, with: { act: hang }";
    let case = Case::new("behave", &["id: good, plugin: Rogue, with: { log: LOG }", hung]).with_hangs();
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Partial, 70), "{summary:?}");
    assert_eq!((summary.outputs[0].records, summary.outputs[1].undelivered), (9, 9), "{summary:?}");
    assert_eq!(case.log(0), everything(true));
}

#[test]
fn unavailable_optional_output_does_not_delay_others() {
    let down = format!(
        "id: down, plugin: Rogue, required: no, {FAST}, queue: {{ bytes: 64 KiB }}, with: {{ act: unavailable }}"
    );
    let case = Case::new("behave", &["id: good, plugin: Rogue, with: { log: LOG }", &down]);
    let started = Instant::now();
    let summary = case.run_until(&Arc::new(Stop::default()), |_| {});
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Partial, 69), "{summary:?}");
    assert_eq!((summary.outputs[0].records, summary.outputs[1].undelivered), (9, 9), "{summary:?}");
}

#[test]
fn output_with_on_full_drop_gets_an_incomplete_report() {
    let slow = "id: slow, plugin: Rogue, on_full: drop, max_findings_per_sec: 2, queue: { findings: 1 }, \
                with: { log: LOG }";
    let case = Case::new("behave", &["id: good, plugin: Rogue, with: { log: LOG }", slow]);
    let summary = case.run();
    let [good, slow] = &summary.outputs[..] else { panic!("two outputs") };
    assert_eq!((good.records, summary.status), (9, RunStatus::Partial), "{summary:?}");
    assert!(slow.undelivered > 0 && slow.records + slow.undelivered == 9, "{summary:?}");
    assert_eq!(summary.exit_code(), 69, "findings were dropped: {summary:?}");
    let message = format!("{} findings were dropped while this output was unavailable", slow.undelivered);
    assert!(summary.failures[0].message.starts_with(&message), "{summary:?}");
    assert_eq!(case.log(0), everything(true));
    assert_eq!(case.log(1).last().unwrap(), "end rogue.xml complete=false");
}

#[test]
fn rejected_findings_become_dead_letters() {
    let case = Case::new("behave", &["id: strict, plugin: Rogue, with: { act: reject-all }"]);
    let summary = case.run();
    assert_eq!((summary.exit_code(), summary.outputs[0].rejected), (65, 9), "{summary:?}");
    let letters = case.dead_letters_of("strict");
    assert_eq!(letters.len(), 9);
    for (number, letter) in letters.iter().enumerate() {
        assert_eq!(letter.stage.instance(), "strict");
        assert_eq!(letter.reason, "rejected by the rogue output");
        assert_eq!((letter.attempts, letter.run), (1, 1));
        assert_eq!(letter.record.asset["address"], format!("192.0.2.{}", number + 2));
        assert_eq!(letter.report.path, "rogue.xml");
    }
}

#[test]
fn dead_letters_are_replayed_until_accepted() {
    let mut case = Case::new("behave", &["id: strict, plugin: Rogue, with: { act: reject-all, log: LOG }"]);
    assert_eq!(case.run().exit_code(), 65);
    assert_eq!(case.dead_letters(), 9);

    let rejected = case.replay().unwrap();
    assert_eq!((rejected.exit_code(), rejected.outputs[0].rejected), (65, 9), "{rejected:?}");
    assert_eq!(case.dead_letters(), 9, "dead letters that are rejected again are written once");
    for letter in case.dead_letters_of("strict") {
        assert_eq!((letter.attempts, letter.run), (2, 1), "{letter:?}");
    }

    let unavailable = case.text.replace("act: reject-all", "act: unavailable");
    case.text = unavailable.replace("id: strict,", "id: strict, retry: { max_elapsed_secs: 0 },");
    let failed = case.replay().unwrap();
    assert_eq!(
        (failed.exit_code(), case.dead_letters()),
        (69, 9),
        "an unavailable output keeps its dead letters: {failed:?}"
    );

    case.text = case.text.replace("act: unavailable", "act: behave");
    let accepted = case.replay().unwrap();
    assert_eq!((accepted.exit_code(), accepted.outputs[0].records), (0, 9), "{accepted:?}");
    assert_eq!(case.dead_letters(), 0);
    assert_eq!(
        case.log(0).last().unwrap(),
        "end rogue.xml complete=false",
        "a replay delivers no complete report"
    );
    assert_eq!(case.log(0)[case.log(0).len() - 10..][..9], everything(false)[..9]);
    assert!(case.replay().is_none());
}

#[test]
fn accepted_dead_letters_are_not_replayed_twice() {
    let mut case = Case::new("behave", &["id: strict, plugin: Rogue, with: { act: reject-all, log: LOG }"]);
    assert_eq!(case.run().exit_code(), 65);
    let first = case.dead_letters_of("strict");
    let mut second = first.clone();
    for letter in &mut second {
        let report = ReportStart::from(letter.report.clone()).with_path("second.xml");
        letter.report = ReportRecord::from(&report);
        // Another finding: the same one has one dead letter.
        letter.record.finding.insert("instance".to_owned(), "second".to_owned());
    }
    case.add_dead_letters("strict", &second);

    let limited = case.text.replace("act: reject-all", "act: unavailable-later, times: 1");
    case.text = limited.replace("id: strict,", "id: strict, retry: { max_elapsed_secs: 0 },");
    let failed = case.replay().unwrap();
    assert_eq!((failed.exit_code(), failed.outputs[0].records), (69, 9), "{failed:?}");
    assert_eq!(case.dead_letters_of("strict"), second, "the remaining dead letters are unchanged");

    case.text = case.text.replace("act: unavailable-later", "act: behave");
    let accepted = case.replay().unwrap();
    assert_eq!((accepted.exit_code(), accepted.outputs[0].records), (0, 9), "{accepted:?}");
    let log = case.log(0);
    let of = |path: &str| {
        let end = [format!("end {path} complete=false")];
        everything(false)[..9].iter().cloned().chain(end).collect::<Vec<_>>()
    };
    // The lines before are those of the run itself.
    assert_eq!(log[10..], [of("rogue.xml"), of("second.xml")].concat());
    assert_eq!(case.dead_letters(), 0);
}

/// The metrics of a plugin continue when the instance is opened again.
#[test]
fn metrics_of_plugins_are_in_the_summary() {
    let output = format!("id: out, plugin: Rogue, {FAST}, with: {{ act: fail-to-write, log: LOG }}");
    let case = Case::new("behave", &[&output]);
    let summary = case.run();
    let values = |metrics: &[Metric]| -> Vec<(String, f64)> {
        metrics.iter().map(|metric| (metric.name.clone(), metric.value)).collect()
    };
    assert_eq!(values(&summary.inputs[0].metrics), [("opened".to_owned(), 1.0)]);
    let [writes, rows] = &values(&summary.outputs[0].metrics)[..] else { panic!("{summary:?}") };
    assert_eq!(rows, &("last_rows".to_owned(), 1.0));
    assert_eq!(writes, &("writes".to_owned(), 11.0), "nine batches, and two calls that failed");
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["outputs"][0]["metrics"][0]["kind"], "counter");
}

#[test]
fn max_findings_per_sec_is_respected() {
    let case = Case::new("behave", &["id: slow, plugin: Rogue, max_findings_per_sec: 4, with: { log: LOG }"]);
    let summary = case.run();
    assert_eq!((summary.exit_code(), summary.outputs[0].records), (0, 9));
    assert_eq!(summary.elapsed, Duration::from_secs(2), "the first finding does not wait");
}
