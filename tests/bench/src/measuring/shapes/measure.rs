//! Runs the cases of the table and the programs that they are compared with.

use std::io::Write;
use std::path::PathBuf;

use super::case::{CASES, Case};
use super::result::{CaseResult, store};
use super::shape::{ReportFiles, SHAPES};
use super::source::Source;
use crate::measuring::bound::{Bound, median};
use crate::measuring::run::{Measurement, Program};
use crate::measuring::stage::{Stage, StageError};
use crate::measuring::table::peak_mib;

/// What [`Stage::shapes`] measures.
#[derive(Debug, Clone)]
pub struct ShapesRequest {
    /// Size of each report, in MB.
    pub megabytes: u64,
    /// Number of counted runs of each program.
    pub rounds: usize,
    /// Only cases whose name contains one of these texts. Empty: all.
    pub only: Vec<String>,
    /// A file for the results, as JSON.
    pub json: Option<PathBuf>,
}

/// Runs of the Python program, which takes most of the time.
const PYTHON_ROUNDS: usize = 3;

impl ShapesRequest {
    fn includes(&self, case: &Case) -> bool {
        let name = case.name();
        self.only.is_empty() || self.only.iter().any(|text| name.contains(text))
    }
}

impl Stage {
    /// Measures the cases of the table one after the other and prints a line for each to `out`, and at the end the goals
    /// that are not reached. Returns the limits that are exceeded.
    ///
    /// # Errors
    /// Fails if a report cannot be written, or if a program fails, reports wrong counts or does not deliver everything.
    pub fn shapes(&self, request: &ShapesRequest, out: &mut impl Write) -> Result<Vec<Bound>, StageError> {
        let printed = |result: std::io::Result<()>| result.map_err(|error| StageError::new("output", error));
        printed(writeln!(out, "{}", CaseResult::TITLE))?;
        let mut results = Vec::new();
        for shape in SHAPES {
            let cases: Vec<&Case> =
                CASES.iter().filter(|case| case.shape == shape.name && request.includes(case)).collect();
            if cases.is_empty() {
                continue;
            }
            let files = shape.write(self, request.megabytes)?;
            if cases.iter().any(|case| case.source == Source::Gzip) {
                files.compress()?;
            }
            for case in cases {
                let result = self.measure(case, &files, request.rounds)?;
                printed(writeln!(out, "{result}"))?;
                results.push((case, result));
            }
            files.remove();
        }
        if results.is_empty() {
            return Err(StageError::new("--only", "no case has this text in its name"));
        }
        if let Some(path) = &request.json {
            store(path, results.iter().map(|(_, result)| result))?;
        }
        let goals: Vec<String> =
            results.iter().flat_map(|(case, result)| result.unreached_goals(case)).collect();
        printed(writeln!(out, "\nGoals not reached: {}", goals.len()))?;
        goals.iter().try_for_each(|goal| printed(writeln!(out, "  {goal}")))?;
        let bounds: Vec<Bound> = results.iter().flat_map(|(case, result)| result.bounds(case)).collect();
        let exceeded: Vec<Bound> = bounds.iter().filter(|bound| !bound.is_within_limit()).cloned().collect();
        printed(writeln!(out, "Limits exceeded: {} of {}", exceeded.len(), bounds.len()))?;
        Ok(exceeded)
    }

    /// Runs the bare loop and the host in turn, so that other load on the machine affects both equally. A first round
    /// fills the page cache and is not counted.
    fn measure(&self, case: &Case, files: &ReportFiles, rounds: usize) -> Result<CaseResult, StageError> {
        let source = case.source.open(self, files)?;
        let destination = case.destination.open(self)?;
        let bare_loop = self.bare_loop(&source.files);
        let host = self.host_between(&source.input, &destination.output, &files.report)?;
        let python = case.python.map(|_| Self::python(&files.report));
        let mut runs = Runs::default();
        for round in 0..=rounds {
            let (bare, host) = (bare_loop.run()?, self.run_host(&host)?);
            files.report.check_summary()?;
            destination.accept_run(&files.report.counts)?;
            if round > 0 {
                runs.bare_loop.push(bare);
                runs.host.push(host);
                let python = python.as_ref().filter(|_| round <= PYTHON_ROUNDS);
                runs.python.extend(python.map(Program::run).transpose()?);
            }
        }
        Ok(runs.result(case, files))
    }

    /// A run of the host without saved state of an earlier one.
    pub(in crate::measuring) fn run_host(&self, host: &Program) -> Result<Measurement, StageError> {
        self.remove_state();
        host.run()
    }
}

/// The runs of each program.
#[derive(Default)]
struct Runs {
    bare_loop: Vec<Measurement>,
    host: Vec<Measurement>,
    python: Vec<Measurement>,
}

impl Runs {
    fn result(&self, case: &Case, files: &ReportFiles) -> CaseResult {
        let counts = &files.report.counts;
        let knowledge_base = files.knowledge_base.as_ref().map_or(0, |report| report.counts.bytes);
        CaseResult {
            case: case.name(),
            bytes: counts.bytes + knowledge_base,
            findings: counts.findings.total(),
            cpu_secs: median(self.host.iter().map(|run| run.cpu_secs)),
            wall_secs: median(self.host.iter().map(|run| run.wall_secs)),
            cpu_ratio: ratio(&self.host, &self.bare_loop, |run| run.cpu_secs),
            wall_ratio: ratio(&self.host, &self.bare_loop, |run| run.wall_secs),
            // The allocator makes peaks differ by up to 3 MiB.
            peak_mib: median(self.host.iter().map(|run| peak_mib(&[*run]))),
            python_ratio: case.python.map(|_| ratio(&self.python, &self.host, |run| run.wall_secs)),
        }
    }
}

/// The median of the ratios of all rounds: a load that slows a round affects both programs.
fn ratio(numerators: &[Measurement], denominators: &[Measurement], figure: fn(&Measurement) -> f64) -> f64 {
    let pairs = numerators.iter().zip(denominators);
    median(pairs.map(|(numerator, denominator)| figure(numerator) / figure(denominator)))
}
