//! An instance that is called step by step, dropped at will, and opened again with a position.

use std::path::Path;

use scanbridge_plugin_api::batch::{Batch, BatchBuilder, Columns};
use scanbridge_plugin_api::model::{Refusal, ReportEnd, ReportStart};
use scanbridge_plugin_api::{Input, Next, Options, Position, Result, Services};
use scanbridge_plugin_contract::rows::{self, Row};
use scanbridge_qualysguard_file::QualysGuardFile;
use serde_json::Value;

/// One thing of the stream, whichever batch it came with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    Start(Box<ReportStart>),
    Asset(Row),
    Finding(Row),
    End(ReportEnd),
    Refused(Refusal),
}

/// Why [`Session::go`] came back.
#[derive(Debug, PartialEq)]
pub(crate) enum Pause {
    Idle,
    Finished,
}

pub(crate) struct Session {
    input: QualysGuardFile,
    pub(crate) events: Vec<Event>,
    /// Every position with the number of events before it.
    pub(crate) positions: Vec<(usize, Position)>,
}

impl Session {
    pub(crate) fn open(options: &Value, state: &Path, resume: Option<&Position>) -> Self {
        let options = Options::read(QualysGuardFile::OPTIONS, options.to_string().as_bytes()).unwrap();
        let input = QualysGuardFile::open(&options, &Services::without_host(state), resume).unwrap();
        Self { input, events: Vec::new(), positions: Vec::new() }
    }

    /// Takes one step.
    pub(crate) fn step(&mut self) -> Option<Pause> {
        let position = match self.input.next(BatchBuilder::default()).unwrap() {
            Next::ReportStart(start) => {
                self.events.push(Event::Start(start));
                return None;
            }
            Next::Batch { batch, position } => {
                let columns = Columns::of(scanbridge_plugin_api::batch::Schema::default());
                let batch = Batch::of(&batch, &columns).unwrap();
                self.events.extend(rows::assets(batch).into_iter().map(Event::Asset));
                self.events.extend(rows::findings(batch).into_iter().map(Event::Finding));
                position
            }
            Next::ReportEnd { end, position } => {
                self.events.push(Event::End(end));
                position
            }
            Next::Refused(refusal) => {
                self.events.push(Event::Refused(refusal));
                return None;
            }
            Next::Idle(_) => return Some(Pause::Idle),
            Next::Finished => return Some(Pause::Finished),
        };
        self.positions.push((self.events.len(), position));
        None
    }

    /// Goes on to the end, or to where the input waits for files.
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

    /// All up to the last position is delivered.
    pub(crate) fn commit(&mut self) -> Result<()> {
        let position = self.last_position();
        self.input.committed(&position)
    }

    pub(crate) fn ends(&self) -> Vec<&ReportEnd> {
        self.events.iter().filter_map(Event::end).collect()
    }

    /// The names of the files whose reports were begun since `from`, with `+` after those that were resumed.
    pub(crate) fn files(&self) -> Vec<String> {
        let name = |event: &Event| match event {
            Event::Start(start) => {
                let name = Path::new(&start.path).file_name().unwrap().to_string_lossy().into_owned();
                Some(name + if start.continued { "+" } else { "" })
            }
            _ => None,
        };
        self.events.iter().filter_map(name).collect()
    }

    pub(crate) fn refusals(&self) -> Vec<&Refusal> {
        self.events.iter().filter_map(Event::refusal).collect()
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
