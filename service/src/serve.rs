//! `scanbridge serve`: from the command line to the main loop, and back to an exit code.

use std::ffi::OsString;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::{env, fs, io, thread};

use scanbridge_observe::{BundleResult, FIPS_VARIABLE, machine_id};
use scanbridge_tls_policy::Policy;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use tokio::sync::watch;

use crate::accepted::{Loaded, Sources, problem_in_words, require_module};
use crate::ask::HostProgram;
use crate::cli::{Common, Format, Serve};
use crate::http::{self, Access, Context, Control, Host, Listener, Lists, Tokens};
use crate::log_sink::{Level, Log, LogFormat, LogOptions};
use crate::machine::State;
use crate::message::Message;
use crate::request::ReloadMode;
use crate::store::{Occupied, Store};
use crate::supervisor::{Settings, Supervisor, Web};

/// Why the service does not start.
pub(crate) struct Refusal {
    code: u8,
    message: String,
}

fn refuse(code: u8, message: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into() }
}

const USAGE: u8 = 64;
const MISSING: u8 = 69;
const CANNOT_CREATE: u8 = 73;
const OCCUPIED: u8 = 75;
const CONFIG: u8 = 78;

const SHOWS_ERRORS: &str = "`scanbridge serve --check` shows what is read, with all errors";

/// Messages that may wait for the main loop. Runs that report more wait themselves.
const QUEUE: usize = 1024;

/// Runs the service. Returns the exit code.
pub(crate) fn serve(arguments: Serve, common: &Common) -> u8 {
    match try_to_serve(arguments, common) {
        Ok(code) => code,
        Err(refusal) => {
            let _ = writeln!(stderr(), "error: {}", refusal.message);
            refusal.code
        }
    }
}

fn try_to_serve(arguments: Serve, common: &Common) -> Result<u8, Refusal> {
    let fips = fips_of_environment().map_err(|error| refuse(CONFIG, error))?;
    let mut sources = Sources {
        host: HostProgram { program: host_program()?, common: host_arguments(common), fips },
        config: arguments.config.clone(),
        paths: arguments.paths.clone(),
        minimum: fips,
        listen: arguments.listen.map(|listen| listen.to_string()),
    };
    if arguments.check {
        return check(&sources);
    }
    let state = absolute(&state_folder(common)?);
    let log_options = log_options(&arguments, common)?;
    let cannot =
        |what: &str, error: &io::Error| refuse(CANNOT_CREATE, format!("cannot create {what}: {error}"));
    let store = Store::open(&state).map_err(|error| cannot(&state.display().to_string(), &error))?;
    let _lock =
        match Store::lock(&state).map_err(|error| cannot("the lock of the state directory", &error))? {
            Ok(lock) => lock,
            Err(Occupied) => {
                let message = format!(
                    "another service uses the state directory {}; stop it, or set --state-dir",
                    state.display()
                );
                return Err(refuse(OCCUPIED, message));
            }
        };
    let records = store.records().map_err(|error| refuse(CANNOT_CREATE, error))?;
    let socket = common.socket.clone().map_or_else(|| default_socket(&state), |path| absolute(&path));
    let control = Control::bind(&socket).map_err(|error| {
        let hint =
            if error.kind() == ErrorKind::InvalidInput { "; set a shorter path with --socket" } else { "" };
        refuse(CANNOT_CREATE, format!("cannot create the control socket {}: {error}{hint}", socket.display()))
    })?;
    let (sender, receiver) = sync_channel(QUEUE);
    forward_signals(sender.clone())
        .map_err(|error| refuse(70, format!("cannot install signal handlers: {error}")))?;
    let loaded = sources.load().map_err(|error| refuse(CONFIG, error))?;
    let fips = loaded.fips;
    sources.host.fips = fips;
    let listener = match &loaded.service.console {
        Some(console) => Some(
            Listener::bind(console, state.join("service/tls"), fips)
                .map_err(|error| refuse(CANNOT_CREATE, error))?,
        ),
        None => None,
    };
    let tokens =
        Tokens::open(state.join("service/tokens.json")).map_err(|error| refuse(CANNOT_CREATE, error))?;
    let log = Log::open(log_options, &loaded.service.log);
    let log =
        Arc::new(log.map_err(|error| refuse(CANNOT_CREATE, format!("cannot open the log file: {error}")))?);
    let run_arguments = run_arguments(common, &state);
    let port = listener.as_ref().map(|listener| listener.state.port()).unwrap_or_default();
    let access = Arc::new(Access::new(tokens, Arc::clone(&log), port));
    let (changed, changes) = watch::channel(());
    let host = Host::new(sources.host.clone(), state.clone());
    let lists = Lists::default();
    let context = Context { to: sender.clone(), access: Arc::clone(&access), host, lists, changes };
    let console = loaded.service.console.clone();
    let web = Web {
        access,
        console,
        listener: listener.as_ref().map(|listener| Arc::clone(&listener.state)),
        changed,
    };
    let machine = machine_id();
    let settings = Settings { sources, state, socket: socket.clone(), run_arguments, machine, web };
    let mut supervisor = Supervisor::new(settings, Arc::clone(&log), store, records, (sender, receiver));
    let report = supervisor.apply(loaded, ReloadMode::default());
    supervisor.last_success = Some(jiff::Timestamp::now()).filter(|_| report.rejected.is_empty());
    if arguments.strict && !report.rejected.is_empty() {
        return Err(refuse(
            CONFIG,
            format!("--strict: invalid files: {}; {SHOWS_ERRORS}", report.rejected.len()),
        ));
    }
    if !supervisor.fleet.iter().any(|(_, machine)| machine.state() != State::Invalid) {
        let what = if report.rejected.is_empty() { "no pipeline files found" } else { "no valid pipeline" };
        return Err(refuse(CONFIG, format!("{what}; {SHOWS_ERRORS}")));
    }
    http::serve(control, listener, context, Arc::clone(&supervisor.requests))
        .map_err(|error| cannot("the thread for HTTP", &error))?;
    supervisor.log_listener();
    log.service(Level::Info, &format!("the service has started: {}", supervisor.status_line()));
    supervisor.run();
    let _ = fs::remove_file(&socket);
    log.service(Level::Info, "the service has stopped");
    Ok(0)
}

