//! The built host delivers reports to a fake Defense Center. The tests compare the resulting host map.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge::state::{Ledger, LetterFilter};
use scanbridge_bench::generator::{Extent, Format, Shape};
use scanbridge_doubles::certificates::Pkcs12;
use scanbridge_doubles::fake_defense_center::{FakeDefenseCenter, UnknownAssets};

use crate::sandbox::{Outcome, Sandbox, pipeline};

/// A fake center, and a sandbox with a client file of it. None if `openssl`, which writes that file, is missing.
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
    let shape =
        Shape { format: Format::Scan, extent, findings_per_asset: 30, qids: 200, own_texts: false, seed: 5 };
    shape.write(fs::File::create(sandbox.path("scan.xml")).unwrap()).unwrap();
}

fn without_header(lines: impl Iterator<Item = String>) -> Vec<String> {
    lines.filter(|line| !line.starts_with("SetSource,")).collect()
}

#[test]
fn sent_commands_equal_the_command_file() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 400_000);
    let text = sandbox.read("scan.xml");
    let first = text.find("<VULN ").unwrap();
    let end = first + text[first..].find("</VULN>").unwrap() + "</VULN>".len();
    sandbox.write("scan.xml", format!("{}{}", &text[..end], &text[first..]));
    let file = "{ id: file, plugin: CSV, with: { path: commands.csv, format: host-input, add_host: y } }";
    let outcome = sandbox.run(&pipeline("path: scan.xml, settle_secs: 0", &[&output(&center), file]));
    let outcome = outcome.expect_code(0);
    let summary = outcome.summary();
    let sent = without_header(center.lines().into_iter());
    assert_eq!(sent, without_header(sandbox.read("commands.csv").lines().map(str::to_owned)));
    let findings = sent.iter().filter(|line| line.starts_with("AddScanResult,")).count() as u64;
    assert!(findings > 20);
    center.wait_until_idle();
    // The first finding is in the report twice: it is one line, and both count as written.
    assert_eq!(center.host_map().all_results().len() as u64, findings);
    let merged = "findings merged into a result with the same ID, port and protocol";
    let records = summary["outputs"][0]["records"].as_u64().unwrap();
    assert_eq!(records, findings + 1);
    assert!(outcome.stderr.contains(merged), "{}", outcome.stderr);
    assert_eq!(summary["outputs"][1]["records"], records);
}

/// Also the old results of assets that were read completely stay.
#[test]
fn incomplete_report_is_only_added() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 100_000);
    let file = "{ id: file, plugin: CSV, with: { path: commands.csv, format: host-input, add_host: y } }";
    let outputs = [&*output(&center), file];
    sandbox.run(&pipeline("path: scan.xml, settle_secs: 0", &outputs)).expect_code(0);
    center.wait_until_idle();
    let (before, sent) = (center.host_map().all_results(), center.lines().len());

    // Another QID on each asset, and the end of the report is missing.
    let text = sandbox.read("scan.xml").replace("<VULN number=\"", "<VULN number=\"9");
    sandbox.write("scan.xml", &text[..text.rfind("</IP>").unwrap()]);
    let settings = "path: scan.xml, settle_secs: 0, deliver_incomplete: yes";
    sandbox.run(&pipeline(settings, &outputs)).expect_code(65);
    center.wait_until_idle();
    let after = center.host_map().all_results();
    assert!(after.len() > before.len() && before.iter().all(|result| after.contains(result)));
    let lines = center.lines().split_off(sent);
    for text in [lines.join("\n"), sandbox.read("commands.csv")] {
        assert!(text.contains("AddScanResult") && !text.contains("DeleteScanResult"), "{text}");
    }
}

#[test]
fn killed_run_is_resumed_and_delivers_the_report() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 8_000_000);
    let text =
        pipeline("path: scan.xml, settle_secs: 0", &[&output(&center)]) + "checkpoint: { bytes: 128 KiB }\n";
    center.change(|behavior| behavior.reply_delay = Duration::from_millis(50));
    let mut host = sandbox.host_running(&text).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while center.message_count() < 8 {
        assert!(host.try_wait().unwrap().is_none(), "the host ended before it was killed");
        assert!(started.elapsed() < Duration::from_secs(60), "the host sends nothing");
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
    let resumed = center.host_map();
    center.reset();
    sandbox.run(&text).expect_code(0);
    center.wait_until_idle();
    assert_eq!(resumed.all_results(), center.host_map().all_results());
    assert!(resumed.all_results().len() > 200);
    assert!(second < center.message_count(), "the second run must resume instead of sending everything");
}

#[test]
fn probe_reports_each_step() {
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
    let text = format!("{}{}", down.stdout, down.stderr);
    assert!(text.contains("cannot connect to 127.0.0.1:") && text.contains("firewalls"), "{text}");
}

#[test]
fn revoked_client_exits_77() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 10_000);
    let text = pipeline("path: scan.xml, settle_secs: 0", &[&output(&center)]);
    sandbox.run(&text).expect_code(0);
    center.revoke_clients();
    let rejected = sandbox.run(&text).expect_code(77);
    let part = "client certificate revoked or client not registered";
    assert!(rejected.stderr.contains(part), "{}", rejected.stderr);
    assert!(!rejected.stderr.contains("t0w3L") && !rejected.stdout.contains("t0w3L"));
}

