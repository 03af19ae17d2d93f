//! `scanbridge run`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::{env, io, thread};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::terminal::{answer, print_error};
use super::{checked, registry};
use crate::cli::{CommonOptions, Format};
use crate::pipeline::{Failure, Stop, Summary};
use crate::session::{self, RunOptions};

/// What a shell shows for a process that was interrupted.
const INTERRUPTED: i32 = 130;

pub(super) fn run(file: &Path, format: Format, wish: RunOptions, common: &CommonOptions) -> u8 {
    let registry = registry(common);
    let pipeline = match checked(file, &registry) {
        Ok(pipeline) => pipeline,
        Err(code) => return code,
    };
    let stop = stoppable();
    match session::run(&pipeline, &registry, &state_folder(common), wish, &stop) {
        Ok(summary) => print_summary(&summary, format),
        Err(failures) => {
            print_failures(&failures);
            let summary = Summary::not_started(&pipeline, failures);
            if format == Format::Json { print_summary(&summary, format) } else { summary.exit_code() }
        }
    }
}

/// A stop that signals give.
pub(super) fn stoppable() -> Arc<Stop> {
    let stop = Arc::new(Stop::default());
    stop_on_signal({
        let stop = Arc::clone(&stop);
        move || stop.give()
    });
    stop
}

/// The folder that was named, else systemd's, else the user's own (XDG Base Directory Specification).
pub(super) fn state_folder(common: &CommonOptions) -> PathBuf {
    common.state_dir.clone().unwrap_or_else(default_state_folder)
}

/// The folder when none is named.
pub(crate) fn default_state_folder() -> PathBuf {
    usual_state_folder(|name| env::var_os(name))
}

fn usual_state_folder(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    // A relative path in one of them counts as none (same specification): it would be another one tomorrow.
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // A unit with several state folders gets them all, with colons between (systemd.exec, RuntimeDirectory=).
    let of_unit = variable("STATE_DIRECTORY").and_then(|paths| env::split_paths(&paths).next());
    of_unit
        .filter(|path| path.is_absolute())
        .or_else(|| folder("XDG_STATE_HOME").map(|folder| folder.join("scanbridge")))
        .or_else(|| folder("HOME").map(|home| home.join(".local/state/scanbridge")))
        .unwrap_or_else(|| PathBuf::from("/var/lib/scanbridge"))
}

/// Says for each instance why it could not be opened.
pub(super) fn print_failures(failures: &[Failure]) {
    for failure in failures {
        print_error(&format!("error: {}: {}\n", failure.instance, failure.message));
        if let Some(hint) = &failure.hint {
            print_error(&format!("  = help: {hint}\n"));
        }
    }
    let plural = if failures.len() == 1 { "" } else { "s" };
    print_error(&format!("{} error{plural}; nothing was started\n", failures.len()));
}

/// Prints the counts of a run and gives its exit code.
pub(super) fn print_summary(summary: &Summary, format: Format) -> u8 {
    let text = match format {
        Format::Text => summary.text(),
        Format::Json => serde_json::to_string(summary).expect("a summary serialises") + "\n",
    };
    answer(&text, summary.exit_code())
}

/// The first signal drains: what was read is finished, nothing new is begun. A second one ends the process from
/// within the handler, so that it works whatever the threads wait for.
pub(crate) fn stop_on_signal(give: impl Fn() + Send + 'static) {
    if let Err(error) = try_to_stop_on_signal(give) {
        tracing::warn!("cannot install signal handlers: {error}; Ctrl-C will end the run immediately");
    }
}

fn try_to_stop_on_signal(give: impl Fn() + Send + 'static) -> io::Result<()> {
    const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];
    let asked = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS {
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&asked))?;
    }
    for signal in SIGNALS {
        flag::register(signal, Arc::clone(&asked))?;
    }
    let mut signals = Signals::new(SIGNALS)?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
            // First the deed: saying it may have to wait for whoever reads the log.
            give();
            tracing::warn!(
                "stopping at the next checkpoint; the next run resumes there (press Ctrl-C \
                 again to stop immediately)"
            );
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_lies_where_the_system_says_and_never_below_the_working_directory() {
        let unit = ("STATE_DIRECTORY", "/var/lib/bridge:/var/lib/other");
        let (xdg, home) = (("XDG_STATE_HOME", "/srv/state"), ("HOME", "/home/scan"));
        for (variables, folder) in [
            (&[unit, xdg, home][..], "/var/lib/bridge"),
            (&[("STATE_DIRECTORY", ""), xdg, home], "/srv/state/scanbridge"),
            (&[("XDG_STATE_HOME", "state"), home], "/home/scan/.local/state/scanbridge"),
            (&[("HOME", "")], "/var/lib/scanbridge"),
            (&[("STATE_DIRECTORY", "here"), ("HOME", "here")], "/var/lib/scanbridge"),
        ] {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            assert_eq!(usual_state_folder(variable), Path::new(folder), "{variables:?}");
        }
    }
}
