//! Keys that instances keep in the ledger (`state/1`): they are stored together with positions and receipts.

use crate::case::{Case, FAST, everything};

fn keys(case: &Case, instance: &str, prefix: &str) -> Vec<String> {
    let keys = case.ledger().keys(instance, prefix).unwrap();
    keys.into_iter().map(|(key, _)| key[prefix.len()..].to_owned()).collect()
}

#[test]
fn keys_of_an_interrupted_run_belong_to_its_checkpoint() {
    let output = format!("id: out, plugin: Rogue, {FAST}, with: {{ log: LOG }}");
    let mut case = Case::new("unavailable-midway", &[&output]);
    case.text = case.text.replace(
        &format!("{{ id: in, plugin: Rogue, {FAST}, with"),
        "{ id: in, plugin: Rogue, retry: { max_elapsed_secs: 0 }, with",
    );
    assert_eq!(case.run().exit_code(), 69);
    let checkpoint = case.ledger().checkpoint().unwrap().unwrap();
    let position = checkpoint.positions["in"][0];
    let batches: Vec<String> = (2..=position).map(|step| format!("{step:02}")).collect();
    assert!(!batches.is_empty());
    assert_eq!(keys(&case, "in", "batch:"), batches);
    assert_eq!(keys(&case, "in", "stored:"), [""; 0]);
    assert_eq!(keys(&case, "out", "written:"), case.log(0));

    assert_eq!(case.run().exit_code(), 0);
    assert_eq!(keys(&case, "in", "batch:").len(), 9);
    assert_eq!(keys(&case, "in", "stored:"), ["rogue.xml"], "the change in `stored` is not lost at the end");
    let mut written = everything(true)[..9].to_vec();
    written.sort();
    assert_eq!(keys(&case, "out", "written:"), written);
}

#[test]
fn keys_of_findings_that_are_repeated_are_rolled_back() {
    // Each attempt writes a key before it fails. The last instance never writes.
    let output = "id: out, plugin: Rogue, required: no, retry: { max_elapsed_secs: 0 }, \
                  with: { act: unavailable-after-writing, log: LOG }";
    let case = Case::new("behave", &[output, "id: good, plugin: Rogue, with: { log: LOG }"]);
    assert_eq!(case.run().exit_code(), 69);
    assert_eq!(case.log(0), [""; 0]);
    assert_eq!(keys(&case, "out", "written:"), [""; 0]);
    assert_eq!(keys(&case, "good", "written:").len(), 9);
}
