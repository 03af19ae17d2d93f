//! Outputs that fail at random: no finding is lost, delivered twice or out of order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use scanbridge::pipeline::{Failure, RunStatus, Stop, Summary};

use crate::case::Case;

const FINDINGS: usize = 3;
const SEEDS: u64 = 32;

/// Number of calls in which an output fails at random. Later calls succeed, so that each case ends.
const RANDOM_CALLS: u64 = 40;

fn random_output(id: &str, seed: u64, settings: &str) -> String {
    format!(
        "id: {id}, plugin: Rogue, {settings}with: {{ act: random, seed: {seed}, times: {RANDOM_CALLS}, log: LOG }}"
    )
}

/// Runs the case until no run is left to resume. Returns the number of runs, and whether an output stayed unavailable,
/// so that its part of the report could not be completed.
fn run_to_the_end(case: &Case) -> (usize, bool) {
    for runs in 1..=3 * usize::try_from(RANDOM_CALLS).unwrap() {
        let summary = case.run_until(&Arc::new(Stop::default()), |pipeline| {
            for output in &mut pipeline.outputs {
                output.delivery.retry.initial = Duration::from_millis(1);
                output.delivery.retry.longest = Duration::from_millis(2);
            }
        });
        // 65: findings were rejected; they are dead letters.
        if summary.status != RunStatus::Failed && !summary.inputs[0].resumed {
            balanced(&summary);
        }
        let is_incomplete =
            |failure: &Failure| failure.message.contains("could not be completed and may be missing");
        let incomplete = summary.failures.iter().any(is_incomplete);
        if [0, 65].contains(&summary.exit_code()) || incomplete {
            return (runs, incomplete);
        }
        assert_eq!(summary.exit_code(), 69, "{summary:?}");
    }
    panic!("the case does not end");
}

/// Checks that every finding is counted. Findings that were diverted to a failover output count as `diverted`.
fn balanced(summary: &Summary) {
    let sent = summary.inputs[0].findings.total();
    let first = &summary.outputs[0];
    let counted = first.records + first.rejected + first.diverted + first.undelivered;
    assert_eq!(counted, sent, "{summary:?}");
}

/// The findings in the dead letters of this output.
fn dead_letters(case: &Case, id: &str) -> Vec<String> {
    let letters = case.dead_letters_of(id).into_iter();
    letters
        .map(|letter| format!("{} {}", letter.record.asset["address"], letter.record.finding["port"]))
        .collect()
}

/// All findings, sorted as text.
fn all() -> Vec<String> {
    let mut all: Vec<String> = (2..=10)
        .flat_map(|asset| (1..=FINDINGS).map(move |port| format!("192.0.2.{asset} {port}")))
        .collect();
    all.sort();
    all
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn is_finding(line: &&String) -> bool {
    !line.starts_with("end ")
}

/// The number of the asset in this line.
fn asset(line: &str) -> u32 {
    line.trim_start_matches("192.0.2.").split(' ').next().unwrap().parse().unwrap()
}

/// Runs `check` for all seeds on eight threads: the cases spend most of their time waiting.
fn for_all_seeds(check: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        break;
                    }
                    check(seed);
                }
            });
        }
    });
}

#[test]
fn each_finding_is_delivered_once_or_is_a_dead_letter() {
    for_all_seeds(|seed| {
        // With odd seeds an outage ends the run; with even seeds the host retries until the output is available.
        let max_elapsed_secs = if seed % 2 == 0 { 600 } else { 0 };
        let settings = format!("retry: {{ max_elapsed_secs: {max_elapsed_secs} }}, ");
        let outputs =
            [random_output("one", 2 * seed, &settings), random_output("other", 2 * seed + 1, &settings)];
        let mut case = Case::new("behave", &[&outputs[0], &outputs[1]]);
        case.text = case.text.replace("act: behave }", &format!("act: behave, findings: {FINDINGS} }}"));
        let (runs, _) = run_to_the_end(&case);
        for (number, id) in ["one", "other"].into_iter().enumerate() {
            let log = case.log(number);
            let delivered: Vec<String> = log.iter().filter(is_finding).cloned().collect();
            let assets: Vec<u32> = delivered.iter().map(|line| asset(line)).collect();
            assert!(assets.is_sorted(), "seed {seed}, {runs} runs: {log:?}");
            let known = sorted([delivered, dead_letters(&case, id)].concat());
            assert_eq!(known, all(), "seed {seed}, {runs} runs, {id}");
            assert_eq!(log.last().unwrap(), "end rogue.xml complete=true", "seed {seed}: {log:?}");
            assert_eq!(log.iter().filter(|line| !is_finding(line)).count(), 1, "seed {seed}: {log:?}");
        }
    });
}

#[test]
fn failover_pair_delivers_each_finding_once() {
    let incomplete_cases = AtomicU64::new(0);
    for_all_seeds(|seed| {
        let max_elapsed_secs = if seed % 2 == 0 { 600 } else { 0 };
        let settings = format!(
            "failover: standby, retry: {{ max_elapsed_secs: {max_elapsed_secs}, breaker_failures: 1 }}, "
        );
        let standby = format!("retry: {{ max_elapsed_secs: {max_elapsed_secs} }}, ");
        let outputs =
            [random_output("primary", 2 * seed, &settings), random_output("standby", 2 * seed + 1, &standby)];
        let mut case = Case::new("behave", &[&outputs[0], &outputs[1]]);
        case.text = case.text.replace("act: behave }", &format!("act: behave, findings: {FINDINGS} }}"));
        let (runs, incomplete) = run_to_the_end(&case);
        incomplete_cases.fetch_add(u64::from(incomplete), Ordering::Relaxed);
        let logs = BTreeMap::from([("primary", case.log(0)), ("standby", case.log(1))]);
        let mut known = Vec::new();
        for (id, log) in &logs {
            known.extend(log.iter().filter(is_finding).cloned());
            known.extend(dead_letters(&case, id));
            let ended = log.last().is_none_or(|line| !is_finding(&line));
            assert!(
                ended || (incomplete && *id == "primary"),
                "seed {seed}, {runs} runs: {id} got no report end: {logs:?}"
            );
            let other_has_some =
                logs.iter().any(|(other, log)| other != id && log.iter().any(|l| is_finding(&l)));
            let is_complete = log.iter().any(|line| line.ends_with("complete=true"));
            assert!(!(is_complete && other_has_some), "seed {seed}, {runs} runs: {logs:?}");
        }
        assert_eq!(sorted(known), all(), "seed {seed}, {runs} runs: {logs:?}");
    });
    let incomplete_cases = incomplete_cases.into_inner();
    assert!(incomplete_cases < SEEDS / 2, "{incomplete_cases} primary outputs stayed unavailable");
}
