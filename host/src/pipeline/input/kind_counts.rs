//! Counts of findings by kind.

use std::fmt;

use scanbridge_plugin_api::model::FindingKind;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::pipeline::summary::grouped;

/// Findings by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindCounts([u64; 4]);

impl KindCounts {
    /// Number of findings of this kind.
    #[must_use]
    pub fn of(&self, kind: FindingKind) -> u64 {
        self.0[kind as usize]
    }

    /// Adds findings of a kind.
    pub fn add(&mut self, kind: FindingKind, count: u64) {
        self.0[kind as usize] += count;
    }

    /// Adds all counts of another value.
    pub fn add_all(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    /// Subtracts another value, which must not be larger.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|kind| self.0[kind].saturating_sub(other.0[kind])))
    }

    /// Sum of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Serialize for KindCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for kind in FindingKind::ALL {
            map.serialize_entry(kind.word(), &self.of(kind))?;
        }
        map.end()
    }
}

impl fmt::Display for KindCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, kind) in FindingKind::ALL.into_iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{} {}", kind.word(), grouped(self.of(kind)))?;
        }
        Ok(())
    }
}
