//! The host in a pseudo-terminal.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::installation;
use crate::sandbox::Sandbox;

/// Nothing in these tests takes longer, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const DOWN: &str = "\u{1b}[B";
pub(crate) const RIGHT: &str = "\u{1b}[C";
pub(crate) const ESCAPE: &str = "\u{1b}";
pub(crate) const ENTER: &str = "\r";

/// A command in a pseudo-terminal of `script` (util-linux).
pub(crate) struct Terminal {
    process: Child,
    keys: ChildStdin,
    output: Arc<Mutex<Vec<u8>>>,
    /// Where the output begins that was not waited for yet, in the text without escape sequences.
    seen: usize,
}

impl Terminal {
    /// Starts the host with these arguments, as words of a shell. Its process ID is in the file `pid`.
    pub(crate) fn start(sandbox: &Sandbox, columns: usize, term: &str, arguments: &str) -> Self {
        let host = installation::host();
        let line = format!(
            "trap '' HUP; echo $$ > pid; stty cols {columns} rows 40; exec {} {arguments}",
            host.display()
        );
        let mut command = sandbox.program(Path::new("script"), &["-qfec", &line, "/dev/null"]);
        // A service of the sandbox is found as in its unit.
        command.env("RUNTIME_DIRECTORY", sandbox.path("state"));
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

    /// What was shown, without escape sequences.
    pub(crate) fn text(&self) -> String {
        without_escapes(&String::from_utf8_lossy(&self.output.lock().unwrap()))
    }

    /// Waits until this text was shown after the last one. Returns what was shown up to it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, expected: &str) -> String {
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

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
        // A lone escape is distinguished from a key by the pause after it.
        sleep(Duration::from_millis(100));
    }

    /// Waits for the end with this exit code. Returns what was shown.
    #[track_caller]
    pub(crate) fn ends_with(mut self, code: i32) -> String {
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                sleep(Duration::from_millis(50));
                assert_eq!(status.code(), Some(code), "{}", self.text());
                return self.text();
            }
            assert!(started.elapsed() < PATIENCE, "it does not end:\n{}", &self.text()[self.seen..]);
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