fn log_options(arguments: &Serve, common: &Common) -> Result<LogOptions, Refusal> {
    let (file, format) = (arguments.log_file.clone(), common.log_format);
    if file.is_some() && format == LogFormat::Journal {
        return Err(refuse(USAGE, "--log-file and --log-format journal exclude each other"));
    }
    let level = match i16::from(common.verbose) - i16::from(common.quiet) {
        ..=-2 => Some(Level::Error),
        -1 => Some(Level::Warn),
        0 => None,
        1 => Some(Level::Debug),
        2.. => Some(Level::Trace),
    };
    Ok(LogOptions { file, format, level })
}

/// `--check`: prints all problems.
fn check(sources: &Sources) -> Result<u8, Refusal> {
    let Loaded { results, .. } = sources.load().map_err(|error| refuse(CONFIG, error))?;
    let mut text = String::new();
    let mut is_valid = !results.is_empty();
    for result in &results {
        let (line, problems) = match result {
            BundleResult::Accepted(bundle) => {
                (format!("{} is valid (pipeline {})", bundle.pipeline.path, bundle.name), &bundle.warnings)
            }
            BundleResult::Rejected { file, problems, .. } => {
                is_valid = false;
                (format!("{file} is invalid"), problems)
            }
        };
        text.push_str(&format!("{line}\n"));
        problems.iter().for_each(|problem| text.push_str(&format!("  {}\n", problem_in_words(problem))));
    }
    let _ = stdout().write_all(text.as_bytes());
    if results.is_empty() {
        return Err(refuse(CONFIG, "no pipeline files found"));
    }
    Ok(if is_valid { 0 } else { CONFIG })
}

/// The host, from the same directory as this program.
pub(crate) fn host_program() -> Result<PathBuf, Refusal> {
    let own =
        env::current_exe().map_err(|error| refuse(MISSING, format!("cannot find this program: {error}")))?;
    let program = own.with_file_name("scanbridge");
    if program.exists() {
        Ok(program)
    } else {
        let program = program.display();
        Err(refuse(
            MISSING,
            format!("{program} is missing; it belongs in the directory of scanbridge-service"),
        ))
    }
}

/// The FIPS mode that the environment sets.
fn fips_of_environment() -> Result<Policy, String> {
    let text = env::var_os(FIPS_VARIABLE).unwrap_or_default();
    if text.is_empty() {
        return Ok(Policy::Off);
    }
    let mode = text.to_string_lossy().parse().map_err(|error| format!("{FIPS_VARIABLE}: {error}"))?;
    require_module(mode).map(|()| mode)
}

/// Options that every host command gets.
fn host_arguments(common: &Common) -> Vec<OsString> {
    let mut arguments = Vec::new();
    for folder in &common.plugin_dirs {
        arguments.extend([OsString::from("--plugin-dir"), absolute(folder).into_os_string()]);
    }
    if common.allow_world_writable_plugins {
        arguments.push("--allow-world-writable-plugins".into());
    }
    if common.allow_core_dumps {
        arguments.push("--allow-core-dumps".into());
    }
    arguments
}

fn run_arguments(common: &Common, state: &Path) -> Vec<OsString> {
    let mut arguments = host_arguments(common);
    arguments.extend([OsString::from("--state-dir"), state.as_os_str().to_owned()]);
    arguments.extend((0..common.verbose).map(|_| OsString::from("-v")));
    arguments.extend((0..common.quiet).map(|_| OsString::from("-q")));
    arguments
}

/// The state directory: `scanbridge serve` sets the default that `scanbridge run` has.
pub(crate) fn state_folder(common: &Common) -> Result<PathBuf, Refusal> {
    let folder = common.state_dir.clone().or_else(|| env::var_os("SCANBRIDGE_STATE_DIR").map(PathBuf::from));
    folder.ok_or_else(|| refuse(USAGE, "--state-dir is missing; start the service with `scanbridge serve`"))
}

fn default_socket(state: &Path) -> PathBuf {
    let runtime = env::var_os("RUNTIME_DIRECTORY").and_then(|paths| env::split_paths(&paths).next());
    let folder = runtime.filter(|path| path.is_absolute());
    folder.unwrap_or_else(|| state.to_owned()).join("control.sock")
}

/// Where a command finds the socket of the service.
pub(crate) fn find_socket(common: &Common) -> Result<PathBuf, Refusal> {
    if let Some(socket) = &common.socket {
        return Ok(socket.clone());
    }
    let of_unit = Path::new("/run/scanbridge/control.sock");
    if common.state_dir.is_none() && env::var_os("RUNTIME_DIRECTORY").is_none() && of_unit.exists() {
        return Ok(of_unit.to_owned());
    }
    Ok(default_socket(&state_folder(common)?))
}

impl Refusal {
    pub(crate) fn print(&self) -> u8 {
        let _ = writeln!(stderr(), "error: {}", self.message);
        self.code
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn forward_signals(sender: SyncSender<Message>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if sender.send(Message::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// Whether JSON was asked for.
pub(crate) fn is_json(common: &Common) -> bool {
    common.format == Format::Json
}
