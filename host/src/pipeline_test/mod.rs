//! Runs the tests of a pipeline: the real plugins read a report and write into a temporary directory. Nothing is sent,
//! and no state, source or file of the operator is changed.

mod expectation;
mod redirect;

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::config::{self, PipelineTest, TestFile};
use crate::pipeline::{Failure, Stop, Summary, Watchers};
use crate::plugins::Registry;
use crate::session::{self, RunOptions};
use expectation::Found;
pub(crate) use expectation::Unmet;

/// The result of one test.
#[derive(Debug, Serialize)]
pub(crate) struct TestResult {
    /// Name of the test.
    pub(crate) name: String,
    /// Whether everything is as expected.
    pub(crate) ok: bool,
    /// The exit code of the run.
    pub(crate) exit_code: u8,
    /// Outputs that cannot write to a file, and so were left out.
    pub(crate) left_out: Vec<String>,
    /// What is not as expected.
    pub(crate) failed: Vec<Unmet>,
    /// The failures of the run, if its exit code is another one than expected.
    pub(crate) failures: Vec<Failure>,
}

/// Runs one test.
///
/// # Errors
/// When a temporary file cannot be written, or a report cannot be read: a sentence.
pub(crate) fn run(
    file: &TestFile,
    test: &PipelineTest,
    registry: &Registry,
    stop: &Arc<Stop>,
) -> Result<TestResult, String> {
    let folder = tempfile::Builder::new().prefix("scanbridge-test-").tempdir();
    let folder = folder.map_err(|error| format!("cannot create a temporary directory: {error}"))?;
    // The file was valid when it was read.
    let mut pipeline = config::check(&file.document, registry).map_err(|problems| problems.to_string())?;
    let left_out = redirect::redirect(&mut pipeline, &test.input, registry, folder.path())?;
    let options = RunOptions { once: true, ..RunOptions::default() };
    let state = folder.path().join("state");
    let run = session::run(&pipeline, registry, &state, options, stop, &Watchers::default());
    let (exit_code, summary, failures) = match run {
        Ok(summary) => (summary.exit_code(), Some(summary.clone()), summary.failures),
        Err(failures) => (failures.first().map_or(0, |failure| failure.exit_code), None, failures),
    };
    let failed = unmet(test, exit_code, summary.as_ref(), folder.path())
        .map_err(|error| format!("cannot read what the outputs wrote: {error}"))?;
    let failures = if exit_code == test.exit_code { Vec::new() } else { failures };
    Ok(TestResult { name: test.name.clone(), ok: failed.is_empty(), exit_code, left_out, failed, failures })
}

fn unmet(
    test: &PipelineTest,
    exit_code: u8,
    summary: Option<&Summary>,
    folder: &Path,
) -> io::Result<Vec<Unmet>> {
    let mut failed = Vec::new();
    if exit_code != test.exit_code {
        failed.push(Unmet::of_run(test.exit_code, exit_code));
    }
    for (id, expected) in &test.expect {
        let counts = summary.and_then(|summary| summary.outputs.iter().find(|output| output.id == *id));
        let found = Found::read(counts, &redirect::files_of(folder, id))?;
        failed.extend(found.unmet(id, expected));
    }
    Ok(failed)
}
