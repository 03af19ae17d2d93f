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
    /// Whether it concerns one report only, so that the input continues.
    #[serde(skip)]
    pub(in crate::pipeline) of_report: bool,
}

impl Failure {
    pub(crate) fn new(instance: &str, error: &PluginError) -> Self {
        Self {
            instance: instance.to_owned(),
            // Contains file names and responses of peers: line breaks and escape sequences are escaped.
            message: without_controls(&message_with_line(error)).into_owned(),
            hint: error.hint.as_deref().map(|hint| without_controls(hint).into_owned()),
            exit_code: exit_code(error.kind),
            of_report: false,
        }
    }

    /// A failure of one report; the input continues.
    pub(in crate::pipeline) fn of_report(instance: &str, error: &PluginError) -> Self {
        Self { of_report: true, ..Self::new(instance, error) }
    }

    /// A failure of a command.
    pub(crate) fn of_command(instance: &str, message: &str, hint: Option<&str>, exit_code: u8) -> Self {
        Self {
            instance: instance.to_owned(),
            message: without_controls(message).into_owned(),
            hint: hint.map(str::to_owned),
            exit_code,
            of_report: false,
        }
    }

    /// The operator stopped the run before it started.
    pub(crate) fn interrupted(message: &str) -> Self {
        Self::of_command("run", message, None, INTERRUPTED)
    }

    /// The saved state cannot be used.
    pub(crate) fn of_state(instance: &str, error: &StateError) -> Self {
        Self::of_command(instance, &error.message, error.hint.as_deref(), error.exit_code)
    }

    /// The event for the watchers of the run.
    pub(crate) fn event(&self) -> RunEvent {
        let Self { instance, message, hint, exit_code, .. } = self.clone();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_has_the_line_of_the_file_that_it_names() {
        let error = PluginError::bad_data("a.ndjson: not an object").with_line(7);
        assert_eq!(Failure::new("scans", &error).message, "a.ndjson: not an object, line 7");
    }
}
