//! One failure of a run: what failed, what the operator can do, and the exit code.

use std::borrow::Cow;

use scanbridge_observe::{FailureEvent, RunEvent};
use scanbridge_plugin_api::PluginError;
use serde::Serialize;

use crate::exit_code::{INTERRUPTED, exit_code};
use crate::state::StateError;
use crate::telemetry::without_controls;

/// One failure of a run, for the summary and the exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The `id:` of the instance.
    pub instance: String,
    /// What failed.
    pub message: String,
    /// What the operator can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The exit code that this failure alone would have.
    pub exit_code: u8,
}

impl Failure {
    pub(crate) fn new(instance: &str, error: &PluginError) -> Self {
        Self {
            instance: instance.to_owned(),
            // Contains file names and responses of peers: line breaks and escape sequences are escaped.
            message: without_controls(&message_with_line(error)).into_owned(),
            hint: error.hint.as_deref().map(|hint| without_controls(hint).into_owned()),
            exit_code: exit_code(error.kind),
        }
    }

    /// The operator stopped the run before it started.
    pub(crate) fn interrupted(message: &str) -> Self {
        Self { instance: "run".to_owned(), message: message.to_owned(), hint: None, exit_code: INTERRUPTED }
    }

    /// The saved state cannot be used.
    pub(crate) fn of_state(instance: &str, error: &StateError) -> Self {
        Self {
            instance: instance.to_owned(),
            message: without_controls(&error.message).into_owned(),
            hint: error.hint.clone(),
            exit_code: error.exit_code,
        }
    }

    /// The event for the watchers of the run.
    pub(crate) fn event(&self) -> RunEvent {
        let Self { instance, message, hint, exit_code } = self.clone();
        RunEvent::Failure(FailureEvent { instance, message, hint, exit_code })
    }

    /// The lines of the text summary.
    pub(super) fn lines(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("        {hint}\n")).unwrap_or_default();
        format!("failed  {}: {}\n{hint}", self.instance, self.message)
    }
}

/// The message of an error, with the line of the file that it names.
pub(in crate::pipeline) fn message_with_line(error: &PluginError) -> Cow<'_, str> {
    match error.line {
        Some(line) => format!("{}, line {line}", error.message).into(),
        None => error.message.as_str().into(),
    }
}

/// The first of these failures, for a command on the saved state.
#[must_use]
pub(crate) fn to_state_error(failures: &[Failure]) -> StateError {
    let first = failures.first();
    StateError {
        message: first.map(|failure| failure.message.clone()).unwrap_or_default(),
        hint: first.and_then(|failure| failure.hint.clone()),
        exit_code: first.map_or(70, |failure| failure.exit_code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_has_the_line_of_the_file_that_it_names() {
        let error = PluginError::bad_data("a.ndjson: not an object").with_line(7);
        assert_eq!(Failure::new("scans", &error).message, "a.ndjson: not an object, line 7");
    }
}
