//! `scanbridge run`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, io, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::preparation::{NOTHING_STARTED, Source, registry};
use super::run_files::RunFiles;
pub(super) use super::summary::print_failures;
use super::summary::{failures_of, print_not_started, print_summary, summary_only};
use super::terminal::{NOT_WRITTEN, print_error, stderr_is_terminal};
use crate::cli::{CommonOptions, SummaryFormat};
use crate::config::{Pipeline, Problems};
use crate::exit_code::USAGE;
pub(crate) use crate::pipeline::Asked;
use crate::pipeline::{ABORT, DRAIN, Head, ProgressBars, RunLog, Stop, Summary, Trigger, Watcher, Watchers};
use crate::plugins::Registry;
use crate::session::{self, RunOptions};
use crate::state::Choice;
use crate::supervised::Supervisor;

/// Exit code of a process ended by SIGINT, as shells report it (128 + 2).
const INTERRUPTED: i32 = 130;
/// `EX_CANTCREAT`.
const CANNOT_CREATE: u8 = 73;
/// `EX_IOERR`.
const CANNOT_READ: u8 = 74;

/// Who follows a run, besides the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Follow<'a> {
    /// Whether a progress bar is drawn.
    pub(super) bar: bool,
    /// The file descriptor of the service that supervises the run.
    pub(super) supervised: Option<i32>,
    /// File for the report of the run.
    pub(super) report: Option<&'a Path>,
    /// File for metrics.
    pub(super) metrics: Option<&'a Path>,
}

/// What is run.
#[derive(Debug)]
pub(super) struct RunTarget<'a> {
    pub(super) source: Source<'a>,
    /// The version of the pipeline that may have begun the report that is in progress.
    pub(super) earlier: Option<&'a Path>,
    /// The pipeline in `source` with the installed plugins, if it was checked before.
    pub(super) checked: Option<(Pipeline, Registry)>,
    /// The reports that an operator has chosen.
    pub(super) choice: Option<Choice>,
}

/// Runs one pipeline.
pub(super) fn run(
    RunTarget { source, earlier, checked, choice }: RunTarget<'_>,
    format: SummaryFormat,
    options: RunOptions,
    follow: Follow<'_>,
    common: &CommonOptions,
) -> u8 {
    let stop = stoppable("; the next run resumes there");
    let channel = match follow.supervised.map(|fd| Supervisor::connect(fd, &stop)).transpose() {
        Ok(channel) => channel,
        Err(error) => return not_supervised(&error),
    };
    let files = match RunFiles::create(follow.metrics, follow.report) {
        Ok(files) => Arc::new(files),
        Err(error) => {
            print_error(&format!("error: {error}\n"));
            return CANNOT_CREATE;
        }
    };
    let checked = checked.map_or_else(
        || {
            let registry = registry(common);
            source.checked(&registry, NOTHING_STARTED).map(|pipeline| (pipeline, registry))
        },
        Ok,
    );
    let (pipeline, registry) = match checked {
        Ok(checked) => checked,
        Err(problems) => {
            let summary = summary_of_invalid(source.path(), &problems, options.trigger);
            files.on_event(&summary.event());
            return with_files(&files, summary_only(&summary, format));
        }
    };
    let state = state_folder(common);
    let pipeline = earlier
        .and_then(|earlier| earlier_version(&pipeline, earlier, &registry, &state, options, &stop))
        .unwrap_or(pipeline);
    let mut watchers = Watchers::default();
    watchers.add(Arc::new(RunLog::new(follow.bar)));
    watchers.add(Arc::clone(&files) as Arc<dyn Watcher>);
    if follow.bar {
        watchers.add(Arc::new(ProgressBars::default()));
    }
    if let Some(channel) = &channel {
        watchers.add(Arc::clone(channel) as Arc<dyn Watcher>);
    }
    let run = session::run_choice(&pipeline, &registry, &state, (options, choice), &stop, &watchers);
    let code = match run {
        Ok(summary) => print_summary(&summary, format, pipeline.writes_to_stdout()),
        Err(failures) => {
            let head = Head::of(&pipeline, options.trigger);
            let summary = Summary::not_started(head, &pipeline, failures);
            files.on_event(&summary.event());
            if let Some(channel) = &channel {
                summary.failures.iter().for_each(|failure| channel.on_event(&failure.event()));
                channel.on_event(&summary.event());
            }
            print_not_started(&summary, format)
        }
    };
    if let Some(channel) = channel {
        channel.finish();
    }
    with_files(&files, code)
}

/// The reports that the service has stored in this file for a run.
///
/// # Errors
/// The exit code, when it cannot be read.
pub(super) fn read_choice(file: &Path) -> Result<Choice, u8> {
    let bytes = std::fs::read(file);
    bytes.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)).map_err(|error| {
        print_error(&format!("error: --choice {}: {error}\n", file.display()));
        CANNOT_READ
    })
}

/// The earlier version of a changed pipeline, if only that one can finish the report in progress. The run then ends with
/// that report.
fn earlier_version(
    pipeline: &Pipeline,
    earlier: &Path,
    registry: &Registry,
    state: &Path,
    options: RunOptions,
    stop: &Stop,
) -> Option<Pipeline> {
    // An error of the saved state is reported by the run itself.
    let is_refused =
        !options.restart && crate::resume::is_change_refused(pipeline, registry, state).unwrap_or(false);
    let earlier = Source::Bundle(earlier);
    let earlier = is_refused.then(|| earlier.checked(registry, NOTHING_STARTED).ok()).flatten()?;
    tracing::info!(
        "the pipeline was changed while a report was in progress: the earlier version reads that report to its end"
    );
    stop.request_at_report();
    Some(earlier)
}

