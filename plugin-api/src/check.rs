//! The answer of a live probe.

use serde::{Deserialize, Serialize};

/// How one step of a probe went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "String")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It would work, but somebody should look.
    Warning,
    /// It would not work.
    Failed,
}

impl From<String> for Verdict {
    /// A word of a later version is read as [`Verdict::Warning`].
    fn from(word: String) -> Self {
        match word.as_str() {
            "ok" => Self::Ok,
            "failed" => Self::Failed,
            _ => Self::Warning,
        }
    }
}

/// One step of a probe: `TLS`, `ok`, `TLS 1.3, certificate valid for 212 days`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStep {
    /// What was looked at.
    pub name: String,
    /// How it went.
    pub verdict: Verdict,
    /// What was seen, and for anything but `ok` what to do about it.
    pub detail: String,
}

/// What a probe found, step by step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The steps in the order in which they were taken.
    pub steps: Vec<CheckStep>,
}

impl CheckReport {
    /// Adds a step.
    #[must_use]
    pub fn step(mut self, name: impl Into<String>, verdict: Verdict, detail: impl Into<String>) -> Self {
        self.steps.push(CheckStep { name: name.into(), verdict, detail: detail.into() });
        self
    }

    /// The worst verdict among the steps; ok when there are none.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.steps.iter().map(|step| step.verdict).max().unwrap_or(Verdict::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_verdict_is_a_warning_and_unknown_keys_are_ignored() {
        let report = r#"{"steps": [
            {"name": "TLS", "verdict": "ok", "detail": "", "duration_ms": 4},
            {"name": "login", "verdict": "skipped", "detail": ""}
        ], "later": 1}"#;
        let report: CheckReport = serde_json::from_str(report).unwrap();
        assert_eq!(report.verdict(), Verdict::Warning);
        for verdict in [Verdict::Ok, Verdict::Warning, Verdict::Failed] {
            let word = serde_json::to_string(&verdict).unwrap();
            assert_eq!(serde_json::from_str::<Verdict>(&word).unwrap(), verdict);
        }
    }
}
