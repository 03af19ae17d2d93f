//! The folder in which is measured: generated reports, pipelines over them, and the executables under test.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::run::Program;
use crate::generator::{Counts, Extent, Format, Shape};

/// Something that is needed for measuring could not be made, found or run.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct StageError {
    what: String,
    why: String,
}

impl StageError {
    /// An error about this thing.
    pub fn new(what: impl Display, why: impl Display) -> Self {
        Self { what: what.to_string(), why: why.to_string() }
    }
}

/// Where measurements take place.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Holds the generated reports and pipelines.
    pub folder: PathBuf,
    /// Holds the executables and plugins of a release build.
    pub executables: PathBuf,
}

/// A generated report.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) path: PathBuf,
    pub(super) counts: Counts,
}

impl Stage {
    /// A stage in this directory, which is created if it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: PathBuf, executables: PathBuf) -> Result<Self, StageError> {
        fs::create_dir_all(&folder).map_err(|error| StageError::new(folder.display(), error))?;
        // Other programs run in other folders, so no path may be relative.
        let folder = folder.canonicalize().map_err(|error| StageError::new(folder.display(), error))?;
        Ok(Self { folder, executables })
    }

    /// The report of this shape, written again.
    pub(super) fn report(&self, name: &str, shape: Shape) -> Result<Report, StageError> {
        let path = self.folder.join(format!("{name}.xml"));
        let failed = |error| StageError::new(path.display(), error);
        let file = File::create(&path).map_err(failed)?;
        let counts = shape.write(BufWriter::with_capacity(1 << 20, file)).map_err(failed)?;
        Ok(Report { path, counts })
    }

    /// The host, reading this report into CEF events that go nowhere. Its summary goes to `NAME.summary.json`.
    pub(super) fn host(
        &self,
        report: &Report,
        knowledge_base: Option<&Report>,
    ) -> Result<Program, StageError> {
        self.host_into("{ id: siem, plugin: ArcSightCEF, with: { path: /dev/null } }", report, knowledge_base)
    }

    /// The same into this output, which is written as in a pipeline file.
    pub(super) fn host_into(
        &self,
        output: &str,
        report: &Report,
        knowledge_base: Option<&Report>,
    ) -> Result<Program, StageError> {
        // Every measurement starts without saved state: the history of earlier ones is not part of it.
        let _ = fs::remove_dir_all(self.folder.join("state"));
        let pipeline = report.path.with_extension("yaml");
        let text = pipeline_text(output, &report.path, knowledge_base.map(|report| report.path.as_path()));
        fs::write(&pipeline, text).map_err(|error| StageError::new(pipeline.display(), error))?;
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
                self.folder.join("state").as_os_str(),
            ],
        );
        program.stdout = report.path.with_extension("summary.json");
        Ok(program)
    }

    /// The bare event loop over these reports.
    pub(super) fn bare_loop(&self, reports: &[&Report]) -> Program {
        let program = self.executables.join("bare-loop");
        let paths = reports.iter().map(|report| report.path.as_os_str());
        Program::new("bare loop", [program.as_os_str()].into_iter().chain(paths))
    }

    /// Python doing the host's work.
    pub(super) fn python(report: &Report) -> Program {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.py");
        Program::new("Python", ["python3".as_ref(), script.as_os_str(), report.path.as_os_str()])
    }
}

fn pipeline_text(output: &str, report: &Path, knowledge_base: Option<&Path>) -> String {
    let knowledge_base = knowledge_base.map(|path| format!(", knowledge_base: {path:?}")).unwrap_or_default();
    format!(
        "version: 1\n\
         inputs:\n  - {{ id: reports, plugin: QualysGuardFile, with: {{ path: {report:?}{knowledge_base} }} }}\n\
         outputs:\n  - {output}\n"
    )
}

impl Report {
    /// Whether the last run of the host over this report counted what the generator wrote: a fast run that
    /// loses findings is worth nothing.
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
        let expected = serde_json::json!({ "assets": self.counts.assets, "findings": self.counts.findings });
        let found = serde_json::json!({ "assets": input["assets"], "findings": input["findings"] });
        if found == expected {
            return Ok(());
        }
        Err(StageError::new(path.display(), format!("the host counted {found}, but {expected} were written")))
    }

    pub(super) fn remove(&self) {
        // A leftover file costs disk space and nothing else.
        let _ = fs::remove_file(&self.path);
    }
}

/// What the reports of all measurements share.
pub(super) fn shape(format: Format, extent: Extent, qids: usize) -> Shape {
    Shape { format, extent, findings_per_asset: 30, qids, seed: 1 }
}
