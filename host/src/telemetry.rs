//! The host's log: lines on standard error, as text or as JSON.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use indicatif::ProgressBar;
use scanbridge_plugin_api::abi::level_number;
use scanbridge_plugin_api::is_printable;
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Human-readable text.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The log level that plugins get, numbered as in the ABI: 1 error to 5 trace.
static LEVEL: AtomicU32 = AtomicU32::new(3);

/// Whether lines of plugins name the module that logged them. In text this helps only when debugging.
static WITH_TARGET: AtomicBool = AtomicBool::new(false);

/// Whether log lines are JSON objects.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Whether log lines are JSON objects. A signal handler may call this.
pub(crate) fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Starts the log. Call once per process; later calls have no effect.
///
/// `verbosity` is 0 for info, 1 debug, 2 trace, -1 warnings, -2 errors only.
pub fn start(format: LogFormat, verbosity: i8) {
    let level = match verbosity {
        i8::MIN..=-2 => Level::ERROR,
        -1 => Level::WARN,
        0 => Level::INFO,
        1 => Level::DEBUG,
        2.. => Level::TRACE,
    };
    LEVEL.store(level_number(level), Ordering::Relaxed);
    WITH_TARGET.store(format == LogFormat::Json || level > Level::INFO, Ordering::Relaxed);
    IS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
    let builder = fmt().with_max_level(level).with_writer(|| StderrWithProgress).with_target(false);
    // It reports a failed write on standard error, and panics when that fails too.
    let builder = builder.log_internal_errors(false);
    let _ = match format {
        LogFormat::Text => builder.with_ansi(has_colors()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Sets whether to use colors on standard error. `None`: [`has_colors`] decides. Call before [`start`].
pub(crate) fn choose_colors(choice: Option<bool>) {
    // Set once per process.
    let _ = COLORS.set(choice);
}

static COLORS: OnceLock<Option<bool>> = OnceLock::new();

/// Whether to use colors on standard error, unless the operator has chosen: only on a terminal, unless `NO_COLOR` is set and not empty
/// (<https://no-color.org>) or `TERM` is `dumb`.
pub(crate) fn has_colors() -> bool {
    if let Some(Some(choice)) = COLORS.get() {
        return *choice;
    }
    let is_set =
        |name: &str, matches: fn(&OsStr) -> bool| std::env::var_os(name).is_some_and(|value| matches(&value));
    stderr().is_terminal()
        && !is_set("NO_COLOR", |value| !value.is_empty())
        && !is_set("TERM", |value| value == "dumb")
}

/// Starts the log with other targets than standard error: `lines` gets complete lines with a timestamp,
/// `syslog` gets them without one. Call once per process, like [`start`].
pub(crate) fn start_into<L, S>(level: Level, lines: L, syslog: Option<S>)
where
    L: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
    S: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    LEVEL.store(level_number(level), Ordering::Relaxed);
    WITH_TARGET.store(level > Level::INFO, Ordering::Relaxed);
    let lines =
        fmt::layer().with_target(false).with_ansi(false).log_internal_errors(false).with_writer(lines);
    let syslog = syslog
        .map(|writer| fmt::layer().with_target(false).with_ansi(false).without_time().with_writer(writer))
        .map(|layer| layer.log_internal_errors(false));
    let _ = tracing_subscriber::registry()
        .with(LevelFilter::from_level(level))
        .with(lines)
        .with(syslog)
        .try_init();
}

/// The progress bar that is shown now; log lines are written above it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Sets the progress bar that log lines must not overwrite.
pub(crate) fn keep_clear_of(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// Standard error; hides the progress bar while a line is written.
struct StderrWithProgress;

impl Write for StderrWithProgress {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(|| stderr().write(line)),
            None => stderr().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

/// The most detailed level that is logged, numbered as in the ABI.
pub(crate) fn plugins_level() -> u32 {
    LEVEL.load(Ordering::Relaxed)
}

/// Logs a line of a plugin. Line breaks are escaped, so that a plugin cannot forge a log line of the host.
pub(crate) fn plugin_line(instance: &str, level: u32, target: &str, message: &str, fields_json: &str) {
    let message = message.to_owned() + &fields_as_text(fields_json);
    let message = without_controls(&message);
    let target = WITH_TARGET.load(Ordering::Relaxed).then_some(target);
    match level {
        0 | 1 => tracing::error!(instance, target, "{message}"),
        2 => tracing::warn!(instance, target, "{message}"),
        3 => tracing::info!(instance, target, "{message}"),
        4 => tracing::debug!(instance, target, "{message}"),
        _ => tracing::trace!(instance, target, "{message}"),
    }
}

/// The fields of a plugin's log line, as ` name=value` each.
fn fields_as_text(json: &str) -> String {
    let fields = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json);
    fields.unwrap_or_default().iter().map(|(name, value)| format!(" {name}={value}")).collect()
}

/// The text with line breaks, control characters and hidden characters escaped, so that it can neither forge a log line
/// nor control the terminal. Unlike [`printable`](scanbridge_plugin_api::printable), it keeps the whole text and shows
/// which characters it had.
pub(crate) fn without_controls(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) { text.into() } else { text.escape_debug().to_string().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_and_hidden_characters_are_escaped_and_nothing_is_lost() {
        for (text, shown) in [
            ("Größe „1“ \\ \"x\"", "Größe „1“ \\ \"x\""),
            ("a\nERROR b\u{1b}[2J", "a\\nERROR b\\u{1b}[2J"),
            ("user\u{202E}nimda", "user\\u{202e}nimda"),
            ("a\u{2028}b\u{FEFF}\u{200B}", "a\\u{2028}b\\u{feff}\\u{200b}"),
        ] {
            assert_eq!(without_controls(text), shown, "{text:?}");
        }
    }
}
