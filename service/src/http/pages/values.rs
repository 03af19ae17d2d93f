//! What pages show, as the main loop answers it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use scanbridge_observe::{InputTick, OutputTick, printable_lines, without_controls};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::accepted::problem_in_words;
use crate::history::{Day, LastRun};
use crate::http::context::{Sender, reply};
use crate::request::{Api, Reply};

/// A pipeline, as `GET /api/v1/pipelines/{name}` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pipeline {
    pub(super) name: String,
    pub(super) file: String,
    pub(super) instance: Option<u32>,
    pub(super) state: String,
    pub(super) reason: String,
    pub(super) schedule: Option<String>,
    pub(super) group: Option<String>,
    pub(super) next_run: Option<Timestamp>,
    pub(super) pending: bool,
    pub(super) digest: String,
    pub(super) rejected: Vec<Value>,
    pub(super) last_run: Option<LastRun>,
    pub(super) recent_runs: Vec<LastRun>,
    pub(super) days: Vec<DayOf>,
    pub(super) run: Option<CurrentRun>,
    /// The inputs with stored reports to choose from.
    pub(super) choosing: Vec<String>,
    /// Reports that are chosen and not sent yet.
    pub(super) choices: Vec<JobOf>,
}

/// A job, as `GET /api/v1/jobs/{id}` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobOf {
    pub(super) id: String,
    kind: String,
    pub(super) state: String,
    reports: Option<u64>,
    pub(super) asked: Timestamp,
    pub(super) ended: Option<Timestamp>,
    pub(super) run: Option<u64>,
    pub(super) exit_code: Option<u8>,
    pub(super) reason: String,
    output: String,
}

impl JobOf {
    /// `3 reports to send: queued`.
    pub(super) fn in_words(&self) -> String {
        let what = match (self.kind.as_str(), self.reports) {
            ("send", Some(1)) => "1 report to send".to_owned(),
            ("send", Some(reports)) => format!("{} reports to send", scanbridge_observe::grouped(reports)),
            ("skip", _) => "reports to skip".to_owned(),
            (kind, _) => format!("{kind} of dead letters"),
        };
        let output = printable_lines(self.output.trim()).replace('\n', "; ");
        match (self.state.as_str(), self.exit_code) {
            ("ended", Some(0)) if self.kind == "send" => format!("{what}: all sent"),
            ("ended", Some(0)) => format!("{what}: {output}"),
            ("ended", Some(code)) => format!("{what}: ended with exit code {code}"),
            ("interrupted", _) => format!("{what}: interrupted, the next run continues"),
            (state, _) => format!("{what}: {state}"),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct DayOf {
    date: Date,
    runs: Day,
}

/// A run in progress.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CurrentRun {
    pub(super) run: Option<u64>,
    pub(super) started: Option<Timestamp>,
    pub(super) findings: u64,
    pub(super) inputs: Vec<InputTick>,
    pub(super) outputs: Vec<OutputTick>,
}

/// A line of the log.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LogLine {
    pub(super) time: String,
    pub(super) level: String,
    pub(super) run: Option<u64>,
    pub(super) instance: Option<String>,
    pub(super) message: String,
}

/// The chart of the last days.
#[derive(Debug)]
pub(super) struct Bars {
    pub(super) width: usize,
    pub(super) text: String,
    pub(super) bars: Vec<Bar>,
}

#[derive(Debug)]
pub(super) struct Bar {
    pub(super) class: &'static str,
    pub(super) x: usize,
    pub(super) y: u64,
    pub(super) height: u64,
}

/// Height of the chart, and of the bar of a day without runs, in units of the drawing.
const HEIGHT: u64 = 24;
const EMPTY: u64 = 2;
const STEP: usize = 10;

impl Pipeline {
    pub(super) fn needs_attention(&self) -> bool {
        matches!(self.state.as_str(), "held" | "invalid" | "blocked")
    }

    /// Class of the style of the state.
    pub(super) fn class(&self) -> &'static str {
        match self.state.as_str() {
            "held" | "invalid" => "failed",
            "blocked" | "retrying" | "paused" => "partial",
            "running" | "starting" | "stopping" => "ok",
            _ => "muted",
        }
    }

