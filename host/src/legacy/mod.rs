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

use crate::plugins::guard::ExitGuard;
use crate::plugins::instance_thread::end_command;
use crate::plugins::signals;
pub use usage::OldCommand;

pub(crate) use request::{Destination, Request};
pub(crate) use search_folders::first_certificate;
pub(crate) use usage::{Program, Usage};

/// `qualys_connector [options] [plugin]`: downloads a report and sends it to a Defense Center, or writes the
/// Defense Center's commands to a file. Returns the exit code.
#[must_use]
pub fn qualys_connector<I: IntoIterator<Item = OsString>>(arguments: I) -> u8 {
    start(Program::QualysConnector, arguments)
}

/// `process_multiple -multiinfo IDS [options] [plugin]`: the same for several report templates, one after the
/// other. Returns the exit code.
#[must_use]
pub fn process_multiple<I: IntoIterator<Item = OsString>>(arguments: I) -> u8 {
    start(Program::ProcessMultiple, arguments)
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

/// Runs the command. The first argument is the path of the program and is ignored.
fn start<I: IntoIterator<Item = OsString>>(program: Program, arguments: I) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().skip(1).collect();
    match Request::read(program, arguments) {
        Ok(request) => {
            let _guard = ExitGuard::arm();
            signals::disable_core_dumps();
            end_command(session::run(program, &request))
        }
        Err(usage) => usage.print(program),
    }
}
