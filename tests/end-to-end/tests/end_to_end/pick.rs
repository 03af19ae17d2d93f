//! `scanbridge reports pick` in a pseudo-terminal.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use scanbridge_doubles::fake_qualys::StoredScans;

use crate::pseudo_terminal::{DOWN, ENTER, ESCAPE, PATIENCE, RIGHT, Terminal};
use crate::reports::Scans;

/// `reports pick` with these arguments.
fn start(scans: &Scans, columns: usize, term: &str, arguments: &str) -> Terminal {
    let line = format!("reports pick pipeline.yaml --state-dir state {arguments}");
    Terminal::start(&scans.bench.sandbox, columns, term, &line)
}

/// The process ignores SIGHUP when it starts, as under `nohup`, and must not read from a closed terminal for ever.
#[test]
fn pick_ends_when_its_terminal_is_closed() {
    let scans = Scans::new(StoredScans::of(2));
    let mut terminal = start(&scans, 100, "xterm", "");
    terminal.wait_for("Esc leave");
    let process = format!("/proc/{}", scans.bench.sandbox.read("pid").trim());
    assert!(Path::new(&process).exists());
    drop(terminal);
    let started = Instant::now();
    // A process that nothing has waited for yet stays as a zombie without a command line.
    while std::fs::read(format!("{process}/cmdline")).is_ok_and(|line| !line.is_empty()) {
        assert!(started.elapsed() < PATIENCE, "pick goes on without a terminal");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_reports_are_chosen_and_sent_and_no_longer_offered() {
    for columns in [60, 200] {
        let scans = Scans::new(StoredScans { running: 1, ..StoredScans::of(5) });
        let mut terminal = start(&scans, columns, "xterm", "");
        let list = terminal.wait_for("Esc");
        assert!(list.contains("5 unsent, 0 sent, 1 not ready"), "{list}");
        for line in list.lines() {
            assert!(line.chars().count() <= columns, "{columns}: {line}");
        }
        assert!(list.contains("Weekly APAC 00004"), "{list}");
        assert_eq!(
            list.contains("SCAN"),
            columns == 200,
            "the kind is left out in narrow terminals:\n{list}"
        );
        assert!(!list.contains("00006"), "reports that are not ready are not offered:\n{list}");
        terminal.press(" ");
        terminal.press(DOWN);
        terminal.press(" ");
        terminal.press(ENTER);
        terminal.wait_for("Send 2 reports to sheet?");
        terminal.press(ENTER);
        terminal.wait_for("all delivered");
        let rest = terminal.wait_for("Esc");
        assert!(rest.contains("3 unsent, 2 sent") && !rest.contains("00005"), "{rest}");
        assert_eq!(scans.sent(), [4, 5], "oldest first");
        terminal.press(ESCAPE);
        terminal.ends_with(0);
        assert_eq!(scans.bench.count("GET /msp/scan_report.php"), 2);

        // The next start offers the rest; with --again also those that were sent.
        let mut terminal = start(&scans, columns, "xterm", "");
        assert!(!terminal.wait_for("Esc").contains("00004"));
        terminal.press(ESCAPE);
        terminal.ends_with(0);
        let mut terminal = start(&scans, columns, "xterm", "--again");
        assert!(terminal.wait_for("Esc").contains("00004"));
        terminal.press(ESCAPE);
        terminal.ends_with(0);
        assert_eq!(scans.sent(), [4, 5]);
    }
}

#[test]
fn service_that_runs_the_pipeline_sends_what_was_picked() {
    let (scans, service) = crate::service_choices::start(StoredScans::of(3), "");
    let sandbox = &scans.bench.sandbox;
    let mut terminal = Terminal::start(sandbox, 100, "xterm", "reports pick pipelines/scans.yaml");
    terminal.wait_for("Esc");
    terminal.press(" \r");
    terminal.wait_for("Send 1 report to sheet?");
    terminal.press(ENTER);
    terminal.wait_for("reports queued: 1, as job ");
    terminal.wait_for("run 1 ended with exit code 0");
    let rest = terminal.wait_for("Esc");
    assert!(rest.contains("2 unsent, 1 sent"), "{rest}");
    terminal.press(ESCAPE);
    terminal.ends_with(0);
    assert_eq!(scans.sent(), [3]);
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn typing_searches_and_all_found_are_sent() {
    let scans = Scans::new(StoredScans::of(9));
    let mut terminal = start(&scans, 100, "xterm", "");
    terminal.wait_for("Esc");
    terminal.press("emea");
    terminal.press(RIGHT);
    terminal.press(ENTER);
    terminal.wait_for("Send 3 reports to sheet?");
    // No: the list comes again, and nothing is sent.
    terminal.press("n\r");
    terminal.wait_for("Esc");
    assert!(scans.sent().is_empty());
    terminal.press("00007");
    terminal.press(" ");
    terminal.press(ENTER);
    terminal.wait_for("Send 1 report to sheet?");
    terminal.press(ENTER);
    terminal.wait_for("8 unsent, 1 sent");
    terminal.wait_for("Esc");
    terminal.press("\u{3}");
    terminal.ends_with(130);
    assert_eq!(scans.sent(), [7]);
}

#[test]
fn nothing_is_offered_when_all_were_sent_or_the_terminal_is_dumb() {
    let scans = Scans::new(StoredScans::of(2));
    let text = start(&scans, 80, "dumb", "").ends_with(64);
    assert!(text.contains("reports pick needs a terminal; use reports list and reports send"), "{text}");
    assert_eq!(scans.bench.requests(), 0);
    scans.send(&["--all-new"]).expect_code(0);
    let text = start(&scans, 80, "xterm", "").ends_with(0);
    assert!(text.contains("nothing to choose; --again offers"), "{text}");
}

#[test]
fn code_of_a_failed_run_is_kept() {
    let scans = Scans::new(StoredScans::of(2));
    // The output's directory does not exist.
    let text = scans.bench.sandbox.read("pipeline.yaml");
    scans.bench.sandbox.write("pipeline.yaml", text.replace("path: findings.csv", "path: none/findings.csv"));
    let mut terminal = start(&scans, 80, "xterm", "");
    terminal.wait_for("Esc");
    terminal.press(" \r");
    terminal.wait_for("Send 1 report");
    terminal.press(ENTER);
    terminal.wait_for("nothing was started");
    terminal.wait_for("Esc");
    terminal.press(ESCAPE);
    terminal.ends_with(73);
}
