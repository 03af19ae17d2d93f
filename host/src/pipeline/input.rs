//! The thread of one input.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::sync::{Arc, MutexGuard, PoisonError};

use scanbridge_plugin_api::batch::{Columns, Known, RawBatch};
use scanbridge_plugin_api::model::{Refusal, ReportEnd, ReportStart};
use scanbridge_plugin_api::{ErrorKind, Next, PluginError};

use super::batch::{InputCounts, Item, SharedBatch};
use super::control::Control;
use super::instance::OpenInput;
use super::summary::InputSummary;
use crate::telemetry::without_controls;

/// Reads until the input has finished, has failed or is asked to stop, and says what it read. The counts are
/// whole only when the outputs have finished too, for it is they who look into the batches.
///
/// However it ends, a report that was begun is ended for the outputs.
pub(super) fn run(
    input: OpenInput,
    outputs: Vec<SyncSender<Item>>,
    control: &Control,
) -> (InputSummary, Arc<InputCounts>) {
    let (home, used) = channel();
    let OpenInput { id, plugin, handle, .. } = input;
    let columns = Arc::new(Columns::of(handle.schema().clone()));
    let summary = InputSummary { id, plugin, ..InputSummary::default() };
    let mut stage = Stage {
        summary,
        handle,
        outputs,
        control,
        columns,
        known: Known::default(),
        counts: Arc::default(),
        home,
        used,
        report: None,
    };
    if let Err(error) = stage.read() {
        stage.abandon_report(&error);
        control.input_ended(&stage.summary.id, &error);
    }
    let Stage { summary, outputs, counts, handle, .. } = stage;
    drop(handle);
    drop(outputs);
    (summary, counts)
}

struct Stage<'a> {
    summary: InputSummary,
    handle: scanbridge_plugin_api::abi::InputHandle,
    outputs: Vec<SyncSender<Item>>,
    control: &'a Control,
    columns: Arc<Columns>,
    known: Known,
    counts: Arc<InputCounts>,
    home: Sender<RawBatch>,
    used: Receiver<RawBatch>,
    /// The report that is under way, with the turn: reports of several inputs never interleave.
    report: Option<(String, MutexGuard<'a, ()>)>,
}

