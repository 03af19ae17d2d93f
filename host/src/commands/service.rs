//! Commands for the service: `scanbridge serve` and `scanbridge service` are a program of their own; `scanbridge config
//! bundle` and `scanbridge config service` read configuration for it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use scanbridge_observe::{BundleResult, ConsoleKeys, LogKeys, LogTarget};
use scanbridge_plugin_api::show_size;
use serde::Deserialize;
use serde_json::Value;

use super::run::default_state_folder;
use super::terminal::{error_style, print_error, print_output, print_text};
use crate::cli::{CommonOptions, Format};
use crate::config::{self, Problems};
use crate::exit_code::INTERRUPTED;
use crate::plugins::Registry;

const SERVICE: &str = "scanbridge-service";
/// `EX_UNAVAILABLE`.
const MISSING: u8 = 69;
/// `EX_TEMPFAIL`: of `scanbridge-service owner`, when a service exists that does not respond.
const NO_RESPONSE: u8 = 75;

/// Replaces this process if its first argument is a command of the service. Its own program reads the other arguments and
/// `--help`. Returns the exit code if the program cannot be started; `None` for other commands.
#[must_use]
pub fn replaced_by_service(arguments: &[OsString]) -> Option<u8> {
    let is_for_service = arguments
        .get(1)
        .is_some_and(|command| ["serve", "service", "tap"].iter().any(|of_service| command == of_service));
    is_for_service.then(replace_process)
}

/// Replaces this process by the service's program, with the same arguments. Returns only if that fails.
pub(super) fn replace_process() -> u8 {
    replace_process_by(env::args_os().skip(1))
}

/// Replaces this process by the service's program, from the same directory. The process ID stays. Returns only if that
/// fails.
fn replace_process_by(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let mut command = match service_program() {
        Ok(command) => command,
        Err(error) => {
            print_error(&format!("error: cannot find this program: {error}\n"));
            return MISSING;
        }
    };
    let error = command.args(arguments).exec();
    let program = Path::new(command.get_program()).display();
    print_error(&format!(
        "error: the service is a separate program; install {SERVICE} as {program} ({error})\n"
    ));
    MISSING
}

/// The service's program. It finds the service by the default state directory of this program.
fn service_program() -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?.with_file_name(SERVICE));
    if env::var_os("SCANBRIDGE_STATE_DIR").is_none() {
        command.env("SCANBRIDGE_STATE_DIR", default_state_folder());
    }
    Ok(command)
}

/// A running service that runs a pipeline.
#[derive(Debug, Deserialize)]
pub(super) struct Owner {
    /// Name of the pipeline in the service; empty if no pipeline was asked for.
    pub(super) name: String,
    /// The names of all instances of the pipeline by number; empty if it has one.
    #[serde(default)]
    instances: BTreeMap<u32, String>,
    /// The state directory of all its pipelines.
    pub(super) state_dir: PathBuf,
    socket: PathBuf,
}

impl Owner {
    /// The service that runs this pipeline file. `None` with `--state-dir`, without a service, and for a user who may not
    /// connect to it.
    ///
    /// # Errors
    /// The exit code, when a service exists that does not respond.
    pub(super) fn of(file: &Path, common: &CommonOptions) -> Result<Option<Self>, u8> {
        Self::find(Some(file), common)
    }

    /// The service, whatever it runs; otherwise like [`Owner::of`].
    pub(super) fn of_any(common: &CommonOptions) -> Result<Option<Self>, u8> {
        Self::find(None, common)
    }

    fn find(file: Option<&Path>, common: &CommonOptions) -> Result<Option<Self>, u8> {
        let Ok(mut command) = service_program() else { return Ok(None) };
        if common.state_dir.is_some() || !Path::new(command.get_program()).exists() {
            return Ok(None);
        }
        let Ok(output) = command.arg("owner").args(file).stdin(Stdio::null()).output() else {
            return Ok(None);
        };
        match output.status.code() {
            Some(0) => Ok(serde_json::from_slice(&output.stdout).ok()),
            Some(code) if code == i32::from(NO_RESPONSE) => {
                print_error(&String::from_utf8_lossy(&output.stderr));
                Err(NO_RESPONSE)
            }
            _ => Ok(None),
        }
    }

    /// Name of the pipeline without the number of an instance.
    pub(super) fn pipeline(&self) -> &str {
        let first = self.instances.keys().next().map(|number| format!(".{number}"));
        first.and_then(|number| self.name.strip_suffix(&number)).unwrap_or(&self.name)
    }

