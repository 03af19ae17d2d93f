//! What the host does when an output or input is away, slow or picky: with plugins that are so on purpose.

#![expect(clippy::unwrap_used, reason = "a test ends when something is not as it must be")]

mod case;
mod interruption;
mod random_behavior;

use std::time::{Duration, Instant};

use case::{Case, FAST, everything};
use scanbridge::pipeline::RunStatus;

#[test]
fn an_output_that_was_away_gets_everything_once_and_in_order() {
    for act in ["fail-to-write", "fail-to-open"] {
        let output = format!("id: out, plugin: Rogue, {FAST}, with: {{ act: {act}, log: LOG }}");
        let case = Case::new("behave", &[&output]);
        let summary = case.run();
        assert_eq!((summary.status, summary.exit_code()), (RunStatus::Ok, 0), "{act}: {summary:?}");
        assert_eq!(summary.outputs[0].records, 9);
        assert_eq!(case.log(0), everything(true), "{act}");
    }
}

#[test]
fn rows_that_are_to_be_sent_again_are_and_the_others_are_not() {
    let output = format!("id: out, plugin: Rogue, {FAST}, with: {{ act: retry-rows, log: LOG }}");
    let case = Case::new("behave", &[&output]);
    let summary = case.run();
    assert_eq!((summary.exit_code(), summary.outputs[0].records, summary.outputs[0].retried), (0, 9, 9));
    assert_eq!(case.log(0), everything(true));
}

#[test]
fn an_input_that_was_away_goes_on_at_its_last_step() {
    let case = Case::new("unavailable-midway", &["id: out, plugin: Rogue, with: { log: LOG }"]);
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Ok, 0), "{summary:?}");
    assert_eq!((summary.inputs[0].reports, summary.inputs[0].incomplete), (1, 0));
    assert_eq!(case.log(0), everything(true));
}

#[test]
fn a_required_output_that_stays_away_stops_the_run_and_the_next_one_goes_on() {
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
    let case = Case::new("behave", &["id: good, plugin: Rogue, with: { log: LOG }", hung]);
    let begun = Instant::now();
    let summary = case.run();
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Partial, 70), "{summary:?}");
    assert_eq!((summary.outputs[0].records, summary.outputs[1].undelivered), (9, 9), "{summary:?}");
    assert_eq!(case.log(0), everything(true));
}

#[test]
fn the_standby_takes_over_when_the_breaker_opens() {
    let primary = "id: primary, plugin: Rogue, failover: standby, \
                   retry: { initial_secs: 1, max_secs: 600, max_elapsed_secs: 600, breaker_failures: 1 }, \
                   with: { act: fail-to-write, times: 1000, log: LOG }";
    let case = Case::new("behave", &[primary, "id: standby, plugin: Rogue, with: { log: LOG }"]);
    let summary = case.run();
    assert_eq!(summary.exit_code(), 0, "{summary:?}");
    let [first, second] = &summary.outputs[..] else { panic!("two outputs") };
    assert_eq!((first.records, first.diverted, second.records), (0, 9, 9), "{summary:?}");
    assert_eq!(case.log(0), Vec::<String>::new());
    assert_eq!(case.log(1), everything(true), "it got the whole report");
}

#[test]
fn the_primary_comes_back_after_two_good_probes_and_neither_of_the_two_may_clear_anything() {
    // Slow enough that the probes, a second apart, fall into the report.
    let primary = "id: primary, plugin: Rogue, failover: standby, max_findings_per_sec: 2, \
                   retry: { initial_secs: 1, max_secs: 1, max_elapsed_secs: 600, breaker_failures: 1 }, \
                   with: { act: fail-to-write, times: 1, log: LOG }";
    let case = Case::new("behave", &[primary, "id: standby, plugin: Rogue, with: { log: LOG }"]);
    let summary = case.run();
    assert_eq!(summary.exit_code(), 0, "{summary:?}");
    let (first, second) = (case.log(0), case.log(1));
    assert!(first.len() > 1 && second.len() > 1, "{first:?} {second:?}");
    assert_eq!(second.last().unwrap(), "end rogue.xml complete=false");
    assert_eq!(first.last().unwrap(), "end rogue.xml complete=false");
    let findings = second[..second.len() - 1].iter().chain(&first[..first.len() - 1]).cloned();
    assert_eq!(findings.collect::<Vec<_>>(), everything(false)[..9]);
}

#[test]
fn an_output_that_is_down_and_not_required_stops_nobody() {
    let down = format!(
        "id: down, plugin: Rogue, required: no, {FAST}, queue: {{ bytes: 64 KiB }}, with: {{ act: unavailable }}"
    );
    let case = Case::new("behave", &["id: good, plugin: Rogue, with: { log: LOG }", &down]);
    let begun = Instant::now();
    let summary = case.run();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Partial, 69), "{summary:?}");
    assert_eq!((summary.outputs[0].records, summary.outputs[1].undelivered), (9, 9), "{summary:?}");
}

