//! The exam of an input.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::abi::{InputHandle, input_table};
use scanbridge_plugin_api::batch::{Batch, Columns, Known, RawBatch, ValidBatch};
use scanbridge_plugin_api::model::{Refusal, ReportEnd, ReportStart};
use scanbridge_plugin_api::{ErrorKind, Input, Next, PluginError, Position};
use serde_json::Value;

use crate::host::ExamHost;
use crate::{input_resume, table};

/// What an input delivered in one run.
#[derive(Debug, Default)]
pub struct Collected {
    /// The reports that were begun.
    pub starts: Vec<ReportStart>,
    /// How they ended.
    pub ends: Vec<ReportEnd>,
    /// The reports that were not delivered.
    pub refusals: Vec<Refusal>,
    /// Every cell of every finding with those of its asset and definition, as text: equal runs are equal here.
    pub findings: Vec<String>,
    /// Assets begun.
    pub assets: usize,
}

/// Takes an input through the exam. `options` must make it deliver at least one finding and then finish.
///
/// # Panics
/// With the promise that was broken.
pub fn input<T: Input>(options: &Value) {
    table::examine(T::NAME, T::SUMMARY, T::OPTIONS);
    check_changes_nothing::<T>(options);
    let first = collect::<T>(options).expect("the input delivers");
    assert!(!first.findings.is_empty(), "`{}` delivers no finding with the exam's options", T::NAME);
    let second = collect::<T>(options).expect("the input delivers a second time");
    assert_eq!(first.findings, second.findings, "two runs of `{}` differ", T::NAME);
    instances_share_nothing::<T>(options, &first);
    input_resume::examine::<T>(options, &first);
    cancel_is_honoured::<T>(options);
}

/// Runs an input to its end and collects what it delivers.
///
/// # Errors
/// What the input failed with.
///
/// # Panics
/// When reports and batches come in an order that is not allowed, or a batch is damaged.
pub fn collect<T: Input>(options: &Value) -> Result<Collected, PluginError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Run::open::<T>(options, folder.path(), ExamHost::new())?;
    while run.step()? {}
    Ok(run.collected)
}

/// An instance that is called step by step.
pub(crate) struct Run {
    pub(crate) handle: InputHandle,
    columns: Arc<Columns>,
    known: Known,
    pub(crate) collected: Collected,
    recycled: RawBatch,
    pub(crate) in_report: bool,
    /// What came with the last batch or end of a report.
    pub(crate) position: Position,
}

impl Run {
    fn open<T: Input>(options: &Value, folder: &Path, host: &'static ExamHost) -> Result<Self, PluginError> {
        Self::resume::<T>(options, folder, host, &Position::default())
    }

    pub(crate) fn resume<T: Input>(
        options: &Value,
        folder: &Path,
        host: &'static ExamHost,
        position: &Position,
    ) -> Result<Self, PluginError> {
        let (options, state) = (options.to_string(), folder.to_string_lossy().into_owned());
        let (table, host) = (input_table::<T>(), host.table());
        let handle = InputHandle::open(table, options.as_bytes(), "exam", &state, host, &position.0)?;
        let columns = Arc::new(Columns::of(handle.schema().clone()));
        let (known, collected, recycled) = (Known::default(), Collected::default(), RawBatch::default());
        let position = Position::default();
        Ok(Self { handle, columns, known, collected, recycled, in_report: false, position })
    }

    /// Takes one step; false when the input has finished.
    pub(crate) fn step(&mut self) -> Result<bool, PluginError> {
        match self.handle.next(std::mem::take(&mut self.recycled))? {
            Next::ReportStart(start) => {
                assert!(!std::mem::replace(&mut self.in_report, true), "a report begins inside another");
                self.collected.starts.push(*start);
            }
            Next::Batch { batch, position } => {
                assert!(self.in_report, "a batch comes outside a report");
                let mut batch = batch;
                self.known.take(&mut batch, self.columns.schema()).expect("definitions follow each other");
                let batch = ValidBatch::new(batch, self.known.clone(), Arc::clone(&self.columns));
                let batch = batch.expect("a batch is in order");
                batch.read(|batch| self.take(batch));
                self.recycled = batch.into_raw();
                self.position = position;
            }
            Next::ReportEnd { end, position } => {
                assert!(std::mem::replace(&mut self.in_report, false), "a report ends that has not begun");
                assert!(end.complete || !end.reason.is_empty(), "an incomplete report ends without a reason");
                self.collected.ends.push(end);
                self.position = position;
            }
            Next::Refused(refusal) => {
                assert!(!self.in_report, "a report is refused inside another");
                self.collected.refusals.push(refusal);
            }
            Next::Idle(_) => {
                assert!(!self.in_report, "the input idles inside a report");
                return Ok(false);
            }
            Next::Finished => {
                assert!(!self.in_report, "the input finishes inside a report");
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn take(&mut self, batch: Batch<'_>) {
        assert!(
            self.position.0.is_empty() || !batch.assets().any(|asset| asset.is_continued()),
            "an asset goes on behind a batch that has a position"
        );
        self.collected.assets += batch.assets().filter(|asset| !asset.is_continued()).count();
        let schema = batch.schema();
        for finding in batch.findings() {
            let (asset, definition) = (finding.asset(), finding.definition());
            let cells = (0..schema.assets.len())
                .map(|column| asset.column(Some(column)))
                .chain((0..schema.definitions.len()).map(|column| definition.column(Some(column))))
                .chain((0..schema.findings.len()).map(|column| finding.column(Some(column))));
            self.collected.findings.push(cells.collect::<Vec<_>>().join("\u{1f}"));
        }
    }
}

fn check_changes_nothing<T: Input>(options: &Value) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Run::open::<T>(options, folder.path(), ExamHost::new()).expect("the input opens");
    let first = run.handle.check().expect("the probe is made");
    let second = run.handle.check().expect("the probe is made a second time");
    assert_eq!(first, second, "two probes of `{}` differ", T::NAME);
    assert!(run.step().expect("the input still delivers after a probe"), "a probe used up the input");
}

/// Steps two instances in turn: each delivers what it delivers alone.
fn instances_share_nothing<T: Input>(options: &Value, alone: &Collected) {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let mut runs = folders
        .each_ref()
        .map(|folder| Run::open::<T>(options, folder.path(), ExamHost::new()).expect("it opens"));
    let mut going = [true; 2];
    while going.contains(&true) {
        for (run, going) in runs.iter_mut().zip(&mut going) {
            *going = *going && run.step().expect("the input delivers beside another instance");
        }
    }
    for run in runs {
        assert_eq!(
            run.collected.findings,
            alone.findings,
            "two instances of `{}` disturb each other",
            T::NAME
        );
    }
}

/// An instance that is asked to stop ends within a second: with an error of that kind or, where only a moment
/// of work was left, by finishing it.
fn cancel_is_honoured<T: Input>(options: &Value) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let host = ExamHost::new();
    let mut run = Run::open::<T>(options, folder.path(), host).expect("the input opens");
    host.cancel();
    let asked = Instant::now();
    loop {
        match run.step() {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Cancelled, "a stop on request ends with `{error}`");
                break;
            }
        }
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "`{}` goes on although it was asked to stop",
            T::NAME
        );
    }
}
