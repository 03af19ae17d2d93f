//! `scanbridge check`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Zoned;
use scanbridge_plugin_api::{CheckReport, CheckStep, ErrorKind, PluginError, Purpose, Verdict};
use serde_json::{Value, json};

use super::fips_report::{self, InstanceMode};
use super::next_starts;
use super::preparation::registry;
use super::run::state_folder;
use super::terminal::{error_style, print_error, print_output};
use crate::cli::{CheckDepth, CommonOptions, Format};
use crate::config::{
    self, CheckedDocument, Judgement, OutputInstance, Pipeline, Problem, ProblemLevel, Problems, counted,
    problem_to_json,
};
use crate::exit_code::{exit_code, worst};
use crate::pipeline::{self, OpenError, Settings, Stop};
use crate::plugins::Registry;
use crate::state::StateFolder;
use crate::telemetry::without_controls;

/// What is checked, and how the result is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) depth: CheckDepth,
    pub(super) deny_warnings: bool,
    pub(super) format: Format,
}

pub(super) fn check(paths: &[PathBuf], request: Request, common: &CommonOptions) -> u8 {
    let registry = registry(common);
    let files: Vec<PathBuf> = paths.iter().flat_map(|path| files(path)).collect();
    let checked: Vec<Checked> =
        files.iter().map(|file| check_file(file, request, &registry, common)).collect();
    let code = worst(checked.iter().map(|checked| checked.code(request)));
    match request.format {
        Format::Text => print_text(&checked, request, code),
        Format::Json => {
            let files: Vec<Value> = checked.iter().map(Checked::json).collect();
            print_output(&format!("{:#}\n", json!({ "ok": code == 0, "files": files })), code)
        }
    }
}

/// The pipeline files of a directory, sorted; other paths, and a directory without any, are returned as they are.
fn files(path: &Path) -> Vec<PathBuf> {
    let is_pipeline = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        // A service file can be next to its pipelines.
        is_yaml && !name.starts_with(['.', '_']) && path.is_file() && !config::is_service_file(path)
    };
    let entries = path.read_dir().map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())));
    let mut files: Vec<PathBuf> = entries.into_iter().flatten().filter(is_pipeline).collect();
    files.sort();
    if files.is_empty() { vec![path.to_owned()] } else { files }
}

/// The result for one file.
struct Checked {
    file: PathBuf,
    content: Option<CheckedDocument>,
    problems: Problems,
    /// The exit code of each error.
    codes: Vec<u8>,
    /// The FIPS mode of each instance; empty if it is off.
    modes: Vec<InstanceMode>,
    /// What the instances found in `check`.
    steps: Vec<(String, Result<CheckReport, PluginError>)>,
}

impl Checked {
    fn is_valid(&self, request: Request) -> bool {
        self.codes.is_empty() && !(request.deny_warnings && self.problems.warnings() > 0)
    }

    fn code(&self, request: Request) -> u8 {
        match self.is_valid(request) {
            true => 0,
            false if self.codes.is_empty() => Problems::EXIT_CODE,
            false => worst(self.codes.iter().copied()),
        }
    }

    fn push(&mut self, problem: Problem, code: u8) {
        if problem.level == ProblemLevel::Error {
            self.codes.push(code);
        }
        self.problems.list.push(problem);
    }

    fn json(&self) -> Value {
        let pipeline = match &self.content {
            Some(CheckedDocument::Pipeline(pipeline)) => Some(&pipeline.name),
            _ => None,
        };
        let mut json = json!({
            "file": self.file.display().to_string(),
            "pipeline": pipeline,
            "next_starts": self.next_starts().iter().map(next_starts::in_rfc_3339).collect::<Vec<_>>(),
            "problems": self.problems.list.iter().map(problem_to_json).collect::<Vec<_>>(),
        });
        if !self.modes.is_empty() {
            json["fips"] = fips_report::to_json(&self.modes);
        }
        json
    }

    /// What a valid file is.
    fn summary(&self) -> String {
        let what = match &self.content {
            Some(CheckedDocument::Pipeline(pipeline)) => {
                format!("inputs: {}, outputs: {}", pipeline.inputs.len(), pipeline.outputs.len())
            }
            Some(CheckedDocument::PluginSettings { plugin, .. }) => format!("settings of {plugin}"),
            None => String::new(),
        };
        let starts = next_starts::in_words(&self.next_starts());
        format!("{} is valid ({what})\n{starts}{}", self.file.display(), self.encryption())
    }

    /// The effects of encrypted fields.
    fn encryption(&self) -> String {
        let Some(CheckedDocument::Pipeline(pipeline)) = &self.content else { return String::new() };
        let effects =
            |output: &OutputInstance| Some(output.encryption.as_ref()?.effects(&output.instance.id));
        pipeline.outputs.iter().filter_map(effects).collect()
    }

    fn next_starts(&self) -> Vec<Zoned> {
        match &self.content {
            Some(CheckedDocument::Pipeline(pipeline)) => {
                next_starts::next_starts(&pipeline.name, &pipeline.service.schedule)
            }
            _ => Vec::new(),
        }
    }
}

