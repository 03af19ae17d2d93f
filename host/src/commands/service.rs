//! Commands for the service: `scanbridge serve` and `scanbridge service` are a program of their own; `scanbridge config
//! bundle` and `scanbridge config service` read configuration for it.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use scanbridge_observe::BundleResult;

use super::run::default_state_folder;
use super::terminal::{error_style, print_error, print_output, print_text};
use crate::cli::Format;
use crate::config::{self, Problems};
use crate::plugins::Registry;

const SERVICE: &str = "scanbridge-service";
/// `EX_UNAVAILABLE`.
const MISSING: u8 = 69;

/// Replaces this process if its first argument is a command of the service. Its own program reads the other arguments and
/// `--help`. Returns the exit code if the program cannot be started; `None` for other commands.
#[must_use]
pub fn replaced_by_service(arguments: &[OsString]) -> Option<u8> {
    let is_for_service = arguments
        .get(1)
        .is_some_and(|command| ["serve", "service", "tap"].iter().any(|of_service| command == of_service));
    is_for_service.then(replace_process)
}

/// Replaces this process by the service's program, from the same directory. The process ID stays. Returns only if that
/// fails.
pub(super) fn replace_process() -> u8 {
    let program = match env::current_exe() {
        Ok(own) => own.with_file_name(SERVICE),
        Err(error) => {
            print_error(&format!("error: cannot find this program: {error}\n"));
            return MISSING;
        }
    };
    let mut command = Command::new(&program);
    command.args(env::args_os().skip(1));
    if env::var_os("SCANBRIDGE_STATE_DIR").is_none() {
        command.env("SCANBRIDGE_STATE_DIR", default_state_folder());
    }
    let error = command.exec();
    let program = program.display();
    print_error(&format!(
        "error: the service is a separate program; install {SERVICE} as {program} ({error})\n"
    ));
    MISSING
}

/// Prints one line of JSON for each file.
pub(super) fn bundle(files: &[PathBuf], registry: &Registry) -> u8 {
    let mut text = String::new();
    let mut code = 0;
    for file in files {
        let result = config::bundle(file, registry);
        if matches!(result, BundleResult::Rejected { .. }) {
            code = Problems::EXIT_CODE;
        }
        text.push_str(&serde_json::to_string(&result).expect("a bundle consists of texts and numbers"));
        text.push('\n');
    }
    print_output(&text, code)
}

/// Prints the effective settings of a service file.
pub(super) fn show_file(file: &Path, format: Format) -> u8 {
    let settings = match config::read_service_file(file) {
        Ok(settings) => settings,
        Err(problems) => {
            print_text(&problems.render_with_outcome(error_style(), ""));
            return Problems::EXIT_CODE;
        }
    };
    let text = match format {
        Format::Json => {
            serde_json::to_string(&settings).expect("settings consist of texts and numbers") + "\n"
        }
        Format::Text => {
            let groups = settings.groups.iter().map(|(name, places)| format!("groups.{name}: {places}\n"));
            let groups: String = groups.collect();
            let pipelines = settings.pipelines.join(", ");
            let (max_running, level) = (settings.max_running, &settings.log_level);
            format!("pipelines: {pipelines}\nmax_running: {max_running}\n{groups}log.level: {level}\n")
        }
    };
    print_output(&text, 0)
}
