//! An instance that is called step by step, and can be dropped and reopened at a position.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use scanbridge_plugin_api::batch::{AssetRow, Batch, BatchBuilder, Columns};
use scanbridge_plugin_api::model::{AssetField, Refusal, ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Event as Happened, Input, Open, OpenFrame, Options, Outcome, Position, ReportKey, Result, Services,
    State, Stored, StoredReport,
};
use scanbridge_plugin_contract::rows::{self, Row};
use scanbridge_qualysguard_file::QualysGuardFile;
use serde_json::Value;

/// One element of the stream, independent of its batch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The report, and whether it continues one.
    Start(Box<ReportStart>, bool),
    Asset(Row),
    Finding(Row),
    End(ReportEnd),
    Refused(Refusal),
}

/// Why [`Session::go`] returned.
#[derive(Debug, PartialEq)]
pub(crate) enum Pause {
    Idle,
    Finished,
}

pub(crate) struct Session {
    input: QualysGuardFile,
    keys: KeysOfRuns,
    one_asset_per_batch: bool,
    pub(crate) events: Vec<Event>,
    /// Each position with the number of events before it.
    pub(crate) positions: Vec<(usize, Position)>,
    /// The keys at each position.
    keys_at: Vec<BTreeMap<String, Vec<u8>>>,
}

impl Session {
    pub(crate) fn open(options: &Value, state: &Path, resume: Option<&Position>) -> Self {
        let position = resume.map(|position| position.0.clone());
        let keys = SAVED.lock().unwrap().get(&(state.to_owned(), position)).cloned();
        Self::open_with_keys(&keys.unwrap_or_default(), options, state, resume)
    }

    /// Resumes this session in another state directory, at the position after this number of events.
    pub(crate) fn resume(&self, options: &Value, state: &Path, at: usize, position: &Position) -> Self {
        let index = self.positions.iter().position(|found| *found == (at, position.clone())).unwrap();
        Self::open_with_keys(&self.keys_at[index], options, state, Some(position))
    }

    fn open_with_keys(
        keys: &BTreeMap<String, Vec<u8>>,
        options: &Value,
        state: &Path,
        resume: Option<&Position>,
    ) -> Self {
        let saved = keys;
        let options = Options::read(QualysGuardFile::OPTIONS, options.to_string().as_bytes()).unwrap();
        let (services, frame) = (Services::without_host(state), OpenFrame::default());
        let keys = KeysOfRuns { folder: state.to_owned(), state: services.state() };
        keys.restore(saved);
        let open = Open::new(&options, &services, &frame);
        let input = QualysGuardFile::open(&open, resume).unwrap().plugin;
        Self {
            input,
            keys,
            one_asset_per_batch: false,
            events: Vec::new(),
            positions: Vec::new(),
            keys_at: Vec::new(),
        }
    }

    /// Every batch ends after one asset, so that there is a position after each.
    pub(crate) fn one_asset_per_batch(mut self) -> Self {
        self.one_asset_per_batch = true;
        self
    }

    /// Calls `next` once.
    pub(crate) fn step(&mut self) -> Option<Pause> {
        let mut builder = BatchBuilder::default();
        if self.one_asset_per_batch {
            // The batch is full from the beginning.
            let mut filler = AssetRow::default();
            filler.set(AssetField::Os, &"x".repeat(BatchBuilder::TARGET_BYTES));
            builder.push_asset(&filler, false);
        }
        let step = self.input.next(builder).unwrap();
        match step.event {
            Happened::ReportStart { start, continued } => {
                self.events.push(Event::Start(start, continued));
                return None;
            }
            Happened::Batch(batch) => {
                let columns = Columns::of(scanbridge_plugin_api::batch::Schema::default());
                let batch = Batch::of(&batch, &columns).unwrap();
                let filler = usize::from(self.one_asset_per_batch);
                self.events.extend(rows::assets(batch).into_iter().skip(filler).map(Event::Asset));
                self.events.extend(rows::findings(batch).into_iter().map(Event::Finding));
            }
            Happened::ReportEnd(end) => self.events.push(Event::End(end)),
            Happened::Refused(refusal) => {
                self.events.push(Event::Refused(refusal));
                return None;
            }
            Happened::Idle(_) => return Some(Pause::Idle),
            Happened::Finished => return Some(Pause::Finished),
            event => panic!("unexpected step: {event:?}"),
        }
        let position = step.position.unwrap_or_default();
        self.keys.save(Some(&position));
        self.keys_at.push(self.keys.all());
        self.positions.push((self.events.len(), position));
        None
    }

