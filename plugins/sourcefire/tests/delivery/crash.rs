//! Interruptions at any point: after a run that completes, the Defense Center has the expected results.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use scanbridge_doubles::fake_defense_center::Stage;
use scanbridge_plugin_api::{Begin, CommitPoint, Output, Receipt, Result};
use scanbridge_sourcefire::SourcefireOutput;
use serde_json::{Value, json};

use crate::report::*;
use crate::setting_up::Registered;

/// One call of `write`: the assets of a batch, and whether its first asset began in the previous batch.
type Step = (Vec<Asset>, bool);

/// The faults, in this order.
#[derive(Debug, Clone)]
enum Fault {
    /// The connection ends after this number of bytes.
    Bytes(usize),
    /// The connection ends at this point.
    At(u64, u8),
    /// The host is killed before this step.
    Kill(usize),
}

/// Delivers the report as the host does: after an error, or a kill, it resumes after the last receipt.
fn run(registered: &Registered, more: &Value, steps: &[Step], commits: &[bool], faults: &[Fault]) {
    let (mut receipt, mut position) = (None::<Receipt>, 0);
    let mut faults = faults.iter();
    for _ in 0..50 {
        let mut killed_at = usize::MAX;
        registered.center.change(|behavior| {
            (behavior.close_after_bytes, behavior.close_at) = (None, None);
            match faults.next() {
                Some(Fault::Bytes(bytes)) => behavior.close_after_bytes = Some(*bytes),
                Some(Fault::At(message, 0)) => behavior.close_at = Some(Stage::Message(*message)),
                Some(Fault::At(message, 1)) => behavior.close_at = Some(Stage::Reply(*message)),
                Some(Fault::At(message, _)) => behavior.close_at = Some(Stage::HalfReply(*message)),
                Some(Fault::Kill(step)) => killed_at = *step,
                None => {}
            }
        });
        let mut output = registered.resume(more, receipt.as_ref()).unwrap();
        let outcome = attempt(&mut output, steps, commits, killed_at, &mut receipt, &mut position);
        drop(output);
        // Commands received before the interruption are applied before the host retries.
        registered.center.wait_until_idle();
        if let Ok(true) = outcome {
            return;
        }
    }
    panic!("the report never came to its end");
}

/// Returns false if the host was killed.
fn attempt(
    output: &mut SourcefireOutput,
    steps: &[Step],
    commits: &[bool],
    killed_at: usize,
    receipt: &mut Option<Receipt>,
    position: &mut usize,
) -> Result<bool> {
    output.begin(&start(), Begin::NEW.with_continued(*position > 0))?;
    for index in *position..steps.len() {
        if index == killed_at {
            return Ok(false);
        }
        write(output, &steps[index].0, steps[index].1)?;
        let is_complete = steps.get(index + 1).is_none_or(|(_, continued)| !continued);
        if is_complete && commits[index % commits.len()] {
            *receipt = output.commit(CommitPoint::InReport)?.receipt;
            *position = index + 1;
        }
    }
    output.end(&complete(&["192.0.2.200"]))?;
    assert_eq!(output.commit(CommitPoint::InReport)?.receipt, Some(Receipt::default()));
    Ok(true)
}

/// Assets with a few or about fifty findings, in batches that end at any position.
fn steps() -> impl Strategy<Value = (Vec<Asset>, Vec<Step>)> {
    let findings = prop_oneof![
        3 => prop::collection::vec((1_u32..9, 1_u16..9), 0..4),
        1 => prop::collection::vec((1_u32..99, 1_u16..99), 30..60),
    ];
    let assets = prop::collection::vec((1_u8..=12, findings), 1..16);
    let boundaries = prop::collection::vec(0_usize..400, 0..6);
    (assets, boundaries).prop_map(|(assets, mut boundaries)| {
        let assets: Vec<Asset> =
            assets.into_iter().map(|(last, findings)| (format!("192.0.2.{last}"), findings)).collect();
        boundaries.sort_unstable();
        (assets.clone(), split_into_batches(&assets, &boundaries))
    })
}