fn check_file(file: &Path, request: Request, registry: &Registry, common: &CommonOptions) -> Checked {
    let problems = Problems { list: Vec::new(), omitted: 0 };
    let (codes, modes, steps) = (Vec::new(), Vec::new(), Vec::new());
    let mut checked = Checked { file: file.to_owned(), content: None, problems, codes, modes, steps };
    match config::read_for(file, registry).and_then(|document| config::check_any(&document, registry)) {
        Ok(content) => {
            checked.problems.list.extend_from_slice(content.warnings());
            if let CheckedDocument::Pipeline(pipeline) = &content
                && !scanbridge_observe::is_name(&pipeline.name)
            {
                let message = format!("a service refuses the pipeline name `{}`", pipeline.name);
                let hint = "set `name:` with at most 64 characters: letters, digits, `-`, `_` and `.`; a new name means a new state";
                checked.push(pipeline.file_problem(ProblemLevel::Warning, "service-name", &message, hint), 0);
            }
            if let CheckedDocument::Pipeline(pipeline) = &content {
                checked.modes = fips_report::modes(pipeline, registry);
                fips_report::warnings(pipeline).into_iter().for_each(|warning| checked.push(warning, 0));
            }
            if let (CheckedDocument::Pipeline(pipeline), false) = (&content, request.depth.offline) {
                open(&mut checked, pipeline, request.depth.probe, registry, common);
            }
            checked.content = Some(content);
        }
        Err(problems) => {
            checked.codes = vec![Problems::EXIT_CODE];
            checked.problems = problems;
        }
    }
    checked
}

/// Opens all instances and calls their `check`.
fn open(
    checked: &mut Checked,
    pipeline: &Pipeline,
    probe: bool,
    registry: &Registry,
    common: &CommonOptions,
) {
    let purpose = if probe { Purpose::Probe } else { Purpose::Check };
    let folder = StateFolder::of(&state_folder(common), &pipeline.state_name());
    add_state(checked, pipeline, &folder);
    let same = config::same_files(pipeline, registry);
    same.into_iter().for_each(|problem| checked.push(problem, Problems::EXIT_CODE));
    let settings = Settings::without_run(folder, purpose);
    match pipeline::open_all(pipeline, registry, settings, &Arc::new(Stop::default())) {
        Err(errors) => errors.iter().for_each(|error| add_open_error(checked, pipeline, error)),
        Ok(mut opened) => {
            // A run continues without optional outputs that cannot be opened; a check must report them.
            let errors = opened.open_errors();
            errors.iter().for_each(|error| add_open_error(checked, pipeline, error));
            if errors.is_empty() {
                checked.steps = opened.check(probe);
                let found: Vec<_> = checked.steps.iter().flat_map(|step| judged(pipeline, step)).collect();
                found.into_iter().for_each(|(problem, code)| checked.push(problem, code));
            }
        }
    }
}

/// The state directory, as a run would find it.
fn add_state(checked: &mut Checked, pipeline: &Pipeline, folder: &StateFolder) {
    if let Err(error) = folder.examine() {
        let hint = error.hint.as_deref().unwrap_or_default();
        checked
            .push(pipeline.file_problem(ProblemLevel::Error, "state", &error.message, hint), error.exit_code);
    } else if let Some(free) = free_bytes(folder.existing()).filter(|free| *free < LITTLE_SPACE) {
        let message =
            format!("only {} MiB are free for the state in {}", free >> 20, folder.existing().display());
        let hint = "free disk space, or set a directory on another file system with --state-dir";
        checked.push(pipeline.file_problem(ProblemLevel::Warning, "disk-space", &message, hint), 0);
    }
}

/// A large report needs about that much.
const LITTLE_SPACE: u64 = 1 << 30;

/// Free space of the file system; `None` if it is not backed by blocks.
fn free_bytes(folder: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(folder).ok()?;
    (space.f_blocks > 0).then(|| space.f_bavail.saturating_mul(space.f_frsize))
}

fn add_open_error(checked: &mut Checked, pipeline: &Pipeline, error: &OpenError) {
    let OpenError { failure, cause } = error;
    let message = cause.as_ref().map_or(failure.message.as_str(), |cause| &cause.message);
    let problem = pipeline.problem(Judgement {
        level: ProblemLevel::Error,
        code: cause.as_ref().map_or("state", |cause| code_of(cause.kind)),
        message: &without_controls(message),
        hint: failure.hint.as_deref().unwrap_or_default(),
        instance: &failure.instance,
        option: cause.as_ref().and_then(|cause| cause.option.as_deref()),
        step: Some("open"),
    });
    checked.push(problem, failure.exit_code);
}