#[test]
fn missing_client_file_names_the_directory() {
    let sandbox = Sandbox::new();
    report(&sandbox, 10_000);
    let text = pipeline(
        "path: scan.xml, settle_secs: 0",
        &["{ id: center, plugin: Sourcefire, with: { server: 127.0.0.1 } }"],
    );
    let outcome = sandbox.run(&text).expect_code(66);
    let folder = sandbox.path("").canonicalize().unwrap();
    let message = format!("no *.pkcs12 file in the working directory, {}", folder.display());
    assert!(outcome.stderr.contains(&message), "{}", outcome.stderr);
}

#[test]
fn first_of_several_client_files_is_used() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 10_000);
    sandbox.write("other.pkcs12", "not opened");
    let text = pipeline("path: scan.xml, settle_secs: 0", &[&output(&center)]);
    let outcome = sandbox.run(&text).expect_code(0);
    for part in ["using client certificate client.pkcs12", "other candidates: other.pkcs12"] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    // Created assets use licenses, and the center does not report when no license is left.
    let count = center.lines().iter().filter(|line| line.starts_with("AddHost,")).count();
    assert!(count > 0);
    let created = format!("{count} assets will be created if the Defense Center does not know them");
    let dropped = "without free licenses the Defense Center drops new assets silently";
    for part in [&*created, "each uses one host license", dropped] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
}

/// A center that drops results for unknown assets still confirms them.
#[test]
fn warning_if_unknown_assets_are_not_created() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 10_000);
    center.change(|behavior| behavior.unknown_assets = UnknownAssets::Ignored);
    let without = output(&center).replace("add_host: y", "add_host: n");
    let outcome = sandbox.run(&pipeline("path: scan.xml, settle_secs: 0", &[&without])).expect_code(0);
    let warning =
        "findings of assets unknown to the Defense Center may not appear; set `add_host: yes` to create them";
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("license"), "{}", outcome.stderr);
    center.wait_until_idle();
    assert!(center.host_map().all_results().is_empty());
}

#[test]
fn slow_center_is_logged_every_ten_seconds() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 10_000);
    center.change(|behavior| behavior.reply_delay = Duration::from_secs(11));
    let mut host = sandbox.host_running(&pipeline("path: scan.xml, settle_secs: 0", &[&output(&center)]));
    let mut host = host.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(host.stderr.take().unwrap()).lines();
    let waits = format!("waiting for 127.0.0.1:{} to finish a message (10 s so far)", center.port());
    for part in [&*waits, "confirmed by the Defense Center so far: "] {
        let found = lines.by_ref().map_while(Result::ok).any(|line| line.contains(part));
        assert!(found, "{part}");
        center.change(|behavior| behavior.reply_delay = Duration::ZERO);
    }
    let _ = lines.count();
    assert!(host.wait().unwrap().success());
}

/// One batch may require many messages. Each reply resets the timer of `hang_secs`.
#[test]
fn slow_defense_center_does_not_trigger_hang_secs() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 400_000);
    center.change(|behavior| behavior.reply_delay = Duration::from_millis(400));
    let slow = output(&center)
        .replace("plugin: Sourcefire,", "plugin: Sourcefire, hang_secs: 3,")
        .replace("add_host: y", "add_host: y, body_bytes: 4096");
    sandbox.run(&pipeline("path: scan.xml, settle_secs: 0", &[&slow])).expect_code(0);
    assert!(center.message_count() > 12, "{} messages are too few to hang", center.message_count());
}

/// Dead letters contain only the rejected findings of an asset. Their replay must not delete its other findings.
#[test]
fn replayed_dead_letters_do_not_replace_other_findings() {
    let Some((center, sandbox)) = registered() else { return };
    report(&sandbox, 400_000);
    let text = pipeline("path: scan.xml, settle_secs: 0", &[&output(&center)]);
    sandbox.run(&text).expect_code(0);
    center.wait_until_idle();
    let complete = center.host_map().all_results();
    let lines = center.lines();
    let second = lines.iter().filter_map(|line| line.strip_prefix("AddHost,")).nth(1).unwrap();
    let address = second.parse().unwrap();
    center.change(|behavior| _ = behavior.failing_assets.insert(address));
    let summary = sandbox.run(&text).expect_code(65).summary();
    assert!(summary["outputs"][0]["rejected"].as_u64().unwrap() > 1, "{summary}");
    center.change(|behavior| behavior.failing_assets.clear());
    // A new run delivers the report from the beginning. It does not change the dead letters of an earlier run.
    sandbox.run(&text).expect_code(0);
    keep_last_dead_letter(&sandbox);
    let replay = ["dead-letters", "replay", "pipeline.yaml", "--state-dir", "state"];
    Outcome::of(sandbox.host(&replay).output().unwrap()).expect_code(0);
    center.wait_until_idle();
    assert_eq!(center.host_map().all_results(), complete);
}

/// Removes all dead letters of the Defense Center except the last one.
fn keep_last_dead_letter(sandbox: &Sandbox) {
    let mut pipelines = fs::read_dir(sandbox.path("state")).unwrap();
    let ledger = pipelines.next().unwrap().unwrap().path().join("ledger.redb");
    let ledger = Ledger::open(&ledger, &sandbox.path("pipeline.yaml")).unwrap();
    let last = ledger.dead_letter_end("center").unwrap().number;
    assert!(ledger.remove_dead_letters("center", last - 1, 0, &LetterFilter::default()).unwrap() > 0);
}
