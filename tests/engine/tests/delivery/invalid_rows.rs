//! Invalid rows of an input become dead letters of the stage `input`.

use scanbridge::pipeline::RunStatus;
use scanbridge::state::Stage;

use crate::case::{Case, FAST};
use crate::stored::{case_with_log, outcomes};

const REASONS: [&str; 8] = [
    "unknown kind 7",
    "severity 9 is not 0 to 5",
    "unknown status 77",
    "invalid address",
    "finding on an invalid asset",
    "asset without address, name or ID",
    "finding on an invalid asset",
    "definition without ID",
];

fn reasons(case: &Case) -> Vec<String> {
    case.dead_letters_of("in").into_iter().map(|letter| letter.reason).collect()
}

#[test]
fn invalid_row_becomes_a_dead_letter_and_the_source_is_released() {
    let case = case_with_log(
        "invalid-rows",
        &["id: one, plugin: Rogue, with: { log: LOG }", "id: two, plugin: Rogue"],
    );
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Partial, 65), "{summary:?}");
    assert_eq!(outcomes(&case), "rogue.xml delivered 8\n");
    assert_eq!(reasons(&case), REASONS);
    assert_eq!(case.ledger().missed().unwrap(), []);
    assert!(!case.ledger().reports().unwrap()[0].complete, "`state show` must not show it as complete");
    assert_eq!(case.log(0).last().unwrap(), "end rogue.xml complete=false");
    assert!(!case.ledger().reports().unwrap()[0].complete);
    let letters = case.dead_letters_of("in");
    assert_eq!(letters[3].stage, Stage::Input { input: "in".to_owned() });
    assert_eq!(letters[3].record.asset["address"], "10.0.0.999");
    assert_eq!(letters[4].record.definition["id"], "1000");
    assert_eq!((letters[4].report.path.as_str(), letters[4].run), ("rogue.xml", 1));
}

/// A row that names its asset and its definition is the same finding in the next run.
#[test]
fn invalid_row_that_each_run_reads_is_one_dead_letter() {
    let case = case_with_log("invalid-rows", &["id: out, plugin: Rogue, with: { log: LOG }"]);
    case.run();
    let first = case.dead_letters_of("in");
    assert!(first.iter().all(|letter| letter.attempts == 1), "{first:?}");
    let identified = first.iter().filter(|letter| letter.key().is_some()).count();
    assert_eq!((first.len(), identified), (8, 4), "{first:?}");
    for _ in 0..2 {
        assert_eq!(case.run().exit_code(), 65);
    }
    let later = case.dead_letters_of("in");
    assert_eq!(later.len(), 4 + 3 * 4, "{later:?}");
    for letter in later.iter().filter(|letter| letter.key().is_some()) {
        let before = first.iter().find(|before| before.key() == letter.key()).expect("the same finding");
        assert_eq!((letter.attempts, letter.run, letter.first()), (3, 1, before.first()), "{letter:?}");
        assert_eq!(letter.id(9), before.id(1), "the ID on the command line stays");
    }
}

#[test]
fn interrupted_run_stores_each_invalid_row_once() {
    let output = "id: out, plugin: Rogue, retry: { max_elapsed_secs: 0 }, \
                  with: { act: fail-to-write, times: 4, log: LOG }";
    let case = case_with_log("invalid-rows", &[output]);
    for _ in 0..4 {
        assert_eq!(case.run().exit_code(), 69);
    }
    assert_eq!(case.run().exit_code(), 65);
    assert_eq!(reasons(&case), REASONS);
    assert_eq!(outcomes(&case), "rogue.xml delivered 8\n");
    assert_eq!(case.log(0).last().unwrap(), "end rogue.xml complete=false");
}

