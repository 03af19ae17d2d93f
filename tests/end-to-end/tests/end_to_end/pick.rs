//! `scanbridge reports pick` in a pseudo-terminal.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use scanbridge_doubles::fake_qualys::StoredScans;

use crate::installation;
use crate::reports::Scans;

/// Nothing in these tests takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const DOWN: &str = "\u{1b}[B";
const RIGHT: &str = "\u{1b}[C";
const ESCAPE: &str = "\u{1b}";
const ENTER: &str = "\r";

/// A command in a pseudo-terminal of `script` (util-linux).
struct Terminal {
    process: Child,
    keys: ChildStdin,
    output: Arc<Mutex<Vec<u8>>>,
    /// Where the output begins that was not waited for yet, in the text without escape sequences.
    seen: usize,
}

impl Terminal {
    fn start(scans: &Scans, columns: usize, term: &str, arguments: &str) -> Self {
        Self::start_with(scans, columns, term, &format!("pipeline.yaml --state-dir state {arguments}"))
    }

    /// `reports pick` with these arguments. A service in the sandbox is found as in a unit.
    fn start_with(scans: &Scans, columns: usize, term: &str, arguments: &str) -> Self {
        let host = installation::host();
        let line = format!(
            "trap '' HUP; echo $$ > pid; stty cols {columns} rows 40; exec {} reports pick {arguments}",
            host.display()
        );
        let mut command = scans.bench.sandbox.program(Path::new("script"), &["-qfec", &line, "/dev/null"]);
        command.env("RUNTIME_DIRECTORY", scans.bench.sandbox.path("state"));
        command.env("TERM", term).env("SHELL", "/bin/sh").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (keys, mut stdout) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let output: Arc<Mutex<Vec<u8>>> = Arc::default();
        let shared = Arc::clone(&output);
        thread::spawn(move || {
            let mut block = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut block) {
                shared.lock().unwrap().extend_from_slice(&block[..length]);
            }
        });
        Self { process, keys, output, seen: 0 }
    }

    fn text(&self) -> String {
        without_escapes(&String::from_utf8_lossy(&self.output.lock().unwrap()))
    }

    /// Waits until this text was shown after the last one. Returns what was shown up to it.
    #[track_caller]
    fn wait_for(&mut self, expected: &str) -> String {
        let started = Instant::now();
        loop {
            let text = self.text();
            if let Some(at) = text[self.seen..].find(expected) {
                let end = self.seen + at + expected.len();
                let shown = text[self.seen..end].to_owned();
                self.seen = end;
                return shown;
            }
            assert!(started.elapsed() < PATIENCE, "`{expected}` is not shown after:\n{}", &text[self.seen..]);
            sleep(Duration::from_millis(10));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
        // A lone escape is distinguished from a key by the pause after it.
        sleep(Duration::from_millis(100));
    }

    #[track_caller]
    fn ends_with(mut self, code: i32) -> String {
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                sleep(Duration::from_millis(50));
                assert_eq!(status.code(), Some(code), "{}", self.text());
                return self.text();
            }
            assert!(started.elapsed() < PATIENCE, "pick does not end:\n{}", &self.text()[self.seen..]);
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The text without escape sequences.
fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.next() == Some('[') => {
                chars.by_ref().find(|c| ('@'..='~').contains(c));
            }
            '\u{1b}' => {}
            '\r' => {}
            c => plain.push(c),
        }
    }
    plain
}

/// The process ignores SIGHUP when it starts, as under `nohup`, and must not read from a closed terminal for ever.
#[test]
fn pick_ends_when_its_terminal_is_closed() {
    let scans = Scans::new(StoredScans::of(2));
    let mut terminal = Terminal::start(&scans, 100, "xterm", "");
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
        let mut terminal = Terminal::start(&scans, columns, "xterm", "");
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
        let mut terminal = Terminal::start(&scans, columns, "xterm", "");
        assert!(!terminal.wait_for("Esc").contains("00004"));
        terminal.press(ESCAPE);
        terminal.ends_with(0);
        let mut terminal = Terminal::start(&scans, columns, "xterm", "--again");
        assert!(terminal.wait_for("Esc").contains("00004"));
        terminal.press(ESCAPE);
        terminal.ends_with(0);
        assert_eq!(scans.sent(), [4, 5]);
    }
}

#[test]
fn service_that_runs_the_pipeline_sends_what_was_picked() {
    let (scans, service) = crate::service_choices::start(StoredScans::of(3), "");
    let mut terminal = Terminal::start_with(&scans, 100, "xterm", "pipelines/scans.yaml");
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
    let mut terminal = Terminal::start(&scans, 100, "xterm", "");
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
    let text = Terminal::start(&scans, 80, "dumb", "").ends_with(64);
    assert!(text.contains("reports pick needs a terminal; use reports list and reports send"), "{text}");
    assert_eq!(scans.bench.requests(), 0);
    scans.send(&["--all-new"]).expect_code(0);
    let text = Terminal::start(&scans, 80, "xterm", "").ends_with(0);
    assert!(text.contains("nothing to choose; --again offers"), "{text}");
}

#[test]
fn code_of_a_failed_run_is_kept() {
    let scans = Scans::new(StoredScans::of(2));
    // The output's directory does not exist.
    let text = scans.bench.sandbox.read("pipeline.yaml");
    scans.bench.sandbox.write("pipeline.yaml", text.replace("path: findings.csv", "path: none/findings.csv"));
    let mut terminal = Terminal::start(&scans, 80, "xterm", "");
    terminal.wait_for("Esc");
    terminal.press(" \r");
    terminal.wait_for("Send 1 report");
    terminal.press(ENTER);
    terminal.wait_for("nothing was started");
    terminal.wait_for("Esc");
    terminal.press(ESCAPE);
    terminal.ends_with(73);
}
