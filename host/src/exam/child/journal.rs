//! The journal of a child process.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use scanbridge_plugin_api::CheckReport;

use crate::exam::job::{Answer, Entry};

/// The journal of a child process, one line for each event.
pub(super) struct Journal(Mutex<File>);

impl Journal {
    pub(super) fn new(file: File) -> Self {
        Self(Mutex::new(file))
    }

    /// Adds a line with one system call: it survives SIGKILL.
    pub(super) fn add(&self, entry: &Entry) {
        let mut line = serde_json::to_vec(entry).expect("an entry can be serialized");
        line.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line).expect("the journal can be written");
    }
}

/// The steps of a probe, for the journal.
pub(super) fn checked(report: &CheckReport) -> Answer {
    let steps = report.steps.iter().map(|step| format!("{}: {:?}: {}", step.name, step.verdict, step.detail));
    Answer { steps: steps.collect(), ..Answer::default() }
}
