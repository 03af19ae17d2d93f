//! The directory of the measurements: generated reports, their pipelines, and the executables.

use std::fmt::Display;
use std::fs::{self, File, Permissions};
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::run::Program;
use crate::generator::{Counts, Extent, Format, Shape};

/// A file or program that a measurement requires could not be created, found or run.
#[derive(Debug, thiserror::Error)]
#[error("{subject}: {reason}")]
pub struct StageError {
    subject: String,
    reason: String,
}

impl StageError {
    /// An error about `subject`.
    pub fn new(subject: impl Display, reason: impl Display) -> Self {
        Self { subject: subject.to_string(), reason: reason.to_string() }
    }
}

/// The directories of the measurements.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The generated reports and pipelines.
    pub folder: PathBuf,
    /// The executables and plugins of a release build.
    pub executables: PathBuf,
}

/// A generated report.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) path: PathBuf,
    pub(super) counts: Counts,
}

impl Stage {
    /// Creates the directory if it is missing.
    ///
    /// # Errors
    /// Fails if the directory cannot be created.
    pub fn new(folder: PathBuf, executables: PathBuf) -> Result<Self, StageError> {
        fs::create_dir_all(&folder).map_err(|error| StageError::new(folder.display(), error))?;
        // Other programs run in other directories, so paths must be absolute.
        let folder = folder.canonicalize().map_err(|error| StageError::new(folder.display(), error))?;
        Ok(Self { folder, executables })
    }

    /// Writes a report of this shape, replacing an earlier one.
    pub(super) fn report(&self, name: &str, shape: Shape) -> Result<Report, StageError> {
        let path = self.folder.join(format!("{name}.xml"));
        let failed = |error| StageError::new(path.display(), error);
        let file = File::create(&path).map_err(failed)?;
        let counts = shape.write(BufWriter::with_capacity(1 << 20, file)).map_err(failed)?;
        Ok(Report { path, counts })
    }

    /// The state directory of the measured runs.
    pub(super) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// A run of the host that reads this report and writes it to this output, written as in a pipeline file.
    pub(super) fn host_into(
        &self,
        output: &str,
        report: &Report,
        knowledge_base: Option<&Report>,
    ) -> Result<Program, StageError> {
        let input = file_input(&report.path, knowledge_base.map(|report| report.path.as_path()));
        self.host_between(&input, output, report)
    }

    /// A run of the host from this input, which provides the report, to this output, both written as in a pipeline file.
    /// Its summary goes to `NAME.summary.json`.
    pub(super) fn host_between(
        &self,
        input: &str,
        output: &str,
        report: &Report,
    ) -> Result<Program, StageError> {
        // Each measurement starts without saved state, so earlier runs do not affect it.
        self.remove_state();
        let pipeline = report.path.with_extension("yaml");
        let text = format!("version: 1\ninputs:\n  - {input}\noutputs:\n  - {output}\n");
        write_pipeline(&pipeline, &text)?;
        let host = self.executables.join("scanbridge");
        let mut program = Program::new(
            "host",
            [
                host.as_os_str(),
                "run".as_ref(),
                pipeline.as_os_str(),
                "--summary".as_ref(),
                "json".as_ref(),
                "--no-progress".as_ref(),
                "--quiet".as_ref(),
                "--state-dir".as_ref(),
                self.state().as_os_str(),
            ],
        );
        program.stdout = report.path.with_extension("summary.json");
        Ok(program)
    }

    /// Removes the saved state of earlier runs.
    pub(super) fn remove_state(&self) {
        // Without state there is nothing to remove; a failure to remove it shows in the next run.
        let _ = fs::remove_dir_all(self.state());
    }

    /// The bare event loop over these files.
    pub(super) fn bare_loop(&self, files: &[PathBuf]) -> Program {
        let program = self.executables.join("bare-loop");
        let paths = files.iter().map(|path| path.as_os_str());
        Program::new("bare loop", [program.as_os_str()].into_iter().chain(paths))
    }

    /// The Python program for this report.
    pub(super) fn python(report: &Report) -> Program {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.py");
        Program::new("Python", ["python3".as_ref(), script.as_os_str(), report.path.as_os_str()])
    }
}

/// Writes a pipeline file that only its owner can read: the host warns of passwords that others can read.
pub(super) fn write_pipeline(path: &Path, text: &str) -> Result<(), StageError> {
    let failed = |error| StageError::new(path.display(), error);
    fs::write(path, text).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)
}

/// The input for a file, as in a pipeline file.
pub(super) fn file_input(report: &Path, knowledge_base: Option<&Path>) -> String {
    let knowledge_base = knowledge_base.map(|path| format!(", knowledge_base: {path:?}")).unwrap_or_default();
    format!("{{ id: reports, plugin: QualysGuardFile, with: {{ path: {report:?}{knowledge_base} }} }}")
}

impl Report {
    /// Fails unless the last run of the host over this report counted what the generator wrote, and its output has
    /// written or filtered all of it. A fast run that loses findings must not pass.
    pub(super) fn check_summary(&self) -> Result<(), StageError> {
        let path = self.path.with_extension("summary.json");
        let text = fs::read_to_string(&path).map_err(|error| StageError::new(path.display(), error))?;
        let summary: serde_json::Value = text
            .lines()
            .last()
            .and_then(|line| serde_json::from_str(line).ok())
            .or_else(|| serde_json::from_str(&text).ok())
            .ok_or_else(|| StageError::new(path.display(), "no summary"))?;
        let input = &summary["inputs"][0];
        let count = |name: &str| summary["outputs"][0][name].as_u64().unwrap_or(0);
        let expected = serde_json::json!({
            "assets": self.counts.assets,
            "findings": self.counts.findings,
            "delivered": self.counts.findings.total(),
        });
        let found = serde_json::json!({
            "assets": input["assets"],
            "findings": input["findings"],
            "delivered": count("records") + count("filtered"),
        });
        if found == expected {
            return Ok(());
        }
        Err(StageError::new(path.display(), format!("the host counted {found}, but {expected} were written")))
    }

    pub(super) fn remove(&self) {
        // A failure leaves a file that does not affect later measurements.
        let _ = fs::remove_file(&self.path);
    }
}

/// The shape of the reports, with the parameters that all measurements share.
pub(super) fn shape(format: Format, extent: Extent, qids: usize) -> Shape {
    Shape { format, extent, findings_per_asset: 30, qids, own_texts: false, seed: 1 }
}
