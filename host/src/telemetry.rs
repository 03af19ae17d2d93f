//! The host's log: lines on standard error or in a file, as text or as JSON objects. The lines and their fields are
//! listed in `docs/log-fields.md`.

mod layer;
mod levels;
mod line;
mod printable;
mod targets;

use std::ffi::OsStr;
use std::io::{self, IsTerminal, stderr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use scanbridge_plugin_api::abi::level_number;
use serde_json::{Map, Value};
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use levels::LevelRule;
use levels::Levels;
use line::{HOST, Line, RunName, Style};
pub use line::{LogFormat, LogTime};
pub(crate) use printable::without_controls;
pub(crate) use targets::{LineTarget, LogFile, keep_clear_of};
use targets::{Stderr, is_journal};

/// Settings of the log.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Format of the lines.
    pub format: LogFormat,
    /// The time zone of text lines. JSON lines are in UTC.
    pub time: LogTime,
    /// 0 information, 1 steps of the engine, 2 details of plugins, 3 everything, -1 warnings, -2 errors only.
    pub verbosity: i8,
    /// Levels of single targets.
    pub levels: Vec<LevelRule>,
    /// The file that gets the lines instead of standard error.
    pub file: Option<PathBuf>,
}

/// The log of the process.
struct Log {
    levels: Levels,
    /// Where lines go, and in which form.
    outlets: Vec<(Style, Box<dyn LineTarget>)>,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// The run that lines belong to.
static RUN: Mutex<Option<RunName>> = Mutex::new(None);

/// Whether log lines are JSON objects.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Whether the log goes to a file.
static HAS_FILE: AtomicBool = AtomicBool::new(false);

/// Whether error messages of commands are log lines, because a program or a file gets them.
pub(crate) fn logs_errors() -> bool {
    is_json() || HAS_FILE.load(Ordering::Relaxed)
}

/// Whether standard error gets nothing but log lines.
pub(crate) fn owns_stderr() -> bool {
    is_json() && !HAS_FILE.load(Ordering::Relaxed)
}

/// Whether log lines are JSON objects. A signal handler may call this.
pub(crate) fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Starts the log. Call once per process; later calls have no effect.
///
/// # Errors
/// When the log file cannot be opened.
pub fn start(options: &LogOptions) -> io::Result<()> {
    IS_JSON.store(options.format == LogFormat::Json, Ordering::Relaxed);
    let mut style = Style {
        format: options.format,
        time: Some(options.time),
        has_priority: false,
        has_colors: false,
        has_target: options.verbosity > 0,
    };
    let target: Box<dyn LineTarget> = match &options.file {
        Some(path) => Box::new(LogFile::open(path, "scanbridge")?),
        None => {
            (style.has_priority, style.has_colors) = (is_journal(), has_colors());
            Box::new(Stderr)
        }
    };
    HAS_FILE.store(options.file.is_some(), Ordering::Relaxed);
    begin(Levels::new(options.verbosity, options.levels.clone()), vec![(style, target)]);
    log_panics();
    Ok(())
}

/// Starts the log with other targets than standard error: `lines` gets lines with a time, `syslog` gets them without
/// one. Call once per process, like [`start`].
pub(crate) fn start_into(level: Level, lines: Box<dyn LineTarget>, syslog: Option<Box<dyn LineTarget>>) {
    let with_time = Style {
        format: LogFormat::Text,
        time: Some(LogTime::Utc),
        has_priority: false,
        has_colors: false,
        has_target: level > Level::INFO,
    };
    let without_time = Style { time: None, ..with_time };
    let syslog = syslog.map(|syslog| (without_time, syslog));
    begin(Levels::all(level), [(with_time, lines)].into_iter().chain(syslog).collect());
}

fn begin(levels: Levels, outlets: Vec<(Style, Box<dyn LineTarget>)>) {
    let layer = layer::Lines::new(levels.clone(), write);
    if LOG.set(Log { levels, outlets }).is_ok() {
        let _ = tracing_subscriber::registry().with(layer).try_init();
    }
}

/// Logs a panic of the host in one line.
fn log_panics() {
    let previous_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("no message");
        event(Level::ERROR, "panic", &format!("internal error: panic at {location}: {text}"), Map::new());
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            previous_hook(panic);
        }
    }));
}

/// Whether to use colors on standard error: only on a terminal, unless `NO_COLOR` is set and not empty
/// (<https://no-color.org>) or `TERM` is `dumb`.
pub(crate) fn has_colors() -> bool {
    let is_set =
        |name: &str, matches: fn(&OsStr) -> bool| std::env::var_os(name).is_some_and(|value| matches(&value));
    stderr().is_terminal()
        && !is_set("NO_COLOR", |value| !value.is_empty())
        && !is_set("TERM", |value| value == "dumb")
}

/// Sets the run that all further lines belong to.
pub(crate) fn set_run(pipeline: &str, number: u64) {
    let run = RunName { pipeline: pipeline.to_owned(), number };
    *RUN.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
}

/// Logs a named event with its fields. In text, the message says everything.
pub(crate) fn event(level: Level, event: &'static str, message: &str, fields: Map<String, Value>) {
    event_with_text(level, event, message, message, fields);
}

/// As [`event`], with another message in text.
pub(crate) fn event_with_text(
    level: Level,
    event: &'static str,
    message: &str,
    text: &str,
    fields: Map<String, Value>,
) {
    let target = HOST;
    let message = if is_json() { message } else { text }.to_owned();
    write(&Line { level, target, message, event: Some(event), fields, plugin_fields: Map::new() });
}

/// An error line as a JSON object, for an error before the log is started.
pub(crate) fn json_error(event: &'static str, message: &str, hint: &str) -> String {
    let fields = Map::from_iter((!hint.is_empty()).then(|| ("hint".to_owned(), Value::from(hint))));
    let (level, target, message) = (Level::ERROR, HOST, message.to_owned());
    Line { level, target, message, event: Some(event), fields, plugin_fields: Map::new() }.json(None)
}

/// Writes a line that is not below the level of its target.
fn write(line: &Line<'_>) {
    let Some(log) = LOG.get() else { return };
    if log.levels.of_host(line.target) >= line.level {
        log.write(line);
    }
}

impl Log {
    fn write(&self, line: &Line<'_>) {
        let run = RUN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (style, target) in &self.outlets {
            target.write_line(line.level, &line.render(style, run.as_ref()));
        }
    }
}

/// The most detailed level that is logged of any plugin, numbered as in the ABI.
pub(crate) fn plugins_level() -> u32 {
    let level = LOG.get().and_then(|log| log.levels.most_of_plugins().into_level());
    level.map_or_else(|| level_number(Level::INFO), level_number)
}

/// Logs a line of a plugin. Line breaks are escaped, so that a plugin cannot forge a log line of the host.
pub(crate) fn plugin_line(instance: &str, level: u32, target: &str, message: &str, fields_json: &str) {
    let level = match level {
        0 | 1 => Level::ERROR,
        2 => Level::WARN,
        3 => Level::INFO,
        4 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let Some(log) = LOG.get().filter(|log| log.levels.of_plugin(target, instance) >= level) else { return };
    let fields = Map::from_iter([("instance".to_owned(), Value::from(instance))]);
    let plugin_fields = serde_json::from_str(fields_json).unwrap_or_default();
    let message = without_controls(message).into_owned();
    log.write(&Line { level, target, message, event: None, fields, plugin_fields });
}
