//! An input under test.

use std::sync::Arc;

use scanbridge_plugin_api::abi::{InputHandle, InputTable2, ReportsTable1};
use scanbridge_plugin_api::batch::{Columns, DefinitionTable, RawBatch2, ValidBatch};
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{
    Event, Outcome, PluginError, Position, ReportChoice, ReportKey, ReportMarks, ReportQuery, Stored,
    StoredReport,
};

use super::journal::{Journal, checked};
use super::side::{Side, UnderTest, not_open};

use crate::exam::job::{Answer, Entry, Instance, ReadBatch, ReadEvent, ReadStep, Resume, Step};
use crate::pipeline::check_rows;

/// An input of the examined library.
pub(super) struct InputUnderTest {
    tables: (InputTable2, Option<ReportsTable1>),
    side: Side<InputHandle>,
    journal: Arc<Journal>,
    columns: Arc<Columns>,
    definitions: DefinitionTable,
    recycled: RawBatch2,
    report: Option<ReportKey>,
    position: Option<Vec<u8>>,
    /// Reports that have ended since the last call of `stored`.
    ended: Vec<ReportKey>,
}

/// Stands for the position with which a finished run stores its keys. A valid position is not empty.
const AFTER_THE_RUN: &[u8] = b"";

impl InputUnderTest {
    pub(super) fn new(
        tables: (InputTable2, Option<ReportsTable1>),
        spec: &Instance,
        journal: &Arc<Journal>,
    ) -> Self {
        Self {
            tables,
            side: Side::new(spec),
            journal: Arc::clone(journal),
            columns: Arc::new(Columns::of(Default::default())),
            definitions: DefinitionTable::default(),
            recycled: RawBatch2::default(),
            report: None,
            position: None,
            ended: Vec::new(),
        }
    }

    fn open(&mut self, resume: &Resume) -> Result<Answer, PluginError> {
        let position = resume.bytes(self.position.as_ref());
        match &position {
            Some(position) => self.side.restore_keys(position)?,
            None if *resume == Resume::NextRun => self.side.restore_keys(AFTER_THE_RUN)?,
            None => {}
        }
        let ((table, reports), frame, host) = (self.tables, Arc::clone(&self.side.frame), self.side.host);
        let position = position.map(Position);
        let (input, schema) = self.side.call("open", move |handle| {
            let opened = InputHandle::open(table, &frame, position.as_ref(), host)?.with_reports(reports);
            let answer = (opened.capabilities(), opened.schema().clone());
            *handle = Some(opened);
            Ok(answer)
        })?;
        self.columns = Arc::new(Columns::of(schema));
        self.definitions = DefinitionTable::default();
        Ok(Answer { input, ..Answer::default() })
    }

    /// Reads until this number of positions has come, or the input has nothing more.
    fn read(&mut self, index: usize, positions: Option<usize>) -> Result<Answer, PluginError> {
        let mut seen = 0;
        while positions.is_none_or(|positions| seen < positions) {
            let recycled = std::mem::take(&mut self.recycled);
            let step = self.side.with("next", move |input| input.next(recycled))?;
            let position = step.position.map(|position| position.0);
            seen += usize::from(position.is_some());
            if let Some(position) = &position {
                self.side.save_keys(position)?;
                self.position = Some(position.clone());
            }
            let event = self.event(step.event);
            let is_last = matches!(event, ReadEvent::Idle | ReadEvent::Finished);
            let finished = matches!(event, ReadEvent::Finished);
            self.journal.add(&Entry::Read(index, ReadStep { position, event }));
            if is_last {
                return Ok(Answer { finished, ..Answer::default() });
            }
        }
        Ok(Answer::default())
    }

    /// Lists all stored reports, in pages of this size.
    fn list(&mut self, limit: u64) -> Result<Answer, PluginError> {
        let (mut listed, mut query) = (Vec::new(), ReportQuery::default().with_limit(limit));
        loop {
            let next = query.clone();
            let page = self.side.with("list", move |input| input.list_reports(&next))?;
            let is_endless = page.entries.is_empty();
            listed.extend(page.entries);
            if page.cursor.is_empty() {
                return Ok(Answer { listed: Some(listed), ..Answer::default() });
            }
            if is_endless {
                return Err(PluginError::bug("a page of the list is empty, but another one follows"));
            }
            query = query.with_cursor(page.cursor);
        }
    }

