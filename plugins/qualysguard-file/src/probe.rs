//! Checks whether the files in the options exist and are reports.

use std::path::Path;

use scanbridge_plugin_api::{CheckReport, ErrorKind, PluginError, Result, Verdict, show_size};
use scanbridge_qualys_xml::Kind;

use crate::done::OnDone;
use crate::options::Settings;
use crate::paths::{Candidate, find_files};
use crate::source::Opener;

/// Examines all named files, without moving them or storing decompressed data.
pub(crate) fn check(settings: &Settings) -> CheckReport {
    let mut report = CheckReport::default();
    let may_be_empty = settings.poll.is_some() || settings.on_done != OnDone::Keep;
    for candidate in find_files(&settings.paths, &settings.patterns) {
        report = match candidate {
            Candidate::StandardInput => report.step("standard input", Verdict::Ok, "is read during the run"),
            Candidate::Empty(path, error) if may_be_empty => report.step(path, Verdict::Ok, error.message),
            // A watching run waits for it.
            Candidate::Missing(path, error) if settings.poll.is_some() => {
                report.warning_step(path, &error.with_option("path"))
            }
            Candidate::Missing(path, error) | Candidate::Empty(path, error) => {
                report.failed_step(path, &error.with_option("path"))
            }
            Candidate::File(path) => {
                let name = path.display().to_string();
                let contents = probe(&path, |kind| kind.is_report() || settings.ignores(kind).is_some());
                step(report, &name, "path", contents)
            }
        };
    }
    if let Some(path) = &settings.knowledge_base {
        report = step(
            report,
            "knowledge_base",
            "knowledge_base",
            probe(path, |kind| *kind == Kind::KnowledgeBase),
        );
    }
    match &settings.on_done {
        OnDone::Move(Some(folder)) if folder.is_dir() => report.step("done_folder", Verdict::Ok, "exists"),
        OnDone::Move(Some(folder)) if folder.exists() => {
            let message = format!("{} is not a directory", folder.display());
            let error = PluginError::new(ErrorKind::CannotCreate, message);
            report.failed_step("done_folder", &error.with_option("done_folder"))
        }
        OnDone::Move(Some(_)) => report.step("done_folder", Verdict::Ok, "is created when needed"),
        OnDone::Move(None) | OnDone::Keep | OnDone::Delete => report,
    }
}

fn step(report: CheckReport, name: &str, option: &str, contents: Result<String>) -> CheckReport {
    match contents {
        Ok(detail) => report.step(name, Verdict::Ok, detail),
        Err(error) => report.failed_step(name, &error.with_option(option)),
    }
}

/// Format and size of a file. The format is determined by its first bytes.
///
/// # Errors
/// The error with which a run would fail: the file cannot be opened, or is not of the expected kind.
fn probe(path: &Path, is_expected: impl Fn(&Kind) -> bool) -> Result<String> {
    let (kind, length) = Opener::peek(path)?;
    let (what, hint) = kind.describe();
    if is_expected(&kind) {
        return Ok(format!("{what}, {}", show_size(length)));
    }
    let error = if kind == Kind::Empty { ErrorKind::NoInput } else { ErrorKind::BadData };
    Err(PluginError::new(error, format!("{} {what}", path.display())).with_hint(hint))
}
