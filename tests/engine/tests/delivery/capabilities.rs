//! Delivery follows from what an output declares that it can do.

use scanbridge::pipeline::RunStatus;

use crate::case::{Case, everything};

/// A pipeline whose input becomes unavailable after four of the nine findings: that ends its first run.
fn interrupted(outputs: &[&str]) -> Case {
    let mut case = Case::new("unavailable-midway", outputs);
    let retry = "{ id: in, plugin: Rogue, retry: { initial_secs: 1, max_secs: 1, max_elapsed_secs: 20 }";
    assert!(case.text.contains(retry));
    case.text = case.text.replace(retry, "{ id: in, plugin: Rogue, retry: { max_elapsed_secs: 0 }");
    case
}

#[test]
fn output_that_cannot_resume_gets_the_interrupted_report_again_from_its_start() {
    let cannot = "id: cannot, plugin: Rogue, with: { resume: none, log: LOG }";
    let case = interrupted(&[cannot, "id: exact, plugin: Rogue, with: { log: LOG }"]);
    assert_eq!(case.run().exit_code(), 69);
    assert!(case.log(1).is_empty(), "no checkpoint inside the report: {:?}", case.log(1));
    let second = case.run();
    assert_eq!((second.status, second.exit_code()), (RunStatus::Ok, 0), "{second:?}");
    assert_eq!(case.log(1), everything(true), "the other output gets the report once, from its start");
    let log = case.log(0);
    let begins = log.iter().filter(|line| line.starts_with("begin")).collect::<Vec<_>>();
    assert_eq!(begins, ["begin rogue.xml continued=false gap=false"; 2]);
    let last = log.iter().rposition(|line| line.starts_with("begin")).expect("a second begin");
    assert_eq!(log[last + 1..], everything(true)[..]);
}

#[test]
fn output_that_cannot_resume_and_was_unavailable_gets_everything_since_the_start_of_the_report() {
    let output = "id: out, plugin: Rogue, retry: { initial_secs: 1, max_secs: 1, max_elapsed_secs: 20 }, \
                  with: { act: fail-to-write, times: 1, resume: none, log: LOG }";
    let case = Case::new("behave", &[output]);
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Ok, 0), "{summary:?}");
    let log = case.log(0);
    let last = log.iter().rposition(|line| line.starts_with("begin")).expect("a begin");
    assert_eq!(log[last], "begin rogue.xml continued=false gap=false");
    assert_eq!(log[last + 1..], everything(true)[..]);
}

#[test]
fn commit_without_receipt_is_a_bug_of_an_output_that_can_resume() {
    let case = Case::new("behave", &["id: out, plugin: Rogue, with: { act: no-receipt }"]);
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 70), "{summary:?}");
    let message = &summary.failures[0].message;
    assert!(message.contains("can resume, but `commit` returned no receipt"), "{message}");
}

#[test]
fn rows_that_a_later_commit_rejects_become_dead_letters() {
    let case = Case::new("behave", &["id: strict, plugin: Rogue, with: { act: late-rejections }"]);
    let summary = case.run();
    let output = &summary.outputs[0];
    assert_eq!(output.records, 0, "{summary:?}");
    assert_eq!(output.rejected, 9, "{summary:?}");
    assert_eq!(output.undelivered, 0, "{summary:?}");
    assert_eq!(summary.exit_code(), 65);
    assert_eq!(case.dead_letters(), 9);
}

#[test]
fn rows_that_a_later_commit_wants_again_are_resent_before_the_checkpoint_counts() {
    let output = "id: out, plugin: Rogue, retry: { initial_secs: 1, max_secs: 1, max_elapsed_secs: 20 }, \
                  with: { act: late-retry, times: 2, log: LOG }";
    let case = Case::new("behave", &[output]);
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Ok, 0), "{summary:?}");
    assert_eq!((summary.outputs[0].records, summary.outputs[0].retried), (9, 1), "{summary:?}");
    let log = case.log(0);
    assert_eq!(log.len(), everything(true).len() + 1, "one finding is in the log twice: {log:?}");
}

#[test]
fn publication_that_fails_is_repeated_and_nothing_is_sent_again() {
    let output = "id: out, plugin: Rogue, retry: { initial_secs: 1, max_secs: 1, max_elapsed_secs: 20 }, \
                  with: { act: fail-to-publish, times: 2, log: LOG }";
    let case = Case::new("behave", &[output]);
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Ok, 0), "{summary:?}");
    let mut expected = everything(true);
    expected.push("published".to_owned());
    assert_eq!(case.log(0), expected);
    assert_eq!((summary.outputs[0].records, summary.outputs[0].retried), (9, 0));
}

#[test]
fn run_whose_publication_failed_is_interrupted_and_the_next_one_completes_it() {
    let output = "id: out, plugin: Rogue, retry: { max_elapsed_secs: 0 }, with: { act: fail-to-publish, times: 1, log: LOG }";
    let case = Case::new("behave", &[output]);
    let first = case.run();
    assert_eq!((first.status, first.exit_code()), (RunStatus::Failed, 69), "{first:?}");
    assert_eq!(case.log(0), everything(true));
    let second = case.run();
    assert_eq!((second.status, second.exit_code()), (RunStatus::Ok, 0), "{second:?}");
    assert_eq!(case.log(0), everything(true), "the report is not resent");
}

#[test]
fn empty_position_is_a_bug_of_the_input() {
    let case = Case::new("empty-position", &["id: out, plugin: Rogue"]);
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 70), "{summary:?}");
    assert!(summary.failures[0].message.contains("`next` returned an empty position"), "{summary:?}");
}
