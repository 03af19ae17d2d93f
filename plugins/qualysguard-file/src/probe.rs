//! The check: whether the files in the options exist and are reports.

use std::path::Path;

use scanbridge_plugin_api::{CheckReport, ErrorKind, PluginError, Result, Verdict, show_size};
use scanbridge_qualys_xml::Kind;

use crate::done::OnDone;
use crate::options::Settings;
use crate::paths::{Candidate, look_up};
use crate::source::Opener;

/// Examines all named files. Moves and decompresses nothing.
pub(crate) fn check(settings: &Settings) -> CheckReport {
    let mut report = CheckReport::default();
    let comes_later = settings.poll.is_some() || settings.on_done != OnDone::Keep;
    for candidate in look_up(&settings.paths, &settings.patterns) {
        report = match candidate {
            Candidate::StandardInput => report.step("standard input", Verdict::Ok, "is read during the run"),
            Candidate::Empty(path, error) if comes_later => report.step(path, Verdict::Ok, error.message),
            Candidate::Missing(path, error) | Candidate::Empty(path, error) => {
                report.failed_step(path, &error)
            }
            Candidate::File(path) => {
                let name = path.display().to_string();
                let contents = probe(&path, Kind::is_report);
                step(report, &name, contents)
            }
        };
    }
    if let Some(path) = &settings.knowledge_base {
        report = step(report, "knowledge_base", probe(path, |kind| *kind == Kind::KnowledgeBase));
    }
    match &settings.on_done {
        OnDone::Move(Some(folder)) if folder.is_dir() => report.step("done_folder", Verdict::Ok, "exists"),
        OnDone::Move(Some(folder)) if folder.exists() => {
            report.step("done_folder", Verdict::Failed, format!("{} is not a directory", folder.display()))
        }
        OnDone::Move(Some(_)) => report.step("done_folder", Verdict::Ok, "is created when needed"),
        OnDone::Move(None) | OnDone::Keep | OnDone::Delete => report,
    }
}

fn step(report: CheckReport, name: &str, contents: Result<String>) -> CheckReport {
    match contents {
        Ok(detail) => report.step(name, Verdict::Ok, detail),
        Err(error) => report.failed_step(name, &error),
    }
}

/// Kind and size of a file, from its first bytes.
///
/// # Errors
/// The error that a run would end with: the file cannot be opened, or is not of the wanted kind.
fn probe(path: &Path, wanted: impl Fn(&Kind) -> bool) -> Result<String> {
    let (kind, length) = Opener::peek(path)?;
    let (what, hint) = kind.describe();
    if wanted(&kind) {
        return Ok(format!("{what}, {}", show_size(length)));
    }
    let error = if kind == Kind::Empty { ErrorKind::NoInput } else { ErrorKind::BadData };
    Err(PluginError::new(error, format!("{} {what}", path.display())).with_hint(hint))
}