#[test]
fn with_on_invalid_fail_nothing_of_the_report_is_delivered() {
    let mut case = case_with_log("invalid-rows", &["id: out, plugin: Rogue, with: { log: LOG }"]);
    case.text = case.text.replacen("id: in,", "id: in, on_invalid: fail,", 1);
    let summary = case.run();
    assert_eq!((summary.status, summary.exit_code()), (RunStatus::Failed, 65), "{summary:?}");
    let [failure] = summary.failures.as_slice() else { panic!("{summary:?}") };
    assert_eq!(failure.instance, "in");
    assert!(failure.message.starts_with("invalid row in rogue.xml: unknown kind 7"), "{failure:?}");
    assert_eq!(summary.outputs[0].records, 0, "{summary:?}");
    assert_eq!((reasons(&case).len(), outcomes(&case)), (0, String::new()));
}

/// An input that sends only invalid rows must not fill the disk, and the source is the only place that has them.
#[test]
fn source_stays_if_not_all_invalid_rows_can_be_kept() {
    let mut case = case_with_log("invalid-rows, findings: 100", &["id: out, plugin: Rogue"]);
    case.text = format!("dead_letter_bytes: 64 KiB\n{}", case.text);
    let summary = case.run();
    assert_eq!(summary.exit_code(), 65, "{summary:?}");
    let letters = case.dead_letters_of("in").len() as u64;
    let missed = case.ledger().missed().unwrap();
    let [missed] = missed.as_slice() else { panic!("{missed:?}") };
    assert_eq!(letters + missed.missed.findings, summary.inputs[0].invalid.total());
    assert_eq!(missed.output, "in");
    assert!(letters > 10, "{letters}");
    assert_eq!(outcomes(&case), format!("rogue.xml missed {letters}\n"));
    let stored: usize = case.dead_letters_of("in").iter().map(|letter| letter.to_json().len()).sum();
    assert!(stored <= 64 << 10, "{stored}");
}

/// The run that resumes does not read the invalid rows again, but they belong to the same report.
#[test]
fn resumed_run_counts_the_invalid_rows_and_rejected_findings_of_the_interrupted_one() {
    for (input, settings) in
        [("invalid-rows", ""), ("invalid-rows, findings: 100", "dead_letter_bytes: 64 KiB\n")]
    {
        let strict = "id: strict, plugin: Rogue, with: { act: reject-all }";
        let case = |act: &str| {
            let out = format!(
                "id: out, plugin: Rogue, retry: {{ max_elapsed_secs: 0 }}, with: {{ act: {act}, times: 7 }}"
            );
            let mut case = case_with_log(input, &[&out, strict]);
            case.text = format!("{settings}{}", case.text);
            case
        };
        let (undisturbed, interrupted) = (case("behave"), case("unavailable-later"));
        assert_eq!(undisturbed.run().exit_code(), 65);
        assert_eq!(interrupted.run().exit_code(), 69);
        assert_eq!(reasons(&interrupted).len(), reasons(&undisturbed).len(), "only valid rows follow");
        std::fs::write(interrupted.instance("out").join("times"), "0").unwrap();
        let resumed = interrupted.run();
        assert!(resumed.inputs[0].resumed);
        assert_eq!(resumed.exit_code(), 65, "what the interrupted run found counts: {resumed:?}");
        assert!(resumed.failures.iter().any(|failure| failure.instance == "in"), "{resumed:?}");
        assert_eq!(outcomes(&interrupted), outcomes(&undisturbed));
        let missed = |case: &Case| {
            let missed = case.ledger().missed().unwrap();
            missed.into_iter().map(|report| (report.output, report.missed)).collect::<Vec<_>>()
        };
        assert_eq!(missed(&interrupted), missed(&undisturbed));
    }
}

#[test]
fn replay_leaves_invalid_rows_alone() {
    let strict = format!("id: strict, plugin: Rogue, {FAST}, with: {{ act: reject-all, log: LOG }}");
    let mut case = Case::new("invalid-rows", &[&strict]);
    assert_eq!(case.run().exit_code(), 65);
    assert_eq!((reasons(&case).len(), case.dead_letters()), (8, 3));
    case.text = case.text.replace("act: reject-all", "act: behave");
    assert_eq!(case.replay().unwrap().exit_code(), 0);
    assert_eq!((reasons(&case).len(), case.dead_letters()), (8, 0));
    assert!(case.replay().is_none());
}
