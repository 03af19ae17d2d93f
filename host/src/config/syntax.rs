//! Messages for errors of the YAML parser.

use serde_saphyr::granit_parser::ErrorKind;

use super::odd_character;

/// Hint for most errors.
pub(super) const QUOTE: &str = "put values that contain `: ` or ` #`, or start with one of @ ` % & * ! | > \
                                { [ ' \", in single quotes; double a single quote inside: 'it''s'";

/// What is wrong, what to do, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Explanation {
    pub(super) message: String,
    pub(super) help: String,
    /// Offset in the text.
    pub(super) at: usize,
}

/// Explains an error of the parser at this offset. Neither message nor hint quotes the file: in invalid YAML, any part of
/// the text may be a password.
pub(super) fn explain(kind: &ErrorKind, text: &str, at: usize) -> Explanation {
    cause(text, at).unwrap_or_else(|| {
        let (message, help) = explain_kind(kind);
        Explanation { message, help: help.to_owned(), at }
    })
}

/// A mistake on the line of the error or next to it that the parser does not know: it continues as long as the text
/// could still be valid, and so reports the mistake as another one, or on another line.
fn cause(text: &str, at: usize) -> Option<Explanation> {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = |at: usize| text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line_of_error = start(at);
    let next = text[line_of_error..].find('\n').map(|length| line_of_error + length + 1);
    let previous = line_of_error.checked_sub(1).map(start);
    let lines = [Some(line_of_error), next, previous].into_iter().flatten();
    let mut lines = lines.map(|start| (start, text[start..].lines().next().unwrap_or_default()));
    lines.find_map(|(start, line)| {
        let is_first = start == line_of_error;
        cause_in(line, is_first).map(|(offset, message, help)| Explanation {
            message,
            help,
            at: start + offset,
        })
    })
}

/// Offset, message and hint of a mistake on this line.
fn cause_in(line: &str, is_line_of_error: bool) -> Option<(usize, String, String)> {
    let indentation = line.len() - line.trim_start().len();
    if let Some(tab) = line[..indentation].find('\t') {
        return Some((tab, TAB.0.to_owned(), TAB.1.to_owned()));
    }
    let odd = odd_character::find(line);
    if let Some((offset, odd)) = odd.filter(|(offset, odd)| odd.is_blank() && *offset < indentation) {
        return Some((offset, format!("{} in the indentation", odd.shown()), odd.help()));
    }
    if !is_line_of_error {
        return None;
    }
    if let Some((offset, odd)) = odd {
        return Some((offset, odd.shown(), odd.help()));
    }
    let brace = brace_in_value(line)?;
    let help = "put the value in quotes, for example { path: 'out/{report}.csv' } or { path: '${env:FILE}' }";
    Some((brace, "a value that contains `{` must be quoted inside { … }".to_owned(), help.to_owned()))
}

/// Offset of a `{` in the middle of an unquoted value, on a line that has another `{` before it.
fn brace_in_value(line: &str) -> Option<usize> {
    let first = line.find('{')?;
    let mut quote = None;
    let mut previous = '{';
    for (offset, c) in line[first + 1..].char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == '{' && !previous.is_whitespace() && !":,[{".contains(previous) => {
                return Some(first + 1 + offset);
            }
            None => {}
        }
        previous = c;
    }
    None
}

const TAB: (&str, &str) =
    ("tab character in the indentation", "indent with spaces; YAML does not allow tabs there");

fn explain_kind(kind: &ErrorKind) -> (String, &'static str) {
    let (message, help) = match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => TAB,
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            ("a second `:` on this line, or wrong indentation", QUOTE)
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            ("expected `key: value`", "write the key as `key: ` (colon, space)")
        }
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::MappingKeyNotAllowed
        | ErrorKind::BlockSequenceEntryNotAllowed => (
            "wrong indentation: this line matches no level above it",
            "start all keys of a mapping in the same column, and list items with `- ` in the same column",
        ),
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => (
            "missing closing quote, here or above",
            "add the closing quote; double a single quote inside single quotes: 'it''s'",
        ),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => (
            "unexpected text after the closing quote",
            "put the whole value in quotes; double a single quote inside single quotes: 'it''s'",
        ),
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape => (
            "invalid backslash escape in double quotes",
            "use single quotes; only the single quote itself is special there, and it is doubled",
        ),
        ErrorKind::UnknownAnchor => ("undefined anchor after `*`", QUOTE),
        ErrorKind::UnexpectedCharacter { .. } => ("a value cannot start with this character", QUOTE),
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::BlockEntryInFlowCollection
        | ErrorKind::InvalidFlowScalarIndent
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::MismatchedFlowCollectionEnd { .. } => (
            "unclosed `{` or `[`, here or above, or a missing comma",
            "add the closing bracket or the comma; put values that contain `{` in quotes: path: \
             'out/{report}.csv'",
        ),
        ErrorKind::RecursionLimitExceeded => {
            ("more than 32 levels of nesting", "pipeline files need fewer levels; check the indentation")
        }
        ErrorKind::DirectiveDisallowed => {
            ("YAML directives (`%…`) are not supported", "remove the line, or quote the value")
        }
        other => return (format!("invalid YAML: {other}"), QUOTE),
    };
    (message.to_owned(), help)
}