#[test]
fn an_output_that_may_drop_holds_nobody_up_and_may_not_clear_what_it_missed() {
    let slow = "id: slow, plugin: Rogue, on_full: drop, max_findings_per_sec: 2, queue: { findings: 1 }, \
                with: { log: LOG }";
    let case = Case::new("behave", &["id: good, plugin: Rogue, with: { log: LOG }", slow]);
    let summary = case.run();
    let [good, slow] = &summary.outputs[..] else { panic!("two outputs") };
    assert_eq!((good.records, summary.status), (9, RunStatus::Partial), "{summary:?}");
    assert!(slow.undelivered > 0 && slow.records + slow.undelivered == 9, "{summary:?}");
    assert_eq!(summary.exit_code(), 69, "not all was delivered, and nothing else says so: {summary:?}");
    let said = format!("{} findings were left out", slow.undelivered);
    assert!(summary.failures[0].message.starts_with(&said), "{summary:?}");
    assert_eq!(case.log(0), everything(true));
    assert_eq!(case.log(1).last().unwrap(), "end rogue.xml complete=false");
}

#[test]
fn refused_findings_become_dead_letters() {
    let case = Case::new("behave", &["id: picky, plugin: Rogue, with: { act: reject-all }"]);
    let summary = case.run();
    assert_eq!((summary.exit_code(), summary.outputs[0].rejected), (65, 9), "{summary:?}");
    let path = case.folder.path().join("rogue/dead-letters/picky.ndjson");
    let text = std::fs::read_to_string(path).unwrap();
    let letters: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(letters.len(), 9);
    for (number, letter) in letters.iter().enumerate() {
        assert_eq!(letter["output"], "picky");
        assert_eq!(letter["reason"], "nothing is good enough");
        assert_eq!((letter["attempts"].as_u64(), letter["run"].as_u64()), (Some(1), Some(1)));
        assert_eq!(letter["record"]["asset"]["address"], format!("192.0.2.{}", number + 2));
        assert_eq!(letter["report"]["path"], "rogue.xml");
    }
}

#[test]
fn dead_letters_are_sent_again_until_they_are_taken() {
    let mut case = Case::new("behave", &["id: picky, plugin: Rogue, with: { act: reject-all, log: LOG }"]);
    assert_eq!(case.run().exit_code(), 65);
    assert_eq!(case.letters(), 9);

    let refused = case.replay().unwrap();
    assert_eq!((refused.exit_code(), refused.outputs[0].rejected), (65, 9), "{refused:?}");
    assert_eq!(case.letters(), 9, "those that are refused again are written anew, once");
    let text = std::fs::read_to_string(case.letters_path()).unwrap();
    for line in text.lines() {
        let letter: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((letter["attempts"].as_u64(), letter["run"].as_u64()), (Some(2), Some(1)), "{letter}");
    }

    let away = case.text.replace("act: reject-all", "act: unavailable");
    case.text = away.replace("id: picky,", "id: picky, retry: { max_elapsed_secs: 0 },");
    let lost = case.replay().unwrap();
    assert_eq!((lost.exit_code(), case.letters()), (69, 9), "an output that is away keeps them: {lost:?}");

    case.text = case.text.replace("act: unavailable", "act: behave");
    let taken = case.replay().unwrap();
    assert_eq!((taken.exit_code(), taken.outputs[0].records), (0, 9), "{taken:?}");
    assert_eq!(case.letters(), 0);
    assert_eq!(case.log(0).last().unwrap(), "end rogue.xml complete=false", "a replay clears nothing");
    assert_eq!(case.log(0)[case.log(0).len() - 10..][..9], everything(false)[..9]);
    assert!(case.replay().is_none());
}

#[test]
fn letters_that_were_taken_before_the_output_went_away_are_not_sent_again() {
    let mut case = Case::new("behave", &["id: picky, plugin: Rogue, with: { act: reject-all, log: LOG }"]);
    assert_eq!(case.run().exit_code(), 65);
    let first = std::fs::read_to_string(case.letters_path()).unwrap();
    let second = first.replace("rogue.xml", "second.xml");
    std::fs::write(case.letters_path(), first + &second).unwrap();

    let tires = case.text.replace("act: reject-all", "act: tire, times: 1");
    case.text = tires.replace("id: picky,", "id: picky, retry: { max_elapsed_secs: 0 },");
    let lost = case.replay().unwrap();
    assert_eq!((lost.exit_code(), lost.outputs[0].records), (69, 9), "{lost:?}");
    assert_eq!(std::fs::read_to_string(case.letters_path()).unwrap(), second, "the rest is as it was");

    case.text = case.text.replace("act: tire", "act: behave");
    let taken = case.replay().unwrap();
    assert_eq!((taken.exit_code(), taken.outputs[0].records), (0, 9), "{taken:?}");
    let log = case.log(0);
    let of = |path: &str| {
        let end = [format!("end {path} complete=false")];
        everything(false)[..9].iter().cloned().chain(end).collect::<Vec<_>>()
    };
    // Before that stands what the run itself handed over.
    assert_eq!(log[10..], [of("rogue.xml"), of("second.xml")].concat());
    assert!(!case.letters_path().exists());
}

#[test]
fn max_findings_per_sec_is_respected() {
    let case = Case::new("behave", &["id: slow, plugin: Rogue, max_findings_per_sec: 4, with: { log: LOG }"]);
    let begun = Instant::now();
    let summary = case.run();
    assert_eq!((summary.exit_code(), summary.outputs[0].records), (0, 9));
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
}
