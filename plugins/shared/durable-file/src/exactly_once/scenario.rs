//! A run of a few reports, with the calls of a host: commits, and a ledger that stores some of the receipts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{ErrorKind, Receipt, Result};

use super::model;
use crate::fault::{self, Fault};
use crate::report_file::{ReportFile, StartMode};
use crate::target::{IfExists, Rotation, Target};

pub(super) const HEADER: &str = "HEADER\n";

#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) id: &'static str,
    pub(super) records: Vec<String>,
    pub(super) deliver: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) template: &'static str,
    pub(super) if_exists: IfExists,
    pub(super) max_bytes: Option<u64>,
    /// Whether an earlier run has left files.
    pub(super) old: bool,
    pub(super) reports: Vec<Report>,
    /// After which calls a commit follows, and which receipts are stored; the pattern repeats.
    pub(super) commits: Vec<bool>,
    pub(super) stores: Vec<bool>,
    /// Whether the input can resume within a report; otherwise it reads the report from the beginning.
    pub(super) can_resume: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Begin(usize),
    Write(usize, usize),
    End(usize),
}

/// The stored state: the next call, and the receipt.
type Ledger = (usize, Option<Receipt>);

impl Report {
    pub(super) fn new(id: &'static str, records: &[&str], deliver: bool) -> Self {
        Self { id, records: records.iter().map(ToString::to_string).collect(), deliver }
    }
}

impl Scenario {
    pub(super) fn of(reports: Vec<Report>) -> Self {
        Self {
            template: "out.csv",
            if_exists: IfExists::Replace,
            max_bytes: None,
            old: false,
            reports,
            commits: vec![true, false, true],
            stores: vec![true, true, false, true, false],
            can_resume: true,
        }
    }

    /// The same scenario with a ledger that stores receipts only at the ends of reports, where possible.
    pub(super) fn stored_at_ends(&self) -> Self {
        let ends = self.calls().iter().map(|call| matches!(call, Call::End(_))).collect();
        Self { commits: vec![true], stores: ends, ..self.clone() }
    }

    /// The files of an earlier run, as pieces by stem.
    pub(super) fn old_files(&self) -> Vec<(String, Vec<String>)> {
        let pieces = match self.max_bytes {
            Some(_) => vec!["old piece, full\n".to_owned(), "old\n".to_owned()],
            None => vec!["old\n".to_owned()],
        };
        let stems = ["out", "a", "b"].into_iter().filter(|_| self.old);
        stems.map(|stem| (stem.to_owned(), pieces.clone())).collect()
    }

    /// Runs until all calls are done: one process per fault, then one without. Returns the number of faults that
    /// occurred.
    pub(super) fn play(&self, faults: &[(u32, Fault)]) -> usize {
        // In memory where possible, because the tests create many thousands of directories.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        for (stem, pieces) in self.old_files() {
            for (index, text) in pieces.iter().enumerate() {
                let number = self.max_bytes.map(|_| format!(".{:04}", index + 1)).unwrap_or_default();
                fs::write(folder.path().join(format!("{stem}{number}.csv")), text).unwrap();
            }
        }
        let mut ledger = (0, None);
        let mut came = 0;
        for (step, kind) in faults {
            fault::plan(*step, *kind);
            let outcome = self.attempt(folder.path(), &mut ledger);
            let is_disturbed = fault::revive();
            came += usize::from(is_disturbed);
            if let Err(error) = outcome {
                assert!(is_disturbed, "{error} ({:?}), {self:?}", error.hint);
                let kinds = [ErrorKind::Io, ErrorKind::CannotCreate];
                assert!(kinds.contains(&error.kind), "{error}");
            }
        }
        let outcome = self.attempt(folder.path(), &mut ledger);
        assert!(outcome.is_ok(), "{outcome:?}, {faults:?}, {self:?}");
        assert_eq!(content(folder.path()), model::folder(self), "{faults:?}, {self:?}");
        came
    }

    /// One process: resumes at the ledger's checkpoint. Its files are dropped before it returns.
    fn attempt(&self, folder: &Path, ledger: &mut Ledger) -> Result<()> {
        let target = Target {
            if_exists: self.if_exists,
            rotate: Rotation { max_bytes: self.max_bytes, max_age: None },
            ..Target::new(folder.join(self.template))
        };
        let calls = self.calls();
        let mut file = ReportFile::open(target, ledger.1.as_ref())?;
        let mut next = ledger.0;
        if let Some(Call::Write(report, _) | Call::End(report)) = calls.get(next).copied() {
            next = match self.can_resume {
                true => self.resume_report(&mut file, report, next)?,
                false => calls.iter().position(|call| *call == Call::Begin(report)).unwrap(),
            };
        }
        for (index, call) in calls.iter().enumerate().skip(next) {
            self.call(&mut file, *call)?;
            if self.wants_commit(index, *call) {
                let receipt = file.commit(index.to_string().as_bytes())?;
                assert!(!fault::is_unsynced(), "a receipt was given for data that is not on the disk");
                if self.stores[index % self.stores.len()] || self.must_store(*call) {
                    *ledger = (index + 1, Some(receipt));
                }
            }
        }
        Ok(())
    }

    fn calls(&self) -> Vec<Call> {
        let mut calls = Vec::new();
        for (index, report) in self.reports.iter().enumerate() {
            calls.push(Call::Begin(index));
            calls.extend((0..report.records.len()).map(|record| Call::Write(index, record)));
            calls.push(Call::End(index));
        }
        calls
    }

    fn resume_report(&self, file: &mut ReportFile, report: usize, next: usize) -> Result<usize> {
        let begun = file.begin(&self.start(report), true)?;
        assert_eq!(begun, StartMode::Continued((next - 1).to_string().into_bytes()));
        Ok(next)
    }

    fn call(&self, file: &mut ReportFile, call: Call) -> Result<()> {
        match call {
            Call::Begin(report) => {
                if file.begin(&self.start(report), false)? == StartMode::Empty {
                    file.write(HEADER.as_bytes())?;
                }
                Ok(())
            }
            Call::Write(report, record) => {
                if file.record_boundary()? {
                    file.write(HEADER.as_bytes())?;
                }
                file.write(self.reports[report].records[record].as_bytes())
            }
            Call::End(report) => file.end(self.reports[report].deliver),
        }
    }

    fn start(&self, report: usize) -> ReportStart {
        let title = format!("report {report}");
        ReportStart { id: self.reports[report].id.to_owned(), title, ..ReportStart::default() }
    }

    fn wants_commit(&self, index: usize, call: Call) -> bool {
        self.commits[index % self.commits.len()] || self.must_store(call)
    }

    /// The receipts that a host must store for exactly-once delivery. It stores one before it publishes a file that
    /// is not simply replaced, and before it rolls back a report.
    fn must_store(&self, call: Call) -> bool {
        match call {
            Call::Begin(_) => self.if_exists != IfExists::Replace,
            Call::Write(..) => false,
            Call::End(report) => !self.reports[report].deliver,
        }
    }
}

fn content(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let read = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
    };
    // A leftover part file does not affect later runs. It remains if it could not be removed or its process was
    // killed at the end.
    entries.map(read).filter(|(name, _)| !name.starts_with('.')).collect()
}
