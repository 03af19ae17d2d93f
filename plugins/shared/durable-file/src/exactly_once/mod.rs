//! Kills, full disks and losses of power at every step, compared with a model without files. In the end the directory
//! must contain the files of an undisturbed run and no part files.

mod model;
mod scenario;

use proptest::prelude::*;

use crate::fault::{self, Fault};
use crate::target::IfExists;
use scenario::{NextRun, Report, Scenario};

/// Reports in every combination: the same path twice, a report that is rolled back, an empty report.
fn reports() -> Vec<Report> {
    vec![
        Report::new("a", &["a1\n", "a2\n", "a3\n"], true),
        Report::new("a", &["a4\n"], true),
        Report::new("b", &["b1\n", "b2\n"], false),
        Report::new("b", &[], true),
        Report::new("a", &["a5\n", "a6\n", "a7\n", "a8\n"], true),
    ]
}

fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for template in ["out.csv", "{report}.csv"] {
        for if_exists in [IfExists::Replace, IfExists::Append, IfExists::Fail] {
            for max_bytes in [None, Some(12)] {
                let old = if_exists != IfExists::Fail;
                all.push(Scenario { template, if_exists, max_bytes, old, ..Scenario::of(reports()) });
            }
        }
    }
    all
}

fn one_fault_anywhere(scenarios: &[Scenario], faults: &[Fault]) {
    for scenario in scenarios {
        for fault in faults {
            let mut step = 0;
            while scenario.run_steps(&[(step, *fault)]) > 0 {
                step += 1;
            }
            assert!(step > 30, "{scenario:?} has only {step} steps");
        }
    }
}

/// Each scenario in these variations.
fn varied(vary: impl Fn(&Scenario) -> Vec<Scenario>) -> Vec<Scenario> {
    scenarios().iter().flat_map(vary).collect()
}

#[test]
fn one_kill_anywhere_changes_nothing() {
    let scenarios = varied(|scenario| {
        let next_run = |next_run| Scenario { next_runs: vec![next_run], ..scenario.clone() };
        let stored_at_ends = Scenario { stores: vec![false], ..scenario.clone() };
        vec![next_run(NextRun::Resumes), next_run(NextRun::Repeats), next_run(NextRun::Skips), stored_at_ends]
    });
    one_fault_anywhere(&scenarios, &[Fault::Killed]);
}

/// The host opens the file again in the same run, also at a commit that is not stored, or ends the run.
#[test]
fn disk_that_is_full_once_changes_nothing() {
    let scenarios = varied(|scenario| {
        let reopens = Scenario { reopens: true, ..scenario.clone() };
        let not_stored = Scenario { commits: vec![true], stores: vec![false], ..reopens.clone() };
        vec![scenario.clone(), reopens, not_stored]
    });
    one_fault_anywhere(&scenarios, &[Fault::Full]);
}

/// A report is begun again and fails before its first commit; then it is resumed at the receipt of the first attempt.
#[test]
fn failed_second_attempt_does_not_disturb_the_first() {
    for scenario in scenarios() {
        let next_runs = vec![NextRun::Resumes, NextRun::Repeats, NextRun::Resumes];
        let scenario = Scenario { next_runs, commits: vec![true], stores: vec![true], ..scenario };
        for killed in 0..40 {
            for full in 0..12 {
                scenario.run_steps(&[(killed, Fault::Killed), (full, Fault::Full)]);
            }
        }
    }
}

#[test]
fn one_loss_of_power_anywhere_changes_nothing() {
    one_fault_anywhere(&scenarios(), &[Fault::PowerLoss(0), Fault::PowerLoss(1), Fault::PowerLoss(2)]);
}

fn arbitrary() -> impl Strategy<Value = Scenario> {
    let report = (prop::sample::select(vec!["a", "b"]), 0_usize..7, any::<bool>());
    (
        prop::sample::select(scenarios()),
        prop::collection::vec(report, 1..6),
        prop::collection::vec(any::<bool>(), 1..20),
        prop::collection::vec(any::<bool>(), 1..20),
        prop::collection::vec(next_run(), 1..4),
        any::<bool>(),
    )
        .prop_map(|(scenario, reports, commits, stores, next_runs, reopens)| {
            let records = |count: usize| (0..count).map(|k| "x".repeat(k * 3) + "\n").collect();
            let reports = reports.into_iter().map(|(id, count, deliver)| Report {
                id,
                records: records(count),
                deliver,
            });
            Scenario { reports: reports.collect(), commits, stores, next_runs, reopens, ..scenario }
        })
}

fn next_run() -> impl Strategy<Value = NextRun> {
    prop::sample::select(vec![NextRun::Resumes, NextRun::Resumes, NextRun::Repeats, NextRun::Skips])
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![Just(Fault::Killed), Just(Fault::Full), any::<u64>().prop_map(Fault::PowerLoss)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn many_faults_change_nothing(
        scenario in arbitrary(),
        faults in prop::collection::vec((0_u32..60, fault()), 0..12),
    ) {
        fault::clear_faults();
        scenario.run_steps(&faults);
    }
}
