//! What a log line has, and what the command line says about the log.

use std::path::PathBuf;

use clap::ValueEnum;
use jiff::Timestamp;
use scanbridge_observe::LogKeys;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Severity of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    /// Reads a level in any case; unknown words are warnings, so that they are seen.
    pub(crate) fn read(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "error" => Self::Error,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => Self::Warn,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }

    /// The priority that systemd reads at the start of a line.
    pub(super) fn priority(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warn => 4,
            Self::Info => 6,
            Self::Debug | Self::Trace => 7,
        }
    }
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LogFormat {
    /// Human-readable text
    #[default]
    Text,
    /// One JSON object per line
    Json,
    /// Fields of systemd's journal; instead of standard error
    Journal,
}

/// Where a line comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) pipeline: &'a str,
    pub(crate) run: Option<u64>,
}

/// What the command line says about the log. It overrides the service file.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogOptions {
    pub(crate) file: Option<PathBuf>,
    pub(crate) format: LogFormat,
    pub(crate) level: Option<Level>,
}

impl LogOptions {
    pub(super) fn level(&self, keys: &LogKeys) -> Level {
        self.level.unwrap_or_else(|| Level::read(&keys.level))
    }
}

pub(super) fn of_service(message: &str) -> Map<String, Value> {
    Map::from_iter([("message".to_owned(), json!(message)), ("target".to_owned(), json!("service"))])
}

pub(super) fn now() -> String {
    format!("{:.3}", Timestamp::now())
}
