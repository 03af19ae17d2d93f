//! The log of a run: what becomes of it, in lines for operators.

mod lines;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lines::{count, delivered, fields_of, head, reading, started, statistics};
use scanbridge_observe::{InputState, RunEvent, Tick};
use serde_json::{Map, Value, json};
use tracing::Level;

use super::watch::{Watcher, Watchers};
use crate::exit_code::INTERRUPTED;
use crate::telemetry;

/// Interval of the lines about a report that is being read.
const READING_EVERY: Duration = Duration::from_secs(10);
/// Interval of the lines of a run that waits for new reports.
const WATCHING_EVERY: Duration = Duration::from_secs(60);

/// Logs the events of a run.
#[derive(Debug)]
pub struct RunLog {
    /// Whether a progress bar shows what is read.
    has_bar: bool,
    shown: Mutex<Shown>,
}

/// What the log contains.
#[derive(Debug)]
struct Shown {
    /// When the last lines about reports that are being read were due.
    reading: Instant,
    /// Bytes and findings of each input at that time.
    read: BTreeMap<String, (u64, u64)>,
    /// When the last line of a run that waits was due.
    watching: Instant,
    /// Findings that were delivered when it was logged.
    delivered: u64,
}

/// The watchers of a run that is only logged.
#[must_use]
pub fn log_only() -> Watchers {
    let mut watchers = Watchers::default();
    watchers.add(Arc::new(RunLog::new(false)));
    watchers
}

impl RunLog {
    /// The log of a run, with or without a progress bar.
    #[must_use]
    pub fn new(has_bar: bool) -> Self {
        let now = Instant::now();
        let shown = Shown { reading: now, read: BTreeMap::new(), watching: now, delivered: 0 };
        Self { has_bar, shown: Mutex::new(shown) }
    }

    /// The lines that are due at this time: the event, the message and the fields of each.
    fn due(&self, tick: &Tick, now: Instant) -> Vec<(&'static str, String, Map<String, Value>)> {
        let mut lines = Vec::new();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(shown.reading);
        if elapsed >= READING_EVERY {
            shown.reading = now;
            for input in &tick.inputs {
                let read = (input.report_bytes, count(&input.counts, "findings"));
                let before = shown.read.insert(input.id.clone(), read);
                let has_line = !self.has_bar || input.report_bytes_total == 0;
                let line = reading(input, before, elapsed).filter(|_| has_line);
                lines.extend(line.map(|(message, fields)| ("progress", message, fields)));
            }
        }
        let waits = tick.inputs.iter().any(|input| input.state == InputState::Idle);
        let delivered = tick.outputs.iter().map(|output| count(&output.counts, "records")).sum();
        if now.saturating_duration_since(shown.watching) >= WATCHING_EVERY {
            shown.watching = now;
            if waits && delivered > shown.delivered {
                shown.delivered = delivered;
                let (message, fields) = statistics(tick);
                lines.push(("statistics", message, fields));
            }
        }
        lines
    }
}

impl Watcher for RunLog {
    fn on_event(&self, event: &RunEvent) {
        match event {
            RunEvent::Hello(hello) => {
                telemetry::set_run(&hello.pipeline, hello.run);
                telemetry::event(Level::INFO, "run_started", "run started", started(hello));
            }
            RunEvent::Tick(tick) => {
                for (event, message, fields) in self.due(tick, Instant::now()) {
                    telemetry::event(Level::INFO, event, &message, fields);
                }
            }
            RunEvent::Report(report) => {
                telemetry::event(Level::INFO, "report_delivered", &delivered(report), fields_of(report));
            }
            RunEvent::Failure(failure) => {
                // A requested stop is not an error.
                let level = if failure.exit_code == INTERRUPTED { Level::INFO } else { Level::ERROR };
                let hint = failure.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
                let text = format!("{}{hint}", failure.message);
                let mut fields = fields_of(failure);
                fields.remove("message");
                telemetry::event_with_text(level, "failure", &failure.message, &text, fields);
            }
            RunEvent::Checkpoint { at } => {
                let fields = Map::from_iter([("at".to_owned(), json!(at))]);
                telemetry::event(Level::DEBUG, "checkpoint", "checkpoint stored", fields);
            }
            RunEvent::Summary { summary } => {
                let fields = head(summary);
                let status = summary.get("status").and_then(Value::as_str).unwrap_or_default();
                let code = summary.get("exit_code").and_then(Value::as_u64).filter(|code| *code != 0);
                let code = code.map(|code| format!(", exit code {code}")).unwrap_or_default();
                telemetry::event(Level::INFO, "run_ended", &format!("run ended: {status}{code}"), fields);
            }
            _ => {}
        }
    }
}

/// Logs one line with the counts of the run.
pub(super) fn log_statistics(tick: &Tick) {
    let (message, fields) = statistics(tick);
    telemetry::event(Level::INFO, "statistics", &message, fields);
}

#[cfg(test)]
mod tests {
    use scanbridge_observe::{Counts, InputTick, OutputState, OutputTick};

    use super::lines::tests::input;
    use super::*;

    #[test]
    fn run_that_waits_has_a_line_a_minute_and_only_after_a_delivery() {
        let log = RunLog::new(false);
        let start = Instant::now();
        let output = |records| OutputTick {
            id: "siem".to_owned(),
            counts: Counts::from([("records".to_owned(), records)]),
            queue_findings: 20,
            state: OutputState::Retrying,
            ..OutputTick::default()
        };
        let idle = InputTick { state: InputState::Idle, report: None, ..input(0, 0, 41_203) };
        let reading = InputTick { state: InputState::Reading, ..idle.clone() };
        let due = |second, input: &InputTick, records| {
            let tick = Tick { inputs: vec![input.clone()], outputs: vec![output(records)] };
            log.due(&tick, start + Duration::from_secs(second))
                .into_iter()
                .map(|line| line.1)
                .collect::<Vec<_>>()
        };
        for (second, input, records, lines) in [
            (30, &idle, 7, 0),
            (61, &idle, 7, 1),
            (62, &idle, 9, 0),
            (125, &reading, 9, 0),
            (190, &idle, 9, 1),
            (260, &idle, 9, 0),
            (9999, &idle, 9, 0),
        ] {
            let found = due(second, input, records);
            assert_eq!(found.len(), lines, "{second}: {found:?}");
        }
        assert_eq!(
            due(99_999, &idle, 12_000),
            [
                "0 reports read, 41,203 findings of 0 assets (scans idle) → siem 12,000 retrying with 20 queued"
            ]
        );
    }

    #[test]
    fn progress_bar_replaces_the_lines_about_reports_of_known_size() {
        let lines = |has_bar, total| {
            let log = RunLog::new(has_bar);
            let tick = Tick { inputs: vec![input(700_000, total, 1)], outputs: Vec::new() };
            let later = Instant::now() + READING_EVERY;
            (log.due(&tick, later).len(), log.due(&tick, later + READING_EVERY).len())
        };
        assert_eq!(lines(false, 3_000_000), (1, 0), "no bytes moved between the two");
        assert_eq!(lines(true, 3_000_000), (0, 0));
        assert_eq!(lines(true, 0), (1, 0));
    }
}