    fn event(&mut self, event: Event) -> ReadEvent {
        match event {
            Event::ReportStart { start, continued } => {
                let ReportStart { id, path, time, revision, .. } = &*start;
                let (id, path, time, revision) = (id.clone(), path.clone(), time.clone(), revision.clone());
                self.report = Some(
                    ReportKey::default()
                        .with_input("exam")
                        .with_id(id)
                        .with_path(path)
                        .with_time(time)
                        .with_revision(revision),
                );
                self.columns = Arc::new(Columns::of_report(
                    &(*start).clone().with_schema(self.columns.schema().clone()),
                ));
                let fault = start.source.fault().map(|fault| format!("a report without {fault}"));
                let mut report = serde_json::to_value(&*start).expect("a report can be serialized");
                report.as_object_mut().map(|report| report.remove("schema"));
                ReadEvent::Start { report, continued, fault }
            }
            Event::Batch(batch) => ReadEvent::Batch(self.batch(batch)),
            Event::ReportEnd(end) => {
                self.ended.extend(self.report.take());
                ReadEvent::End { complete: end.complete, reason: end.reason, deliver: end.deliver }
            }
            Event::Refused(refusal) => {
                ReadEvent::Refused { path: refusal.path, message: refusal.error.to_string() }
            }
            Event::Mark => ReadEvent::Mark,
            Event::Idle(_) => ReadEvent::Idle,
            _ => ReadEvent::Finished,
        }
    }

    fn batch(&mut self, mut raw: RawBatch2) -> ReadBatch {
        let bytes = 4 * (raw.assets.len() + raw.findings.len());
        let mut read = ReadBatch { bytes: raw.text.len().max(bytes) as u64, ..ReadBatch::default() };
        let valid = self
            .definitions
            .resolve(&mut raw, self.columns.schema())
            .and_then(|definitions| ValidBatch::new(raw, definitions, Arc::clone(&self.columns)));
        let batch = match valid {
            Ok(batch) => batch,
            Err(error) => return ReadBatch { invalid: Some(error.to_string()), ..read },
        };
        let report = check_rows(&batch, |_| {});
        if report.invalid.total() > 0 {
            read.faults.push(report.invalid.to_string());
        }
        if report.odd_cells.total() > 0 {
            read.faults.push(format!("not of the form of their column: {}", report.odd_cells));
        }
        let schema = self.columns.schema();
        batch.read(|view| {
            for asset in view.assets() {
                let cells: Vec<&str> =
                    (0..schema.assets.len()).map(|column| asset.column(Some(column))).collect();
                read.assets.push((cells.join("\t"), asset.is_continued()));
            }
            let rows = view.findings().map(|finding| finding.asset().row());
            read.in_order = rows.is_sorted();
            let mut scratch = String::new();
            for finding in view.findings() {
                let (asset, definition) = (finding.asset(), finding.definition());
                let mut cells = vec![format!("{} {}", asset.address(), definition.id())];
                cells.extend(
                    view.columns()
                        .finding_columns()
                        .into_iter()
                        .map(|(name, column)| format!("{name}={}", finding.printed(column, &mut scratch))),
                );
                let assets = schema.assets.iter().enumerate();
                cells.extend(
                    assets.map(|(column, of)| format!("asset.{}={}", of.name, asset.column(Some(column)))),
                );
                let definitions = schema.definitions.iter().enumerate();
                cells.extend(definitions.map(|(column, of)| {
                    format!("definition.{}={}", of.name, definition.column(Some(column)))
                }));
                cells.retain(|cell| !cell.ends_with('='));
                read.findings.push(cells.join(" | "));
            }
        });
        self.recycled = batch.into_raw();
        read
    }
}

impl UnderTest for InputUnderTest {
    type Handle = InputHandle;

    fn side(&self) -> &Side<InputHandle> {
        &self.side
    }

    fn call(&mut self, index: usize, step: &Step) -> Result<Answer, PluginError> {
        match step {
            Step::Open(resume) => self.open(resume),
            Step::Check => self.side.with("check", InputHandle::check).map(|report| checked(&report)),
            Step::Read { positions } => self.read(index, *positions),
            Step::List { limit } => self.list(*limit),
            Step::Choose { ids, again } => {
                let choice = ReportChoice::new(ids.clone(), *again);
                self.side.with("choose", move |input| input.choose_reports(&choice))?;
                Ok(Answer::default())
            }
            Step::Mark { ids, delivered } => {
                let marks = ReportMarks::new(ids.clone(), *delivered);
                let changed = self.side.with("mark", move |input| input.mark_reports(&marks))?;
                Ok(Answer { changed: Some(changed), ..Answer::default() })
            }
            Step::Confirm { outcome } => {
                let outcome: Outcome =
                    serde_json::from_value(outcome.as_str().into()).expect("an outcome is a word");
                let reports = std::mem::take(&mut self.ended);
                let reports = reports.into_iter().map(|key| StoredReport::new(key, outcome)).collect();
                let position = Position(self.position.clone().unwrap_or_default());
                let stored = Stored::new(position, reports);
                self.side.with("stored", move |input| input.stored(&stored))?;
                Ok(Answer::default())
            }
            Step::Close => {
                self.side.save_keys(AFTER_THE_RUN)?;
                self.side.close(InputHandle::close)
            }
            _ => Err(not_open()),
        }
    }
}
