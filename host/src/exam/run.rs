//! The order of the exam.

use std::io;

use scanbridge_plugin_api::{Descriptor, PluginKind};
use serde_json::Value;

use super::checks::{general, input, output};
use super::report::{Checked, Finding, GENERAL, INPUT, OUTPUT, PluginReport, Report, not_examined};
use super::subject::{Exam, Request, Seen, Subject};
use crate::config::{ExamPlugin, Problems, read_exam};
use crate::plugins::{FilePermissionCheck, Library};

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The library cannot be examined.
    Library(String),
    /// The exam file is invalid.
    Config(Problems),
    /// A check of this name does not exist.
    UnknownCheck(String),
    /// A directory or process could not be made.
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Text, JSON and exit code of an exam.
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) json: Value,
    pub(crate) exit_code: u8,
}

/// Examines a library.
///
/// # Errors
/// When nothing was examined.
pub(crate) fn examine(request: &Request) -> Result<Outcome, Refused> {
    let known = GENERAL.iter().chain(&OUTPUT).chain(&INPUT);
    if let Some(only) = &request.only
        && !known.clone().any(|(id, _)| id.eq_ignore_ascii_case(only))
    {
        return Err(Refused::UnknownCheck(only.clone()));
    }
    let check = if request.allow_world_writable {
        FilePermissionCheck::Disabled
    } else {
        FilePermissionCheck::OwnerOnly
    };
    let library = request.library.canonicalize()?;
    let identity = Library::read(library.clone(), &request.library, check);
    let identity = identity.map_err(|error| Refused::Library(error.to_string()))?;
    let mut exam = Exam::new(request, library)?;
    let described = exam.describe()?;
    let descriptors = general::descriptors(&described);
    let file = match &request.config {
        Some(path) => read_exam(path, &descriptors, |text| exam.in_text(text)).map_err(Refused::Config)?,
        None => Vec::new(),
    };
    let mut report = Report::default();
    for plugin in &identity.identity().plugins {
        let own = file.iter().find(|(kind, name, _)| *kind == plugin.kind && *name == plugin.name);
        let descriptor = descriptors.iter().find(|one| one.kind == plugin.kind && one.name == plugin.name);
        let general = general::description(&described, plugin.kind, &plugin.name);
        let subject = descriptor.zip(own.map(|(_, _, exam)| exam));
        report.plugins.push(examine_plugin(&mut exam, plugin.kind, &plugin.name, general, subject));
    }
    let mut again = format!("scanbridge plugin test {}", request.library.display());
    if let Some(config) = &request.config {
        again.push_str(&format!(" --config {}", config.display()));
    }
    Ok(Outcome { text: report.to_text(&again), json: report.to_json(), exit_code: report.exit_code() })
}

/// Makes the checks of one plugin, in an order in which the first failures make the later ones short.
fn examine_plugin(
    exam: &mut Exam<'_>,
    kind: PluginKind,
    name: &str,
    description: Checked,
    declared: Option<(&Descriptor, &ExamPlugin)>,
) -> PluginReport {
    let own: &[_] = if kind == PluginKind::Input { &INPUT } else { &OUTPUT };
    let mut checks = Vec::new();
    let Some((descriptor, settings)) = declared else {
        let why = match &exam.request.config {
            Some(config) => format!("{} has no entry for this plugin", config.display()),
            None => "no exam file is given (--config)".to_owned(),
        };
        for (id, promise) in GENERAL.iter().chain(own) {
            let result = if *id == "G1" { description.clone() } else { not_examined(why.clone()) };
            checks.push((*id, *promise, result));
        }
        checks.retain(|(id, _, _)| exam.is_wanted(id));
        return PluginReport { kind, name: name.to_owned(), checks };
    };
    let mut subject = Subject { kind, descriptor, exam: settings, seen: Seen::default() };
    exam.end_peer();
    let mut results = vec![("G1", description)];
    // G5 first: a plugin whose calls do not return would make every later check take minutes.
    for id in ["G5", "G2", "G6", "G7", "G8", "G4", "G3"] {
        if exam.is_wanted(id) {
            let result = exam.time_left(&subject).and_then(|()| general::check(exam, &mut subject, id));
            results.push((id, result));
        }
    }
    let mut state = output::Material::default();
    for (id, _) in own {
        if exam.is_wanted(id) {
            let result = exam.time_left(&subject).and_then(|()| match kind {
                PluginKind::Input => input::check(exam, &mut subject, id),
                PluginKind::Output => output::check(exam, &mut subject, &mut state, id),
            });
            results.push((id, result));
        }
    }
    // What any of the runs has shown counts, not only the runs of the check itexam.
    for (id, result) in &mut results {
        if let Some(how) = subject.seen.of(id)
            && !matches!(result, Err(Finding::Failed(_)))
        {
            *result = Err(Finding::Failed(how));
        }
    }
    for (id, promise) in GENERAL.iter().chain(own) {
        let result = results.iter().find(|(known, _)| known == id);
        checks.extend(result.map(|(_, result)| (*id, *promise, result.clone())));
    }
    checks.retain(|(id, _, _)| exam.is_wanted(id));
    PluginReport { kind, name: name.to_owned(), checks }
}
