//! Comments of a file that is written again: each stays with its key.

use std::collections::HashMap;

use super::document::Document;
use super::tree::{Content, Node};

/// A new text with the comments of the old one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Commented {
    pub(crate) text: String,
    /// Lines with comments that are in the text.
    pub(crate) kept: usize,
    /// Lines with comments whose key no longer exists.
    pub(crate) lost: usize,
}

/// Gives a text that has each key and each item in a line of its own the comments of an older text. A comment belongs to
/// the key or item that follows, to the one in its own line, or, if it is indented deeper than what follows, to the one
/// before. Items are recognized by their `id`, keys by their names.
pub(crate) fn keep_comments(old: &Document, new: &Document) -> Commented {
    let mut comments = comments(old);
    let total: usize = comments.values().map(|of| of.count()).sum();
    let anchors = anchors(&new.root);
    let mut lines: Vec<Line> = new.source.text().lines().map(Line::of).collect();
    let mut kept = 0;
    for anchor in &anchors {
        let Some(found) = comments.remove(&anchor.path) else { continue };
        kept += found.count();
        let last = anchor.last_line.min(lines.len() - 1);
        let line = &mut lines[anchor.line];
        let indent = line.text.len() - line.text.trim_start().len();
        line.above.extend(found.above.iter().map(|comment| indented(indent, &comment.text)));
        line.right = found.right;
        let deeper = |comment: &Comment| anchor.column + comment.column.saturating_sub(found.column);
        let below = found.below.iter().map(|comment| indented(deeper(comment), &comment.text));
        // Comments of a key come before those of the mapping that it ends.
        lines[last].below.splice(0..0, below);
    }
    let end = comments.remove("").unwrap_or_default();
    kept += end.count();
    let mut text: String = lines.iter().map(Line::text).collect();
    end.above.iter().for_each(|comment| text += &indented(0, &comment.text));
    Commented { text, kept, lost: total - kept }
}

/// A line of the new text with its comments.
struct Line<'a> {
    text: &'a str,
    above: Vec<String>,
    right: Option<String>,
    below: Vec<String>,
}

impl<'a> Line<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, above: Vec::new(), right: None, below: Vec::new() }
    }

    fn text(&self) -> String {
        let right = self.right.as_ref().map(|right| format!("  {right}")).unwrap_or_default();
        format!("{}{}{right}\n{}", self.above.concat(), self.text, self.below.concat())
    }
}

fn indented(columns: usize, text: &str) -> String {
    if text.is_empty() { "\n".to_owned() } else { format!("{:columns$}{text}\n", "") }
}

/// A key or an item.
struct Anchor {
    /// Names and `id`s from the root.
    path: String,
    start: usize,
    /// From 0.
    line: usize,
    /// From 0.
    column: usize,
    /// The last line of its value.
    last_line: usize,
}

/// All keys and items, in the order of the text.
fn anchors(root: &Node) -> Vec<Anchor> {
    let mut anchors = Vec::new();
    add_anchors(&mut anchors, root, "");
    // An alias has the place of its anchor.
    anchors.sort_by_key(|anchor| anchor.start);
    anchors
}

fn add_anchors(anchors: &mut Vec<Anchor>, node: &Node, path: &str) {
    let mut add = |name: &str, at: &super::source::Span, value: &Node| {
        let path = format!("{path}/{}", name.to_lowercase());
        let lines = value.span.text().matches('\n').count();
        let line = at.line_number() - 1;
        let last_line = (value.span.line_number() - 1 + lines).max(line);
        anchors.push(Anchor {
            path: path.clone(),
            start: at.start,
            line,
            column: at.column() - 1,
            last_line,
        });
        add_anchors(anchors, value, &path);
    };
    match &node.content {
        Content::Scalar(_) => {}
        Content::Mapping(entries) => {
            entries.iter().for_each(|entry| add(&entry.key.text, &entry.key.span, &entry.value));
        }
        Content::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                let name = item.entry("id").and_then(Node::text).or_else(|| item.text());
                let name = name.map_or_else(|| index.to_string(), |name| format!("[{name}]"));
                add(&name, &item.span, item);
            }
        }
    }
}

