//! Opens the input as the host does, calls it until it has finished, and collects its results.

use std::path::Path;

use scanbridge_plugin_api::batch::{Batch, BatchBuilder, Columns};
use scanbridge_plugin_api::model::{FindingKind, Refusal, ReportEnd, ReportStart};
use scanbridge_plugin_api::{Event, Input, Open, OpenFrame, Options, Result, Services};
use scanbridge_plugin_contract::rows::{self, Row};
use scanbridge_qualysguard_file::QualysGuardFile;
use serde_json::json;

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) start: ReportStart,
    pub(crate) end: ReportEnd,
    /// Assets in the order of delivery, without duplicates.
    pub(crate) assets: Vec<Row>,
    /// Findings with the cells of their definition (`definition.title`) and the address of their asset.
    pub(crate) findings: Vec<Row>,
    pub(crate) batches: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) reports: Vec<Report>,
    pub(crate) refused: Vec<Refusal>,
}

impl Report {
    pub(crate) fn count(&self, kind: FindingKind) -> usize {
        self.findings.iter().filter(|finding| finding["kind"] == kind.word()).count()
    }

    pub(crate) fn finding(&self, qid: &str) -> &Row {
        self.findings.iter().find(|finding| finding["definition.id"] == qid).unwrap()
    }

    /// Adds the rows of a batch.
    pub(crate) fn add_batch(&mut self, batch: Batch<'_>) {
        self.batches += 1;
        self.assets.append(&mut rows::assets(batch));
        self.findings.append(&mut rows::findings(batch));
    }

    /// `text x count` of every note.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.end.notes.iter().map(|note| format!("{} x {}", note.text, note.count)).collect()
    }
}

/// Reads `path` with additional options.
pub(crate) fn read_with(path: &Path, more: &serde_json::Value) -> Result<Outcome> {
    let mut options = json!({ "path": [path.display().to_string()], "settle_secs": 0 });
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    read(&options)
}

/// Reads one file that must be one report.
pub(crate) fn report_of(path: &Path) -> Report {
    let mut outcome = read_with(path, &json!({})).unwrap();
    assert_eq!(outcome.refused, [], "{}", path.display());
    assert_eq!(outcome.reports.len(), 1, "{}", path.display());
    outcome.reports.remove(0)
}

/// Reads one file that must be refused.
pub(crate) fn refusal_of(path: &Path) -> Refusal {
    let mut outcome = read_with(path, &json!({})).unwrap();
    assert!(outcome.reports.is_empty(), "{} was delivered", path.display());
    assert_eq!(outcome.refused.len(), 1, "{}", path.display());
    outcome.refused.remove(0)
}

pub(crate) fn read(options: &serde_json::Value) -> Result<Outcome> {
    let folder = tempfile::tempdir().unwrap();
    let services = Services::without_host(folder.path());
    let options = Options::read(QualysGuardFile::OPTIONS, options.to_string().as_bytes())?;
    let frame = OpenFrame::default();
    let mut input = QualysGuardFile::open(&Open::new(&options, &services, &frame), None)?.plugin;
    let mut outcome = Outcome::default();
    let mut recycled = BatchBuilder::default();
    loop {
        match input.next(std::mem::take(&mut recycled))?.event {
            Event::ReportStart { start, .. } => {
                outcome.reports.push(Report { start: *start, ..Report::default() });
            }
            Event::Batch(batch) => {
                let report = outcome.reports.last_mut().unwrap();
                let columns = Columns::of_report(&report.start);
                report.add_batch(Batch::of(&batch, &columns).unwrap());
                recycled = BatchBuilder::recycle(columns.schema(), batch);
            }
            Event::ReportEnd(end) => outcome.reports.last_mut().unwrap().end = end,
            Event::Refused(refusal) => outcome.refused.push(refusal),
            Event::Finished => return Ok(outcome),
            event => panic!("unexpected step: {event:?}"),
        }
    }
}
