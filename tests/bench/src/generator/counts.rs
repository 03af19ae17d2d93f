//! The content of a report, for comparison with the delivered findings.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::definition::Kind;

/// Counts of the content of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Number of assets.
    pub assets: u64,
    /// Findings per kind.
    pub findings: FindingCounts,
    /// Number of definitions that findings may use.
    pub definitions: u64,
    /// Rows in the tables of open ports.
    pub open_ports: u64,
    /// Findings with a text that incorrect parsers misread.
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
    /// Counts a finding of this kind.
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

/// A writer that counts its bytes.
pub(super) struct CountingWriter<W> {
    inner: W,
    bytes: u64,
}

impl<W> CountingWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, bytes: 0 }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<W: Write> Write for CountingWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buf)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
