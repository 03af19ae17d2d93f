//! Opens the input as the host does, calls it until it has finished, and keeps what it gave.

use std::collections::BTreeMap;
use std::path::PathBuf;

use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_doubles::fake_qualys::{Answers, FakeQualys};
use scanbridge_plugin_api::batch::{Batch, BatchBuilder, Columns};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, Field, FindingField, Refusal, ReportEnd, ReportStart,
};
use scanbridge_plugin_api::{Input, Next, Options, PluginError, Position, Result, Services};
use scanbridge_qualysguard::QualysGuard;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The cells of a row that have text.
pub(crate) type Row = BTreeMap<String, String>;

/// The password in all tests: with what YAML and URLs take for their own.
pub(crate) const PASSWORD: &str = "p@ss: w#rd&+%";

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) start: ReportStart,
    pub(crate) end: Option<ReportEnd>,
    /// Assets in the order in which they came, each once.
    pub(crate) assets: Vec<Row>,
    /// Findings with the cells of their definition and the address of their asset.
    pub(crate) findings: Vec<Row>,
}

#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) reports: Vec<Report>,
    pub(crate) refused: Vec<Refusal>,
    /// The positions, each with how many findings had gone out by then in all reports.
    pub(crate) positions: Vec<(Position, usize)>,
}

impl Told {
    pub(crate) fn findings(&self) -> Vec<&Row> {
        self.reports.iter().flat_map(|report| &report.findings).collect()
    }

    pub(crate) fn last_position(&self) -> Option<&Position> {
        self.positions.iter().map(|(position, _)| position).rfind(|position| !position.0.is_empty())
    }

    /// The one report that came, whole.
    pub(crate) fn only_report(&self) -> &Report {
        assert_eq!((self.reports.len(), self.refused.len()), (1, 0), "{:?}", self.refused);
        assert!(self.reports[0].end().complete, "{}", self.reports[0].end().reason);
        &self.reports[0]
    }
}

impl Report {
    pub(crate) fn end(&self) -> &ReportEnd {
        self.end.as_ref().unwrap()
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.end().notes.iter().map(|note| format!("{} x {}", note.text, note.count)).collect()
    }
}

/// A fake Qualys with the files that the input needs to talk to it.
pub(crate) struct Bench {
    pub(crate) qualys: FakeQualys,
    pub(crate) authority: Authority,
    pub(crate) folder: TempDir,
    pub(crate) options: Value,
}

impl Bench {
    pub(crate) fn new(answers: impl Answers) -> Self {
        let authority = Authority::new("Example Root CA");
        let server = authority.issue(&Request::server(&["127.0.0.1", "localhost"]));
        let qualys = FakeQualys::start(authority.server_config(&server, false), answers);
        Self::of(qualys, authority)
    }

    pub(crate) fn of(qualys: FakeQualys, authority: Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = authority.write_pem(folder.path(), "ca.pem");
        let options = json!({
            "user_id": "dirk_g",
            "password": PASSWORD,
            "url": qualys.url(),
            "tls_ca_file": ca.display().to_string(),
            "template_id": ["424242"],
            "poll_secs": 1,
            "busy_wait_secs": 1,
            "connect_timeout_secs": 5,
            "read_timeout_secs": 5,
        });
        Self { qualys, authority, folder, options }
    }

    /// The same with these options too.
    pub(crate) fn with(mut self, more: Value) -> Self {
        self.set(more);
        self
    }

    pub(crate) fn set(&mut self, more: Value) {
        for (key, value) in more.as_object().unwrap() {
            if value.is_null() {
                self.options.as_object_mut().unwrap().remove(key);
            } else {
                self.options[key] = value.clone();
            }
        }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn open(&self, resume: Option<&Position>) -> Result<QualysGuard> {
        let services = Services::without_host(&self.state());
        let options = Options::read(QualysGuard::OPTIONS, self.options.to_string().as_bytes())?;
        QualysGuard::open(&options, &services, resume)
    }

    /// Runs to the end, and tells the input that all is delivered.
    pub(crate) fn run(&self) -> Result<Told> {
        let mut input = self.open(None)?;
        let mut told = Told::default();
        while step(&mut input, &mut told)? {
            let (position, _) = told.positions.last().cloned().unwrap_or_default();
            if !position.0.is_empty() {
                input.committed(&position)?;
            }
        }
        Ok(told)
    }

    /// The error that ends the run, or for which its only report is refused.
    pub(crate) fn fails(&self) -> PluginError {
        match self.run() {
            Ok(mut told) if told.reports.is_empty() && told.refused.len() == 1 => {
                told.refused.remove(0).error
            }
            outcome => outcome.map(|told| format!("{told:?}")).unwrap_err(),
        }
    }
}

/// One step: false when the input has finished or wants to rest.
pub(crate) fn step(input: &mut QualysGuard, told: &mut Told) -> Result<bool> {
    match input.next(BatchBuilder::default())? {
        Next::ReportStart(start) => told.reports.push(Report { start: *start, ..Report::default() }),
        Next::Batch { batch, position } => {
            let report = told.reports.last_mut().unwrap();
            let columns = Columns::of(report.start.schema.clone());
            take(Batch::of(&batch, &columns).unwrap(), report);
            told.positions.push((position, told.findings().len()));
        }
        Next::ReportEnd { end, position } => {
            told.reports.last_mut().unwrap().end = Some(end);
            told.positions.push((position, told.findings().len()));
        }
        Next::Refused(refusal) => told.refused.push(refusal),
        Next::Idle(_) | Next::Finished => return Ok(false),
    }
    Ok(true)
}

/// Goes on until the input has finished.
pub(crate) fn finish(input: &mut QualysGuard) -> Result<Told> {
    let mut told = Told::default();
    while step(input, &mut told)? {}
    Ok(told)
}

fn take(batch: Batch<'_>, report: &mut Report) {
    for asset in batch.assets() {
        if !asset.is_continued() {
            report.assets.push(cells(AssetField::NAMES, |column| asset.column(Some(column)), ""));
        }
    }
    for finding in batch.findings() {
        let mut row = cells(FindingField::NAMES, |column| finding.column(Some(column)), "");
        let definition = finding.definition();
        row.append(&mut cells(
            DefinitionField::NAMES,
            |column| definition.column(Some(column)),
            "definition.",
        ));
        row.insert("asset".to_owned(), finding.asset().address().to_owned());
        report.findings.push(row);
    }
}

fn cells<'a>(names: &[&str], cell: impl Fn(usize) -> &'a str, prefix: &str) -> Row {
    let cells =
        names.iter().enumerate().map(|(column, name)| (format!("{prefix}{name}"), cell(column).to_owned()));
    cells.filter(|(_, text)| !text.is_empty()).collect()
}
