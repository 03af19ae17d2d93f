//! How problems look: carets for people, JSON for scripts.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use super::problem::{Problem, ProblemLevel, Problems};

/// How text for people is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderStyle {
    /// With colours; only for a terminal, and not where somebody wants none.
    pub colour: bool,
    /// Columns that a line may take.
    pub width: usize,
}

impl Default for RenderStyle {
    /// For a file or a pipe: plain, 110 columns.
    fn default() -> Self {
        Self { colour: false, width: 110 }
    }
}

impl Problems {
    /// All problems with file, line, caret and hint, and a last line that counts them.
    #[must_use]
    pub fn render(&self, look: RenderStyle) -> String {
        let mut text = render_all(&self.list, look);
        text.push_str(&self.last_line());
        text
    }

    /// `{"problems": […], "errors": 2, "warnings": 0}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "problems": self.list.iter().map(problem_to_json).collect::<Vec<_>>(),
            "errors": self.errors(),
            "warnings": self.warnings(),
        })
    }

    fn last_line(&self) -> String {
        let errors = counted(self.errors(), "error");
        let not_shown = match self.omitted {
            0 => String::new(),
            omitted => format!(" ({omitted} not shown)"),
        };
        let warnings = match self.warnings() {
            0 => String::new(),
            warnings => format!(" and {}", counted(warnings, "warning")),
        };
        format!("{errors}{not_shown}{warnings}; nothing was started\n")
    }
}

/// Warnings that came with a configuration that is otherwise good: as [`Problems::render`], without a count.
#[must_use]
pub fn render_all(problems: &[Problem], look: RenderStyle) -> String {
    let renderer = if look.colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(look.width);
    problems.iter().map(|problem| with_column(problem, renderer.render(&[group(problem)])) + "\n\n").collect()
}

/// One problem as a JSON object.
#[must_use]
pub fn problem_to_json(problem: &Problem) -> Value {
    let excerpt = problem.place.excerpt.as_ref();
    json!({
        "level": problem.gravity.word(),
        "code": problem.code,
        "message": problem.message,
        "file": problem.place.file.display().to_string(),
        "line": excerpt.map(|excerpt| excerpt.line),
        "column": excerpt.map(|excerpt| excerpt.column),
        "label": problem.label,
        "help": problem.help,
    })
}

fn group(problem: &Problem) -> Group<'_> {
    let level = match problem.gravity {
        ProblemLevel::Error => Level::ERROR,
        ProblemLevel::Warning => Level::WARNING,
    };
    let title = level.primary_title(problem.message.as_str());
    let file = problem.place.file.display().to_string();
    let group = match &problem.place.excerpt {
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

/// The renderer counts the column in the line as it is shown; where something was cut out of the line, the file
/// has another one.
fn with_column(problem: &Problem, rendered: String) -> String {
    let Some(excerpt) = &problem.place.excerpt else { return rendered };
    let shown = excerpt.text[..excerpt.marked.start].chars().count() + 1;
    if shown == excerpt.column {
        return rendered;
    }
    let place = format!("{}:{}", problem.place.file.display(), excerpt.line);
    rendered.replacen(&format!("{place}:{shown}"), &format!("{place}:{}", excerpt.column), 1)
}

fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
