//! The contract tests of an input.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::abi::{InputHandle, input_table};
use scanbridge_plugin_api::batch::{Batch, Columns, DefinitionTable, RawBatch2, ValidBatch};
use scanbridge_plugin_api::model::{Refusal, ReportEnd, ReportStart};
use scanbridge_plugin_api::{ErrorKind, Event, Input, PluginError, Position};
use serde_json::Value;

use crate::host::{ExamHost, frame};
use crate::{input_resume, table};

/// The data that an input delivered in one run.
#[derive(Debug, Default)]
pub struct Collected {
    /// The reports that began.
    pub starts: Vec<ReportStart>,
    /// Whether each of them continued a report.
    pub continued: Vec<bool>,
    /// The ends of these reports.
    pub ends: Vec<ReportEnd>,
    /// The reports that the input refused.
    pub refusals: Vec<Refusal>,
    /// All cells of each finding, its asset and its definition, as text. Equal runs have equal texts.
    pub findings: Vec<String>,
    /// The number of assets that began.
    pub assets: usize,
}

/// Runs the contract tests of an input. With these options it must deliver at least one finding and then finish.
///
/// # Panics
/// If the input violates the contract; the message names the violated rule.
pub fn input<T: Input>(options: &Value) {
    table::check(T::NAME, T::SUMMARY, T::OPTIONS);
    probe_has_no_side_effect::<T>(options);
    let first = collect::<T>(options).expect("the input delivers");
    assert!(!first.findings.is_empty(), "`{}` delivers no finding with the options of the test", T::NAME);
    let second = collect::<T>(options).expect("the input delivers a second time");
    assert_eq!(first.findings, second.findings, "two runs of `{}` differ", T::NAME);
    instances_are_independent::<T>(options, &first);
    input_resume::check::<T>(options, &first);
    cancellation_ends_the_input::<T>(options);
}

/// Runs an input to its end and collects the delivered data.
///
/// # Errors
/// The error of the input.
///
/// # Panics
/// If reports and batches are delivered in an invalid order, or a batch is invalid.
pub fn collect<T: Input>(options: &Value) -> Result<Collected, PluginError> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut run = Run::open::<T>(options, folder.path(), ExamHost::new())?;
    while run.step()? {}
    Ok(run.collected)
}

/// An open instance, called step by step.
pub(crate) struct Run {
    pub(crate) handle: InputHandle,
    pub(crate) host: &'static ExamHost,
    columns: Arc<Columns>,
    definitions: DefinitionTable,
    pub(crate) collected: Collected,
    recycled: RawBatch2,
    pub(crate) in_report: bool,
    /// The position of the last step, if it has one.
    pub(crate) position: Option<Position>,
    /// That of the step before.
    previous: Option<Position>,
}

impl Run {
    fn open<T: Input>(options: &Value, folder: &Path, host: &'static ExamHost) -> Result<Self, PluginError> {
        Self::resume::<T>(options, folder, host, None)
    }

    pub(crate) fn resume<T: Input>(
        options: &Value,
        folder: &Path,
        host: &'static ExamHost,
        position: Option<&Position>,
    ) -> Result<Self, PluginError> {
        let handle = InputHandle::open(input_table::<T>(), &frame(options, folder), position, host.table())?;
        let columns = Arc::new(Columns::of(handle.schema().clone()));
        Ok(Self {
            handle,
            host,
            columns,
            definitions: DefinitionTable::default(),
            collected: Collected::default(),
            recycled: RawBatch2::default(),
            in_report: false,
            position: None,
            previous: None,
        })
    }

