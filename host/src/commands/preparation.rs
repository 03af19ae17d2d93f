//! What commands do before their own work: find the plugins, check the pipeline file.

use std::path::Path;

use serde_json::Value;
use tracing::Level;

use super::terminal::{error_style, print_text};
use crate::cli::CommonOptions;
use crate::config::{self, Document, Pipeline, Problem, ProblemLevel, Problems};
use crate::plugins::{FilePermissionCheck, Registry, folders};
use crate::telemetry;

/// The plugins that are installed.
pub(super) fn registry(common: &CommonOptions) -> Registry {
    let check = if common.allow_world_writable_plugins {
        FilePermissionCheck::Disabled
    } else {
        FilePermissionCheck::OwnerOnly
    };
    if check == FilePermissionCheck::Disabled {
        tracing::warn!("--allow-world-writable-plugins: loading plugins that any local user can replace");
    }
    Registry::discover_in(common.fips.unwrap_or_default(), &folders(&common.plugin_dirs), check)
}

/// End of the last error line of a command that delivers findings.
pub(super) const NOTHING_STARTED: &str = "; nothing was started";

/// Where a pipeline is read from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// A pipeline file and its settings files.
    File(&'a Path),
    /// A version that the service has accepted.
    Bundle(&'a Path),
}

impl<'a> Source<'a> {
    pub(super) fn of(file: &'a Path, is_bundle: bool) -> Self {
        if is_bundle { Self::Bundle(file) } else { Self::File(file) }
    }

    /// The file with the text.
    pub(super) fn path(self) -> &'a Path {
        match self {
            Self::File(file) | Self::Bundle(file) => file,
        }
    }

    /// Reads it without checking its content.
    ///
    /// # Errors
    /// When it cannot be read, or is invalid YAML.
    pub(super) fn document(self) -> Result<Document, Problems> {
        match self {
            Self::File(file) => config::read(file),
            Self::Bundle(file) => config::read_bundle(file),
        }
    }

    /// Like [`checked_or_problems`].
    pub(super) fn checked(self, registry: &Registry, outcome: &str) -> Result<Pipeline, Problems> {
        match self {
            Self::File(file) => checked_or_problems(file, registry, outcome),
            Self::Bundle(file) => report(
                config::read_bundle(file).and_then(|document| config::check(&document, registry)),
                outcome,
            ),
        }
    }
}

/// Like [`checked_or_problems`].
///
/// # Errors
/// The exit code, when the file has errors.
pub(super) fn checked(file: &Path, registry: &Registry, outcome: &str) -> Result<Pipeline, u8> {
    checked_or_problems(file, registry, outcome).map_err(|_| Problems::EXIT_CODE)
}

/// Reads and checks a pipeline file. Prints errors and warnings; `outcome` ends the line with their number.
///
/// # Errors
/// The printed errors.
pub(super) fn checked_or_problems(
    file: &Path,
    registry: &Registry,
    outcome: &str,
) -> Result<Pipeline, Problems> {
    let pipeline = config::read_for(file, registry).and_then(|document| config::check(&document, registry));
    report(pipeline, outcome)
}

/// Prints the problems of a configuration.
fn report(pipeline: Result<Pipeline, Problems>, outcome: &str) -> Result<Pipeline, Problems> {
    match pipeline {
        Ok(pipeline) => {
            log_problems(&pipeline.warnings);
            print_text(&config::render_all(&pipeline.warnings, error_style()));
            Ok(pipeline)
        }
        Err(problems) => {
            log_problems(&problems.list);
            print_text(&problems.render_with_outcome(error_style(), outcome));
            Err(problems)
        }
    }
}

/// Logs problems of a configuration, if a program or a file gets the errors of commands.
fn log_problems(problems: &[Problem]) {
    for problem in problems.iter().filter(|_| telemetry::logs_errors()) {
        let level = match problem.level {
            ProblemLevel::Error => Level::ERROR,
            ProblemLevel::Warning => Level::WARN,
        };
        let Value::Object(mut fields) = config::problem_to_json(problem) else { continue };
        // The line has its own `level` and `message`.
        fields.retain(|name, value| !matches!(name.as_str(), "severity" | "message") && !is_empty(value));
        let file = problem.location.file.display();
        let line = problem.location.excerpt.as_ref().map(|excerpt| format!(":{}", excerpt.line));
        let text = format!("{file}{}: {}", line.unwrap_or_default(), problem.message);
        telemetry::event_with_text(level, "problem", &problem.message, &text, fields);
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value == ""
}
