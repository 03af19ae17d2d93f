//! Formats problems: text with quoted lines for operators, JSON for scripts.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use super::problem::{Problem, ProblemLevel, Problems};

/// Format of text output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderStyle {
    /// Use colors; only for a terminal.
    pub color: bool,
    /// Maximum line width, in columns.
    pub width: usize,
}

impl Default for RenderStyle {
    /// For a file or a pipe: no colors, 110 columns.
    fn default() -> Self {
        Self { color: false, width: 110 }
    }
}

impl Problems {
    /// All problems with file, line, marker and hint, and a last line with their number.
    #[must_use]
    pub fn render(&self, style: RenderStyle) -> String {
        self.render_with_outcome(style, "")
    }

    /// Like [`Problems::render`]; `outcome` ends the last line, for example `; nothing was started`.
    #[must_use]
    pub fn render_with_outcome(&self, style: RenderStyle, outcome: &str) -> String {
        format!("{}{}{outcome}\n", render_all(&self.list, style), self.counts())
    }

    /// `2 errors (1 not shown) and 1 warning`; empty without any.
    #[must_use]
    pub fn counts(&self) -> String {
        let not_shown = match self.omitted {
            0 => String::new(),
            omitted => format!(" ({omitted} not shown)"),
        };
        let errors = match self.errors() {
            0 => None,
            errors => Some(format!("{}{not_shown}", counted(errors, "error"))),
        };
        let warnings = match self.warnings() {
            0 => None,
            warnings => Some(counted(warnings, "warning")),
        };
        errors.into_iter().chain(warnings).collect::<Vec<_>>().join(" and ")
    }
}

impl fmt::Display for Problems {
    /// Plain text, 110 columns wide; see [`Problems::render`] for a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(RenderStyle::default()))
    }
}

impl std::error::Error for Problems {}

/// Warnings of a valid configuration: like [`Problems::render`], without the last line.
#[must_use]
pub fn render_all(problems: &[Problem], style: RenderStyle) -> String {
    let renderer = if style.color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(style.width);
    problems.iter().map(|problem| with_column(problem, renderer.render(&[group(problem)])) + "\n\n").collect()
}

/// One problem as a JSON object.
#[must_use]
pub fn problem_to_json(problem: &Problem) -> Value {
    let excerpt = problem.location.excerpt.as_ref();
    let hints = [&problem.label, &problem.help].into_iter().filter(|text| !text.is_empty());
    let hint = hints.map(String::as_str).collect::<Vec<_>>().join("; ");
    json!({
        "severity": problem.level.word(),
        "code": problem.code,
        "message": problem.message,
        "hint": if hint.is_empty() { Value::Null } else { json!(hint) },
        "file": problem.location.file.display().to_string(),
        "line": excerpt.map(|excerpt| excerpt.line),
        "column": excerpt.map(|excerpt| excerpt.column),
        "instance": problem.instance,
        "step": problem.step,
    })
}

fn group(problem: &Problem) -> Group<'_> {
    let level = match problem.level {
        ProblemLevel::Error => Level::ERROR,
        ProblemLevel::Warning => Level::WARNING,
    };
    // What a plugin judges does not name the instance.
    let message = match (&problem.instance, &problem.step) {
        (Some(instance), Some(_)) => format!("{instance}: {}", problem.message),
        _ => problem.message.clone(),
    };
    let title = level.primary_title(message);
    let file = problem.location.file.display().to_string();
    let group = match &problem.location.excerpt {
        None => title.element(Origin::path(file)),
        Some(excerpt) => {
            let annotation = AnnotationKind::Primary.span(excerpt.marked.clone());
            let label = Some(problem.label.as_str()).filter(|label| !label.is_empty());
            let snippet = Snippet::source(excerpt.text.as_str()).line_start(excerpt.line).path(file);
            title.element(snippet.annotation(annotation.label(label)))
        }
    };
    match problem.help.as_str() {
        "" => group,
        help => group.element(Level::HELP.message(help)),
    }
}

/// Corrects the column: the renderer counts it in the line as shown, but redacted text may be longer or
/// shorter than the text in the file.
fn with_column(problem: &Problem, rendered: String) -> String {
    let Some(excerpt) = &problem.location.excerpt else { return rendered };
    let shown = excerpt.text[..excerpt.marked.start].chars().count() + 1;
    if shown == excerpt.column {
        return rendered;
    }
    let location = format!("{}:{}", problem.location.file.display(), excerpt.line);
    rendered.replacen(&format!("{location}:{shown}"), &format!("{location}:{}", excerpt.column), 1)
}

/// `1 error`, `2 errors`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
