//! The words for what the YAML parser objects to.

use serde_saphyr::granit_parser::ErrorKind;

/// What to do about most of it.
pub(super) const QUOTE: &str = "put a value that holds `: ` or ` #`, or begins with one of @ ` % & * ! | > { [ ' \" \
                                in single quotes, and double a single quote inside: 'it''s'";

/// What is wrong and what to do. Neither holds any part of the file: where the YAML is broken, nobody can tell
/// which part of it is a password.
pub(super) fn explain(kind: &ErrorKind) -> (String, &'static str) {
    let (message, help) = match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => {
            ("a tab stands in the indentation", "indent with spaces; YAML takes no tabs there")
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            ("a second `:` stands in this line, or the line is indented too far", QUOTE)
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            ("this line has no `key: value` where one is needed", "end the key with `: `, colon and blank")
        }
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::MappingKeyNotAllowed
        | ErrorKind::BlockSequenceEntryNotAllowed => (
            "this line does not line up with the lines above it",
            "keys of one mapping begin in the same column; items of a list begin with `- ` in the same column",
        ),
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => (
            "a quote is opened, here or above, and not closed",
            "close it, and double a single quote inside single quotes: 'it''s'",
        ),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => (
            "something follows the closing quote",
            "quote the whole value, and double a single quote inside single quotes: 'it''s'",
        ),
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape => (
            "a backslash in double quotes begins an escape, and this is none",
            "use single quotes: nothing is special inside them but the quote itself, which is doubled",
        ),
        ErrorKind::UnknownAnchor => ("`*` names an anchor that is not there", QUOTE),
        ErrorKind::UnexpectedCharacter { .. } => ("no value can begin with this character", QUOTE),
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::BlockEntryInFlowCollection
        | ErrorKind::InvalidFlowScalarIndent
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::MismatchedFlowCollectionEnd { .. } => (
            "a `{` or `[` is opened, here or above, and not closed, or a comma is missing inside",
            "close it, and set commas between the items",
        ),
        ErrorKind::RecursionLimitExceeded => {
            ("values are nested more than 32 levels deep", "no setting needs that many levels")
        }
        ErrorKind::DirectiveDisallowed => {
            ("directives (`%…`) are not used here", "remove the line, or quote the value")
        }
        other => return (format!("not valid YAML: {other}"), QUOTE),
    };
    (message.to_owned(), help)
}
