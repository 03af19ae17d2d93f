//! Counts of one day.

use serde::{Deserialize, Serialize};

/// The runs that ended on one day, and what they delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DayCounts {
    /// Runs that delivered everything.
    pub ok: u64,
    /// Runs that delivered some of it.
    pub partial: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Runs that were interrupted.
    pub interrupted: u64,
    /// Findings read.
    pub findings: u64,
    /// Findings delivered, of all outputs.
    pub delivered: u64,
    /// Findings rejected, of all outputs.
    pub rejected: u64,
    /// Findings not delivered, of all outputs.
    pub undelivered: u64,
}

impl DayCounts {
    /// The sums of both.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        Self {
            ok: self.ok + other.ok,
            partial: self.partial + other.partial,
            failed: self.failed + other.failed,
            interrupted: self.interrupted + other.interrupted,
            findings: self.findings.saturating_add(other.findings),
            delivered: self.delivered.saturating_add(other.delivered),
            rejected: self.rejected.saturating_add(other.rejected),
            undelivered: self.undelivered.saturating_add(other.undelivered),
        }
    }
}
