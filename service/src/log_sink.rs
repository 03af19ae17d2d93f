//! The log of the service and of all its runs: lines on standard error, in the journal or in a file, and the last warnings
//! and errors of each pipeline in memory.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use scanbridge_observe::LogKeys;
use serde::Serialize;
use serde_json::{Map, Value, json};

mod file;
mod journal;
mod kinds;
mod line;
mod output;

pub(crate) use kinds::{Level, LogFormat, LogOptions, Origin};
use kinds::{now, of_service};
use line::Line;
use output::Output;

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
/// Longer texts are truncated in memory; the log has them whole.
const KEPT_CHARS: usize = 2000;

/// The log. All threads share it.
pub(crate) struct Log {
    options: LogOptions,
    output: Mutex<Output>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    number: u64,
    lines: HashMap<String, VecDeque<KeptLine>>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({:?})", self.options)
    }
}

impl Log {
    /// # Errors
    /// When the log file cannot be opened.
    pub(crate) fn open(options: LogOptions, keys: &LogKeys) -> io::Result<Self> {
        let output = Mutex::new(Output::open(&options, keys)?);
        Ok(Self { options, output, kept: Mutex::default() })
    }

    /// Applies a changed service file.
    ///
    /// # Errors
    /// When the log file cannot be opened; the earlier one stays in use.
    pub(crate) fn change(&self, keys: &LogKeys) -> io::Result<()> {
        locked(&self.output).change(&self.options, keys)
    }

    /// Opens the log file again, after it was moved away.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        locked(&self.output).reopen()
    }

    /// Where an operator finds the log.
    pub(crate) fn place(&self) -> String {
        locked(&self.output).place()
    }

    /// A line of the service itself.
    pub(crate) fn service(&self, level: Level, message: &str) {
        self.line(None, level, &of_service(message));
    }

    /// A line of the service with these fields.
    pub(crate) fn fields(&self, level: Level, fields: Map<String, Value>) {
        self.line(None, level, &fields);
    }

    /// A line of the service about a pipeline.
    pub(crate) fn about(&self, pipeline: &str, level: Level, message: &str) {
        self.line(Some(Origin { pipeline, run: None }), level, &of_service(message));
    }

    /// A line that a run wrote to its standard error: a JSON object, or text of a library.
    pub(crate) fn of_run(&self, origin: Origin<'_>, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        match serde_json::from_str::<Map<String, Value>>(&text) {
            Ok(fields) => {
                let level = fields.get("level").and_then(Value::as_str).map_or(Level::Warn, Level::read);
                // The first lines may come before the event with the number.
                let run = origin.run.or_else(|| fields.get("run").and_then(Value::as_u64));
                let origin = Origin { run, ..origin };
                self.line(Some(origin), level, &fields);
            }
            Err(_) => {
                let fields = Map::from_iter([("message".to_owned(), json!(text.trim_end()))]);
                self.line(Some(origin), Level::Warn, &fields);
            }
        }
    }

    fn line(&self, origin: Option<Origin<'_>>, level: Level, fields: &Map<String, Value>) {
        let time = ["time", "timestamp"].iter().find_map(|name| fields.get(*name)?.as_str());
        let time = time.map_or_else(now, str::to_owned);
        if let Some(origin) = origin.filter(|_| level <= Level::Warn) {
            self.keep(origin, level, &time, fields);
        }
        locked(&self.output).write(&Line { origin, level, time: &time, fields });
    }

    fn keep(&self, origin: Origin<'_>, level: Level, time: &str, fields: &Map<String, Value>) {
        let mut kept = locked(&self.kept);
        kept.number += 1;
        let text =
            |name: &str| Some(fields.get(name)?.as_str()?.chars().take(KEPT_CHARS).collect::<String>());
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

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn log_to(folder: &tempfile::TempDir, format: LogFormat) -> (Log, PathBuf) {
        let path = folder.path().join("log");
        let options = LogOptions { file: Some(path.clone()), format, level: None };
        (Log::open(options, &LogKeys::default()).unwrap(), path)
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
    fn lines_before_the_first_event_of_a_run_have_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let (log, path) = log_to(&folder, LogFormat::Text);
        for run in [None, Some(7)] {
            let line = br#"{"time":"T","level":"ERROR","message":"m","run":7}"#;
            log.of_run(Origin { pipeline: "emea", run }, line);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "T ERROR emea#7 m\n".repeat(2));
        assert!(log.kept(None, Level::Error, 0).iter().all(|line| line.run == Some(7)));
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
