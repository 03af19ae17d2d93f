//! The files that an operator can choose from, and those that were chosen.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use scanbridge_plugin_api::{
    ErrorKind, PluginError, ReportChoice, ReportEntry, ReportMarks, Result, Step, tracing,
};
use scanbridge_qualys_report::{Chosen, refusal};

use crate::delivered::Delivered;
use crate::fingerprint::FileKey;
use crate::options::Settings;
use crate::paths::{Candidate, find_files};
use crate::position::ParsedPosition;

/// The files of the options, with the text that identifies each.
pub(crate) fn files(settings: &Settings) -> Result<Vec<(String, PathBuf)>> {
    let candidates = find_files(&settings.paths, &settings.patterns);
    if candidates.iter().all(|candidate| *candidate == Candidate::StandardInput) {
        return Err(PluginError::no_reports());
    }
    let mut files = Vec::new();
    for candidate in candidates {
        match candidate {
            Candidate::File(path) if fs::metadata(&path).is_ok_and(|data| !data.is_file()) => {}
            Candidate::File(path) if settings.on_done.is_done(&path) => {}
            Candidate::File(path) => files.push((path.display().to_string(), path)),
            Candidate::Missing(_, error) => tracing::warn!("{error}"),
            Candidate::Empty(..) | Candidate::StandardInput => {}
        }
    }
    Ok(files)
}

/// The entries of the list. Changes nothing.
pub(crate) fn entries(settings: &Settings, delivered: &Delivered) -> Result<Vec<ReportEntry>> {
    let entry = |(id, path): (String, PathBuf)| {
        let data = fs::metadata(&path).ok();
        let title = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let key = FileKey::of(&path);
        let is_delivered = key.as_ref().map_or(Ok(false), |key| delivered.contains(key))?;
        let made = data.as_ref().and_then(|data| data.modified().ok()).map(utc).unwrap_or_default();
        let state = if key.is_some() { "" } else { "unreadable" };
        Ok(ReportEntry::new(id, title)
            .with_made(made)
            .with_bytes(data.map(|data| data.len()))
            .with_source_state(state)
            .with_ready(key.is_some())
            .with_delivered(is_delivered))
    };
    files(settings)?.into_iter().map(entry).collect()
}

/// Lets files count as delivered, or no longer. Returns the number of changes.
pub(crate) fn mark(settings: &Settings, delivered: &mut Delivered, marks: &ReportMarks) -> Result<u64> {
    if settings.poll.is_none() {
        let error = PluginError::config("each run reads all files, so no file can be skipped");
        return Err(error.with_option("watch").with_hint("set `watch: yes`, which delivers each file once"));
    }
    let mut changed = 0;
    let marked = files(settings)?.into_iter().filter(|(id, _)| marks.ids.contains(id));
    for key in marked.filter_map(|(_, path)| FileKey::of(&path)) {
        changed += u64::from(delivered.mark(&key, marks.delivered)?);
    }
    Ok(changed)
}

/// The files that an operator has chosen.
#[derive(Debug)]
pub(crate) struct ChosenFiles {
    pub(crate) chosen: Chosen,
    /// The files of the options, from the first call on.
    files: Option<Vec<(String, PathBuf)>>,
}

/// What follows in a run with a choice.
pub(crate) enum Next {
    /// This file is read.
    File(PathBuf),
    /// This step is returned.
    Step(Box<Step>),
}

impl ChosenFiles {
    /// The first `done` files were delivered or refused before.
    pub(crate) fn new(choice: ReportChoice, done: usize) -> Self {
        Self { chosen: Chosen::new(choice, done), files: None }
    }

    /// The next file, a refusal, or the end.
    pub(crate) fn next(&mut self, settings: &Settings, delivered: &Delivered) -> Result<Next> {
        if self.chosen.needs_mark() {
            return Ok(Next::Step(
                Step::mark(ParsedPosition { report: None, chosen: self.chosen.done() }.write()).into(),
            ));
        }
        let Some(id) = self.chosen.current().map(str::to_owned) else {
            return Ok(Next::Step(Step::finished().into()));
        };
        if self.files.is_none() {
            self.files = Some(files(settings)?);
        }
        let file = self.files.iter().flatten().find(|(known, _)| *known == id);
        let Some((_, path)) = file.cloned() else {
            let error = no_input(format!("{id} is not one of the files of option `path`"));
            return Ok(Next::Step(self.chosen.refuse(refusal(&id, error, false)).into()));
        };
        let key = FileKey::of(&path).filter(|_| !self.chosen.again());
        if key.is_some_and(|key| delivered.contains(&key).unwrap_or(false)) {
            let error = no_input(format!("{id} was sent before"));
            let error = error.with_hint("choose it with `--again` to send it once more");
            return Ok(Next::Step(self.chosen.refuse(refusal(&id, error, false)).into()));
        }
        Ok(Next::File(path))
    }
}

fn no_input(message: String) -> PluginError {
    PluginError::new(ErrorKind::NoInput, message)
}

/// A time in the form of the list: UTC in whole seconds.
fn utc(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = i64::try_from(since.as_secs()).ok().and_then(|secs| jiff::Timestamp::from_second(secs).ok());
    time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}
