//! The answer of a live probe.

use serde::{Deserialize, Serialize};

/// How one step of a probe went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It would work, but somebody should look.
    Warning,
    /// It would not work.
    Failed,
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
