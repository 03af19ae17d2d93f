//! The log of the service and of all its runs: lines on standard error, and the last warnings and errors of each
//! pipeline in memory.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;
use jiff::Timestamp;
use scanbridge_observe::without_controls;
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

    fn word(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }

    /// The priority that systemd reads at the start of a line.
    fn priority(self) -> u8 {
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
}

/// A warning or error that is kept in memory.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct KeptLine {
    /// Number of the line; later lines have higher numbers.
    pub(crate) number: u64,
    time: String,
    level: Level,
    pipeline: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    message: String,
}

/// Lines that are kept for each pipeline.
const KEPT: usize = 500;
/// Longer texts are cut in memory; the log has them whole.
const KEPT_CHARS: usize = 2000;

/// Where a line comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) pipeline: &'a str,
    pub(crate) run: Option<u64>,
}

/// The log. All threads share it.
pub(crate) struct Log {
    target: Mutex<Target>,
    kept: Mutex<Kept>,
    format: LogFormat,
    level: Mutex<Level>,
    has_priority: bool,
}

enum Target {
    Stderr,
    File(PathBuf, File),
}

#[derive(Default)]
struct Kept {
    number: u64,
    lines: HashMap<String, VecDeque<KeptLine>>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({:?})", self.format)
    }
}

impl Log {
    /// # Errors
    /// When the log file cannot be opened.
    pub(crate) fn open(file: Option<PathBuf>, format: LogFormat, level: Level) -> io::Result<Self> {
        let has_priority = file.is_none() && format == LogFormat::Text && stderr_is_journal();
        let target = match file {
            None => Target::Stderr,
            Some(path) => {
                let file = append_to(&path)?;
                Target::File(path, file)
            }
        };
        Ok(Self {
            target: Mutex::new(target),
            kept: Mutex::default(),
            format,
            level: Mutex::new(level),
            has_priority,
        })
    }

    /// Opens the log file again, after it was moved away.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        if let Target::File(path, file) = &mut *locked(&self.target) {
            *file = append_to(path)?;
        }
        Ok(())
    }

    /// Where an operator finds the log.
    pub(crate) fn place(&self) -> String {
        match &*locked(&self.target) {
            Target::File(path, _) => path.display().to_string(),
            Target::Stderr if self.has_priority => "journal of the unit (journalctl -u NAME)".to_owned(),
            Target::Stderr => "standard error".to_owned(),
        }
    }

    pub(crate) fn set_level(&self, level: Level) {
        *locked(&self.level) = level;
    }

    /// A line of the service itself.
    pub(crate) fn service(&self, level: Level, message: &str) {
        self.line(None, level, &json!({ "message": message, "target": "service" }));
    }

    /// A line of the service about a pipeline.
    pub(crate) fn about(&self, pipeline: &str, level: Level, message: &str) {
        let origin = Origin { pipeline, run: None };
        self.line(Some(origin), level, &json!({ "message": message, "target": "service" }));
    }

    /// A line that a run wrote to its standard error: a JSON object, or text of a library.
    pub(crate) fn of_run(&self, origin: Origin<'_>, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        match serde_json::from_str::<Map<String, Value>>(&text) {
            Ok(fields) => {
                let level = fields.get("level").and_then(Value::as_str).map_or(Level::Warn, Level::read);
                self.line(Some(origin), level, &Value::Object(fields));
            }
            Err(_) => self.line(Some(origin), Level::Warn, &json!({ "message": text.trim_end() })),
        }
    }

    fn line(&self, origin: Option<Origin<'_>>, level: Level, fields: &Value) {
        let time = ["time", "timestamp"].iter().find_map(|name| fields[*name].as_str());
        let time = time.map_or_else(|| format!("{:.3}", Timestamp::now()), str::to_owned);
        if let Some(origin) = origin.filter(|_| level <= Level::Warn) {
            self.keep(origin, level, &time, fields);
        }
        if level > *locked(&self.level) {
            return;
        }
        let line = match self.format {
            LogFormat::Json => in_json(origin, level, &time, fields),
            LogFormat::Text => self.in_text(origin, level, &time, fields),
        };
        // Nothing can be reported when the log itself fails.
        let _ = match &mut *locked(&self.target) {
            Target::Stderr => io::stderr().write_all(line.as_bytes()),
            Target::File(_, file) => file.write_all(line.as_bytes()),
        };
    }

    fn in_text(&self, origin: Option<Origin<'_>>, level: Level, time: &str, fields: &Value) -> String {
        let mut line = String::new();
        if self.has_priority {
            line.push_str(&format!("<{}>", level.priority()));
        } else {
            line.push_str(&format!("{time} {:>5} ", level.word()));
        }
        if let Some(origin) = origin {
            line.push_str(origin.pipeline);
            if let Some(run) = origin.run {
                line.push_str(&format!("#{run}"));
            }
            line.push(' ');
        }
        if let Some(instance) = fields["instance"].as_str() {
            line.push_str(&format!("{}: ", without_controls(instance)));
        }
        line.push_str(&without_controls(fields["message"].as_str().unwrap_or_default()));
        if let Some(hint) = fields["hint"].as_str() {
            line.push_str(&format!(" ({})", without_controls(hint)));
        }
        line.push('\n');
        line
    }

    fn keep(&self, origin: Origin<'_>, level: Level, time: &str, fields: &Value) {
        let mut kept = locked(&self.kept);
        kept.number += 1;
        let text =
            |name: &str| fields[name].as_str().map(|text| text.chars().take(KEPT_CHARS).collect::<String>());
        let line = KeptLine {
            number: kept.number,
            time: time.to_owned(),
            level,
            pipeline: origin.pipeline.to_owned(),
            run: origin.run,
            instance: text("instance"),
            message: text("message").unwrap_or_default(),
        };
        let lines = kept.lines.entry(origin.pipeline.to_owned()).or_default();
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The kept lines of a pipeline, or of all, with higher numbers than `since`, oldest first.
    pub(crate) fn kept(&self, pipeline: Option<&str>, level: Level, since: u64) -> Vec<KeptLine> {
        let kept = locked(&self.kept);
        let of_pipeline =
            |(name, _): &(&String, &VecDeque<KeptLine>)| pipeline.is_none_or(|wanted| *name == wanted);
        let mut lines: Vec<KeptLine> = kept
            .lines
            .iter()
            .filter(of_pipeline)
            .flat_map(|(_, lines)| lines)
            .filter(|line| line.number > since && line.level <= level)
            .cloned()
            .collect();
        lines.sort_by_key(|line| line.number);
        lines
    }

    /// Number of the last kept line.
    pub(crate) fn last_number(&self) -> u64 {
        locked(&self.kept).number
    }

    /// Deletes the kept lines of a removed pipeline.
    pub(crate) fn forget(&self, pipeline: &str) {
        locked(&self.kept).lines.remove(pipeline);
    }
}

