//! Quoted lines, with secrets redacted.

use std::ops::Range;
use std::sync::Arc;

use super::problem::Excerpt;
use super::source::Span;

/// The spans of text that no output may show.
#[derive(Debug, Clone, Default)]
pub(super) struct Redactions(Vec<Span>);

impl Redactions {
    pub(super) fn add(&mut self, span: Span) {
        self.0.push(span);
    }

    /// The line in which the span starts, with the span marked.
    pub(super) fn excerpt(&self, span: &Span) -> Excerpt {
        let (start, end) = (span.line_start(), span.line_end());
        let line = span.line();
        let mut hidden: Vec<Range<usize>> = self
            .0
            .iter()
            .filter(|hidden| Arc::ptr_eq(&hidden.source, &span.source))
            .map(|hidden| hidden.start.max(start)..hidden.end.min(end))
            .filter(|hidden| hidden.start < hidden.end)
            .map(|hidden| hidden.start - start..hidden.end - start)
            .collect();
        hidden.sort_by_key(|hidden| (hidden.start, hidden.end));
        let marked = span.start - start..span.end.min(end).max(span.start) - start;
        let (text, marked) = redact(line, &hidden, marked);
        let (text, marked) = window(&text, marked);
        Excerpt { line: span.line_number(), column: span.column(), text, marked }
    }
}

const REDACTED: &str = "[redacted]";

/// The line with every hidden range redacted, and the new range of the marker. A marker that touches a hidden
/// range covers its complete replacement, so that it does not reveal the length of the secret.
fn redact(line: &str, hidden: &[Range<usize>], marked: Range<usize>) -> (String, Range<usize>) {
    let mut text = String::new();
    let (mut copied, mut start, mut end) = (0, None, None);
    for range in hidden {
        if range.end <= copied {
            continue;
        }
        let from = range.start.max(copied);
        move_marker(&mut start, &mut end, &marked, copied..from, text.len());
        text.push_str(&line[copied..from]);
        if from == range.start {
            if marked.start < range.end && marked.end >= range.start {
                start.get_or_insert(text.len());
                end = Some(text.len() + REDACTED.len());
            }
            text.push_str(REDACTED);
        }
        copied = range.end;
    }
    move_marker(&mut start, &mut end, &marked, copied..line.len() + 1, text.len());
    text.push_str(&line[copied..]);
    let start = start.unwrap_or(text.len()).min(text.len());
    let end = end.unwrap_or(start).clamp(start, text.len());
    (text, start..end)
}

/// Sets the new start and end of the marker if they are in `piece`, which is copied to offset `target`.
fn move_marker(
    start: &mut Option<usize>,
    end: &mut Option<usize>,
    marked: &Range<usize>,
    piece: Range<usize>,
    target: usize,
) {
    if start.is_none() && piece.contains(&marked.start) {
        *start = Some(target + marked.start - piece.start);
    }
    if marked.end > piece.start && marked.end <= piece.end {
        *end = Some(target + marked.end - piece.start);
    }
}

/// The part of the text around the marker: at most 120 bytes before its start and 240 after.
fn window(text: &str, marked: Range<usize>) -> (String, Range<usize>) {
    const BEFORE: usize = 120;
    const AFTER: usize = 240;
    let from = floor(text, marked.start.saturating_sub(BEFORE));
    let to = floor(text, marked.start.saturating_add(AFTER).min(text.len()));
    (text[from..to].to_owned(), marked.start - from..marked.end.min(to) - from)
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_ranges_are_redacted_and_the_marker_moves() {
        let line = "with: { pw: abc, size: 0, pin: 77 }";
        let hidden = [12..15, 31..33];
        let (text, marked) = redact(line, &hidden, 23..24);
        assert_eq!(text, "with: { pw: [redacted], size: 0, pin: [redacted] }");
        assert_eq!(&text[marked], "0");
        let (text, marked) = redact(line, &hidden, 12..15);
        assert_eq!(&text[marked], "[redacted]");
        let (text, marked) = redact(line, &hidden, 17..21);
        assert_eq!(&text[marked], "size");
    }

    #[test]
    fn long_line_is_shortened_around_the_marker() {
        let line = format!("{}key{}", "ä".repeat(500), "b".repeat(500));
        let (text, marked) = window(&line, 1000..1003);
        assert_eq!(&text[marked], "key");
        assert!(text.len() < 400, "{}", text.len());
    }
}
