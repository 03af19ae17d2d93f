//! Counts of findings by kind and severity.

use scanbridge_plugin_api::model::{FindingKind, Severity};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::pipeline::KindCounts;

/// Number of severities, 0 to 5.
pub(in crate::pipeline) const SEVERITIES: usize = 6;

/// Findings by severity; 0 also for findings without one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeverityCounts([u64; SEVERITIES]);

impl SeverityCounts {
    pub(in crate::pipeline) fn of_counts(counts: [u64; SEVERITIES]) -> Self {
        Self(counts)
    }

    /// Number of findings of this severity; 0 for a severity above 5.
    #[must_use]
    pub fn of(&self, severity: usize) -> u64 {
        self.0.get(severity).copied().unwrap_or_default()
    }
}

impl Serialize for SeverityCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(SEVERITIES))?;
        for (severity, count) in self.0.iter().enumerate() {
            map.serialize_entry(&severity.to_string(), count)?;
        }
        map.end()
    }
}

/// Findings by kind and severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindSeverityCounts(pub(in crate::pipeline) [[u64; SEVERITIES]; FindingKind::ALL.len()]);

impl KindSeverityCounts {
    /// Adds a finding of this kind and severity.
    pub(in crate::pipeline) fn add(&mut self, kind: FindingKind, severity: Option<Severity>) {
        self.0[kind as usize][severity.map_or(0, |severity| usize::from(severity.number()))] += 1;
    }

    /// Number of findings of this kind.
    #[must_use]
    pub fn of(&self, kind: FindingKind) -> u64 {
        self.0[kind as usize].iter().sum()
    }

    /// Number of all findings.
    #[must_use]
    pub fn total(&self) -> u64 {
        FindingKind::ALL.into_iter().map(|kind| self.of(kind)).sum()
    }

    /// The findings by kind.
    #[must_use]
    pub fn by_kind(&self) -> KindCounts {
        let mut counts = KindCounts::default();
        FindingKind::ALL.into_iter().for_each(|kind| counts.add(kind, self.of(kind)));
        counts
    }

    /// The findings of all kinds by severity.
    #[must_use]
    pub fn by_severity(&self) -> SeverityCounts {
        SeverityCounts(std::array::from_fn(|severity| self.0.iter().map(|kind| kind[severity]).sum()))
    }
}

impl Serialize for KindSeverityCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for kind in FindingKind::ALL {
            map.serialize_entry(kind.word(), &SeverityCounts(self.0[kind as usize]))?;
        }
        map.end()
    }
}
