//! Collects problems while a configuration is read, and the spans of text that must be redacted.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

use super::broken_line::hidden_part;
use super::excerpt::Redactions;
use super::problem::{Problem, ProblemLevel, Problems, SourceLocation};
use super::source::{Source, Span};
use super::tree::{Content, Node, SyntaxError};

/// Collects problems. Lines are quoted only in [`Collector::finish`], when all secrets in them are known.
#[derive(Default)]
pub(super) struct Collector {
    pending: Vec<Pending>,
    hidden: Redactions,
    /// Files in the order in which they were first named; problems are shown in this order.
    files: Vec<Arc<Source>>,
    omitted: usize,
    /// The input or output that is being checked.
    pub(super) instance: Option<String>,
}

/// A problem whose line has not been quoted yet. Label and help are optional.
pub(super) struct Pending {
    problem: Problem,
    span: Option<Span>,
}

impl Pending {
    pub(super) fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.problem.label = label.into();
        self
    }

    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.problem.help = help.into();
        self
    }
}

/// More problems do not help an operator, and a hostile file could cause millions.
const MAX_PROBLEMS: usize = 100;
/// Messages may quote values, which can be long.
const MAX_MESSAGE_CHARS: usize = 300;

impl Collector {
    pub(super) fn error(&mut self, code: &'static str, at: &Span, message: String) -> &mut Pending {
        self.push(ProblemLevel::Error, code, at.file(), Some(at), message)
    }

    pub(super) fn warning(&mut self, code: &'static str, at: &Span, message: String) -> &mut Pending {
        self.push(ProblemLevel::Warning, code, at.file(), Some(at), message)
    }

    /// A problem of the file itself, without a line.
    pub(super) fn file_error(&mut self, code: &'static str, file: &Path, message: String) -> &mut Pending {
        self.push(ProblemLevel::Error, code, file, None, message)
    }

    /// Reports a syntax error. `is_secret` judges the name of a key.
    pub(super) fn syntax_error(&mut self, error: SyntaxError, is_secret: impl Fn(&str) -> bool) {
        let SyntaxError { message, help, at } = error;
        if let Some(part) = hidden_part(at.source.text(), at.start, is_secret) {
            self.hidden.add(Span { source: Arc::clone(&at.source), start: part.start, end: part.end });
        }
        self.error("yaml", &at, message).help(help);
    }

    /// Redacts this value in all quoted lines, with the text between its key and it and the rest of its line. In
    /// `secret #more`, `&secret`, `*secret` and (inside braces) `sec,ret`, YAML treats a part of the secret as
    /// something else, such as a comment.
    pub(super) fn hide_value(&mut self, key: &Span, node: &Node) {
        let text = key.source.text();
        let from = key.end + text[key.end..].find([':', '\n']).map_or(0, |colon| colon + 1);
        let spaces = text[from..].len() - text[from..].trim_start_matches([' ', '\t']).len();
        let follows_key = Arc::ptr_eq(&node.span.source, &key.source) && node.span.start >= key.end;
        // The value of an alias is located at its anchor; only its name is here.
        let end = if follows_key { node.span.end } else { key.line_end() };
        let mut value_span = Span { source: Arc::clone(&key.source), start: from + spaces, end };
        value_span.end = value_span.end.max(value_span.start);
        value_span.end += value_span.rest_of_line().len();
        self.hide(value_span);
        self.hide(node.span.clone());
    }

    /// Redacts this span, and a comment directly after it, in all quoted lines.
    pub(super) fn hide(&mut self, mut span: Span) {
        let rest = span.rest_of_line();
        if rest.starts_with([' ', '\t', '#']) && rest.trim_start().starts_with('#') {
            span.end += rest.len();
        }
        self.hidden.add(span);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.omitted > 0 || self.pending.iter().any(|pending| pending.problem.level == ProblemLevel::Error)
    }

    /// What must not be shown, for problems that are found later.
    pub(super) fn redactions(&self) -> Redactions {
        self.hidden.clone()
    }

    pub(super) fn finish(mut self) -> Problems {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_by(|a, b| self.order(a, b));
        let mut list: Vec<Problem> = pending.into_iter().map(|pending| self.with_excerpt(pending)).collect();
        // Two instances that share a settings file report the same problems.
        list.dedup_by(|again, first| {
            again.instance.clone_from(&first.instance);
            again == first
        });
        Problems { list, omitted: self.omitted }
    }

