//! A failover output, and what counts as delivered when both outputs of a pair have a part of a report.

use crate::case::{Case, everything};
use crate::interruption::interrupted;
use crate::stored::{case_with_log, outcomes};

const STANDBY: &str = "id: standby, plugin: Rogue, with: { log: LOG }";

/// An output that fails after `times` batches; then its failover output takes over at once.
fn primary(act: &str, times: u32) -> String {
    format!(
        "id: primary, plugin: Rogue, failover: standby, \
         retry: {{ initial_secs: 1, max_secs: 600, max_elapsed_secs: 600, breaker_failures: 1 }}, \
         with: {{ act: {act}, times: {times}, log: LOG }}"
    )
}

/// Asserts that the input learned that its only report was delivered, and that nothing is missed.
fn delivered(case: &Case) {
    assert_eq!(outcomes(case), "rogue.xml delivered 0\n");
    assert_eq!(case.ledger().missed().unwrap(), []);
}

/// The findings of both outputs, and the ends of their parts.
fn parts(case: &Case) -> [(usize, Option<String>); 2] {
    [0, 1].map(|output| {
        let log = case.log(output);
        (log.iter().filter(|line| !line.starts_with("end ")).count(), log.last().cloned())
    })
}

const INCOMPLETE: &str = "end rogue.xml complete=false";

#[test]
fn report_whose_findings_are_in_both_outputs_of_a_pair_is_delivered() {
    for times in [1, 3, 8] {
        let case = case_with_log("behave", &[&primary("unavailable-later", times), STANDBY]);
        let summary = case.run();
        assert_eq!(summary.exit_code(), 0, "{summary:?}");
        let first = times as usize;
        let end = || Some(INCOMPLETE.to_owned());
        assert_eq!(parts(&case), [(first, end()), (9 - first, end())]);
        delivered(&case);
    }
}

/// The failover happens before the first batch of a report: then the failover output has all of it.
#[test]
fn report_that_only_the_failover_output_received_is_delivered() {
    let case = case_with_log("behave", &[&primary("unavailable-later", 0), STANDBY]);
    assert_eq!(case.run().exit_code(), 0);
    assert_eq!((case.log(0), case.log(1)), (vec![], everything(true)));
    delivered(&case);
}

#[test]
fn report_is_missed_while_one_output_of_a_pair_cannot_complete_its_part() {
    let case = case_with_log("behave", &[&primary("gone-later", 3), STANDBY]);
    let summary = case.run();
    assert_eq!(summary.exit_code(), 69, "{summary:?}");
    let message = &summary.failures[0].message;
    assert!(message.contains("its part of report rogue.xml could not be completed"), "{message}");
    assert_eq!(outcomes(&case), "rogue.xml missed 0\n");
    let missed = case.ledger().missed().unwrap();
    let [missed] = missed.as_slice() else { panic!("{missed:?}") };
    assert_eq!((missed.output.as_str(), missed.missed.findings), ("primary", 3));
    assert_eq!(missed.missed.reason, "`primary` was unavailable and could not complete its part");
}

#[test]
fn missed_report_is_delivered_when_the_part_is_completed_later() {
    let case = case_with_log("behave", &[&primary("gone-a-while", 3), STANDBY]);
    let summary = case.run();
    assert_eq!(summary.exit_code(), 0, "{summary:?}");
    assert_eq!(parts(&case).map(|(findings, _)| findings), [3, 6]);
    assert_eq!(outcomes(&case), "rogue.xml missed 0\n");
    assert_eq!(case.ledger().missed().unwrap(), []);
    let _ = case.run();
    let outcomes = outcomes(&case);
    assert!(outcomes.starts_with("rogue.xml missed 0\nrogue.xml delivered 0\n"), "{outcomes}");
}

/// The run that resumes knows from the ledger what the other output has.
#[test]
fn report_of_a_pair_that_was_interrupted_is_delivered() {
    let mut case = interrupted(&[&primary("unavailable-later", 2), STANDBY]);
    let confirmed = case.folder.path().join("confirmed");
    let act = "with: { act: unavailable-midway }";
    assert!(case.text.contains(act));
    let with = format!("with: {{ act: unavailable-midway, confirmed: {} }}", confirmed.display());
    case.text = case.text.replace(act, &with);
    assert_eq!(case.run().exit_code(), 69);
    let second = case.run();
    assert!(second.inputs[0].resumed);
    assert_eq!(second.exit_code(), 0, "{second:?}");
    let end = || Some(INCOMPLETE.to_owned());
    assert_eq!(parts(&case), [(2, end()), (7, end())]);
    delivered(&case);
}

#[test]
fn findings_that_a_pair_has_dropped_are_missed() {
    let primary = primary("unavailable-later", 2);
    let primary =
        primary.replace("retry:", "on_full: drop, max_findings_per_sec: 2, queue: { findings: 1 }, retry:");
    let case = case_with_log("behave", &["id: good, plugin: Rogue, with: { log: LOG }", &primary, STANDBY]);
    let summary = case.run();
    assert_eq!(summary.exit_code(), 69, "{summary:?}");
    assert_eq!(outcomes(&case), "rogue.xml missed 0\n");
    let missed = case.ledger().missed().unwrap();
    let [missed] = missed.as_slice() else { panic!("{missed:?}") };
    assert_eq!(missed.output, "primary");
    assert_eq!(missed.missed.reason, "the output was unavailable or its queue was full");
}

#[test]
fn the_standby_takes_over_when_the_breaker_opens() {
    let primary = "id: primary, plugin: Rogue, failover: standby, \
                   retry: { initial_secs: 1, max_secs: 600, max_elapsed_secs: 600, breaker_failures: 1 }, \
                   with: { act: fail-to-write, times: 1000, log: LOG }";
    let case = Case::new("behave", &[primary, STANDBY]);
    let summary = case.run();
    assert_eq!(summary.exit_code(), 0, "{summary:?}");
    let [first, second] = &summary.outputs[..] else { panic!("two outputs") };
    assert_eq!(first.records, 0, "{summary:?}");
    assert_eq!(first.diverted, 9, "{summary:?}");
    assert_eq!(second.records, 9, "{summary:?}");
    assert_eq!(case.log(0), Vec::<String>::new());
    assert_eq!(case.log(1), everything(true), "it received the complete report");
}

#[test]
fn primary_output_is_used_again_after_two_good_probes() {
    // Slow enough that the probes, one second apart, happen within the report.
    let primary = "id: primary, plugin: Rogue, failover: standby, max_findings_per_sec: 2, \
                   retry: { initial_secs: 1, max_secs: 1, max_elapsed_secs: 600, breaker_failures: 1 }, \
                   with: { act: fail-to-write, times: 1, log: LOG }";
    let case = case_with_log("behave", &[primary, STANDBY]);
    let summary = case.run();
    assert_eq!(summary.exit_code(), 0, "{summary:?}");
    delivered(&case);
    let (first, second) = (case.log(0), case.log(1));
    assert!(first.len() > 1 && second.len() > 1, "{first:?} {second:?}");
    assert_eq!(second.last().unwrap(), "end rogue.xml complete=false");
    assert_eq!(first.last().unwrap(), "end rogue.xml complete=false");
    let findings = second[..second.len() - 1].iter().chain(&first[..first.len() - 1]).cloned();
    assert_eq!(findings.collect::<Vec<_>>(), everything(false)[..9]);
}