/// The comments of a key or item.
#[derive(Debug, Default)]
struct Comments {
    above: Vec<Comment>,
    right: Option<String>,
    below: Vec<Comment>,
    /// Column of the key or item.
    column: usize,
}

#[derive(Debug)]
struct Comment {
    /// With its `#`; empty for an empty line between two comments.
    text: String,
    /// From 0.
    column: usize,
}

impl Comments {
    fn count(&self) -> usize {
        let lines = self.above.iter().chain(&self.below).filter(|comment| !comment.text.is_empty());
        lines.count() + usize::from(self.right.is_some())
    }
}

/// The comments of a file by the paths of their keys; those after the last key have an empty path.
fn comments(document: &Document) -> HashMap<String, Comments> {
    let text = document.source.text();
    let anchors = anchors(&document.root);
    let mut scalars = Vec::new();
    add_scalars(&mut scalars, &document.root);
    let mut comments: HashMap<String, Comments> = HashMap::new();
    let (mut offset, mut is_after_gap) = (0, false);
    for line in text.split_inclusive('\n') {
        let (start, line) = (offset, line.trim_end());
        offset = start + text[start..].find('\n').map_or(text.len() - start, |end| end + 1);
        let Some(at) = comment_start(line, start, &scalars) else {
            is_after_gap = line.is_empty();
            continue;
        };
        let column = line[..at].chars().count();
        let comment = Comment { text: line[at..].to_owned(), column };
        let next = anchors.iter().position(|anchor| anchor.start >= start + at);
        if !line[..at].trim().is_empty() {
            let first = anchors.iter().find(|anchor| (start..start + at).contains(&anchor.start));
            // A comment after the end of a longer value belongs to what begins last before it.
            let before = &anchors[..next.unwrap_or(anchors.len())];
            if let Some(anchor) = first.or_else(|| before.last()) {
                let of = comments.entry(anchor.path.clone()).or_default();
                of.column = anchor.column;
                // Two lines of one value can have a comment each.
                match &mut of.right {
                    Some(right) => *right += &format!(" {}", comment.text),
                    right => *right = Some(comment.text),
                }
            }
            continue;
        }
        let above = next.map(|next| &anchors[next]).filter(|anchor| column <= anchor_indent(text, anchor));
        let before = &anchors[..next.unwrap_or(anchors.len())];
        let below = || before.iter().rev().find(|anchor| anchor.column <= column).filter(|_| column > 0);
        let (anchor, is_below) = match above {
            Some(anchor) => (Some(anchor), false),
            None => (below(), true),
        };
        let of = comments.entry(anchor.map(|anchor| anchor.path.clone()).unwrap_or_default()).or_default();
        of.column = anchor.map_or(0, |anchor| anchor.column);
        let list = if is_below && anchor.is_some() { &mut of.below } else { &mut of.above };
        if is_after_gap && !list.is_empty() {
            list.push(Comment { text: String::new(), column });
        }
        is_after_gap = false;
        list.push(comment);
    }
    comments
}

