//! The check: whether the files of the options exist, and are reports.

use std::path::Path;

use scanbridge_plugin_api::{CheckReport, Verdict, show_size};
use scanbridge_qualys_xml::Kind;

use crate::done::OnDone;
use crate::options::Settings;
use crate::paths::{Candidate, look_up};
use crate::source::Opener;

/// Looks at everything that is named, moves nothing and unpacks nothing.
pub(crate) fn check(settings: &Settings) -> CheckReport {
    let mut report = CheckReport::default();
    let comes_later = settings.poll.is_some() || settings.on_done != OnDone::Keep;
    for candidate in look_up(&settings.paths, &settings.patterns) {
        report = match candidate {
            Candidate::StandardInput => report.step("standard input", Verdict::Ok, "is read during the run"),
            Candidate::Empty(path, error) if comes_later => report.step(path, Verdict::Ok, error.message),
            Candidate::Missing(path, error) | Candidate::Empty(path, error) => {
                report.step(path, Verdict::Failed, error.message)
            }
            Candidate::File(path) => {
                let (verdict, detail) = probe(&path, Kind::is_report);
                report.step(path.display().to_string(), verdict, detail)
            }
        };
    }
    if let Some(path) = &settings.knowledge_base {
        let (verdict, detail) = probe(path, |kind| *kind == Kind::KnowledgeBase);
        report = report.step("knowledge_base", verdict, detail);
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

/// What a file is and how large, as far as its first bytes tell.
fn probe(path: &Path, wanted: impl Fn(&Kind) -> bool) -> (Verdict, String) {
    match Opener::peek(path) {
        Err(error) => (Verdict::Failed, error.message),
        Ok((kind, length)) => {
            let (what, hint) = kind.describe();
            if wanted(&kind) {
                (Verdict::Ok, format!("{what}, {}", show_size(length)))
            } else {
                (Verdict::Failed, [what.as_str(), hint].join("; "))
            }
        }
    }
}