    fn push(
        &mut self,
        level: ProblemLevel,
        code: &'static str,
        file: &Path,
        span: Option<&Span>,
        message: String,
    ) -> &mut Pending {
        if let Some(span) = span
            && !self.files.iter().any(|file| Arc::ptr_eq(file, &span.source))
        {
            self.files.push(Arc::clone(&span.source));
        }
        if self.pending.len() >= MAX_PROBLEMS {
            self.drop_one(level);
        }
        let location = SourceLocation { file: file.to_owned(), excerpt: None };
        let message = shorten(message);
        let (instance, step, label, help) = (self.instance.clone(), None, String::new(), String::new());
        let problem = Problem { level, code, message, location, label, help, instance, step };
        self.pending.push(Pending { problem, span: span.cloned() });
        self.pending.last_mut().expect("a problem has just been added")
    }

    /// Removes one problem so that a new one can be added: the last warning, otherwise the last error if the new
    /// problem is an error.
    fn drop_one(&mut self, level: ProblemLevel) {
        let warning = |pending: &Pending| pending.problem.level == ProblemLevel::Warning;
        match self.pending.iter().rposition(warning) {
            Some(index) => {
                self.pending.remove(index);
            }
            None if level == ProblemLevel::Warning => {}
            None => {
                self.pending.pop();
                self.omitted += 1;
            }
        }
    }

    fn order(&self, a: &Pending, b: &Pending) -> Ordering {
        let rank = |pending: &Pending| {
            let span = pending.span.as_ref()?;
            Some((self.files.iter().position(|file| Arc::ptr_eq(file, &span.source))?, span.start))
        };
        rank(a).cmp(&rank(b))
    }

    fn with_excerpt(&self, pending: Pending) -> Problem {
        let Pending { mut problem, span } = pending;
        problem.location.excerpt = span.map(|span| self.hidden.excerpt(&span));
        problem
    }
}

fn shorten(message: String) -> String {
    match message.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((at, _)) => format!("{}…", &message[..at]),
        None => message,
    }
}

/// Redacts everything under a key whose meaning is unknown. In block style, keys stay visible, and so do host keys
/// with their values. Inside `{…}` everything is redacted, because a key may be part of an unquoted password.
pub(super) fn hide_all(collector: &mut Collector, key: &Span, node: &Node) {
    match &node.content {
        Content::Mapping(entries) if !node.span.text().starts_with('{') => entries
            .iter()
            .filter(|entry| !NEVER_SECRET.contains(&entry.key.text.as_str()))
            .for_each(|entry| hide_all(collector, &entry.key.span, &entry.value)),
        _ => collector.hide_value(key, node),
    }
}

/// Like [`hide_all`], for a node without a key.
pub(super) fn hide_content(collector: &mut Collector, node: &Node) {
    match &node.content {
        Content::Mapping(_) if !node.span.text().starts_with('{') => hide_mappings(collector, node),
        _ => collector.hide(node.span.clone()),
    }
}

/// Redacts the mappings in a value of a host key. Such a value is not secret itself, but a misplaced mapping
/// may contain a secret.
pub(super) fn hide_mappings(collector: &mut Collector, node: &Node) {
    match &node.content {
        Content::Scalar(_) => {}
        Content::Sequence(items) => items.iter().for_each(|item| hide_mappings(collector, item)),
        Content::Mapping(entries) => {
            entries.iter().for_each(|entry| hide_all(collector, &entry.key.span, &entry.value));
        }
    }
}

/// Host keys whose values are never secret.
const NEVER_SECRET: [&str; 5] = ["version", "id", "plugin", "required", "config"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_warnings_do_not_hide_an_error() {
        let source = Source::new(Path::new("a.yaml"), "key: value".to_owned());
        let at = Span { source, start: 0, end: 3 };
        let mut collector = Collector::default();
        for number in 0..2 * MAX_PROBLEMS {
            collector.warning("test", &at, format!("warning {number}"));
        }
        assert!(!collector.has_errors());
        collector.error("test", &at, "the error".to_owned());
        let problems = collector.finish();
        assert_eq!((problems.errors(), problems.list.len()), (1, MAX_PROBLEMS));
    }
}
