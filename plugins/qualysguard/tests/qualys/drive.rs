//! Opens the input as the host does, runs it to its end, and collects the results.

use std::collections::BTreeMap;
use std::path::PathBuf;

use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_doubles::fake_qualys::{FakeQualys, Responder};
use scanbridge_plugin_api::batch::{Batch, BatchBuilder, Columns};
use scanbridge_plugin_api::keeper::Share;
use scanbridge_plugin_api::model::{Refusal, ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Event, Input, Open, OpenFrame, Options, PluginError, Position, Purpose, Result, Services, Stored,
};
use scanbridge_plugin_contract::rows::{self, Row};
use scanbridge_qualysguard::QualysGuard;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The password in all tests, with characters that are special in YAML and URLs.
pub(crate) const PASSWORD: &str = "p@ss: w#rd&+%";

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) start: ReportStart,
    /// Whether it continues a report of an earlier run.
    pub(crate) continued: bool,
    pub(crate) end: Option<ReportEnd>,
    /// Assets in the order of delivery, each once.
    pub(crate) assets: Vec<Row>,
    /// Findings with the columns of their definition and the address of their asset.
    pub(crate) findings: Vec<Row>,
}

/// The results of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) reports: Vec<Report>,
    pub(crate) refused: Vec<Refusal>,
    /// Positions, each with the number of findings delivered before it in all reports.
    pub(crate) positions: Vec<(Position, usize)>,
}

impl Outcome {
    pub(crate) fn findings(&self) -> Vec<&Row> {
        self.reports.iter().flat_map(|report| &report.findings).collect()
    }

    pub(crate) fn last_position(&self) -> Option<&Position> {
        self.positions.iter().map(|(position, _)| position).rfind(|position| !position.0.is_empty())
    }

    /// The only report, which must be complete.
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

    /// Adds the rows of a batch.
    pub(crate) fn take(&mut self, batch: Batch<'_>) {
        self.assets.append(&mut rows::assets(batch));
        self.findings.append(&mut rows::findings(batch));
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.end().notes.iter().map(|note| format!("{} x {}", note.text, note.count)).collect()
    }
}

/// A fake Qualys with the certificates and options for the input.
pub(crate) struct Bench {
    pub(crate) qualys: FakeQualys,
    pub(crate) authority: Authority,
    pub(crate) folder: TempDir,
    pub(crate) options: Value,
    /// The number of the run.
    pub(crate) run: u64,
    /// The share, for a pipeline whose output keeps the checkpoint.
    pub(crate) share: Option<Share>,
}

impl Bench {
    pub(crate) fn new(responder: impl Responder) -> Self {
        let authority = Authority::new("Example Root CA");
        let server = authority.issue(&Request::server(&["127.0.0.1", "localhost"]));
        let qualys = FakeQualys::start(authority.server_config(&server, false), responder);
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
        Self { qualys, authority, folder, options, run: 1, share: None }
    }

    /// Adds options; `null` removes one.
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

    /// The keys of the instance.
    pub(crate) fn keys(&self) -> BTreeMap<String, Vec<u8>> {
        let state = Services::without_host(&self.state()).state();
        let names = state.list("").unwrap().into_iter();
        names.map(|name| (name.clone(), state.get(&name).unwrap().unwrap())).collect()
    }

    /// Restores the keys of a checkpoint, as the host does after a crash.
    pub(crate) fn restore_keys(&self, keys: &BTreeMap<String, Vec<u8>>) {
        let state = Services::without_host(&self.state()).state();
        state.list("").unwrap().iter().for_each(|name| state.delete(name).unwrap());
        keys.iter().for_each(|(name, value)| state.put(name, value).unwrap());
    }

    pub(crate) fn open(&self, resume: Option<&Position>) -> Result<QualysGuard> {
        self.open_with(resume, &Services::without_host(&self.state()))
    }

    pub(crate) fn open_with(&self, resume: Option<&Position>, services: &Services) -> Result<QualysGuard> {
        let options = Options::read(QualysGuard::OPTIONS, self.options.to_string().as_bytes())?;
        let mut frame = OpenFrame::default();
        frame.run = self.run;
        frame.share = self.share;
        frame.purpose = Purpose::Run;
        let open = Open::new(&options, services, &frame);
        QualysGuard::open(&open, resume).map(|opened| opened.plugin)
    }

    /// Runs to the end and commits every position.
    pub(crate) fn run(&self) -> Result<Outcome> {
        self.run_with(&Services::without_host(&self.state()))
    }

    pub(crate) fn run_with(&self, services: &Services) -> Result<Outcome> {
        self.resume_with(None, services)
    }

    /// As [`Bench::run_with`], from a position.
    pub(crate) fn resume_with(&self, resume: Option<&Position>, services: &Services) -> Result<Outcome> {
        let mut input = self.open_with(resume, services)?;
        let mut outcome = Outcome::default();
        while step(&mut input, &mut outcome)? {
            let (position, _) = outcome.positions.last().cloned().unwrap_or_default();
            if !position.0.is_empty() {
                input.stored(&Stored::new(position, Vec::new()))?;
            }
        }
        Ok(outcome)
    }

    /// The error that ends the run, or the error of its only, refused report.
    pub(crate) fn fails(&self) -> PluginError {
        match self.run() {
            Ok(mut outcome) if outcome.reports.is_empty() && outcome.refused.len() == 1 => {
                outcome.refused.remove(0).error
            }
            outcome => outcome.map(|outcome| format!("{outcome:?}")).unwrap_err(),
        }
    }
}

/// One step; false if the input is finished or idle.
pub(crate) fn step(input: &mut QualysGuard, outcome: &mut Outcome) -> Result<bool> {
    let step = input.next(BatchBuilder::default())?;
    let position = step.position.unwrap_or_default();
    match step.event {
        Event::ReportStart { start, continued } => {
            outcome.reports.push(Report { start: *start, continued, ..Report::default() });
        }
        Event::Batch(batch) => {
            let report = outcome.reports.last_mut().unwrap();
            let columns = Columns::of_report(&report.start);
            report.take(Batch::of(&batch, &columns).unwrap());
            outcome.positions.push((position, outcome.findings().len()));
        }
        Event::ReportEnd(end) => {
            outcome.reports.last_mut().unwrap().end = Some(end);
            outcome.positions.push((position, outcome.findings().len()));
        }
        Event::Refused(refusal) => outcome.refused.push(refusal),
        Event::Mark => outcome.positions.push((position, outcome.findings().len())),
        Event::Idle(_) | Event::Finished => return Ok(false),
        event => panic!("unexpected step: {event:?}"),
    }
    Ok(true)
}

/// The bytes that this thread reads while `call` runs, from files of any kind.
pub(crate) fn bytes_read<T>(call: impl FnOnce() -> T) -> (u64, T) {
    let count = || -> u64 {
        let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
        io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
    };
    let before = count();
    let result = call();
    (count() - before, result)
}

/// Runs until the input is finished or idle, without commits.
pub(crate) fn finish(input: &mut QualysGuard) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    while step(input, &mut outcome)? {}
    Ok(outcome)
}
