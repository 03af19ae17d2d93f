//! The outcomes of reports that an input learns.

use scanbridge::pipeline::RunStatus;

use crate::case::Case;

/// A pipeline whose input logs the outcomes of its reports.
pub(crate) fn case_with_log(act: &str, outputs: &[&str]) -> Case {
    let mut case = Case::new(act, outputs);
    let confirmed = case.folder.path().join("confirmed");
    let with = format!("with: {{ act: {act} }}");
    assert!(case.text.contains(&with));
    case.text =
        case.text.replacen(&with, &format!("with: {{ act: {act}, confirmed: {} }}", confirmed.display()), 1);
    case
}

pub(crate) fn outcomes(case: &Case) -> String {
    std::fs::read_to_string(case.folder.path().join("confirmed")).unwrap_or_default()
}

#[test]
fn delivered_report_is_confirmed_with_its_dead_letters() {
    let case = case_with_log(
        "behave",
        &["id: good, plugin: Rogue", "id: strict, plugin: Rogue, with: { act: reject-all }"],
    );
    assert_eq!(case.run().exit_code(), 65);
    assert_eq!(outcomes(&case), "rogue.xml delivered 9\n");
}

#[test]
fn source_stays_while_an_optional_output_lacks_findings() {
    for act in ["unavailable", "panic-in-write", "fail-to-open"] {
        let optional = format!(
            "id: optional, plugin: Rogue, required: no, retry: {{ max_elapsed_secs: 0 }}, with: {{ act: {act}, times: 1000 }}"
        );
        let case = case_with_log("behave", &["id: good, plugin: Rogue, with: { log: LOG }", &optional]);
        let summary = case.run();
        assert_ne!(summary.exit_code(), 0, "{act}: {summary:?}");
        assert_eq!(outcomes(&case), "rogue.xml missed 0\n", "{act}");
        let missed = case.ledger().missed().unwrap();
        let [missed] = missed.as_slice() else { panic!("{missed:?}") };
        assert_eq!((missed.output.as_str(), missed.missed.findings), ("optional", 9), "{act}");
        let failure = summary.failures.iter().find(|failure| failure.instance == "optional").unwrap();
        assert_eq!(missed.missed.reason, failure.message, "{act}");
    }
}

#[test]
fn dropped_findings_are_counted_in_the_missed_report() {
    let slow = "id: slow, plugin: Rogue, on_full: drop, max_findings_per_sec: 2, queue: { findings: 1 }";
    let case = case_with_log("behave", &["id: good, plugin: Rogue, with: { log: LOG }", slow]);
    let summary = case.run();
    assert_eq!(outcomes(&case), "rogue.xml missed 0\n");
    let missed = case.ledger().missed().unwrap();
    let [missed] = missed.as_slice() else { panic!("{missed:?}") };
    assert_eq!((missed.missed.findings, missed.run), (summary.outputs[1].undelivered, 1));
    assert_eq!(missed.missed.reason, "the output was unavailable or its queue was full");
}

#[test]
fn input_that_could_not_confirm_a_report_is_called_by_the_next_run() {
    let case = case_with_log("fail-stored", &["id: out, plugin: Rogue, with: { log: LOG }"]);
    let first = case.run();
    assert_eq!(first.exit_code(), 74, "{first:?}");
    assert_eq!(outcomes(&case), "");
    let second = case.run();
    assert_eq!(second.status, RunStatus::Ok, "{second:?}");
    // The report of the first run, and that of the second one.
    assert_eq!(outcomes(&case), "rogue.xml delivered 0\nrogue.xml delivered 0\n");
}
