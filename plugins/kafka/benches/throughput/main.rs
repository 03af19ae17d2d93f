//! CPU time for findings to and from a topic, beside plain clients of librdkafka that send and read the same records with
//! the same settings.
//!
//! `cargo bench --manifest-path plugins/kafka/Cargo.toml` starts a broker and takes some minutes. The environment variable
//! `SCANBRIDGE_BENCH_FINDINGS` sets the number of findings, 1,000,000 without it. With `SCANBRIDGE_PROGRAMS`, the directory of a
//! release build with `scanbridge-bench`, also the whole program is measured, with about 50,000 findings.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a measurement prints its numbers, and ends at a failure"
)]

#[expect(dead_code, reason = "the measurement needs one listener only")]
#[path = "../../tests/kafka/cluster.rs"]
mod cluster;
mod findings;
#[expect(dead_code, unused_imports, reason = "the measurement only runs pipelines to their end")]
#[path = "../../tests/kafka/host.rs"]
mod host;
mod measured;
mod plain;
mod plugin;
mod program;
#[expect(dead_code, reason = "the measurement needs some of the functions")]
#[path = "../../tests/kafka/topic.rs"]
mod topic;

use cluster::Cluster;
use findings::{FINDINGS_PER_ROUND, Round};
use measured::{Cost, measured};

const FORMATS: [&str; 4] = ["batch", "json", "cef", "ocsf"];

fn main() {
    // `cargo test --benches` only wants to know that it compiles.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let wanted: u64 =
        std::env::var("SCANBRIDGE_BENCH_FINDINGS").map_or(1_000_000, |text| text.parse().unwrap());
    let rounds = wanted.div_ceil(FINDINGS_PER_ROUND);
    let Some(cluster) = Cluster::start(&["1"]) else { return };
    let round = Round::new();
    println!("{} findings for each line\n", rounds * FINDINGS_PER_ROUND);
    println!(
        "{:20} {:>10} {:>12} {:>12} {:>12} {:>8}",
        "", "records", "B / finding", "plugin/CPU s", "plain/CPU s", "ratio"
    );
    for format in FORMATS {
        produced(&cluster, format, &round, rounds);
    }
    consumed(&cluster, rounds);
    match program::Program::new() {
        Some(program) => ["batch", "cef"].iter().for_each(|format| whole(&cluster, &program, format)),
        None => eprintln!("SCANBRIDGE_PROGRAMS is not set: the whole program is not measured"),
    }
}

/// `scanbridge run` from a report to a topic.
fn whole(cluster: &Cluster, program: &program::Program, format: &str) {
    let done = program.deliver(cluster, format);
    let what = format!("run {format}, {}", done.findings);
    print(&what, done.records, done.bytes / done.findings, done.findings, &done.program, &done.plain);
}

/// Our output and a plain producer in turns, so that both meet the same machine.
fn produced(cluster: &Cluster, format: &str, round: &Round, rounds: u64) {
    let (name, plain_name, sample_name) =
        (topic_of(format), format!("plain-{format}"), format!("sample-{format}"));
    for name in [&name, &plain_name, &sample_name] {
        topic::create(&cluster.brokers, name, 12, &[]);
    }
    plugin::Output::open(&cluster.brokers, &sample_name, format).round(round);
    let records = topic::read(&cluster.brokers, &sample_name);
    let bytes: usize = records.iter().map(|record| record.value.len()).sum();
    let mut ours = plugin::Output::open(&cluster.brokers, &name, format);
    let plain = plain::Producer::new(&cluster.brokers, &plain_name);
    let (mut cost, mut plain_cost) = (Cost::default(), Cost::default());
    for _ in 0..rounds {
        cost += measured(|| ours.round(round));
        plain_cost += measured(|| plain.round(&records));
    }
    let findings = rounds * FINDINGS_PER_ROUND;
    print(
        &format!("output {format}"),
        rounds * records.len() as u64,
        bytes as u64 / FINDINGS_PER_ROUND,
        findings,
        &cost,
        &plain_cost,
    );
}

fn consumed(cluster: &Cluster, rounds: u64) {
    let name = topic_of("batch");
    let findings = rounds * FINDINGS_PER_ROUND;
    let mut plain = (0, 0);
    let plain_cost = measured(|| plain = plain::consume(&cluster.brokers, &name));
    let mut read = 0;
    let cost = measured(|| read = plugin::consume(&cluster.brokers, &name));
    assert_eq!(read, findings, "findings of the input");
    print("input batch", plain.0, plain.1 / findings, findings, &cost, &plain_cost);
}

fn topic_of(format: &str) -> String {
    format!("findings-{format}")
}

fn print(what: &str, records: u64, bytes: u64, findings: u64, cost: &Cost, plain: &Cost) {
    println!(
        "{what:20} {records:>10} {bytes:>12} {:>12.0} {:>12.0} {:>8.2}",
        findings as f64 / cost.cpu.as_secs_f64(),
        findings as f64 / plain.cpu.as_secs_f64(),
        cost.cpu.as_secs_f64() / plain.cpu.as_secs_f64()
    );
}
