//! Carries a request out: one pipeline, or one for each template.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use scanbridge_plugin_api::PluginKind;

use super::log::Started;
use super::request::Request;
use super::translation;
use super::usage::Program;
use crate::commands::terminal::{look, print_error};
use crate::commands::{default_state_folder, stop_on_signal};
use crate::config::{self, Catalogue, Pipeline, Problem, Problems};
use crate::pipeline::{Failure, RunStatus, Stop, Summary};
use crate::plugins::{FilePermissionCheck, Registry, folders};
use crate::session::{self, RunOptions};

/// Runs what is asked for and gives the exit code: that of the first template that failed.
pub(super) fn run(program: Program, request: &Request) -> u8 {
    let log = match request.log.start(program.name(), request.level) {
        Ok(log) => log,
        Err(code) => return code,
    };
    if let Some(warning) = request.warning {
        tracing::warn!("{warning}");
    }
    let session = Session {
        program,
        request,
        log,
        registry: Registry::discover(&folders(&[]), FilePermissionCheck::OwnerOnly),
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
    interruption: Arc<Interruption>,
}

impl Session<'_> {
    /// One template after the other; one that fails does not keep the rest from being tried.
    fn deliver_each(&self, templates: &[String]) -> u8 {
        let mut failed = Vec::new();
        for template in templates {
            if self.interruption.is_given() {
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
        self.say(
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

    /// # Errors
    /// The exit code, when what was asked for cannot be; it has been said then.
    fn check(&self, template: Option<&str>) -> Result<Pipeline, u8> {
        let plugin = self.registry.find(PluginKind::Input, &self.request.plugin);
        let plugin = plugin.map_or(self.request.plugin.as_str(), |found| found.name.as_str());
        let usual = format!("InputPlugins/{plugin}.yaml");
        let settings = self.request.plugininfo.as_deref().unwrap_or(&usual);
        // Where the plugin is unknown, that is what is wrong, and not that it has no settings.
        if self.registry.find(PluginKind::Input, plugin).is_some() && !Path::new(settings).exists() {
            let folder = env::current_dir().unwrap_or_default();
            let hint =
                format!("set the file with -plugininfo=FILE; the working directory is {}", folder.display());
            self.say(&format!("settings file not found: {settings}"), Some(&hint));
            return Err(Problems::EXIT_CODE);
        }
        let text = translation::pipeline(self.request, plugin, settings, template);
        let document = config::read_text(Path::new("the command line"), &text);
        match document.and_then(|document| config::check(&document, &self.registry)) {
            Ok(pipeline) => {
                pipeline.warnings.iter().for_each(|problem| tracing::warn!("{}", in_one_line(problem)));
                Ok(pipeline)
            }
            Err(problems) => {
                if !self.log.on_stderr {
                    problems.list.iter().for_each(|problem| tracing::error!("{}", in_one_line(problem)));
                }
                print_error(&problems.render(look()));
                Err(Problems::EXIT_CODE)
            }
        }
    }

    /// Every run begins anew, as in 2014: what an interrupted one left is not gone on with days later.
    fn run(&self, pipeline: &Pipeline) -> u8 {
        let wish = RunOptions { bar: false, restart: true, wait: false };
        let stop = self.interruption.begin();
        match session::run(pipeline, &self.registry, &state_folder(), wish, &stop) {
            Ok(summary) => {
                self.conclude(&summary);
                summary.exit_code()
            }
            Err(failures) => {
                for failure in &failures {
                    self.say(&told(failure), failure.hint.as_deref());
                }
                failures.first().map_or(0, |failure| failure.exit_code)
            }
        }
    }

    /// The counts go into the log, and when something failed at every level of it.
    fn conclude(&self, summary: &Summary) {
        let is_well = summary.status == RunStatus::Ok;
        for line in summary.text().lines() {
            if is_well { tracing::info!("{line}") } else { tracing::error!("{line}") }
        }
        if !self.log.on_stderr {
            for failure in &summary.failures {
                print_problem(self.program.name(), &told(failure), failure.hint.as_deref());
            }
        }
    }

    /// Says what is wrong, in the log and on standard error, and there once.
    fn say(&self, problem: &str, hint: Option<&str>) {
        tracing::error!("{problem}{}", hint.map(|hint| format!(" ({hint})")).unwrap_or_default());
        if !self.log.on_stderr {
            print_problem(self.program.name(), problem, hint);
        }
    }
}

fn in_one_line(problem: &Problem) -> String {
    let line = problem.place.excerpt.as_ref().map(|excerpt| format!(":{}", excerpt.line)).unwrap_or_default();
    format!("{}{line}: {}", problem.place.file.display(), problem.message)
}

fn told(failure: &Failure) -> String {
    format!("{}: {}", failure.instance, failure.message)
}

fn print_problem(program: &str, problem: &str, hint: Option<&str>) {
    let hint = hint.map(|hint| format!("  = help: {hint}\n")).unwrap_or_default();
    print_error(&format!("{program}: {problem}\n{hint}"));
}

/// Where an unpacked archive holds the programs, with `InputPlugins` beside them, state stays in it too: to remove
/// the folder is to remove everything. Elsewhere it is where `scanbridge` keeps it.
fn state_folder() -> PathBuf {
    let program = env::current_exe().ok();
    let archive =
        program.as_deref().and_then(Path::parent).filter(|folder| folder.join("InputPlugins").is_dir());
    archive.map_or_else(default_state_folder, |folder| folder.join("state"))
}

/// What SIGINT and SIGTERM reach: the run under way, and those that would follow.
#[derive(Default)]
struct Interruption {
    state: Mutex<Interrupted>,
}

#[derive(Default)]
struct Interrupted {
    given: bool,
    current: Option<Arc<Stop>>,
}

impl Interruption {
    fn watch() -> Arc<Self> {
        let interruption = Arc::new(Self::default());
        let given = Arc::clone(&interruption);
        stop_on_signal(move || given.give());
        interruption
    }

    /// The signal of the next run.
    fn begin(&self) -> Arc<Stop> {
        let stop = Arc::new(Stop::default());
        let mut state = self.lock();
        if state.given {
            stop.give();
        }
        state.current = Some(Arc::clone(&stop));
        stop
    }

    fn give(&self) {
        let mut state = self.lock();
        state.given = true;
        if let Some(stop) = &state.current {
            stop.give();
        }
    }

    fn is_given(&self) -> bool {
        self.lock().given
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Interrupted> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a shell shows for a process that was interrupted.
const INTERRUPTED: u8 = 130;
