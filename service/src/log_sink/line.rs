//! A log line, as text, as a JSON object, or as an entry of the journal.

use scanbridge_observe::without_controls;
use serde_json::{Map, Value, json};

use super::journal::Entry;
use super::kinds::{Level, Origin};

/// One line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) origin: Option<Origin<'a>>,
    pub(super) level: Level,
    /// The time in RFC 3339.
    pub(super) time: &'a str,
    pub(super) fields: &'a Map<String, Value>,
}

/// The prefix of our fields in the journal.
const PREFIX: &str = "SCANBRIDGE_";

impl Line<'_> {
    pub(super) fn text(&self) -> String {
        format!("{} {:>5} {}\n", self.time, self.level.word(), self.message())
    }

    /// A text line that begins with its priority (sd-daemon(3)); the journal adds the time.
    pub(super) fn text_with_priority(&self) -> String {
        format!("<{}>{}\n", self.level.priority(), self.message())
    }

    pub(super) fn json(&self) -> String {
        let mut object = Map::new();
        object.insert("time".to_owned(), json!(self.time));
        object.insert("level".to_owned(), json!(self.level.word()));
        if let Some(origin) = self.origin {
            object.insert("pipeline".to_owned(), json!(origin.pipeline));
            if let Some(run) = origin.run {
                object.insert("run".to_owned(), json!(run));
            }
        }
        for (name, value) in self.fields {
            if name != "timestamp" {
                object.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        Value::Object(object).to_string() + "\n"
    }

    /// Each field of the line is a field of the entry, also those of plugins.
    pub(super) fn entry(&self) -> Entry {
        let mut entry = Entry::default();
        entry.add("", "PRIORITY", &self.level.priority().to_string());
        entry.add("", "SYSLOG_IDENTIFIER", "scanbridge");
        entry.add("", "MESSAGE", &self.message());
        entry.add(PREFIX, "TIME", self.time);
        entry.add(PREFIX, "LEVEL", self.level.word());
        if let Some(origin) = self.origin {
            entry.add(PREFIX, "PIPELINE", origin.pipeline);
            origin.run.iter().for_each(|run| entry.add(PREFIX, "RUN", &run.to_string()));
        }
        let is_added = |name: &str| match name {
            "time" | "timestamp" | "level" | "message" => true,
            "pipeline" => self.origin.is_some(),
            "run" => self.origin.is_some_and(|origin| origin.run.is_some()),
            _ => false,
        };
        for (name, value) in self.fields.iter().filter(|(name, _)| !is_added(name)) {
            match value {
                Value::String(text) => entry.add(PREFIX, name, text),
                value => entry.add(PREFIX, name, &value.to_string()),
            }
        }
        entry
    }

    /// Pipeline, run and instance with the message and its hint.
    fn message(&self) -> String {
        let text = |name: &str| self.fields.get(name).and_then(Value::as_str);
        let mut line = String::new();
        if let Some(origin) = self.origin {
            line.push_str(origin.pipeline);
            origin.run.iter().for_each(|run| line.push_str(&format!("#{run}")));
            line.push(' ');
        }
        if let Some(instance) = text("instance") {
            line.push_str(&format!("{}: ", without_controls(instance)));
        }
        line.push_str(&without_controls(text("message").unwrap_or_default()));
        if let Some(hint) = text("hint") {
            line.push_str(&format!(" ({})", without_controls(hint)));
        }
        line
    }
}
