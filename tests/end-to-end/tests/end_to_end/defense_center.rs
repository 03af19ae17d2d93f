//! Reports to a fake Defense Center by the built host: what counts is what each asset ends with.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_bench::generator::{Extent, Format, Shape};
use scanbridge_doubles::certificates::Pkcs12;
use scanbridge_doubles::fake_defense_center::FakeDefenseCenter;

use crate::sandbox::{Outcome, Sandbox, pipeline};

/// A center, and a folder whose one client file it made. None where the program that writes that is missing.
fn registered() -> Option<(FakeDefenseCenter, Sandbox)> {
    let (center, sandbox) = (FakeDefenseCenter::start(), Sandbox::new());
    center.client_file(&sandbox.path(""), "client.pkcs12", "t0w3L", Pkcs12::DefenseCenter)?;
    Some((center, sandbox))
}

fn output(center: &FakeDefenseCenter) -> String {
    let port = center.port();
    format!(
        "{{ id: center, plugin: Sourcefire, with: {{ server: 127.0.0.1, port: {port}, password: t0w3L, add_host: y }} }}"
    )
}

fn report(sandbox: &Sandbox, bytes: u64) {
    let extent = Extent::Bytes(bytes);
    let shape = Shape { format: Format::Scan, extent, findings_per_asset: 30, qids: 200, seed: 5 };
    shape.write(fs::File::create(sandbox.path("scan.xml")).unwrap()).unwrap();
}

fn without_header(lines: impl Iterator<Item = String>) -> Vec<String> {
    lines.filter(|line| !line.starts_with("SetSource,")).collect()
}

#[test]
fn the_wire_carries_the_file_of_commands_and_the_center_holds_the_report() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 400_000);
    let file = "{ id: file, plugin: CSV, with: { path: commands.csv, format: host-input, add_host: y } }";
    let outcome = sandbox.run(&pipeline("path: scan.xml, settle_secs: 0", &[&output(&center), file]));
    let summary = outcome.expect_code(0).summary();
    let sent = without_header(center.lines().into_iter());
    assert_eq!(sent, without_header(sandbox.read("commands.csv").lines().map(str::to_owned)));
    let findings = sent.iter().filter(|line| line.starts_with("AddScanResult,")).count() as u64;
    assert!(findings > 20);
    assert_eq!(summary["outputs"][0]["records"], findings);
    center.wait_until_idle();
    // A scanner may say the same of an asset twice; the center keeps one.
    let mut keys: Vec<_> = sent
        .iter()
        .filter_map(|line| line.strip_prefix("AddScanResult,"))
        .map(|line| line.splitn(6, ',').take(5).collect::<Vec<_>>().join(","))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(center.host_map().all_results().len(), keys.len());
}

#[test]
fn a_killed_run_and_a_second_one_end_with_the_report() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 8_000_000);
    let text =
        pipeline("path: scan.xml, settle_secs: 0", &[&output(&center)]) + "checkpoint: { bytes: 128 KiB }\n";
    center.change(|behavior| behavior.reply_delay = Duration::from_millis(50));
    let mut host = sandbox.host_running(&text).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while center.message_count() < 8 {
        assert!(host.try_wait().unwrap().is_none(), "the host ended before it was killed");
        assert!(begun.elapsed() < Duration::from_secs(60), "the host sends nothing");
        sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&host), Signal::KILL).unwrap();
    host.wait().unwrap();
    center.wait_until_idle();
    center.change(|behavior| behavior.reply_delay = Duration::ZERO);
    let first = center.message_count();
    sandbox.run(&text).expect_code(0);
    let second = center.message_count() - first;
    center.wait_until_idle();
    let held = center.host_map();
    center.forget();
    sandbox.run(&text).expect_code(0);
    center.wait_until_idle();
    assert_eq!(held.all_results(), center.host_map().all_results());
    assert!(held.all_results().len() > 200);
    assert!(second < center.message_count(), "the second run went on where the first one was killed");
}

#[test]
fn the_probe_gives_a_verdict_for_each_step() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 10_000);
    sandbox.write("pipeline.yaml", pipeline("path: scan.xml, settle_secs: 0", &[&output(&center)]));
    let probe = || Outcome::of(sandbox.host(&["check", "--probe", "pipeline.yaml"]).output().unwrap());
    let good = probe().expect_code(0);
    for step in ["client certificate", "resolve", "TCP", "TLS", "Defense Center certificate", "protocol"] {
        assert!(good.stdout.contains(step), "{step}: {}", good.stdout);
    }
    assert!(center.bodies().is_empty());
    drop(center);
    let down = probe().expect_code(69);
    let told = format!("{}{}", down.stdout, down.stderr);
    assert!(told.contains("cannot connect to 127.0.0.1:") && told.contains("firewalls"), "{told}");
}

#[test]
fn a_deleted_client_ends_with_77() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 10_000);
    let text = pipeline("path: scan.xml, settle_secs: 0", &[&output(&center)]);
    sandbox.run(&text).expect_code(0);
    center.revoke_clients();
    let refused = sandbox.run(&text).expect_code(77);
    assert!(refused.stderr.contains("access revoked or not registered"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("t0w3L") && !refused.stdout.contains("t0w3L"));
}

#[test]
fn without_a_client_file_the_folder_is_named() {
    let sandbox = Sandbox::new();
    report(&sandbox, 10_000);
    let text = pipeline(
        "path: scan.xml, settle_secs: 0",
        &["{ id: center, plugin: Sourcefire, with: { server: 127.0.0.1 } }"],
    );
    let outcome = sandbox.run(&text).expect_code(66);
    assert!(outcome.stderr.contains("no file ending in .pkcs12"), "{}", outcome.stderr);
}

#[test]
fn of_several_client_files_the_first_is_used_and_the_others_are_named() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 10_000);
    sandbox.write("other.pkcs12", "not opened");
    let text = pipeline("path: scan.xml, settle_secs: 0", &[&output(&center)]);
    let outcome = sandbox.run(&text).expect_code(0);
    for part in ["using client.pkcs12", "other.pkcs12"] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    // Assets that are created take licences.
    assert!(outcome.stderr.contains("each takes one licence"), "{}", outcome.stderr);
}
