//! An accepted version of a pipeline, and the service file: JSON that the host writes and the service reads. So the
//! service parses no YAML.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::console::ConsoleKeys;

/// One line of `scanbridge config bundle`: the result for one pipeline file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each pipeline file, and only while files are read"
)]
pub enum BundleResult {
    /// The file is valid.
    Accepted(Bundle),
    /// The file has errors.
    Rejected {
        /// The file.
        file: String,
        /// Name of the pipeline as far as it could be read.
        name: String,
        /// The problems, as `check --format json` prints them.
        problems: Vec<Value>,
    },
}

/// A valid pipeline with the texts of all its files. References such as `${env:NAME}` are not resolved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// Version of this format: [`Bundle::FORMAT`].
    pub format: u32,
    /// Name of the pipeline; of one with several instances, that of the instance: `NAME.2`.
    pub name: String,
    /// Number of the instance, from 1; absent for a pipeline with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<u32>,
    /// The pipeline file.
    pub pipeline: BundledFile,
    /// The settings files, in the order in which the pipeline names them.
    pub settings: Vec<BundledFile>,
    /// Hash of all texts.
    pub digest: String,
    /// Keys of the pipeline for the service.
    pub service: ServiceKeys,
    /// Warnings, as `check --format json` prints them.
    #[serde(default)]
    pub warnings: Vec<Value>,
    /// The `id:`s of the inputs whose plugins have stored reports to choose from.
    #[serde(default)]
    pub choosing: Vec<String>,
}

impl Bundle {
    /// The version of the format that this crate implements.
    pub const FORMAT: u32 = 1;
}

/// A file with its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundledFile {
    /// Path as the host opened it.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Keys of a pipeline for the service, with defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceKeys {
    /// When it runs.
    pub schedule: ScheduleKeys,
    /// Pauses before a failed run is repeated.
    pub restart: RestartKeys,
    /// Pipelines of one group share a number of places.
    pub group: Option<String>,
    /// The longest `hang_secs` of its inputs and outputs.
    pub hang_secs: u64,
}

/// When a pipeline runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKeys {
    /// Only on request.
    #[default]
    Manual,
    /// Always.
    Continuous,
    /// At an interval, counted from the start of the last run.
    Every {
        /// The interval.
        minutes: u64,
        /// The largest delay of the first start.
        jitter_secs: u64,
    },
    /// At the times of a cron pattern.
    Cron {
        /// The pattern.
        pattern: String,
        /// IANA name of the time zone; without it that of the machine.
        timezone: Option<String>,
        /// The largest delay of each start.
        jitter_secs: u64,
        /// Whether a time that passed while the service was stopped is made up for.
        catch_up: bool,
    },
}

/// Pauses before a failed run is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartKeys {
    /// The first pause.
    pub initial_secs: u64,
    /// The longest pause.
    pub max_secs: u64,
    /// Failures in a row after which the pipeline is held; 0 for never.
    pub give_up_after: u64,
}

impl Default for RestartKeys {
    fn default() -> Self {
        Self { initial_secs: 30, max_secs: 900, give_up_after: 0 }
    }
}

/// The service file as `scanbridge config service FILE --format json` prints it. Paths are absolute or relative to the
/// working directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceFile {
    /// Folders and pipeline files; empty for the default.
    pub pipelines: Vec<String>,
    /// Runs at one time.
    pub max_running: u64,
    /// Places of each group.
    pub groups: std::collections::BTreeMap<String, u64>,
    /// The log.
    pub log: LogKeys,
    /// The listener; without it there is none.
    pub console: Option<ConsoleKeys>,
    /// The FIPS mode that the service and all its runs have at least: `off`, `on`, `suite-b-128` or `suite-b-192`.
    pub fips: String,
}

/// The log of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogKeys {
    /// Where it goes.
    pub to: LogTarget,
    /// The log file; empty for another target.
    pub file: String,
    /// Size after which the file is rotated, in bytes; 0 for never.
    pub rotate_bytes: u64,
    /// Number of older files.
    pub keep: u64,
    /// The least severe level that is logged: `error`, `warn`, `info`, `debug`.
    pub level: String,
}

/// Where the log of the service goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogTarget {
    /// Standard error.
    #[default]
    Stderr,
    /// The journal of systemd, with fields.
    Journal,
    /// A file.
    File,
}

impl Default for LogKeys {
    fn default() -> Self {
        let (to, file) = (LogTarget::Stderr, String::new());
        Self { to, file, rotate_bytes: 50 << 20, keep: 5, level: "info".to_owned() }
    }
}

impl Default for ServiceFile {
    fn default() -> Self {
        Self {
            pipelines: Vec::new(),
            max_running: 4,
            groups: Default::default(),
            log: LogKeys::default(),
            console: None,
            fips: "off".to_owned(),
        }
    }
}
