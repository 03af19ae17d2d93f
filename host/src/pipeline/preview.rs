//! The first findings of a pipeline, as each output would write them. Everything happens on the caller's thread, and nothing
//! is delivered.

use std::sync::Arc;
use std::sync::mpsc::channel;

use scanbridge_plugin_api::batch::{Columns, DefinitionTable, RawBatch2};
use scanbridge_plugin_api::model::{Refusal, ReportStart};
use scanbridge_plugin_api::{Event, PluginError, Rendered};
use serde::Serialize;

use super::batch::{BatchOrigin, SharedBatch, ValidatedBatch};
use super::build::{OpenInput, OpenPipeline};
use super::input::{InputCounts, Source};
use super::output::Destination;
use super::row_faults::ReportTally;
use super::stop::Stop;
use super::summary::Failure;

/// The first findings of a pipeline.
#[derive(Debug, Serialize)]
pub(crate) struct Preview {
    /// By output, in the order of the pipeline file.
    pub(crate) outputs: Vec<OutputPreview>,
    /// Why there are no more findings, and reports that could not be read.
    pub(crate) failures: Vec<Failure>,
}

/// The first findings that pass the filters of one output.
#[derive(Debug, Serialize)]
pub(crate) struct OutputPreview {
    pub(crate) id: String,
    pub(crate) plugin: String,
    /// Whether the records are those of the output; otherwise the host shows the findings as JSON.
    pub(crate) rendered: bool,
    /// Findings that were read until then.
    pub(crate) read: u64,
    /// Those of them that the filters exclude.
    pub(crate) filtered: u64,
    /// Those that passed.
    pub(crate) findings: u64,
    pub(crate) records: Vec<PreviewRecord>,
}

/// What an output would write for a finding.
#[derive(Debug, Serialize)]
pub(crate) struct PreviewRecord {
    /// Path of the report.
    pub(crate) report: String,
    /// The record; empty if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) text: String,
    /// Why there is no record.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) omitted: String,
}

/// Reads until `count` findings pass the filters of each output, or until the inputs have no more.
pub(crate) fn preview(opened: OpenPipeline, count: u64, stop: &Stop) -> Preview {
    let outputs = opened.outputs.into_iter().map(|output| Shown::new(output.destination)).collect();
    let mut reader = Reader { outputs, failures: Vec::new(), count, stop };
    for OpenInput { mut source, faults, .. } in opened.inputs {
        if reader.is_done() {
            break;
        }
        let counts = Arc::new(InputCounts::new(faults));
        if let Err(error) = reader.read(&mut source, &counts) {
            reader.failures.push(Failure::new(source.id(), &error));
        }
        // What it could not close has no consequence: nothing was delivered.
        let _ = source.close();
    }
    let outputs = reader.outputs.into_iter().map(|shown| shown.preview).collect();
    Preview { outputs, failures: reader.failures }
}

struct Reader<'a> {
    outputs: Vec<Shown>,
    failures: Vec<Failure>,
    count: u64,
    stop: &'a Stop,
}

/// An output, and what of it is to be shown.
struct Shown {
    destination: Destination,
    preview: OutputPreview,
    has_failed: bool,
}

impl Reader<'_> {
    fn is_done(&self) -> bool {
        self.outputs.iter().all(|shown| shown.missing(self.count) == 0)
    }

    fn read(&mut self, source: &mut Source, counts: &Arc<InputCounts>) -> Result<(), PluginError> {
        // The batches do not return: a few are read.
        let (recycle, _) = channel();
        let columns = Arc::new(Columns::of(source.schema().clone()));
        let tally = Arc::default();
        let mut origin = BatchOrigin { columns, counts: Arc::clone(counts), tally, after: 0, number: 0 };
        let mut definitions = DefinitionTable::default();
        let mut report: Option<Arc<ReportStart>> = None;
        while !self.is_done() {
            if self.stop.is_requested() {
                return Err(PluginError::cancelled());
            }
            match source.next(RawBatch2::default())?.event {
                Event::ReportStart { mut start, .. } => {
                    origin.tally = Arc::new(ReportTally::new((&*start).into(), None));
                    start.schema = origin.columns.schema().clone();
                    origin.columns = Arc::new(Columns::of_report(&start));
                    report = Some(Arc::new(*start));
                }
                Event::Batch(raw) => {
                    let outside = || PluginError::bug("the input sent findings outside a report");
                    let report = report.as_ref().ok_or_else(outside)?;
                    let batch = SharedBatch::new(raw, &mut definitions, origin.clone(), recycle.clone())?;
                    self.show(report, &Arc::new(batch))?;
                    origin.number += 1;
                }
                Event::ReportEnd(end) => {
                    report = None;
                    if !end.complete {
                        self.failures
                            .push(Failure::of_report(source.id(), &PluginError::bad_data(end.reason)));
                    }
                }
                Event::Refused(Refusal { known: false, error, .. }) => {
                    self.failures.push(Failure::of_report(source.id(), &error));
                }
                Event::Idle(_) | Event::Finished => break,
                _ => {}
            }
        }
        Ok(())
    }

    fn show(&mut self, report: &Arc<ReportStart>, batch: &Arc<SharedBatch>) -> Result<(), PluginError> {
        let validated = batch.validate()?;
        for shown in &mut self.outputs {
            let missing = shown.missing(self.count);
            if missing > 0
                && let Err(error) = shown.add(report, batch, validated, missing)
            {
                self.failures.push(Failure::new(&shown.preview.id, &error));
                shown.has_failed = true;
            }
        }
        Ok(())
    }
}

impl Shown {
    fn new(destination: Destination) -> Self {
        let preview = OutputPreview {
            id: destination.id().to_owned(),
            plugin: destination.plugin().to_owned(),
            rendered: destination.renders(),
            read: 0,
            filtered: 0,
            findings: 0,
            records: Vec::new(),
        };
        Self { destination, preview, has_failed: false }
    }

    /// Findings that are still to be shown.
    fn missing(&self, count: u64) -> u64 {
        if self.has_failed { 0 } else { count.saturating_sub(self.preview.findings) }
    }

    /// Adds the first `missing` findings of a batch that pass the filters.
    fn add(
        &mut self,
        report: &Arc<ReportStart>,
        batch: &Arc<SharedBatch>,
        validated: &ValidatedBatch,
        missing: u64,
    ) -> Result<(), PluginError> {
        let mut passing = self.destination.passing(validated);
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        // Findings after the last one that is shown do not count as read.
        let last = if passing.len() >= missing { passing[missing - 1] } else { u32::MAX };
        passing.truncate(missing);
        let until_then = validated.batch.read(|batch| {
            batch.select(validated.selection()).findings().filter(|finding| finding.row() <= last).count()
        });
        let (read, shown) = (until_then as u64, passing.len() as u64);
        self.preview.read += read;
        self.preview.filtered += read - shown;
        self.preview.findings += shown;
        let path = self.destination.start_as_sent(report).path.clone();
        let rendered = self.destination.render(report, batch, passing)?.into_iter();
        self.preview.records.extend(rendered.map(|Rendered { text, omitted, .. }| PreviewRecord {
            report: path.clone(),
            text,
            omitted,
        }));
        Ok(())
    }
}
