//! Messages for errors of the YAML parser.

use serde_saphyr::granit_parser::ErrorKind;

/// Hint for most errors.
pub(super) const QUOTE: &str = "put values that contain `: ` or ` #`, or start with one of @ ` % & * ! | > \
                                { [ ' \", in single quotes; double a single quote inside: 'it''s'";

/// Message and hint for an error. Neither quotes the file: in invalid YAML, any part of the text may be a
/// password.
pub(super) fn explain(kind: &ErrorKind) -> (String, &'static str) {
    let (message, help) = match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => {
            ("tab character in the indentation", "indent with spaces; YAML does not allow tabs there")
        }
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