impl Stage<'_> {
    fn read(&mut self) -> Result<(), PluginError> {
        loop {
            if self.control.stop.is_given() {
                return Err(PluginError::cancelled());
            }
            let recycled = self.used.try_recv().unwrap_or_default();
            match self.handle.next(recycled)? {
                Next::ReportStart(start) => self.begin(*start)?,
                Next::Batch { batch, .. } => self.batch(batch)?,
                Next::ReportEnd { end, .. } => self.end(end)?,
                Next::Refused(refusal) => self.refuse(&refusal)?,
                Next::Idle(wake_after) => {
                    self.outside_a_report("idled inside a report")?;
                    let _ = self.control.stop.wait(wake_after);
                }
                Next::Finished => return self.finished(),
            }
        }
    }

    fn begin(&mut self, mut start: ReportStart) -> Result<(), PluginError> {
        self.outside_a_report("began a report inside another")?;
        let turn = self.control.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.control.stop.is_given() {
            return Err(PluginError::cancelled()); // The wish came while another input had its turn.
        }
        let path = without_controls(&start.path);
        // As debug text: titles are somebody else's, and no line break of theirs may begin a line of ours.
        tracing::info!(instance = self.summary.id, kind = ?start.kind, title = ?start.title, "reading {path}");
        start.schema = self.columns.schema().clone();
        self.report = Some((start.path.clone(), turn));
        self.send(&Item::Begin(Arc::new(start)));
        Ok(())
    }

    fn batch(&mut self, mut raw: RawBatch) -> Result<(), PluginError> {
        if self.report.is_none() {
            return Err(PluginError::bug("the input sent findings outside a report"));
        }
        let taken = self.known.take(&mut raw, self.columns.schema());
        taken.map_err(|bad| PluginError::bug(format!("the input sent a damaged batch: {bad}")))?;
        let (columns, counts) = (Arc::clone(&self.columns), Arc::clone(&self.counts));
        self.send(&Item::Batch(Arc::new(SharedBatch::new(
            raw,
            self.known.clone(),
            columns,
            counts,
            self.home.clone(),
        ))));
        Ok(())
    }

    fn end(&mut self, end: ReportEnd) -> Result<(), PluginError> {
        let Some((path, turn)) = self.report.take() else {
            return Err(PluginError::bug("the input ended a report that it had not begun"));
        };
        self.summary.reports += 1;
        self.summary.bytes = self.summary.bytes.saturating_add(end.bytes);
        self.summary.complete += u64::from(end.complete);
        for note in &end.notes {
            tracing::warn!(
                instance = self.summary.id,
                times = note.count,
                "{}",
                without_controls(&format!("{path}: {}", note.text))
            );
        }
        if !end.complete {
            self.summary.incomplete += 1;
            let delivered =
                if end.deliver { "what was read is delivered" } else { "nothing of it is delivered" };
            let error = PluginError::bad_data(format!("{} ({delivered})", end.reason));
            self.control.input_failed(&self.summary.id, &error);
        }
        // An incomplete report may never clear anything, and a complete one is always delivered.
        let end = ReportEnd { deliver: end.deliver || end.complete, ..end };
        self.send(&Item::End(Arc::new(end)));
        drop(turn);
        Ok(())
    }

    fn refuse(&mut self, refusal: &Refusal) -> Result<(), PluginError> {
        self.outside_a_report("refused a report inside another")?;
        if refusal.incomplete {
            self.summary.incomplete += 1;
        }
        self.summary.refused += 1;
        self.control.input_failed(&self.summary.id, &refusal.error);
        Ok(())
    }

    fn finished(&mut self) -> Result<(), PluginError> {
        self.outside_a_report("finished inside a report")?;
        if self.summary.reports == 0 && self.summary.refused == 0 {
            tracing::warn!(instance = self.summary.id, "the input had no report to read");
        }
        Ok(())
    }

    fn outside_a_report(&self, misdeed: &str) -> Result<(), PluginError> {
        match self.report {
            None => Ok(()),
            Some(_) => Err(PluginError::bug(format!("the input {misdeed}"))),
        }
    }

    /// Ends the report that is under way so that the outputs take back what they have of it.
    fn abandon_report(&mut self, error: &PluginError) {
        if let Some((_, turn)) = self.report.take() {
            self.summary.reports += 1;
            self.summary.incomplete += 1;
            let reason = match error.kind {
                ErrorKind::Cancelled => "the run was stopped".to_owned(),
                _ => error.message.clone(),
            };
            self.send(&Item::End(Arc::new(ReportEnd { reason, ..ReportEnd::default() })));
            drop(turn);
        }
    }

    /// Waits while an output's queue is full: that is how a slow output slows the input down.
    fn send(&self, item: &Item) {
        for output in &self.outputs {
            // An output's thread takes items until all senders are gone, so this cannot fail.
            let _ = output.send(item.clone());
        }
    }
}

/// Fills in what was counted by the outputs' threads.
pub(super) fn with_counts(mut summary: InputSummary, counts: &InputCounts) -> InputSummary {
    summary.assets = counts.assets.load(Ordering::Relaxed);
    summary.findings = counts.findings();
    if counts.broken.load(Ordering::Relaxed) {
        summary.incomplete = (summary.incomplete + 1).min(summary.reports);
        return summary;
    }
    if summary.complete > 0 && summary.findings.total() == 0 {
        tracing::warn!(
            instance = summary.id,
            "no findings in {} reports with {} assets: is this the report that was meant?",
            summary.complete,
            summary.assets
        );
    }
    summary
}
