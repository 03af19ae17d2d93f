//! The content of a report, to compare it with what was delivered.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::definition::Kind;

/// What is in a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Bytes of the file.
    pub bytes: u64,
    /// Scanned machines.
    pub assets: u64,
    /// Findings per kind.
    pub findings: FindingCounts,
    /// Definitions that the report could draw from.
    pub definitions: u64,
    /// Rows in the tables of open ports.
    pub open_ports: u64,
    /// Findings with something in them that careless readers stumble over.
    pub hazards: u64,
}

/// Findings per kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingCounts {
    /// Confirmed vulnerabilities.
    pub vulnerability: u64,
    /// Potential vulnerabilities.
    pub potential: u64,
    /// Information gathered.
    pub information: u64,
    /// Services.
    pub service: u64,
}

impl FindingCounts {
    /// One more finding of this kind.
    pub(super) fn add(&mut self, kind: Kind) {
        match kind {
            Kind::Vulnerability => self.vulnerability += 1,
            Kind::Potential => self.potential += 1,
            Kind::Information => self.information += 1,
            Kind::Service => self.service += 1,
        }
    }

    /// Findings of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.vulnerability + self.potential + self.information + self.service
    }
}

/// A writer that knows how many bytes went through it.
pub(super) struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W> Counted<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, bytes: 0 }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buf)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