    /// Continues to the end, or until the input waits for files.
    pub(crate) fn go(&mut self) -> Pause {
        loop {
            if let Some(pause) = self.step() {
                return pause;
            }
        }
    }

    /// Continues until `reports` reports have ended.
    pub(crate) fn go_to_end_of(&mut self, reports: usize) -> Position {
        while self.ends().len() < reports {
            assert_eq!(self.step(), None, "there are fewer than {reports} reports");
        }
        self.last_position()
    }

    pub(crate) fn last_position(&self) -> Position {
        self.positions.last().unwrap().1.clone()
    }

    /// Commits everything up to the last position.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.commit_as(Outcome::Delivered)
    }

    /// All up to the last position is stored, with this outcome of every report.
    pub(crate) fn commit_as(&mut self, outcome: Outcome) -> Result<()> {
        let reports = self.stored_reports(outcome);
        let position = self.last_position();
        let result = self.input.stored(&Stored::new(position.clone(), reports));
        self.keys.save(Some(&position));
        self.keys.save(None);
        result
    }

    /// Reports of an earlier session that was killed before it was informed about them.
    pub(crate) fn confirm(&mut self, position: &Position, reports: Vec<StoredReport>) -> Result<()> {
        self.input.stored(&Stored::new(position.clone(), reports))
    }

    /// The reports so far.
    pub(crate) fn stored_reports(&self, outcome: Outcome) -> Vec<StoredReport> {
        let reports = self.events.iter().filter_map(|event| match event {
            Event::Start(start, _) => Some(StoredReport::new(
                ReportKey::default().with_path(start.path.clone()).with_revision(start.revision.clone()),
                outcome,
            )),
            _ => None,
        });
        reports.collect()
    }

    /// The paths of the files in the list of delivered files.
    pub(crate) fn listed(&self) -> Vec<String> {
        let values =
            self.keys.state.list("").unwrap().into_iter().map(|name| self.keys.state.get(&name).unwrap());
        values.map(|value| String::from_utf8(value.unwrap()).unwrap()).collect()
    }

    pub(crate) fn ends(&self) -> Vec<&ReportEnd> {
        self.events.iter().filter_map(Event::end).collect()
    }

    /// The names of the files whose reports were begun, with `+` after those that were resumed.
    pub(crate) fn files(&self) -> Vec<String> {
        let name = |event: &Event| match event {
            Event::Start(start, continued) => {
                let name = Path::new(&start.path).file_name().unwrap().to_string_lossy().into_owned();
                Some(name + if *continued { "+" } else { "" })
            }
            _ => None,
        };
        self.events.iter().filter_map(name).collect()
    }

    pub(crate) fn refusals(&self) -> Vec<&Refusal> {
        self.events.iter().filter_map(Event::refusal).collect()
    }
}

/// The keys of the instance as a host stores them: together with a position, and after `stored`.
struct KeysOfRuns {
    folder: PathBuf,
    state: State,
}

type Saved = BTreeMap<(PathBuf, Option<Vec<u8>>), BTreeMap<String, Vec<u8>>>;
static SAVED: Mutex<Saved> = Mutex::new(BTreeMap::new());

impl KeysOfRuns {
    /// Saves the keys for a run that resumes at this position, or that starts after everything was stored.
    fn save(&self, position: Option<&Position>) {
        let key = (self.folder.clone(), position.map(|position| position.0.clone()));
        SAVED.lock().unwrap().insert(key, self.all());
    }

    fn all(&self) -> BTreeMap<String, Vec<u8>> {
        let names = self.state.list("").unwrap().into_iter();
        names.map(|name| (name.clone(), self.state.get(&name).unwrap().unwrap())).collect()
    }

    fn restore(&self, keys: &BTreeMap<String, Vec<u8>>) {
        self.state.list("").unwrap().iter().for_each(|name| self.state.delete(name).unwrap());
        keys.iter().for_each(|(name, value)| self.state.put(name, value).unwrap());
    }
}

impl Event {
    fn end(&self) -> Option<&ReportEnd> {
        if let Self::End(end) = self { Some(end) } else { None }
    }

    fn refusal(&self) -> Option<&Refusal> {
        if let Self::Refused(refusal) = self { Some(refusal) } else { None }
    }
}
