//! Measures the plugin's side of a delivery: 50,000 findings on 2,000 assets to a fake Defense Center on loopback.
//!
//! `cargo run --release -p scanbridge-sourcefire --example findings-per-second`
//!
//! The center runs in a process of its own, so that processor time and memory are the plugin's alone. Fails beyond
//! 10 seconds of processor time or 48 MiB, when an asset was split, or when a finding did not arrive.

#![expect(clippy::unwrap_used, reason = "a measurement ends at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::Instant;

use scanbridge_doubles::certificates::Pkcs12;
use scanbridge_doubles::fake_defense_center::FakeDefenseCenter;
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, Schema,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, Hints, ReportEnd, ReportStart,
};
use scanbridge_plugin_api::{Options, Output, Services};
use scanbridge_sourcefire::SourcefireOutput;

const ASSETS: u32 = 2_000;
const FINDINGS_PER_ASSET: u32 = 25;
const DEFINITIONS: u32 = 3_000;
const ASSETS_PER_BATCH: u32 = 40;
const MOST_SECONDS: f64 = 10.0;
const MOST_MIB: f64 = 48.0;

fn main() -> ExitCode {
    match std::env::args().nth(1) {
        Some(folder) => serve(&folder),
        None => measure(),
    }
}

/// The center: says its port, and, when a line comes, what it holds.
fn serve(folder: &str) -> ExitCode {
    let center = FakeDefenseCenter::start();
    center.client_file(folder.as_ref(), "client.pkcs12", "", Pkcs12::DefenseCenter).unwrap();
    say(&center.port().to_string());
    io::stdin().lock().read_line(&mut String::new()).unwrap();
    center.wait_until_idle();
    let mut messages: BTreeMap<String, usize> = BTreeMap::new();
    for body in center.bodies() {
        let text = String::from_utf8(body).unwrap();
        let mut addresses: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("AddScanResult,")?.split(',').next()).collect();
        addresses.dedup();
        addresses.into_iter().for_each(|address| *messages.entry(address.to_owned()).or_default() += 1);
    }
    let split = messages.values().filter(|count| **count > 1).count();
    say(&format!("{} {split} {}", center.host_map().all_results().len(), center.message_count()));
    ExitCode::SUCCESS
}

fn measure() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let (mut center, mut answers) = start_center(folder.path().to_str().unwrap());
    let port = line(&mut answers);
    let options = format!(
        r#"{{"server": "127.0.0.1", "port": {port}, "pkcs12": "{}"}}"#,
        folder.path().join("client.pkcs12").display()
    );
    let options = Options::read(SourcefireOutput::OPTIONS, options.as_bytes()).unwrap();
    let services = Services::without_host(folder.path());
    let (wall, cpu) = (Instant::now(), processor_seconds());
    let mut output = SourcefireOutput::open(&options, &services, None).unwrap();
    deliver(&mut output);
    output.close().unwrap();
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), processor_seconds() - cpu);
    center.stdin.take().unwrap().write_all(b"done\n").unwrap();
    let answer = line(&mut answers);
    center.wait().unwrap();
    let numbers: Vec<u32> = answer.split(' ').map(|number| number.parse().unwrap()).collect();
    let [arrived, split, messages] = numbers[..] else { panic!("{answer}") };
    let (sent, peak) = (ASSETS * FINDINGS_PER_ASSET, peak_mib());
    say(&format!(
        "{sent} findings on {ASSETS} assets in {messages} messages: {cpu:.2} s of processor time, {wall:.2} s, \
         {:.0} findings per processor second, peak {peak:.1} MiB; {arrived} arrived, {split} assets were split",
        f64::from(sent) / cpu.max(0.01)
    ));
    let good = cpu <= MOST_SECONDS && peak <= MOST_MIB && arrived == sent && split == 0;
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn start_center(folder: &str) -> (Child, BufReader<ChildStdout>) {
    let mut center = Command::new(std::env::current_exe().unwrap())
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = BufReader::new(center.stdout.take().unwrap());
    (center, answers)
}

fn deliver(output: &mut SourcefireOutput) {
    let hints = Hints { add_host: Some(true) };
    output.begin(&ReportStart { hints, ..ReportStart::default() }).unwrap();
    let columns = Columns::of(Schema::default());
    for first in (0..ASSETS).step_by(ASSETS_PER_BATCH as usize) {
        let mut builder = BatchBuilder::default();
        (first..first + ASSETS_PER_BATCH).for_each(|number| push_asset(&mut builder, number));
        let raw = builder.finish();
        let written = output.write(Batch::of(&raw, &columns).unwrap()).unwrap();
        assert!(written.rejected.is_empty());
        output.commit().unwrap();
    }
    output.end(&ReportEnd { complete: true, deliver: true, ..ReportEnd::default() }).unwrap();
}

fn push_asset(builder: &mut BatchBuilder, number: u32) {
    let mut row = AssetRow::default();
    row.set(AssetField::Address, &format!("198.18.{}.{}", number / 250, number % 250 + 1));
    let asset = builder.push_asset(&row, false);
    for index in 0..FINDINGS_PER_ASSET {
        let id = (number * 7 + index * 120) % DEFINITIONS + 1;
        let mut row = DefinitionRow::default();
        row.set(DefinitionField::Qid, &id.to_string());
        row.set(DefinitionField::Title, &format!("Weakness number {id} of an invented product"));
        row.set(DefinitionField::Diagnosis, &"<p>What it is, told at some length.</p> ".repeat(20));
        row.append_item(DefinitionField::Cves, &format!("CVE-2026-{id:04}"));
        let definition = builder.push_definition(&row);
        let mut row = FindingRow::default();
        row.set(FindingField::Kind, "vulnerability");
        row.set(FindingField::Port, &(1000 + index).to_string());
        row.set(FindingField::Protocol, "tcp");
        builder.push_finding(asset, definition, &row);
    }
}

fn line(answers: &mut impl BufRead) -> String {
    let mut text = String::new();
    answers.read_line(&mut text).unwrap();
    text.trim().to_owned()
}

fn say(text: &str) {
    io::stdout().write_all(format!("{text}\n").as_bytes()).unwrap();
}

/// User and system time of this process, from the kernel's count of hundredths.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // The second field is a name in brackets and may hold blanks.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