/// Splits assets into batches after these numbers of findings.
fn split_into_batches(assets: &[Asset], boundaries: &[usize]) -> Vec<Step> {
    let mut steps = vec![(Vec::new(), false)];
    let (mut count, mut boundaries) = (0, boundaries.iter().peekable());
    for (address, findings) in assets {
        let mut part = (address.clone(), Vec::new());
        for finding in findings {
            part.1.push(*finding);
            count += 1;
            if boundaries.next_if(|boundary| **boundary <= count).is_some() {
                let next = (address.clone(), Vec::new());
                steps.last_mut().unwrap().0.push(std::mem::replace(&mut part, next));
                steps.push((Vec::new(), true));
            }
        }
        steps.last_mut().unwrap().0.push(part);
    }
    steps
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![
        (0_usize..6000).prop_map(Fault::Bytes),
        (1_u64..12, 0_u8..3).prop_map(|(message, kind)| Fault::At(message, kind)),
        (0_usize..6).prop_map(Fault::Kill),
    ];
    prop::collection::vec(fault, 0..4)
}

/// Results of an earlier report: findings on assets that the new report covers, clears, and does not cover.
fn old() -> Vec<Asset> {
    let mut old: Vec<_> =
        (1..=12).map(|last| asset(&format!("192.0.2.{last}"), &[(900, 9), (1, 1)])).collect();
    old.extend([asset("192.0.2.200", &[(901, 9)]), asset("192.0.2.201", &[(902, 9)])]);
    old
}

fn after_all_faults(more: &Value, expectation: impl Fn(&[Asset]) -> Vec<Asset>) {
    let Some(registered) = Registered::new() else { return };
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let input = (steps(), prop::collection::vec(any::<bool>(), 1..6), faults());
    runner
        .run(&input, |((assets, steps), commits, faults)| {
            registered.center.reset();
            registered
                .center
                .change(|behavior| (behavior.close_after_bytes, behavior.close_at) = (None, None));
            let mut output = registered.open(more).unwrap();
            deliver(&mut output, &old(), &complete(&[])).unwrap();
            drop(output);
            registered.center.wait_until_idle();
            run(&registered, more, &steps, &commits, &faults);
            prop_assert_eq!(registered.results(), expected(&expectation(&assets)));
            Ok(())
        })
        .unwrap();
}

/// The results after the report, including the assets that it does not cover.
fn replaced(assets: &[Asset]) -> Vec<Asset> {
    let in_reports = |address: &str| address == "192.0.2.200" || assets.iter().any(|(of, _)| of == address);
    let mut now: Vec<Asset> = old().into_iter().filter(|(address, _)| !in_reports(address)).collect();
    now.extend(assets.iter().cloned());
    now
}

#[test]
fn replace_asset_recovers_from_interruptions() {
    after_all_faults(&json!({ "body_bytes": 1024 }), replaced);
}

#[test]
fn replace_asset_with_large_messages_recovers() {
    after_all_faults(&json!({ "body_findings": 20 }), replaced);
}

#[test]
fn replace_flush_recovers_from_interruptions() {
    after_all_faults(&json!({ "replace": "flush", "body_bytes": 1024 }), replaced);
}

#[test]
fn replace_merge_recovers_from_interruptions() {
    after_all_faults(&json!({ "replace": "merge", "body_bytes": 1024 }), |assets| {
        old().into_iter().chain(assets.iter().cloned()).collect()
    });
}

/// The receipt of an unfinished report, followed by another report: confirmed results stay and nothing else changes.
#[test]
fn unfinished_report_is_followed_by_another_report() {
    let Some(registered) = Registered::new() else { return };
    let mut output = registered.open(&json!({})).unwrap();
    output.begin(&start(), Begin::NEW).unwrap();
    write(&mut output, &[asset("192.0.2.1", &[(1, 1)]), asset("192.0.2.2", &[])], false).unwrap();
    let receipt = output.commit(CommitPoint::InReport).unwrap().receipt;
    assert_eq!(output.commit(CommitPoint::InReport).unwrap().receipt, receipt);
    drop(output);
    let mut output = registered.resume(&json!({}), receipt.as_ref()).unwrap();
    assert_eq!(output.commit(CommitPoint::InReport).unwrap().receipt, receipt);
    deliver(&mut output, &[asset("192.0.2.3", &[(3, 3)])], &complete(&[])).unwrap();
    assert_eq!(registered.results(), ["192.0.2.1: QualysGuard 1 1 tcp", "192.0.2.3: QualysGuard 3 3 tcp"]);
    let damaged = Receipt(vec![1, 2, 3]);
    let error = registered.resume(&json!({}), Some(&damaged)).unwrap_err();
    assert!(error.message.contains("cannot resume: the saved state of the report"), "{error}");
}