    /// Calls `next` once. Returns false if the input has finished or is idle.
    pub(crate) fn step(&mut self) -> Result<bool, PluginError> {
        let step = self.handle.next(std::mem::take(&mut self.recycled))?;
        self.previous = std::mem::replace(&mut self.position, step.position);
        match step.event {
            Event::ReportStart { start, continued } => {
                assert!(!std::mem::replace(&mut self.in_report, true), "a report begins inside another");
                assert_eq!(start.source.fault(), None, "a report does not name its scanner");
                self.collected.starts.push(*start);
                self.collected.continued.push(continued);
            }
            Event::Batch(batch) => {
                assert!(self.in_report, "a batch is delivered outside a report");
                let mut batch = batch;
                let definitions = self
                    .definitions
                    .resolve(&mut batch, self.columns.schema())
                    .expect("a batch contains the definitions that are new in its epoch");
                let batch = ValidBatch::new(batch, definitions, Arc::clone(&self.columns));
                let batch = batch.expect("a batch is valid");
                batch.read(|batch| {
                    let codes = batch.findings().find_map(|finding| finding.bad_code());
                    assert_eq!(codes, None, "a finding has an unknown code");
                    self.take(batch);
                });
                self.recycled = batch.into_raw();
            }
            Event::ReportEnd(end) => {
                assert!(std::mem::replace(&mut self.in_report, false), "a report that has not begun ends");
                assert!(end.complete || !end.reason.is_empty(), "an incomplete report ends without a reason");
                self.collected.ends.push(end);
            }
            Event::Refused(refusal) => {
                assert!(!self.in_report, "a report is refused inside another");
                self.collected.refusals.push(refusal);
            }
            Event::Mark => assert!(!self.in_report, "a position without findings inside a report"),
            Event::Idle(_) => {
                assert!(!self.in_report, "the input is idle inside a report");
                return Ok(false);
            }
            Event::Finished => {
                assert!(!self.in_report, "the input finishes inside a report");
                return Ok(false);
            }
            event => panic!("the input returned an unknown step: {event:?}"),
        }
        Ok(true)
    }

    fn take(&mut self, batch: Batch<'_>) {
        assert!(
            self.previous.is_none() || !batch.assets().any(|asset| asset.is_continued()),
            "an asset continues after a batch that has a position"
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

fn probe_has_no_side_effect<T: Input>(options: &Value) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut run = Run::open::<T>(options, folder.path(), ExamHost::new()).expect("the input opens");
    let first = run.handle.check().expect("the probe succeeds");
    let second = run.handle.check().expect("the second probe succeeds");
    assert_eq!(first, second, "two probes of `{}` differ", T::NAME);
    assert!(
        run.step().expect("the input still delivers after a probe"),
        "the input has nothing to deliver after a probe"
    );
}

/// Calls two instances alternately: each must deliver the same as an instance alone.
fn instances_are_independent<T: Input>(options: &Value, alone: &Collected) {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary directory"));
    let mut runs = folders
        .each_ref()
        .map(|folder| Run::open::<T>(options, folder.path(), ExamHost::new()).expect("the input opens"));
    let mut running = [true; 2];
    while running.contains(&true) {
        for (run, running) in runs.iter_mut().zip(&mut running) {
            *running = *running && run.step().expect("the input delivers while another instance runs");
        }
    }
    for run in runs {
        assert_eq!(
            run.collected.findings,
            alone.findings,
            "two instances of `{}` influence each other",
            T::NAME
        );
    }
}

/// After a stop request, each call returns soon: the run must end within 5 s, with `Cancelled`, or by finishing if
/// little work was left.
fn cancellation_ends_the_input<T: Input>(options: &Value) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let host = ExamHost::new();
    let mut run = Run::open::<T>(options, folder.path(), host).expect("the input opens");
    host.cancel();
    let requested = Instant::now();
    loop {
        match run.step() {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                assert_eq!(
                    error.kind,
                    ErrorKind::Cancelled,
                    "the run must end with `Cancelled` after a stop request, not with `{error}`"
                );
                break;
            }
        }
        assert!(
            requested.elapsed() < Duration::from_secs(5),
            "`{}` still runs 5 s after a stop request",
            T::NAME
        );
    }
}
