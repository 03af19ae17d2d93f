//! Kills and full disks at every step, compared with a model without files. The files under their final names must be
//! those of an undisturbed run.

mod model;
mod scenario;

use proptest::prelude::*;

use crate::fault::{self, Fault};
use crate::target::IfExists;
use scenario::{Report, Scenario};

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

/// One fault at each step.
#[test]
fn one_fault_anywhere_changes_nothing() {
    for mixed in scenarios() {
        let begins_anew = Scenario { can_resume: false, ..mixed.clone() };
        for scenario in [mixed.stored_at_ends(), begins_anew, mixed] {
            for kind in [Fault::Killed, Fault::Full] {
                let mut step = 0;
                while scenario.play(&[(step, kind)]) > 0 {
                    step += 1;
                }
                assert!(step > 30, "{scenario:?} has only {step} steps");
            }
        }
    }
}

fn arbitrary() -> impl Strategy<Value = Scenario> {
    let report = (prop::sample::select(vec!["a", "b"]), 0_usize..7, any::<bool>());
    (
        prop::sample::select(scenarios()),
        prop::collection::vec(report, 1..6),
        prop::collection::vec(any::<bool>(), 1..20),
        prop::collection::vec(any::<bool>(), 1..20),
        any::<bool>(),
    )
        .prop_map(|(scenario, reports, commits, stores, can_resume)| {
            let records = |count: usize| (0..count).map(|k| "x".repeat(k * 3) + "\n").collect();
            let reports = reports.into_iter().map(|(id, count, deliver)| Report {
                id,
                records: records(count),
                deliver,
            });
            Scenario { reports: reports.collect(), commits, stores, can_resume, ..scenario }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn many_faults_change_nothing(
        scenario in arbitrary(),
        faults in prop::collection::vec((0_u32..60, any::<bool>()), 0..12),
    ) {
        let kind = |full| if full { Fault::Full } else { Fault::Killed };
        let faults: Vec<_> = faults.into_iter().map(|(step, full)| (step, kind(full))).collect();
        fault::revive();
        scenario.play(&faults);
    }
}
