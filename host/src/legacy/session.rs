//! Executes a request: one pipeline, or one per report template.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use scanbridge_plugin_api::PluginKind;

use super::log::Started;
use super::request::Request;
use super::search_folders::SearchFolders;
use super::translation;
use super::usage::Program;
use crate::commands::terminal::print_error;
use crate::commands::{Asked, default_state_folder, on_signal};
use crate::config::{self, Catalogue, Pipeline, Problem, Problems};
use crate::exit_code::USAGE;
use crate::fips::{self, NEEDS_FIPS_BUILD};
use crate::pipeline::{Failure, RunStatus, Stop, Summary, log_only};
use crate::plugins::{FilePermissionCheck, Registry, folders};
use crate::session::{self, RunOptions};

/// Executes the request and returns the exit code, for several templates that of the first failed one.
pub(super) fn run(program: Program, request: &Request) -> u8 {
    let log = match request.log.start(program.name(), request.level) {
        Ok(log) => log,
        Err(code) => return code,
    };
    if let Some(warning) = request.warning {
        tracing::warn!("{warning}");
    }
    let fips = match fips::minimum(None) {
        Ok(fips) => fips,
        Err(problem) => {
            print_error(&format!("error: {problem}\n  = help: {NEEDS_FIPS_BUILD}\n"));
            return Problems::EXIT_CODE;
        }
    };
    let session = Session {
        program,
        request,
        log,
        registry: Registry::discover_in(fips, &folders(&[]), FilePermissionCheck::OwnerOnly),
        folders: SearchFolders::of_this_process(),
        interruption: Interruption::watch(),
    };
    match request.templates.as_slice() {
        [] => session.deliver(None),
        templates => session.deliver_each(templates),
    }
}

struct Session<'a> {
    program: Program,
    request: &'a Request,
    log: Started,
    registry: Registry,
    folders: SearchFolders,
    interruption: Arc<Interruption>,
}

impl Session<'_> {
    /// Delivers one template after the other. A failed template does not prevent the others.
    fn deliver_each(&self, templates: &[String]) -> u8 {
        if let Some(found) = self.registry.find(PluginKind::Input, &self.request.plugin)
            && found.options.iter().all(|option| option.name != TEMPLATE)
        {
            let plugin = &found.name;
            self.report(
                &format!(
                    "-multiinfo needs an input with report templates; {plugin} has no option `{TEMPLATE}`"
                ),
                Some("use qualys_connector, which runs the plugin once"),
            );
            return USAGE;
        }
        let mut failed = Vec::new();
        for template in templates {
            if self.interruption.is_raised() {
                failed.push((template, INTERRUPTED));
                continue;
            }
            tracing::info!("template {template}");
            match self.deliver(Some(template)) {
                0 => {}
                code => failed.push((template, code)),
            }
        }
        let Some((_, first)) = failed.first() else {
            tracing::info!("all {} templates delivered", templates.len());
            return 0;
        };
        let named: Vec<_> = failed.iter().map(|(id, code)| format!("{id} (exit code {code})")).collect();
        self.report(
            &format!("{} of {} templates failed: {}", failed.len(), templates.len(), named.join(", ")),
            None,
        );
        *first
    }

    fn deliver(&self, template: Option<&str>) -> u8 {
        match self.check(template) {
            Ok(pipeline) => self.run(&pipeline),
            Err(code) => code,
        }
    }

    /// Translates the request and checks the pipeline.
    ///
    /// # Errors
    /// The exit code; the problem has been logged and printed.
    fn check(&self, template: Option<&str>) -> Result<Pipeline, u8> {
        let found = self.registry.find(PluginKind::Input, &self.request.plugin);
        let plugin = found.map_or(self.request.plugin.as_str(), |found| found.name.as_str());
        let default = self.folders.settings_file(plugin);
        let settings = self.request.plugininfo.as_deref().map_or(default, PathBuf::from);
        // For an unknown plugin, the check below reports the plugin, not its missing settings file.
        if found.is_some() && !settings.exists() {
            self.report(
                &format!("settings file not found: {}", settings.display()),
                Some(&format!("set the file with -plugininfo=FILE; {}", self.searched())),
            );
            return Err(Problems::EXIT_CODE);
        }
        let certificate = self.folders.certificate_of_home();
        let text = translation::pipeline(self.request, plugin, &settings, template, certificate.as_deref());
        let document = config::read_text(Path::new(COMMAND_LINE), &text);
        match document.and_then(|document| config::check(&document, &self.registry)) {
            Ok(pipeline) => {
                pipeline.warnings.iter().for_each(|problem| tracing::warn!("{}", in_one_line(problem)));
                Ok(pipeline)
            }
            Err(problems) => {
                for problem in &problems.list {
                    let help = Some(problem.help.as_str()).filter(|help| !help.is_empty());
                    self.report(&in_one_line(problem), help);
                }
                Err(Problems::EXIT_CODE)
            }
        }
    }

    /// The directories in which files are looked for, for messages.
    fn searched(&self) -> String {
        let working = env::current_dir().unwrap_or_default();
        let working = format!("the working directory is {}", working.display());
        match self.folders.home() {
            Some(home) => format!("{working}, the directory of the program {}", home.display()),
            None => working,
        }
    }

    /// Runs the pipeline from the beginning, as in 2014: an interrupted run is never resumed.
    fn run(&self, pipeline: &Pipeline) -> u8 {
        let options = RunOptions { restart: true, ..RunOptions::default() };
        let stop = self.interruption.next_run();
        match session::run(pipeline, &self.registry, &state_folder(), options, &stop, &log_only()) {
            Ok(summary) => {
                self.conclude(&summary);
                summary.exit_code()
            }
            Err(failures) => {
                for failure in &failures {
                    self.report(&describe(failure), failure.hint.as_deref());
                }
                failures.first().map_or(0, |failure| failure.exit_code)
            }
        }
    }

    /// Logs the summary; after a failure as errors, so that it is logged at every log level.
    fn conclude(&self, summary: &Summary) {
        let is_ok = summary.status == RunStatus::Ok;
        for line in summary.text().lines() {
            if is_ok { tracing::info!("{line}") } else { tracing::error!("{line}") }
        }
        if !self.log.on_stderr {
            for failure in &summary.failures {
                print_problem(self.program.name(), &describe(failure), failure.hint.as_deref());
            }
        }
    }

    /// Reports a problem in the log and on standard error, without duplicating it when the log goes to
    /// standard error.
    fn report(&self, problem: &str, hint: Option<&str>) {
        tracing::error!("{problem}{}", hint.map(|hint| format!(" ({hint})")).unwrap_or_default());
        if !self.log.on_stderr {
            print_problem(self.program.name(), problem, hint);
        }
    }
}

