//! The files about a run for people and for monitoring: a report as HTML, metrics for node_exporter.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use scanbridge_observe::{PipelineView, RunEvent, Sample, Samples, Tick, html_report, metrics_of_run};
use serde_json::Value;

use crate::pipeline::Watcher;

/// A file that a run writes at its end. Its temporary name exists from the start of the run, so that a directory that
/// cannot be written is known before anything is delivered.
#[derive(Debug)]
struct EndFile {
    path: PathBuf,
    temporary: PathBuf,
}

impl EndFile {
    fn create(path: &Path) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("cannot create {}: {error}", path.display());
        let name = path.file_name().ok_or_else(|| failed(&"it has no file name"))?;
        let temporary = path.with_file_name(format!(".{}.tmp", name.to_string_lossy()));
        File::create(&temporary).map_err(|error| failed(&error))?;
        Ok(Self { path: path.to_owned(), temporary })
    }

    fn write(&self, content: &str) -> Result<(), String> {
        let write = || -> io::Result<()> {
            let mut file = File::create(&self.temporary)?;
            file.write_all(content.as_bytes())?;
            file.sync_all()?;
            fs::rename(&self.temporary, &self.path)
        };
        write().map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}

impl Drop for EndFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Follows a run and writes its files at the end.
#[derive(Debug)]
pub(super) struct RunFiles {
    metrics: Option<EndFile>,
    report: Option<EndFile>,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the run has started: only then the counts of all runs are known.
    has_started: bool,
    view: PipelineView,
    samples: Samples,
    summary: Option<Value>,
}

impl RunFiles {
    /// The files with these names.
    ///
    /// # Errors
    /// When one cannot be created.
    pub(super) fn create(metrics: Option<&Path>, report: Option<&Path>) -> Result<Self, String> {
        Ok(Self {
            metrics: metrics.map(EndFile::create).transpose()?,
            report: report.map(EndFile::create).transpose()?,
            started: Instant::now(),
            state: Mutex::default(),
        })
    }

    /// Writes the files. The file of metrics of a run that has not started stays as it was: the time of its last
    /// success is what monitoring must see.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(super) fn write(&self) -> Result<(), String> {
        let state = self.lock();
        if let Some(file) = self.metrics.as_ref().filter(|_| state.has_started) {
            file.write(&metrics_of_run(&state.view))?;
        }
        if let (Some(file), Some(summary)) = (&self.report, &state.summary) {
            let page = html_report(summary, &state.samples);
            file.write(&page.map_err(|error| format!("cannot make the report: {error}"))?)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher for RunFiles {
    fn on_event(&self, event: &RunEvent) {
        if self.metrics.is_none() && self.report.is_none() {
            return;
        }
        let mut state = self.lock();
        state.view.apply(event, now());
        match event {
            RunEvent::Hello(_) => state.has_started = true,
            RunEvent::Tick(tick) => {
                let sample =
                    Sample { seconds: self.started.elapsed().as_secs_f64(), findings: findings(tick) };
                state.samples.add(sample);
            }
            RunEvent::Summary { summary } => state.summary = Some(summary.clone()),
            _ => {}
        }
    }
}

fn findings(tick: &Tick) -> u64 {
    tick.inputs.iter().filter_map(|input| input.counts.get("findings")).sum()
}

/// Seconds since 1970-01-01 in UTC.
fn now() -> f64 {
    jiff::Timestamp::now().as_duration().as_secs_f64()
}
