//! Numbers, times and states in words, for templates.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use scanbridge_observe::{Counts, InputState, InputTick, OutputState, OutputTick, RunStatus};

use crate::history::LastRun;

/// A time of the machine's zone; HTML that has no texts of others.
#[derive(Debug)]
pub(super) struct Time(Option<Timestamp>);

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(at) = self.0 else { return f.write_str("–") };
        let local = at.to_zoned(TimeZone::system());
        let text = local.strftime("%Y-%m-%d %H:%M:%S");
        write!(f, "<time datetime=\"{at:.0}\">{text}</time>")
    }
}

impl askama::filters::HtmlSafe for Time {}

pub(super) fn time(at: &Option<Timestamp>) -> Time {
    Time(*at)
}

pub(super) fn time_at(at: &Timestamp) -> Time {
    Time(Some(*at))
}

/// A time in RFC 3339.
pub(super) fn time_of(text: &str) -> Time {
    Time(text.parse().ok())
}

/// A text of a report or plugin, without characters that show nothing or change the direction of writing.
pub(super) fn plain(text: &str) -> String {
    scanbridge_observe::without_controls(text).into_owned()
}

pub(super) fn grouped(number: &u64) -> String {
    scanbridge_observe::grouped(*number)
}

/// The duration of a run that has ended.
pub(super) fn took(run: &LastRun) -> String {
    let Some(ended) = run.ended else { return "–".to_owned() };
    let milliseconds = ended.duration_since(run.started).as_millis();
    // A clock that was set back.
    scanbridge_observe::show_elapsed(u64::try_from(milliseconds).unwrap_or_default())
}

/// Class of the style of a run's result.
pub(super) fn result_class(status: &str) -> &'static str {
    if status.is_empty() { "muted" } else { RunStatus::of(status).class }
}

pub(super) fn level_class(level: &str) -> &'static str {
    if level == "error" { "failed" } else { "partial" }
}

pub(super) fn count(counts: &Counts, name: &str) -> String {
    scanbridge_observe::grouped(counts.get(name).copied().unwrap_or_default())
}

pub(super) fn input_state(state: &InputState) -> &'static str {
    match state {
        InputState::Reading => "reads",
        InputState::Waiting => "waits before a retry",
        InputState::Idle => "has nothing new",
        InputState::Ended => "has ended",
        _ => "",
    }
}

pub(super) fn output_state(output: &OutputTick) -> &'static str {
    match output.state {
        _ if output.circuit_open => "unavailable",
        OutputState::Ok => "ok",
        OutputState::Waiting => "waiting",
        OutputState::Retrying => "retrying",
        OutputState::Diverted => "diverted to its failover",
        OutputState::Slow => "slow",
        OutputState::Failed => "failed",
        _ => "",
    }
}

pub(super) fn output_class(output: &OutputTick) -> &'static str {
    match output.state {
        OutputState::Failed => "failed",
        OutputState::Ok if !output.circuit_open => "ok",
        _ => "partial",
    }
}

/// How much of the report was read; `None` if its size is not known.
pub(super) fn percent(input: &InputTick) -> Option<u64> {
    let total = input.report_bytes_total;
    (total > 0).then(|| (u128::from(input.report_bytes) * 100 / u128::from(total)).min(100) as u64)
}
