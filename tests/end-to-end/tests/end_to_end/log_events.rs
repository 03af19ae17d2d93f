//! One line of each event of the log, as real runs write it, and the examples of the manual.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::process::Stdio;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_doubles::syslog_sink::{Framing, SinkBehavior, SyslogSink};
use serde_json::{Value, json};

use crate::log_lines::{Line, lines, run_rogue, scan, schema};
use crate::sandbox::{CSV, Outcome, Sandbox, pipeline};

const OPTIONS: [&str; 3] = ["--log-format", "json", "-vv"];

fn run(text: &str) -> Vec<Line> {
    let sandbox = Sandbox::new();
    let mut host = sandbox.host_running(text);
    lines(&Outcome::of(host.args(OPTIONS).output().unwrap()).stderr)
}

/// A run that finds nothing new, is asked for its counts, and is stopped.
fn watching() -> Vec<Line> {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("in")).unwrap();
    let mut host = sandbox.host_running(&pipeline("path: in, watch: yes, settle_secs: 0", &[CSV]));
    let log = fs::File::create(sandbox.path("log")).unwrap();
    let mut host = host.args(OPTIONS).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    for (event, next) in [("idle", Signal::USR1), ("statistics", Signal::TERM)] {
        let started = Instant::now();
        while !sandbox.read("log").contains(&format!("\"event\":\"{event}\"")) {
            assert!(started.elapsed() < Duration::from_secs(30), "no {event}: {}", sandbox.read("log"));
            sleep(Duration::from_millis(20));
        }
        kill_process(Pid::from_child(&host), next).unwrap();
    }
    host.wait().unwrap();
    lines(&sandbox.read("log"))
}

/// A receiver that listens only after the first attempts.
fn reconnecting() -> Vec<Line> {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let siem = format!(
        "{{ id: siem, plugin: ArcSightCEF, retry: {{ initial_secs: 1, max_secs: 1, breaker_failures: 1 }}, with: {{ transport: tcp, address: '{address}' }} }}"
    );
    let late = spawn(move || {
        sleep(Duration::from_millis(1500));
        SyslogSink::listen(address, Framing::Newline, SinkBehavior::default(), None).unwrap()
    });
    let lines = run(&pipeline(&scan(), &[&siem]));
    drop(late.join());
    lines
}

/// Values that differ from run to run.
const CHANGING: [&str; 9] =
    ["time", "pid", "duration_ms", "elapsed_ms", "pause_ms", "started", "ended", "host", "digest"];

/// The line without what differs between two runs of the test.
fn plain(line: &Line) -> String {
    let mut line = line.clone();
    for name in CHANGING.iter().chain(&["at", "version"]) {
        if let Some(value) = line.get_mut(*name) {
            *value = if value.is_string() { json!("…") } else { json!(0) };
        }
    }
    let texts = ["message", "hint", "path", "report", "file", "fields.path"];
    for text in texts {
        if let Some(Value::String(text)) = line.get_mut(text) {
            *text = without_numbers_and_paths(text);
        }
    }
    Value::Object(line).to_string()
}

/// Numbers become `N`, and paths their last part.
fn without_numbers_and_paths(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.rsplit_once('/') {
        // The directory of a test has a random name.
        Some((folder, name)) if folder.is_empty() || folder.starts_with('/') => {
            format!("…/{}", if name.starts_with(".tmp") { "DIR" } else { name })
        }
        _ => word.to_owned(),
    });
    let mut plain = String::new();
    for letter in words.collect::<Vec<_>>().join(" ").chars() {
        match letter {
            '0'..='9' if plain.ends_with('N') => {}
            '0'..='9' => plain.push('N'),
            other => plain.push(other),
        }
    }
    plain
}

#[test]
fn a_line_of_each_event() {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    let mut add = |lines: Vec<Line>| {
        for line in lines {
            let Some(event) = line.get("event").and_then(Value::as_str) else { continue };
            let text = plain(&line);
            // Threads write in any order: the first by its text counts.
            let known = first.entry(event.to_owned()).or_insert_with(|| text.clone());
            if text < *known {
                *known = text;
            }
        }
    };
    add(run(&pipeline(&scan(), &[CSV])));
    add(run(&pipeline("path: missing.xml", &[CSV])));
    add(run(&pipeline("path: missing.xml, pth: 1", &[CSV])));
    add(watching());
    add(reconnecting());
    add(lines(&run_rogue("behave", "segfault-in-write", &["-vv"]).stderr));
    let said = |arguments: &[&str]| Outcome::of(Sandbox::new().host(arguments).output().unwrap()).stderr;
    add(lines(&said(&["run", "a.yaml", "--sumary", "json", "--log-format=json"])));
    add(lines(&said(&["plugin", "describe", "Nothing", "--log-format", "json"])));
    let known = schema();
    let known = known["properties"]["event"]["enum"].as_array().unwrap().iter().filter_map(Value::as_str);
    let missing: Vec<&str> = known.filter(|word| !first.contains_key(*word)).collect();
    // Ten seconds of reading, a queue that is full, a bug of the host: the manual has an example of each.
    assert_eq!(missing, ["progress", "queue_full", "panic"]);
    let all: Vec<String> = first.into_values().collect();
    insta::assert_snapshot!(all.join("\n"));
}

/// The manual shows a line of each event, and each is valid.
#[test]
fn examples_of_the_manual_are_valid_lines() {
    let schema = schema();
    let events = schema["properties"]["event"]["enum"].as_array().unwrap();
    let described = schema["allOf"].as_array().unwrap();
    assert_eq!(events.len(), described.len());
    for event in described {
        let example = &event["examples"][0];
        assert_eq!(example["event"], event["title"], "{event:#}");
        let valid = lines(&example.to_string());
        assert_eq!(valid.len(), 1, "{event:#}");
        let level = example["level"].as_str().unwrap();
        assert!(
            event["description"].as_str().unwrap().split(':').next().unwrap().contains(level),
            "{event:#}"
        );
    }
}
