//! A run of a few reports, with the calls of a host: commits, a ledger that stores some of the receipts, and
//! publication after that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{ErrorKind, PluginError, Receipt, Result};

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
    /// After which calls a commit follows, and which receipts of commits inside a report are stored; the pattern
    /// repeats.
    pub(super) commits: Vec<bool>,
    pub(super) stores: Vec<bool>,
    /// What the next run does with a report that was interrupted; the pattern repeats.
    pub(super) next_runs: Vec<NextRun>,
    /// Whether the host opens the file again after an error, at the last commit. Otherwise its run ends.
    pub(super) reopens: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextRun {
    Resumes,
    /// Reads the report from the beginning.
    Repeats,
    /// Does not find the report again.
    Skips,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Begin(usize),
    Write(usize, usize),
    End(usize),
}

/// The next call, and the receipt.
#[derive(Debug, Clone, Default)]
struct Checkpoint {
    next: usize,
    receipt: Option<Receipt>,
}

/// What a host keeps on its own disk.
#[derive(Debug, Default)]
struct Ledger {
    checkpoint: Checkpoint,
    /// The reports that were not found again.
    skipped: BTreeSet<usize>,
}

/// Why an attempt ended.
enum Failure {
    /// The file failed.
    File(PluginError),
    /// The ledger could not be written.
    Ledger,
}

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        Self::File(error)
    }
}

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
            next_runs: vec![NextRun::Resumes],
            reopens: false,
        }
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
    pub(super) fn run_steps(&self, faults: &[(u32, Fault)]) -> usize {
        // In memory where possible, because the tests create many thousands of directories.
        let parent = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let folder = parent.path().join("out");
        fs::create_dir(&folder).unwrap();
        for (stem, pieces) in self.old_files() {
            for (index, text) in pieces.iter().enumerate() {
                let number = self.max_bytes.map(|_| format!(".{:04}", index + 1)).unwrap_or_default();
                fs::write(folder.join(format!("{stem}{number}.csv")), text).unwrap();
            }
        }
        fault::use_folder(&folder);
        let mut ledger = Ledger::default();
        let mut came = 0;
        let next_runs: Vec<_> = self.next_runs.iter().cycle().take(faults.len() + 1).copied().collect();
        for ((step, kind), next_run) in faults.iter().zip(&next_runs) {
            fault::plan(*step, *kind);
            let outcome = self.run(&folder, &mut ledger, *next_run);
            let is_disturbed = fault::clear_faults();
            came += usize::from(is_disturbed);
            if let Err(Failure::File(error)) = outcome {
                assert!(is_disturbed, "{error} ({:?}), {self:?}", error.hint);
                let kinds = [ErrorKind::Io, ErrorKind::CannotCreate];
                assert!(kinds.contains(&error.kind), "{error}");
            }
        }
        if let Err(Failure::File(error)) = self.run(&folder, &mut ledger, next_runs[faults.len()]) {
            panic!("{error}, {faults:?}, {self:?}");
        }
        let mut found = content(&folder);
        if ledger.skipped.contains(&(self.reports.len() - 1)) {
            // No report came after it, so its parts were not removed.
            found.retain(|name, _| !name.starts_with('.'));
        }
        assert_eq!(found, model::folder(self, &ledger.skipped), "{faults:?}, {self:?}");
        came
    }

    /// One process: resumes at the ledger's checkpoint. Its files are dropped before it returns.
    fn run(&self, folder: &Path, ledger: &mut Ledger, next_run: NextRun) -> Result<(), Failure> {
        let mut last = ledger.checkpoint.clone();
        let mut outcome = self.attempt(folder, ledger, &mut last, next_run);
        if let Err(Failure::File(_)) = outcome
            && self.reopens
            && !fault::is_dead()
        {
            outcome = self.attempt(folder, ledger, &mut last, NextRun::Resumes);
        }
        outcome
    }

    /// One instance of the file, opened at this checkpoint.
    fn attempt(
        &self,
        folder: &Path,
        ledger: &mut Ledger,
        last: &mut Checkpoint,
        next_run: NextRun,
    ) -> Result<(), Failure> {
        let target = Target {
            if_exists: self.if_exists,
            rotate: Rotation { max_bytes: self.max_bytes, max_age: None },
            ..Target::new(folder.join(self.template))
        };
        let calls = self.calls();
        let mut file = ReportFile::open(target, last.receipt.as_ref())?;
        let next = match calls.get(last.next).copied() {
            Some(Call::Write(report, _) | Call::End(report)) => {
                self.resume(&mut file, report, last.next, next_run, ledger)?
            }
            _ => last.next,
        };
        for (index, call) in calls.iter().enumerate().skip(next) {
            let is_end = matches!(call, Call::End(_));
            let before = is_end.then(|| content(folder));
            self.call(&mut file, *call)?;
            if self.commits[index % self.commits.len()] || is_end {
                let receipt = file.commit(index.to_string().as_bytes())?;
                *last = Checkpoint { next: index + 1, receipt: Some(receipt) };
                if self.stores[index % self.stores.len()] || is_end {
                    fault::step().map_err(|_| Failure::Ledger)?;
                    ledger.checkpoint = last.clone();
                }
            }
            if let Some(before) = before {
                let mut after = content(folder);
                after.retain(|name, text| !name.starts_with('.') && before.get(name) != Some(text));
                assert!(after.is_empty(), "{after:?} appeared before its receipt was stored, {self:?}");
                file.stored()?;
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

    /// Resumes, repeats or skips a report that was interrupted before the call `next`. Returns the next call.
    fn resume(
        &self,
        file: &mut ReportFile,
        report: usize,
        next: usize,
        next_run: NextRun,
        ledger: &mut Ledger,
    ) -> Result<usize> {
        let position = |wanted| self.calls().iter().position(|call| *call == wanted).unwrap();
        match next_run {
            _ if ledger.skipped.contains(&report) => Ok(position(Call::End(report)) + 1),
            NextRun::Resumes => {
                let mode = file.begin(&self.start(report), true)?;
                assert_eq!(mode, StartMode::Continued((next - 1).to_string().into_bytes()));
                Ok(next)
            }
            NextRun::Repeats => Ok(position(Call::Begin(report))),
            NextRun::Skips => {
                ledger.skipped.insert(report);
                Ok(position(Call::End(report)) + 1)
            }
        }
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
            Call::End(report) => file.end(self.reports[report].deliver).map(|_| ()),
        }
    }

    fn start(&self, report: usize) -> ReportStart {
        let title = format!("report {report}");
        ReportStart::default().with_id(self.reports[report].id.to_owned()).with_title(title)
    }
}

/// All files of the directory but locks, which a killed process leaves.
fn content(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let read = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
    };
    entries.map(read).filter(|(name, _)| !name.ends_with(".lock")).collect()
}
