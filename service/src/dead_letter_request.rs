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

/// Conditions for dead letters that are shown.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LetterFilter {
    reason: Option<String>,
    definition: Option<String>,
    id: Option<String>,
    older_than_secs: Option<u64>,
}

impl LetterFilter {
    /// The options of the host.
    pub(crate) fn options(&self) -> Vec<OsString> {
        let age = self.older_than_secs.map(|secs| format!("{secs}s"));
        let conditions = [
            ("reason", &self.reason),
            ("definition", &self.definition),
            ("id", &self.id),
            ("older-than", &age),
        ];
        let given =
            conditions.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?)));
        given.map(OsString::from).collect()
    }
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

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_a_request_cannot_be_options() {
        let request: DeadLetterRequest = serde_json::from_value(json!({
            "command": "replay", "output": "--state-dir", "reason": "a b", "older_than_secs": 90, "format": "json",
            "definition": null,
        }))
        .unwrap();
        let expected = [
            "dead-letters",
            "replay",
            "--summary=json",
            "--output=--state-dir",
            "--reason=a b",
            "--older-than=90s",
        ];
        assert_eq!(request.arguments(), expected.map(OsString::from));
        for refused in [json!({}), json!({ "command": "list" }), json!({ "command": "purge", "file": "x" })] {
            assert!(serde_json::from_value::<DeadLetterRequest>(refused).is_err());
        }
    }
}