    /// Number and name of each instance of the pipeline; a pipeline with one has no number.
    pub(super) fn all_instances(&self) -> Vec<(Option<u32>, String)> {
        if self.instances.is_empty() {
            return vec![(None, self.name.clone())];
        }
        self.instances.iter().map(|(number, name)| (Some(*number), name.clone())).collect()
    }

    /// Hands chosen reports to the service, or lets it skip some, and prints the result. `how` are options of the hidden
    /// command. Returns the exit code.
    pub(super) fn handle_reports(&self, verb: &str, request: &Value, how: &[&str]) -> u8 {
        let sent = || -> io::Result<u8> {
            let mut command = service_program()?;
            command.args(["reports", "--socket"]).arg(&self.socket).args(how).args(["--", verb, &self.name]);
            let mut child = command.stdin(Stdio::piped()).spawn()?;
            // Thousands of IDs do not fit into an argument.
            child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(request.to_string().as_bytes()))?;
            Ok(child.wait()?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(INTERRUPTED))
        };
        sent().unwrap_or_else(|error| {
            print_error(&format!("error: cannot hand the request to the service: {error}\n"));
            MISSING
        })
    }

    /// Lets the service do this with the dead letters of the pipeline with this name, and prints the result. Returns only
    /// if its program cannot be started.
    pub(super) fn handle_dead_letters(&self, name: &str, request: &Value) -> u8 {
        let [socket, name] = [self.socket.as_os_str(), name.as_ref()].map(OsString::from);
        let request = OsString::from(request.to_string());
        replace_process_by(["dead-letters".into(), "--socket".into(), socket, "--".into(), name, request])
    }
}

/// Prints one line of JSON for each file, and for each instance of its pipeline.
pub(super) fn bundle(files: &[PathBuf], registry: &Registry) -> u8 {
    let mut text = String::new();
    let mut code = 0;
    for file in files {
        for result in config::bundle(file, registry) {
            if matches!(result, BundleResult::Rejected { .. }) {
                code = Problems::EXIT_CODE;
            }
            text.push_str(&serde_json::to_string(&result).expect("a bundle consists of texts and numbers"));
            text.push('\n');
        }
    }
    print_output(&text, code)
}

/// Prints the effective settings of a service file.
pub(super) fn show_file(file: &Path, format: Format) -> u8 {
    let settings = match config::read_service_file(file) {
        Ok((settings, warnings)) => {
            print_text(&config::render_all(&warnings.list, error_style()));
            settings
        }
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
            let (max_running, log) = (settings.max_running, log_settings(&settings.log));
            let console = settings.console.as_ref().map(console_settings).unwrap_or_default();
            let fips = match settings.fips.as_str() {
                "off" => String::new(),
                mode => format!("fips: {mode}\n"),
            };
            format!("pipelines: {pipelines}\nmax_running: {max_running}\n{groups}{log}{console}{fips}")
        }
    };
    print_output(&text, 0)
}

fn log_settings(log: &LogKeys) -> String {
    let level = &log.level;
    match log.to {
        LogTarget::Stderr => format!("log.to: stderr\nlog.level: {level}\n"),
        LogTarget::Journal => format!("log.to: journal\nlog.level: {level}\n"),
        LogTarget::File => {
            let (file, size, keep) = (&log.file, show_size(log.rotate_bytes), log.keep);
            format!(
                "log.to: file\nlog.file: {file}\nlog.rotate_bytes: {size}\nlog.keep: {keep}\nlog.level: {level}\n"
            )
        }
    }
}

fn console_settings(console: &ConsoleKeys) -> String {
    let tls = console.tls.clone().unwrap_or_default();
    let texts = [
        ("listen", Some(&console.listen)),
        ("public_url", console.public_url.as_ref()),
        ("tls.certificate", tls.certificate.as_ref()),
        ("tls.key", tls.key.as_ref()),
        ("tls.client_ca", tls.client_ca.as_ref()),
    ];
    let texts = texts.into_iter().filter_map(|(key, text)| Some((key, text?.clone())));
    let flags =
        [("tls.client_required", tls.client_required), ("anonymous_metrics", console.anonymous_metrics)];
    let flags = flags.into_iter().map(|(key, flag)| (key, if flag { "yes" } else { "no" }.to_owned()));
    let roles = console
        .client_roles
        .iter()
        .map(|client| ("client_roles", format!("{} {}", client.san, client.role.word())));
    texts.chain(flags).chain(roles).map(|(key, value)| format!("console.{key}: {value}\n")).collect()
}
