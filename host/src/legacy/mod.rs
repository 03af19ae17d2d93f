//! The commands of the Qualys Connector of 2014: `qualys_connector` and `process_multiple`.
//!
//! Only a translation: the arguments become a pipeline, which is checked and run like any other.
//!
//! ```text
//! arguments ─► dialect (names, values) ─► request (checked options) ─► translation (pipeline) ─► session (run)
//! ```

mod dialect;
mod log;
mod request;
mod search_folders;
mod session;
mod syslog;
mod translation;
mod usage;

use std::ffi::OsString;
use std::path::Path;

use crate::plugins::guard::ExitGuard;
use crate::plugins::instance_thread::end_command;
use crate::plugins::signals;
pub use usage::OldCommand;

pub(crate) use request::{Destination, Request};
pub(crate) use search_folders::first_certificate;
pub(crate) use usage::{Program, Usage};

/// Runs the old command by whose name this program was started, and returns its exit code. `None` for any other name.
///
/// - `qualys_connector [options] [plugin]` downloads a report and sends it to a Defense Center, or writes the Defense
///   Center's commands to a file.
/// - `process_multiple -multiinfo IDS [options] [plugin]` does the same for several report templates, one after the other.
#[must_use]
pub fn old_command(arguments: &[OsString]) -> Option<u8> {
    let (name, arguments) = arguments.split_first()?;
    let name = Path::new(name).file_name()?;
    let program = [Program::QualysConnector, Program::ProcessMultiple]
        .into_iter()
        .find(|program| name == program.name())?;
    Some(start(program, arguments.to_vec()))
}

/// Both commands, for their manual pages.
#[must_use]
pub fn old_commands() -> [OldCommand; 2] {
    [Program::QualysConnector, Program::ProcessMultiple].map(Program::described)
}

/// The pipeline for arguments of `process_multiple`, which has all options. For fuzz tests.
///
/// # Errors
/// The usage error; empty for help and version.
#[doc(hidden)]
pub fn pipeline_of(arguments: Vec<OsString>) -> Result<String, String> {
    match Request::read(Program::ProcessMultiple, arguments) {
        Ok(request) => {
            let settings = request.plugininfo.as_deref().unwrap_or("settings.yaml");
            let template = request.templates.first().map(String::as_str);
            Ok(translation::pipeline(&request, &request.plugin, settings.as_ref(), template, None))
        }
        Err(Usage::Wrong(problem)) => Err(problem),
        Err(_) => Err(String::new()),
    }
}

fn start(program: Program, arguments: Vec<OsString>) -> u8 {
    match Request::read(program, arguments) {
        Ok(request) => {
            let _guard = ExitGuard::arm();
            signals::disable_core_dumps();
            end_command(session::run(program, &request))
        }
        Err(usage) => usage.print(program),
    }
}
