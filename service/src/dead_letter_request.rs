//! What a client asks for with dead letters.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

/// What is to be done with dead letters of a pipeline.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeadLetterRequest {
    command: Command,
    output: Option<String>,
    reason: Option<String>,
    definition: Option<String>,
    id: Option<String>,
    older_than_secs: Option<u64>,
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Command {
    Replay,
    Purge,
}

/// Format of what the command prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Text,
    Json,
    None,
}

impl DeadLetterRequest {
    /// The command of the host. Values are part of their option, so that none of them can be an option itself.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let (verb, format) = match self.command {
            Command::Replay => ("replay", "summary"),
            Command::Purge => ("purge", "format"),
        };
        let word = match self.format {
            Format::Text => "text",
            Format::Json => "json",
            Format::None => "none",
        };
        let age = self.older_than_secs.map(|secs| format!("{secs}s"));
        let conditions = [
            ("output", &self.output),
            ("reason", &self.reason),
            ("definition", &self.definition),
            ("id", &self.id),
            ("older-than", &age),
        ];
        let mut arguments = vec!["dead-letters".to_owned(), verb.to_owned(), format!("--{format}={word}")];
        let given = |(name, value): (&str, &Option<String>)| Some(format!("--{name}={}", value.as_ref()?));
        arguments.extend(conditions.into_iter().filter_map(given));
        arguments.into_iter().map(OsString::from).collect()
    }

    pub(crate) fn word(&self) -> &'static str {
        match self.command {
            Command::Replay => "replay",
            Command::Purge => "purge",
        }
    }
}