fn in_json(origin: Option<Origin<'_>>, level: Level, time: &str, fields: &Value) -> String {
    let mut object = Map::new();
    object.insert("time".to_owned(), json!(time));
    object.insert("level".to_owned(), json!(level.word()));
    if let Some(origin) = origin {
        object.insert("pipeline".to_owned(), json!(origin.pipeline));
        if let Some(run) = origin.run {
            object.insert("run".to_owned(), json!(run));
        }
    }
    for (name, value) in fields.as_object().into_iter().flatten() {
        if name != "timestamp" {
            object.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    Value::Object(object).to_string() + "\n"
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// Whether standard error goes to the journal (sd-daemon(3)).
fn stderr_is_journal() -> bool {
    let Some(journal) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    let metadata = std::fs::metadata("/proc/self/fd/2");
    metadata.is_ok_and(|metadata| journal == format!("{}:{}", metadata.dev(), metadata.ino()))
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_to(folder: &tempfile::TempDir, format: LogFormat) -> (Log, PathBuf) {
        let path = folder.path().join("log");
        (Log::open(Some(path.clone()), format, Level::Info).unwrap(), path)
    }

    #[test]
    fn lines_of_runs_get_their_pipeline_and_forge_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (log, path) = log_to(&folder, LogFormat::Text);
        let origin = Origin { pipeline: "emea", run: Some(7) };
        log.of_run(
            origin,
            br#"{"timestamp":"T","level":"INFO","message":"a\nERROR forged \u202e","instance":"siem"}"#,
        );
        log.of_run(origin, b"\x1b[2Jplain text of a library");
        log.of_run(origin, br#"{"level":"DEBUG","message":"hidden"}"#);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0], "T  INFO emea#7 siem: a\\nERROR forged \\u{202e}");
        assert!(lines[1].ends_with(" WARN emea#7 \\u{1b}[2Jplain text of a library"), "{text}");
    }

    #[test]
    fn json_keeps_all_fields() {
        let folder = tempfile::tempdir().unwrap();
        let (log, path) = log_to(&folder, LogFormat::Json);
        log.of_run(
            Origin { pipeline: "emea", run: None },
            br#"{"timestamp":"T","level":"WARN","message":"m","attempt":3}"#,
        );
        let line: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            line,
            json!({ "time": "T", "level": "WARN", "pipeline": "emea", "message": "m", "attempt": 3 })
        );
    }

    #[test]
    fn last_500_warnings_and_errors_are_kept_by_pipeline() {
        let folder = tempfile::tempdir().unwrap();
        let (log, path) = log_to(&folder, LogFormat::Text);
        log.about("other", Level::Error, "an error");
        for number in 0..600 {
            log.about("emea", Level::Warn, &format!("warning {number}"));
            log.about("emea", Level::Info, "not kept");
        }
        let kept = log.kept(Some("emea"), Level::Warn, 0);
        assert_eq!((kept.len(), kept[0].message.as_str()), (500, "warning 100"));
        assert_eq!(log.kept(None, Level::Error, 0).len(), 1);
        assert_eq!(log.kept(Some("emea"), Level::Warn, kept[498].number).len(), 1);
        std::fs::rename(&path, folder.path().join("old")).unwrap();
        log.reopen().unwrap();
        log.service(Level::Info, "after the rotation");
        assert!(std::fs::read_to_string(&path).unwrap().ends_with(" INFO after the rotation\n"));
    }
}
