//! Instruction counts. They vary less than times, so they detect small regressions.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::bound::{Bound, Limit};
use super::stage::{Stage, StageError, shape};
use crate::generator::{Extent, Format};

/// Instruction counts of runs of the host under callgrind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instructions {
    /// A scan of two assets: almost only start-up, loading and validation.
    pub start_up: u64,
    /// A scan of 25 assets, 4 MB.
    pub scan: u64,
    /// A template report of 100 assets.
    pub template: u64,
}

/// Maximum difference from the stored count, in percent. Threads cause a variation of a tenth of it.
const TOLERANCE_PERCENT: f64 = 3.0;

impl Stage {
    /// Counts the instructions of runs of the host. Requires `valgrind`.
    ///
    /// # Errors
    /// Fails if `valgrind` is missing or the host fails.
    pub fn instructions(&self, out: &mut impl Write) -> Result<Instructions, StageError> {
        let counted = Instructions {
            start_up: self.count(Format::Scan, 2)?,
            scan: self.count(Format::Scan, 25)?,
            template: self.count(Format::Template, 100)?,
        };
        writeln!(out, "{counted:?}\n").map_err(|error| StageError::new("output", error))?;
        Ok(counted)
    }

    fn count(&self, format: Format, assets: u64) -> Result<u64, StageError> {
        let report = self.report("counted", shape(format, Extent::Assets(assets), 200))?;
        let program = self.host(&report, None)?;
        let profile = self.folder.join("callgrind.out");
        let stdout = fs::File::create(&program.stdout).map_err(|error| StageError::new("summary", error))?;
        let status = Command::new("valgrind")
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .args(&program.command)
            .stdin(Stdio::null())
            .stdout(stdout)
            .status()
            .map_err(|error| StageError::new("valgrind", error))?;
        if !status.success() {
            return Err(StageError::new("valgrind", format!("it ended with {status}")));
        }
        report.check_summary()?;
        let text = fs::read_to_string(&profile).map_err(|error| StageError::new(profile.display(), error))?;
        total(&text).ok_or_else(|| StageError::new(profile.display(), "no total in it"))
    }
}

impl Instructions {
    /// Reads the stored counts.
    ///
    /// # Errors
    /// Fails if the file does not exist or is invalid.
    pub fn read(path: &Path) -> Result<Self, StageError> {
        let text = fs::read_to_string(path).map_err(|error| StageError::new(path.display(), error))?;
        serde_json::from_str(&text).map_err(|error| StageError::new(path.display(), error))
    }

    /// Stores the counts.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn store(&self, path: &Path) -> Result<(), StageError> {
        let text =
            serde_json::to_string_pretty(self).map_err(|error| StageError::new(path.display(), error))?;
        fs::write(path, text + "\n").map_err(|error| StageError::new(path.display(), error))
    }

    /// The difference of each count from the stored one. A decrease has the same limit: if the stored count stayed
    /// too high, it would hide the next regression.
    #[must_use]
    pub fn compared_with(&self, stored: &Self) -> Vec<Bound> {
        [
            ("start-up", self.start_up, stored.start_up),
            ("scan", self.scan, stored.scan),
            ("template", self.template, stored.template),
        ]
        .into_iter()
        .map(|(name, counted, stored)| Bound {
            quantity: format!("{name}: instructions, off the stored {stored}"),
            measured: (counted as f64 / stored as f64 - 1.0).abs() * 100.0,
            limit: Limit::AtMost(TOLERANCE_PERCENT),
            unit: " %",
        })
        .collect()
    }
}

/// The number after `totals:` (or, in older versions, `summary:`) in a callgrind profile.
fn total(profile: &str) -> Option<u64> {
    let line = profile
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instruction_total_is_parsed() {
        assert_eq!(total("version: 1\nevents: Ir\nfn=(1)\n3 5\ntotals: 120045\n"), Some(120_045));
        assert_eq!(total("events: Ir\nsummary: 17\n3 5\n"), Some(17));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn regression_and_improvement_are_both_reported() {
        let stored = Instructions { start_up: 1000, scan: 1000, template: 1000 };
        let counted = Instructions { start_up: 1020, scan: 1031, template: 960 };
        let within_limit: Vec<bool> =
            counted.compared_with(&stored).iter().map(Bound::is_within_limit).collect();
        assert_eq!(within_limit, [true, false, false]);
    }
}
