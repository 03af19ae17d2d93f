//! Instruction counts. They vary less than times, so they detect small regressions.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::bound::{Bound, Limit};
use super::run::Program;
use super::shapes::{Destination, ReportFiles, SHAPES, Source};
use super::stage::{Stage, StageError, shape};
use crate::generator::{Extent, Format};

/// Instruction counts of runs of the host under callgrind, by the name of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instructions(BTreeMap<String, u64>);

/// Maximum difference from the stored count, in percent. Threads cause a variation of a tenth of it.
const TOLERANCE_PERCENT: f64 = 3.0;

/// A scan of two assets: almost only start-up, loading and validation.
const START_UP: &str = "start-up";

/// Runs in addition to those of every shape into CEF.
const OTHERS: &[(&str, Source, Destination)] = &[
    ("scan", Source::File, Destination::Csv),
    ("scan", Source::File, Destination::Json),
    ("scan", Source::File, Destination::Commands),
    ("scan", Source::File, Destination::CefTcp),
    ("scan", Source::File, Destination::DefenseCenter),
    ("scan", Source::Gzip, Destination::CefNull),
    ("scan", Source::Api, Destination::CefNull),
    ("scan-own-texts", Source::File, Destination::Csv),
    ("scan-own-texts", Source::File, Destination::Json),
    ("scan-own-texts", Source::File, Destination::Commands),
];

impl Stage {
    /// Counts the instructions of runs of the host with a small report of each shape. Requires `valgrind`.
    ///
    /// # Errors
    /// Fails if `valgrind` is missing or the host fails.
    pub fn instructions(&self, out: &mut impl Write) -> Result<Instructions, StageError> {
        let mut counted = Instructions::default();
        let report = self.report("start-up", shape(Format::Scan, Extent::Assets(2), 200))?;
        let start_up = ReportFiles { report, knowledge_base: None };
        counted.add(START_UP, self.count(&start_up, Source::File, Destination::CefNull)?, out)?;
        start_up.remove();
        for shape in SHAPES {
            let files = shape.write_small(self)?;
            files.compress()?;
            let others = OTHERS.iter().filter(|(name, ..)| *name == shape.name);
            let others = others.map(|(_, source, destination)| (*source, *destination));
            for (source, destination) in [(Source::File, Destination::CefNull)].into_iter().chain(others) {
                let name = format!("{} {} {}", shape.name, source.name(), destination.name());
                counted.add(&name, self.count(&files, source, destination)?, out)?;
            }
            files.remove();
        }
        writeln!(out).map_err(|error| StageError::new("output", error))?;
        Ok(counted)
    }

    fn count(
        &self,
        files: &ReportFiles,
        source: Source,
        destination: Destination,
    ) -> Result<u64, StageError> {
        let source = source.open(self, files)?;
        let destination = destination.open(self)?;
        let program = self.host_between(&source.input, &destination.output, &files.report)?;
        let profile = self.folder.join("callgrind.out");
        run_under_callgrind(&program, &profile)?;
        files.report.check_summary()?;
        destination.accept_run(&files.report.counts)?;
        let text = fs::read_to_string(&profile).map_err(|error| StageError::new(profile.display(), error))?;
        total(&text).ok_or_else(|| StageError::new(profile.display(), "no total in it"))
    }
}

fn run_under_callgrind(program: &Program, profile: &Path) -> Result<(), StageError> {
    let stdout = fs::File::create(&program.stdout).map_err(|error| StageError::new("summary", error))?;
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .args(&program.command)
        .stdin(Stdio::null())
        .stdout(stdout)
        .status()
        .map_err(|error| StageError::new("valgrind", error))?;
    if status.success() {
        Ok(())
    } else {
        Err(StageError::new("valgrind", format!("it ended with {status}")))
    }
}

impl Instructions {
    /// Adds a count and prints it.
    fn add(&mut self, name: &str, count: u64, out: &mut impl Write) -> Result<(), StageError> {
        self.0.insert(name.to_owned(), count);
        writeln!(out, "{name:<46} {count:>12}").map_err(|error| StageError::new("output", error))
    }

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
    /// too high, it would hide the next regression. A run without a stored count exceeds the limit.
    #[must_use]
    pub fn compared_with(&self, stored: &Self) -> Vec<Bound> {
        let bound = |(name, counted): (&String, &u64)| {
            let stored = stored.0.get(name);
            let percent = |stored: &u64| (*counted as f64 / *stored as f64 - 1.0).abs() * 100.0;
            Bound {
                quantity: match stored {
                    Some(stored) => format!("{name}: instructions, off the stored {stored}"),
                    None => format!("{name}: instructions, nothing is stored"),
                },
                measured: stored.map_or(f64::NAN, percent),
                limit: Limit::AtMost(TOLERANCE_PERCENT),
                unit: " %",
            }
        };
        self.0.iter().map(bound).collect()
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
    fn regression_improvement_and_missing_count_are_reported() {
        let counts = |counts: &[(&str, u64)]| {
            Instructions(counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
        };
        let stored = counts(&[("a", 1000), ("b", 1000), ("c", 1000)]);
        let counted = counts(&[("a", 1020), ("b", 1031), ("c", 960), ("d", 1000)]);
        let within_limit: Vec<bool> =
            counted.compared_with(&stored).iter().map(Bound::is_within_limit).collect();
        assert_eq!(within_limit, [true, false, false, false]);
    }
}