/// The problems among the steps of one instance, with the exit code that a run would end with.
fn judged(
    pipeline: &Pipeline,
    (instance, report): &(String, Result<CheckReport, PluginError>),
) -> Vec<(Problem, u8)> {
    let problem = |level, kind, message: &str, hint: &str, option: Option<&str>, step: &str| {
        let step = Some(step);
        let code = if level == ProblemLevel::Error { code_of(kind) } else { "plugin-warning" };
        let message = &*without_controls(message);
        let judgement = Judgement { level, code, message, hint, instance, option, step };
        (pipeline.problem(judgement), exit_code(kind))
    };
    match report {
        Ok(report) => report
            .steps
            .iter()
            .filter_map(|step| {
                let level = match step.verdict {
                    Verdict::Ok => return None,
                    Verdict::Warning => ProblemLevel::Warning,
                    Verdict::Failed => ProblemLevel::Error,
                };
                // Without a kind, the peer counts as unreachable.
                let kind = step.kind.unwrap_or(ErrorKind::Unavailable);
                Some(problem(level, kind, &in_words(step), "", step.option.as_deref(), &step.name))
            })
            .collect(),
        Err(error) => {
            let hint = error.hint.as_deref().map(without_controls).unwrap_or_default();
            vec![problem(
                ProblemLevel::Error,
                error.kind,
                &error.message,
                &hint,
                error.option.as_deref(),
                "check",
            )]
        }
    }
}

/// The stable code of a problem that a plugin found.
fn code_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Config => "plugin-option",
        ErrorKind::Auth => "access-denied",
        ErrorKind::Unavailable => "unreachable",
        ErrorKind::Rejected => "rejected",
        ErrorKind::BadData => "bad-data",
        ErrorKind::Cancelled => "interrupted",
        ErrorKind::Bug => "plugin-bug",
        ErrorKind::NoInput => "missing-input",
        ErrorKind::CannotCreate => "cannot-create",
        ErrorKind::Io => "read-write",
        ErrorKind::Protocol => "protocol",
        ErrorKind::Displaced => "displaced",
    }
}

/// Name and finding of a step; the name only if the finding does not begin with it.
fn in_words(CheckStep { name, detail, .. }: &CheckStep) -> String {
    let is_named = detail.starts_with(&format!("{name} ")) || detail.contains(&format!(" {name}: "));
    if is_named || detail.contains(&format!(" {name}")) {
        detail.clone()
    } else {
        format!("{name}: {detail}")
    }
}

fn print_text(checked: &[Checked], request: Request, code: u8) -> u8 {
    let (mut text, several) = (String::new(), checked.len() > 1);
    for file in checked {
        // A probe shows all its steps, so the problems among them are not repeated.
        let is_shown = |problem: &&Problem| {
            !request.depth.probe || problem.step.as_deref().is_none_or(|step| step == "open")
        };
        let shown: Vec<Problem> = file.problems.list.iter().filter(is_shown).cloned().collect();
        print_error(&config::render_all(&shown, error_style()));
        if request.depth.probe {
            text.extend(file.steps.iter().map(steps_in_words));
        }
        text.extend(file.modes.iter().map(InstanceMode::line));
        if file.is_valid(request) {
            text.push_str(&file.summary());
        } else {
            let name = if several { format!("{}: ", file.file.display()) } else { String::new() };
            print_error(&format!("{name}{}\n", file.problems.counts()));
        }
    }
    if several {
        text.push_str(&totals(checked, request));
    }
    print_output(&text, code)
}

/// `3 files: 2 valid, 1 with 2 errors`.
fn totals(checked: &[Checked], request: Request) -> String {
    let (valid, invalid): (Vec<&Checked>, Vec<&Checked>) =
        checked.iter().partition(|file| file.is_valid(request));
    let sum = |files: &[&Checked]| Problems {
        list: files.iter().flat_map(|file| file.problems.list.clone()).collect(),
        omitted: files.iter().map(|file| file.problems.omitted).sum(),
    };
    let mut parts = Vec::new();
    if !valid.is_empty() {
        let warnings = match sum(&valid).counts() {
            none if none.is_empty() => none,
            warnings => format!(" with {warnings}"),
        };
        parts.push(format!("{} valid{warnings}", valid.len()));
    }
    if !invalid.is_empty() {
        parts.push(format!("{} with {}", invalid.len(), sum(&invalid).counts()));
    }
    format!("{}: {}\n", counted(checked.len(), "file"), parts.join(", "))
}

/// One line per step. Control characters are escaped: file names, certificates and responses of peers come
/// from outside.
fn steps_in_words((instance, report): &(String, Result<CheckReport, PluginError>)) -> String {
    match report {
        Ok(report) => {
            let line = |step: &CheckStep| {
                format!("{:<7} {instance}: {}\n", word(step.verdict), without_controls(&in_words(step)))
            };
            report.steps.iter().map(line).collect()
        }
        Err(error) => {
            let hint = error.hint.as_ref().map(|hint| format!("        {}\n", without_controls(hint)));
            let error = error.to_string();
            format!("failed  {instance}: {}\n{}", without_controls(&error), hint.unwrap_or_default())
        }
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Failed => "failed",
    }
}