/// Writes the files about a run with this exit code. Returns the exit code.
fn with_files(files: &RunFiles, code: u8) -> u8 {
    match files.write() {
        Ok(()) => code,
        Err(error) => {
            print_error(&format!("error: {error}\n"));
            if code == 0 { NOT_WRITTEN } else { code }
        }
    }
}

/// The exit code when the channel to the service cannot be used.
pub(super) fn not_supervised(error: &io::Error) -> u8 {
    print_error(&format!("error: --supervised: {error}\n"));
    USAGE
}

/// The summary of a run or replay whose pipeline file has errors.
pub(super) fn summary_of_invalid(file: &Path, problems: &Problems, trigger: Trigger) -> Summary {
    Summary::without_instances(Head::starting(file, trigger), failures_of(problems))
}

/// A [`Stop`] that signals trigger. `then` is logged: what a later run does.
pub(super) fn stoppable(then: &'static str) -> Arc<Stop> {
    let stop = Arc::new(Stop::default());
    let asked = Arc::clone(&stop);
    on_signal(then, move |request| asked.apply(request));
    stop
}

/// The state directory of `--state-dir`, else the default.
pub(super) fn state_folder(common: &CommonOptions) -> PathBuf {
    common.state_dir.clone().unwrap_or_else(default_state_folder)
}

/// Default state directory: that of the environment, else of the systemd unit, else of the user (XDG Base Directory Specification).
pub(crate) fn default_state_folder() -> PathBuf {
    default_state_folder_in(|name| env::var_os(name))
}

fn default_state_folder_in(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    // Relative paths are ignored, as the XDG specification requires: they depend on the working directory.
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // An operator sets this one on purpose, so a relative path counts.
    if let Some(path) = variable("SCANBRIDGE_STATE_DIR").filter(|path| !path.is_empty()) {
        return PathBuf::from(path);
    }
    // systemd separates several state directories of a unit with colons (systemd.exec, RuntimeDirectory=).
    let of_unit = variable("STATE_DIRECTORY").and_then(|paths| env::split_paths(&paths).next());
    of_unit
        .filter(|path| path.is_absolute())
        .or_else(|| folder("XDG_STATE_HOME").map(|folder| folder.join("scanbridge")))
        .or_else(|| folder("HOME").map(|home| home.join(".local/state/scanbridge")))
        .unwrap_or_else(|| PathBuf::from("/var/lib/scanbridge"))
}

/// Handles the signals of a run; `apply` gets what they request, and `then` is logged: what a later run does.
///
/// The first SIGINT or SIGTERM stops the run at the next checkpoint, within ten seconds. A second one cancels all calls; a
/// third one ends the process inside the signal handler, so that it works even when all threads are blocked. SIGHUP does
/// the same when standard error is a terminal, which has gone then; otherwise it is ignored. SIGUSR1 requests a line of
/// statistics.
pub(crate) fn on_signal(then: &'static str, apply: impl Fn(Asked) + Send + 'static) {
    if let Err(error) = try_to_handle_signals(then, apply) {
        tracing::warn!("cannot install signal handlers: {error}; a signal will end the run immediately");
    }
}

fn try_to_handle_signals(then: &'static str, apply: impl Fn(Asked) + Send + 'static) -> io::Result<()> {
    let has_terminal = stderr_is_terminal();
    let is_last_chance = Arc::new(AtomicBool::new(false));
    let ending = [SIGINT, SIGTERM].into_iter().chain(has_terminal.then_some(SIGHUP));
    for signal in ending {
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&is_last_chance))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut level = 0;
        for signal in signals.forever() {
            if signal == SIGUSR1 {
                apply(Asked::Statistics);
                continue;
            }
            if signal == SIGHUP && !has_terminal {
                tracing::info!("SIGHUP is ignored: a run reads its configuration only when it starts");
                continue;
            }
            // Stop before logging: writing the log may block on its reader.
            level = (level + 1).min(ABORT);
            apply(Asked::Stop(level));
            is_last_chance.store(level == ABORT, Ordering::Relaxed);
            let (name, again) = match signal {
                SIGINT => ("SIGINT", "press Ctrl-C again"),
                SIGHUP => ("SIGHUP", "send it again"),
                _ => ("SIGTERM", "send it again"),
            };
            if level == DRAIN {
                tracing::info!(
                    event = "stop_requested",
                    "{name}: stopping at the next checkpoint{then} ({again} to cancel all calls)"
                );
            } else {
                tracing::warn!("{name}: cancelling all calls ({again} to end the process at once)");
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn default_state_directory_is_absolute_and_set_by_environment() {
        let unit = ("STATE_DIRECTORY", "/var/lib/bridge:/var/lib/other");
        let (xdg, home) = (("XDG_STATE_HOME", "/srv/state"), ("HOME", "/home/scan"));
        for (variables, folder) in [
            (&[("SCANBRIDGE_STATE_DIR", "here"), unit, xdg, home][..], "here"),
            (&[("SCANBRIDGE_STATE_DIR", ""), unit, xdg, home], "/var/lib/bridge"),
            (&[unit, xdg, home], "/var/lib/bridge"),
            (&[("STATE_DIRECTORY", ""), xdg, home], "/srv/state/scanbridge"),
            (&[("XDG_STATE_HOME", "state"), home], "/home/scan/.local/state/scanbridge"),
            (&[("HOME", "")], "/var/lib/scanbridge"),
            (&[("STATE_DIRECTORY", "here"), ("HOME", "here")], "/var/lib/scanbridge"),
        ] {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            assert_eq!(default_state_folder_in(variable), Path::new(folder), "{variables:?}");
        }
    }
}
