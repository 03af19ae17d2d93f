//! `scanbridge run`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, io, thread};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::preparation::{NOTHING_STARTED, checked_or_problems, registry};
pub(super) use super::summary::print_failures;
use super::summary::{failures_of, print_not_started, print_summary, summary_only};
use crate::cli::{CommonOptions, SummaryFormat};
use crate::config::Problems;
use crate::pipeline::{ABORT, DRAIN, Head, Stop, Summary, Trigger};
use crate::session::{self, RunOptions};

/// Exit code of a process ended by SIGINT, as shells report it (128 + 2).
const INTERRUPTED: i32 = 130;

pub(super) fn run(file: &Path, format: SummaryFormat, options: RunOptions, common: &CommonOptions) -> u8 {
    let registry = registry(common);
    let pipeline = match checked_or_problems(file, &registry, NOTHING_STARTED) {
        Ok(pipeline) => pipeline,
        Err(problems) => return invalid_file(file, &problems, format, options.trigger),
    };
    let stop = stoppable("; the next run resumes there");
    match session::run(&pipeline, &registry, &state_folder(common), options, &stop) {
        Ok(summary) => print_summary(&summary, format, pipeline.writes_to_stdout()),
        Err(failures) => {
            let head = Head::of(&pipeline, options.trigger);
            print_not_started(&Summary::not_started(head, &pipeline, failures), format)
        }
    }
}

/// The end of a run or replay whose pipeline file has errors, which are printed already.
pub(super) fn invalid_file(file: &Path, problems: &Problems, format: SummaryFormat, trigger: Trigger) -> u8 {
    let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy();
    let head = Head::starting(&name, file, trigger);
    summary_only(&Summary::without_instances(head, failures_of(problems)), format)
}

/// A [`Stop`] that SIGINT and SIGTERM trigger. `then` is logged: what a later run does.
pub(super) fn stoppable(then: &'static str) -> Arc<Stop> {
    let stop = Arc::new(Stop::default());
    let raised = Arc::clone(&stop);
    stop_on_signal(then, move |level| raised.raise(level));
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

/// The first SIGINT or SIGTERM stops the run at the next checkpoint, within ten seconds. A second one cancels all calls; a
/// third one ends the process inside the signal handler, so that it works even when all threads are blocked.
/// `raise` gets the cancel level; `then` is logged: what a later run does.
pub(crate) fn stop_on_signal(then: &'static str, raise: impl Fn(u32) + Send + 'static) {
    if let Err(error) = try_to_stop_on_signal(then, raise) {
        tracing::warn!("cannot install signal handlers: {error}; a signal will end the run immediately");
    }
}

fn try_to_stop_on_signal(then: &'static str, raise: impl Fn(u32) + Send + 'static) -> io::Result<()> {
    const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];
    let is_last_chance = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS {
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&is_last_chance))?;
    }
    let mut signals = Signals::new(SIGNALS)?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut level = 0;
        for signal in signals.forever() {
            // Stop before logging: writing the log may block on its reader.
            level = (level + 1).min(ABORT);
            raise(level);
            is_last_chance.store(level == ABORT, Ordering::Relaxed);
            let (name, again) = match signal {
                SIGINT => ("SIGINT", "press Ctrl-C again"),
                _ => ("SIGTERM", "send it again"),
            };
            if level == DRAIN {
                tracing::warn!("{name}: stopping at the next checkpoint{then} ({again} to cancel all calls)");
            } else {
                tracing::warn!("{name}: cancelling all calls ({again} to end the process at once)");
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
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
