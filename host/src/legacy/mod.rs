//! The command lines of 2014: `qualys_connector` and `process_multiple`.
//!
//! A translation and nothing more: what was typed becomes a pipeline, which is checked and run as any other.
//!
//! ```text
//! arguments ─► dialect (names, values) ─► request (what is wanted) ─► translation (a pipeline) ─► session (runs it)
//! ```

mod dialect;
mod log;
mod request;
mod session;
mod syslog;
mod translation;
mod usage;

use std::ffi::OsString;

use crate::plugins::guard::ExitGuard;
use request::Request;
use usage::{Program, Usage};

/// `qualys_connector [options] [plugin]`: fetches a report and sends it to a Defense Center, or into a file of
/// its commands. Gives the exit code.
#[must_use]
pub fn qualys_connector<I: IntoIterator<Item = OsString>>(arguments: I) -> u8 {
    start(Program::QualysConnector, arguments)
}

/// `process_multiple -multiinfo IDS [options] [plugin]`: the same for several report templates, one after the
/// other. Gives the exit code.
#[must_use]
pub fn process_multiple<I: IntoIterator<Item = OsString>>(arguments: I) -> u8 {
    start(Program::ProcessMultiple, arguments)
}

/// The pipeline that arguments become for `process_multiple`, which takes every option: for tests that type anything.
///
/// # Errors
/// What is said in place of a run; empty when help or the version was asked for.
#[doc(hidden)]
pub fn pipeline_of(arguments: Vec<OsString>) -> Result<String, String> {
    match Request::read(Program::ProcessMultiple, arguments) {
        Ok(request) => {
            let settings = request.plugininfo.as_deref().unwrap_or("settings.yaml");
            let template = request.templates.first().map(String::as_str);
            Ok(translation::pipeline(&request, &request.plugin, settings, template))
        }
        Err(Usage::Wrong(problem)) => Err(problem),
        Err(_) => Err(String::new()),
    }
}

/// The first argument is the path of the program, as the system hands it over.
fn start<I: IntoIterator<Item = OsString>>(program: Program, arguments: I) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().skip(1).collect();
    match Request::read(program, arguments) {
        Ok(request) => {
            let _guard = ExitGuard::arm();
            session::run(program, &request)
        }
        Err(usage) => usage.print(program),
    }
}