/// Name of the pipeline that is made from the command line. The operator cannot see its text, so messages have
/// neither line nor column of it.
const COMMAND_LINE: &str = "the command line";

fn in_one_line(problem: &Problem) -> String {
    let location = &problem.location;
    let line = match &location.excerpt {
        Some(excerpt) if location.file != Path::new(COMMAND_LINE) => {
            format!(":{}:{}", excerpt.line, excerpt.column)
        }
        _ => String::new(),
    };
    let label = if problem.label.is_empty() { String::new() } else { format!("; {}", problem.label) };
    format!("{}{line}: {}{label}", location.file.display(), problem.message)
}

fn describe(failure: &Failure) -> String {
    format!("{}: {}", failure.instance, failure.message)
}

fn print_problem(program: &str, problem: &str, hint: Option<&str>) {
    let hint = hint.map(|hint| format!("  = help: {hint}\n")).unwrap_or_default();
    print_error(&format!("{program}: {problem}\n{hint}"));
}

/// State directory. When the programs are in an unpacked archive, with `InputPlugins` next to them, it is the
/// subdirectory `state`, so that removing the archive's directory removes everything. Otherwise it is the
/// default of `scanbridge`.
fn state_folder() -> PathBuf {
    let program = env::current_exe().ok();
    let archive =
        program.as_deref().and_then(Path::parent).filter(|folder| folder.join("InputPlugins").is_dir());
    archive.map_or_else(default_state_folder, |folder| folder.join("state"))
}

/// Stops the current run and those after it on SIGINT or SIGTERM.
#[derive(Default)]
struct Interruption {
    state: Mutex<Interrupted>,
}

#[derive(Default)]
struct Interrupted {
    level: u32,
    current: Option<Arc<Stop>>,
}

impl Interruption {
    fn watch() -> Arc<Self> {
        let interruption = Arc::new(Self::default());
        let given = Arc::clone(&interruption);
        on_signal("", move |request| given.apply(request));
        interruption
    }

    /// The [`Stop`] of the next run, already triggered after a signal.
    fn next_run(&self) -> Arc<Stop> {
        let stop = Arc::new(Stop::default());
        let mut state = self.lock();
        stop.raise(state.level);
        state.current = Some(Arc::clone(&stop));
        stop
    }

    fn apply(&self, request: Asked) {
        let mut state = self.lock();
        if let Asked::Stop(level) = request {
            state.level = state.level.max(level);
        }
        if let Some(stop) = &state.current {
            stop.apply(request);
        }
    }

    fn is_raised(&self) -> bool {
        self.lock().level > 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Interrupted> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The option that `-multiinfo` sets.
const TEMPLATE: &str = "template_id";

/// Exit code of a process ended by SIGINT, as shells report it (128 + 2).
const INTERRUPTED: u8 = 130;
