//! Counts of runs, their names, and their sums over all runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::durations;

/// Counts by name, for example `findings`. Names are those of the summary.
pub type Counts = BTreeMap<String, u64>;

/// A time as seconds since 1970-01-01 in UTC, with fractions.
pub type UnixSeconds = f64;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunResult {
    /// Everything was delivered.
    Ok,
    /// Some findings were delivered, some were not.
    Partial,
    /// Nothing was delivered, or an input or a required output failed, or the process ended without a summary.
    Failed,
    /// The run was stopped on request.
    Interrupted,
}

impl RunResult {
    /// All results.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Partial, Self::Failed, Self::Interrupted];

    /// The word in metrics and answers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The result that a summary object tells.
    pub(crate) fn of_summary(summary: &Value) -> Self {
        match (summary["interrupted"].as_bool(), summary["status"].as_str()) {
            (Some(true), _) => Self::Interrupted,
            (_, Some("ok")) => Self::Ok,
            (_, Some("partial")) => Self::Partial,
            _ => Self::Failed,
        }
    }
}

/// Sums over all runs of a pipeline. They only grow, and they survive a restart of the process when they are stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Runs by result.
    pub runs: BTreeMap<RunResult, u64>,
    /// Counts by input.
    pub inputs: BTreeMap<String, Counts>,
    /// Counts by output.
    pub outputs: BTreeMap<String, Counts>,
    /// When a run last ended as `ok` or `partial`.
    pub last_success: Option<UnixSeconds>,
}

/// The names of counts of inputs that metrics have, without those of findings.
const INPUT_COUNTS: [&str; 5] = ["reports", "incomplete", "refused", "assets", "bytes"];
/// The names of counts of outputs, and the value of the label `result` if the count is a part of all findings.
pub(crate) const OUTPUT_COUNTS: [(&str, Option<&str>); 9] = [
    ("records", Some("delivered")),
    ("delivered_before", Some("delivered_before")),
    ("filtered", Some("filtered")),
    ("rejected", Some("rejected")),
    ("undelivered", Some("undelivered")),
    ("diverted", Some("diverted")),
    ("derived", None),
    ("retried", None),
    ("dead_letters_lost", None),
];
/// Findings of an input: `findings_by_severity.KIND.SEVERITY`.
pub(crate) const KINDS: [&str; 4] = ["vulnerability", "potential", "information", "service"];
pub(crate) const SEVERITIES: [&str; 6] = ["0", "1", "2", "3", "4", "5"];
pub(crate) const COMPARED: [&str; 3] = ["new", "gone", "same"];

/// Whether this name of a count is known; others make no series.
pub(crate) fn is_count(name: &str) -> bool {
    let is_finding = || {
        let mut parts = name.strip_prefix("findings_by_severity.")?.split('.');
        let (kind, severity) = (parts.next()?, parts.next()?);
        Some(KINDS.contains(&kind) && SEVERITIES.contains(&severity) && parts.next().is_none())
    };
    INPUT_COUNTS.contains(&name)
        || OUTPUT_COUNTS.iter().any(|(count, _)| *count == name)
        || durations::is_count(name)
        || is_finding().unwrap_or_default()
}
