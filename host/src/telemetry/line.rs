//! A log line, as text or as a JSON object.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Map, Value};
use tracing::Level;

use super::printable::without_controls;

/// The target of lines of the host itself.
pub(super) const HOST: &str = "scanbridge";

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Human-readable text.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The time zone of text lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogTime {
    /// UTC.
    #[default]
    Utc,
    /// The time zone of the machine.
    Local,
}

/// The form of the lines of one target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) format: LogFormat,
    /// The time in text lines; `None`: the reader adds one.
    pub(super) time: Option<LogTime>,
    /// Whether text lines begin with a priority for the journal: `<3>` to `<7>`.
    pub(super) has_priority: bool,
    pub(super) has_colors: bool,
    /// Whether text lines of plugins name their target.
    pub(super) has_target: bool,
}

/// The run that a line belongs to.
#[derive(Debug, Clone)]
pub(super) struct RunName {
    pub(super) pipeline: String,
    pub(super) number: u64,
}

/// One line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) message: String,
    /// What has happened, as a word for programs. Then the message says everything that the fields say, except the
    /// instance.
    pub(super) event: Option<&'a str>,
    pub(super) fields: Map<String, Value>,
    pub(super) plugin_fields: Map<String, Value>,
}

impl Line<'_> {
    /// The line with its line feed.
    pub(super) fn render(&self, style: &Style, run: Option<&RunName>) -> String {
        match style.format {
            LogFormat::Text => self.text(style, run),
            LogFormat::Json => self.json(run),
        }
    }

    pub(super) fn json(&self, run: Option<&RunName>) -> String {
        let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let mut line = String::from("{");
        add_json(&mut line, "time", &Value::from(time));
        add_json(&mut line, "level", &Value::from(self.level.as_str()));
        add_json(&mut line, "message", &Value::from(self.message.as_str()));
        if let Some(event) = self.event {
            add_json(&mut line, "event", &Value::from(event));
        }
        if let Some(RunName { pipeline, number }) = run {
            add_json(&mut line, "pipeline", &Value::from(pipeline.as_str()));
            add_json(&mut line, "run", &Value::from(*number));
        }
        add_json(&mut line, "target", &Value::from(self.target));
        let is_given = |name: &str| run.is_some() && matches!(name, "pipeline" | "run");
        for (name, value) in self.fields.iter().filter(|(name, _)| !is_given(name)) {
            add_json(&mut line, name, value);
        }
        for (name, value) in &self.plugin_fields {
            add_json(&mut line, &format!("fields.{name}"), value);
        }
        line + "}\n"
    }

    fn text(&self, style: &Style, run: Option<&RunName>) -> String {
        let mut line = String::new();
        if style.has_priority {
            let _ = write!(line, "<{}>", priority(self.level));
        }
        if let Some(zone) = style.time {
            let (dim, plain) = if style.has_colors { ("\u{1b}[2m", "\u{1b}[0m") } else { ("", "") };
            let _ = write!(line, "{dim}{}{plain} ", time(zone));
        }
        let (color, plain) = if style.has_colors { (color(self.level), "\u{1b}[0m") } else { ("", "") };
        let _ = write!(line, "{color}{:>5}{plain} ", self.level.as_str());
        if let Some(RunName { pipeline, number }) = run {
            let _ = write!(line, "{}#{number} ", without_controls(pipeline));
        }
        line += &without_controls(&self.message);
        for (name, value) in &self.plugin_fields {
            let _ = write!(line, " {}", without_controls(&format!("{name}={value}")));
        }
        // The message of an event contains its other fields.
        let is_shown = |name: &str| self.event.is_none() || name == "instance";
        for (name, value) in self.fields.iter().filter(|(name, _)| is_shown(name)) {
            let _ = write!(line, " {}", without_controls(&format!("{name}={value}")));
        }
        let is_of_host = self.target == HOST || self.target.starts_with("scanbridge::");
        if style.has_target && !is_of_host {
            let _ = write!(line, " target={}", without_controls(&Value::from(self.target).to_string()));
        }
        line + "\n"
    }
}

fn add_json(line: &mut String, name: &str, value: &Value) {
    let separator = if line.len() > 1 { "," } else { "" };
    let _ = write!(line, "{separator}{}:{value}", Value::from(name));
}

fn time(zone: LogTime) -> String {
    let now = Timestamp::now();
    match zone {
        LogTime::Utc => now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        LogTime::Local => {
            Zoned::new(now, TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
        }
    }
}

/// The priority of a line in the journal, as sd-daemon(3) numbers them.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

fn color(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        Level::DEBUG => "\u{1b}[34m",
        Level::TRACE => "\u{1b}[35m",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: Style = Style {
        format: LogFormat::Text,
        time: None,
        has_priority: false,
        has_colors: false,
        has_target: false,
    };

    fn line(event: Option<&'static str>) -> Line<'static> {
        let object = |value: Value| value.as_object().cloned().unwrap();
        Line {
            level: Level::WARN,
            target: "acme::net",
            message: "refused\n\u{1b}[2J".to_owned(),
            event,
            fields: object(json!({ "instance": "siem", "attempt": 3 })),
            plugin_fields: object(json!({ "port": 514, "peer": "a b", "message": "x\ny" })),
        }
    }

    fn run() -> RunName {
        RunName { pipeline: "emea".to_owned(), number: 412 }
    }

    #[test]
    fn text_is_one_line_whatever_it_contains() {
        assert_eq!(
            line(None).render(&PLAIN, Some(&run())),
            " WARN emea#412 refused\\n\\u{1b}[2J message=\"x\\ny\" peer=\"a b\" port=514 attempt=3 instance=\"siem\"\n"
        );
        let style = Style { has_priority: true, has_target: true, ..PLAIN };
        let text = line(Some("retry")).render(&style, None);
        assert!(text.starts_with("<4> WARN refused"), "{text}");
        assert!(text.ends_with("port=514 instance=\"siem\" target=\"acme::net\"\n"), "{text}");
        let colored = line(None).render(&Style { has_colors: true, ..PLAIN }, None);
        assert!(colored.starts_with("\u{1b}[33m WARN\u{1b}[0m refused"), "{colored:?}");
    }

    #[test]
    fn time_has_milliseconds_and_its_zone() {
        for (zone, pattern) in [(LogTime::Utc, "Z"), (LogTime::Local, ":")] {
            let text = line(None).render(&Style { time: Some(zone), ..PLAIN }, None);
            let time = text.split(' ').next().unwrap();
            assert!(time.parse::<Timestamp>().is_ok(), "{time}");
            assert_eq!((&time[19..20], time[23..].contains(pattern)), (".", true), "{time}");
        }
    }

    #[test]
    fn json_is_flat_and_typed() {
        let text = line(Some("retry")).render(&Style { format: LogFormat::Json, ..PLAIN }, Some(&run()));
        assert!(text.starts_with("{\"time\":\"") && text.ends_with("}\n"), "{text}");
        let mut value: Value = serde_json::from_str(&text).unwrap();
        value.as_object_mut().unwrap().remove("time");
        let expected = json!({
            "level": "WARN",
            "message": "refused\n\u{1b}[2J",
            "event": "retry",
            "pipeline": "emea",
            "run": 412,
            "target": "acme::net",
            "instance": "siem",
            "attempt": 3,
            "fields.port": 514,
            "fields.peer": "a b",
            "fields.message": "x\ny",
        });
        assert_eq!(value, expected);
    }
}
