//! Whatever an output does at whatever call, nothing is lost, doubled or out of order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use scanbridge::pipeline::{Failure, RunStatus, Stop, Summary};

use crate::case::Case;

const FINDINGS: usize = 3;
const SEEDS: u64 = 32;

/// How many calls an output is moody for; then it behaves, so that each case comes to an end.
const MOODY_CALLS: u64 = 40;

fn moody(id: &str, seed: u64, settings: &str) -> String {
    format!(
        "id: {id}, plugin: Rogue, {settings}with: {{ act: moody, seed: {seed}, times: {MOODY_CALLS}, log: LOG }}"
    )
}

/// Runs the case again and again until nothing is left to go on with. Gives the number of runs, and whether an output
/// that was away to the last was not told the end of its part.
fn run_to_the_end(case: &Case) -> (usize, bool) {
    for runs in 1..=3 * usize::try_from(MOODY_CALLS).unwrap() {
        let summary = case.run_until(&Arc::new(Stop::default()), |pipeline| {
            for output in &mut pipeline.outputs {
                output.delivery.retry.initial = Duration::from_millis(1);
                output.delivery.retry.longest = Duration::from_millis(2);
            }
        });
        // 65: it was refused something, which lies among the dead letters.
        if summary.status != RunStatus::Failed && !summary.inputs[0].resumed {
            balanced(&summary);
        }
        let was_not_told =
            |failure: &Failure| failure.message.contains("it was not told the end of its part");
        let untold = summary.failures.iter().any(was_not_told);
        if [0, 65].contains(&summary.exit_code()) || untold {
            return (runs, untold);
        }
        assert_eq!(summary.exit_code(), 69, "{summary:?}");
    }
    panic!("it never ends");
}

/// No finding disappears from the books; the last output may be a standby, which has those that were diverted.
fn balanced(summary: &Summary) {
    let sent = summary.inputs[0].findings.total();
    let first = &summary.outputs[0];
    let counted = first.records + first.rejected + first.diverted + first.undelivered;
    assert_eq!(counted, sent, "{summary:?}");
}

/// The findings of this output's dead letters.
fn refused(case: &Case, id: &str) -> Vec<String> {
    let path = case.letters_path().with_file_name(format!("{id}.ndjson"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let letter = |line: &str| -> String {
        let letter: serde_json::Value = serde_json::from_str(line).unwrap();
        let record = &letter["record"];
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        format!("{} {}", text(&record["asset"]["address"]), text(&record["finding"]["port"]))
    };
    text.lines().map(letter).collect()
}

/// Everything that there is, sorted as text.
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

/// The number of the asset that this line is about.
fn asset(line: &str) -> u32 {
    line.trim_start_matches("192.0.2.").split(' ').next().unwrap().parse().unwrap()
}

/// Looks at many cases beside each other: they wait more than they work.
fn for_all_seeds(examine: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        break;
                    }
                    examine(seed);
                }
            });
        }
    });
}

#[test]
fn each_finding_arrives_once_in_order_or_is_a_dead_letter() {
    for_all_seeds(|seed| {
        // Odd seeds bear no outage, so that runs are interrupted; even ones bear all.
        let patience = if seed % 2 == 0 { 600 } else { 0 };
        let settings = format!("retry: {{ max_elapsed_secs: {patience} }}, ");
        let outputs = [moody("one", 2 * seed, &settings), moody("other", 2 * seed + 1, &settings)];
        let mut case = Case::new("behave", &[&outputs[0], &outputs[1]]);
        case.text = case.text.replace("act: behave }", &format!("act: behave, findings: {FINDINGS} }}"));
        let (runs, _) = run_to_the_end(&case);
        for (number, id) in ["one", "other"].into_iter().enumerate() {
            let log = case.log(number);
            let delivered: Vec<String> = log.iter().filter(is_finding).cloned().collect();
            let assets: Vec<u32> = delivered.iter().map(|line| asset(line)).collect();
            assert!(assets.is_sorted(), "seed {seed}, {runs} runs: {log:?}");
            let known = sorted([delivered, refused(&case, id)].concat());
            assert_eq!(known, all(), "seed {seed}, {runs} runs, {id}");
            assert_eq!(log.last().unwrap(), "end rogue.xml complete=true", "seed {seed}: {log:?}");
            assert_eq!(log.iter().filter(|line| !is_finding(line)).count(), 1, "seed {seed}: {log:?}");
        }
    });
}

#[test]
fn a_pair_of_outputs_delivers_each_finding_once_and_no_half_of_a_report_counts_as_whole() {
    let untold_cases = AtomicU64::new(0);
    for_all_seeds(|seed| {
        let patience = if seed % 2 == 0 { 600 } else { 0 };
        let settings =
            format!("failover: standby, retry: {{ max_elapsed_secs: {patience}, breaker_failures: 1 }}, ");
        let standby = format!("retry: {{ max_elapsed_secs: {patience} }}, ");
        let outputs = [moody("primary", 2 * seed, &settings), moody("standby", 2 * seed + 1, &standby)];
        let mut case = Case::new("behave", &[&outputs[0], &outputs[1]]);
        case.text = case.text.replace("act: behave }", &format!("act: behave, findings: {FINDINGS} }}"));
        let (runs, untold) = run_to_the_end(&case);
        untold_cases.fetch_add(u64::from(untold), Ordering::Relaxed);
        let logs = BTreeMap::from([("primary", case.log(0)), ("standby", case.log(1))]);
        let mut known = Vec::new();
        for (id, log) in &logs {
            known.extend(log.iter().filter(is_finding).cloned());
            known.extend(refused(&case, id));
            let ended = log.last().is_none_or(|line| !is_finding(&line));
            assert!(
                ended || (untold && *id == "primary"),
                "seed {seed}, {runs} runs: {id} was never told the end: {logs:?}"
            );
            let other_has_some =
                logs.iter().any(|(other, log)| other != id && log.iter().any(|l| is_finding(&l)));
            let says_whole = log.iter().any(|line| line.ends_with("complete=true"));
            assert!(!(says_whole && other_has_some), "seed {seed}, {runs} runs: {logs:?}");
        }
        assert_eq!(sorted(known), all(), "seed {seed}, {runs} runs: {logs:?}");
    });
    let untold_cases = untold_cases.into_inner();
    assert!(untold_cases < SEEDS / 2, "{untold_cases} primaries did not come back in time");
}