    pub(super) fn mark(&self) -> &'static str {
        match self.state.as_str() {
            "held" | "invalid" => "✗",
            "blocked" | "retrying" => "!",
            "paused" => "‖",
            "running" | "starting" | "stopping" => "▶",
            _ => "○",
        }
    }

    /// Errors of the file as it is now. Those of an invalid pipeline are its reason.
    pub(super) fn problems(&self) -> Vec<String> {
        if self.state == "invalid" {
            return Vec::new();
        }
        let errors = self.rejected.iter().filter(|problem| problem["severity"] != "warning");
        errors.map(|problem| without_controls(&problem_in_words(problem)).into_owned()).collect()
    }

    /// What can be done in this state: action and words.
    pub(super) fn actions(&self) -> Vec<(&'static str, &'static str)> {
        match self.state.as_str() {
            "running" | "starting" => vec![("pause", "Pause"), ("stop", "Stop…")],
            "stopping" => vec![("stop", "Stop…")],
            "paused" | "held" => vec![("resume", "Resume")],
            "invalid" => Vec::new(),
            _ => vec![("run", "Run now"), ("pause", "Pause")],
        }
    }

    pub(super) fn short_digest(&self) -> String {
        self.digest.chars().take(16).collect()
    }

    /// The last days: the higher the bar the more runs, its color is the worst result.
    pub(super) fn bars(&self) -> Bars {
        let total = |day: &Day| day.ok + day.partial + day.failed + day.interrupted;
        let most = self.days.iter().map(|day| total(&day.runs)).max().unwrap_or_default().max(1);
        let bar = |(at, day): (usize, &DayOf)| {
            let runs = day.runs;
            let class = match runs {
                _ if runs.failed > 0 => "failed",
                _ if runs.partial + runs.interrupted > 0 => "partial",
                _ if runs.ok > 0 => "ok",
                _ => "none",
            };
            let height = EMPTY + (HEIGHT - EMPTY) * total(&runs) / most;
            Bar { class, x: at * STEP, y: HEIGHT - height, height }
        };
        let texts = self.days.iter().filter(|day| total(&day.runs) > 0).map(|DayOf { date, runs }| {
            let parts = [(runs.ok, "ok"), (runs.partial, "partial"), (runs.failed, "failed")];
            let parts = parts.into_iter().chain([(runs.interrupted, "interrupted")]);
            let parts: Vec<String> = parts
                .filter(|(number, _)| *number > 0)
                .map(|(number, word)| format!("{number} {word}"))
                .collect();
            format!("{date}: {}", parts.join(", "))
        });
        let texts: Vec<String> = texts.collect();
        let text = if texts.is_empty() { "no runs".to_owned() } else { texts.join("; ") };
        Bars { width: self.days.len() * STEP, text, bars: self.days.iter().enumerate().map(bar).collect() }
    }
}

/// The body of a successful reply.
///
/// # Errors
/// The reply itself, if it is a problem or has another form.
pub(super) fn body<T: DeserializeOwned>(reply: Reply) -> Result<T, Reply> {
    if reply.status >= 400 {
        return Err(reply);
    }
    serde_json::from_value(reply.body)
        .map_err(|error| Reply::problem(500, "unexpected form of a response", &error.to_string()))
}

/// The pipeline with this name.
///
/// # Errors
/// The problem, if there is none or the main loop does not answer.
pub(super) async fn pipeline(to: &Sender, name: &str) -> Result<Pipeline, Reply> {
    body(reply(to, Api::Pipeline(name.to_owned())).await)
}

/// `2 running, 10 waiting`.
pub(super) fn counts_in_words(counts: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn chart_of_days_has_a_bar_for_each_and_says_it_in_words() {
        let day = |date: &str, ok: u64, failed: u64| json!({ "date": date, "runs": { "ok": ok, "failed": failed } });
        let days = [day("2026-03-01", 0, 0), day("2026-03-02", 4, 0), day("2026-03-03", 1, 1)];
        let pipeline: Pipeline = serde_json::from_value(json!({ "name": "p", "days": days })).unwrap();
        let Bars { width, text, bars } = pipeline.bars();
        assert_eq!((width, text.as_str()), (30, "2026-03-02: 4 ok; 2026-03-03: 1 ok, 1 failed"));
        let seen: Vec<_> = bars.iter().map(|bar| (bar.class, bar.x, bar.y, bar.height)).collect();
        assert_eq!(seen, [("none", 0, 22, 2), ("ok", 10, 0, 24), ("failed", 20, 11, 13)]);
        assert_eq!(Pipeline::default().bars().text, "no runs");
    }
}