/// The column in which the line of a key or item begins; that of an item's first key is the column of its dash.
fn anchor_indent(text: &str, anchor: &Anchor) -> usize {
    let start = text[..anchor.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = &text[start..];
    line.len() - line.trim_start_matches(' ').len()
}

/// Where a comment begins in a line: a `#` after white space that is in no key and no value.
fn comment_start(line: &str, start: usize, scalars: &[(usize, usize)]) -> Option<usize> {
    let is_alone = |at: &usize| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let is_text = |at: usize| scalars.iter().any(|(from, to)| (*from..*to).contains(&(start + at)));
    line.match_indices('#').map(|(at, _)| at).filter(is_alone).find(|at| !is_text(*at))
}

fn add_scalars(scalars: &mut Vec<(usize, usize)>, node: &Node) {
    match &node.content {
        Content::Scalar(_) => scalars.push((node.span.start, node.span.end)),
        Content::Sequence(items) => items.iter().for_each(|item| add_scalars(scalars, item)),
        Content::Mapping(entries) => {
            for entry in entries {
                scalars.push((entry.key.span.start, entry.key.span.end));
                add_scalars(scalars, &entry.value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{self, Written, WrittenEntry};

    fn keep(old: &str, new: &str) -> Commented {
        let read = |text: &str| config::read_text(Path::new("p"), text).unwrap();
        keep_comments(&read(old), &read(new))
    }

    const NEW: &str = "\
version: 1
inputs:
  - id: scans
    plugin: QualysGuardFile
    with:
      path: 'a # b.xml'
      settle_secs: 3
outputs:
  - id: sheet
    plugin: CSV
    with:
      columns:
        - qid
        - ip
";

    #[test]
    fn each_comment_stays_with_its_key() {
        let old = "\
# Our licence

# nightly scans
version: 1  # the only one
schedule: manual # removed
# removed, too
name: x
inputs:
  # from the scanner
  - plugin: QualysGuardFile   # files
    id: scans
    with: { path: 'a # b.xml' } # all options
    # - id: other
# where it goes
outputs:
  - id: sheet
    plugin: CSV
    with:
      columns: [ip, qid]   # short
      # if_exists: append
# end
";
        let commented = keep(old, NEW);
        assert_eq!((commented.kept, commented.lost), (11, 2));
        insta::assert_snapshot!(commented.text, @r"
        # Our licence

        # nightly scans
        version: 1  # the only one
        inputs:
          # from the scanner
          - id: scans  # files
            plugin: QualysGuardFile
            with:  # all options
              path: 'a # b.xml'
              settle_secs: 3
            # - id: other
        # where it goes
        outputs:
          - id: sheet
            plugin: CSV
            with:
              columns:  # short
                - qid
                - ip
              # if_exists: append
        # end
        ");
        // Written again, nothing moves.
        let again = keep(&commented.text, NEW);
        assert_eq!((again.text, again.kept, again.lost), (commented.text, 11, 0));
    }

    #[test]
    fn number_signs_in_values_are_no_comments() {
        let old = "a: x#y\nb: \"1 # 2\"\nc: |\n  # text\nd: 'two\n  # lines'\ne: plain # right\n";
        let new = "a: x\nb: x\nc: x\nd: x\ne: x\n";
        let commented = keep(old, new);
        assert_eq!(commented.text, "a: x\nb: x\nc: x\nd: x\ne: x  # right\n");
        assert_eq!((commented.kept, commented.lost), (1, 0));
    }

    /// The content without the places of its keys, which comments move.
    fn without_lines(written: Written) -> Written {
        match written {
            Written::Mapping(entries) => Written::Mapping(
                entries
                    .into_iter()
                    .map(|entry| WrittenEntry { line: 0, value: without_lines(entry.value), ..entry })
                    .collect(),
            ),
            Written::List(items) => Written::List(items.into_iter().map(without_lines).collect()),
            other => other,
        }
    }

    proptest! {
        /// Whatever the old file is, the new one keeps its content, and each comment is counted.
        #[test]
        fn content_is_never_changed(lines in proptest::collection::vec("( ){0,6}(- )?(id: scans|with:|path: [ab#]|version: 1|inputs:|outputs:|# [a-z#: ]{0,5}|a: '# b' # c|\\[a, # b|\\]|\\{ a: b \\}|c: \\||)", 0..14)) {
            let old = lines.join("\n");
            let Ok(old) = config::read_text(Path::new("p"), &old) else { return Ok(()) };
            let new = config::read_text(Path::new("p"), NEW).unwrap();
            let commented = keep_comments(&old, &new);
            let again = config::read_text(Path::new("p"), &commented.text).unwrap();
            prop_assert!(without_lines(again.written()) == without_lines(new.written()), "{}", commented.text);
        }
    }
}
