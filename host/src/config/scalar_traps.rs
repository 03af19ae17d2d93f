//! Values that YAML probably interprets differently from what the operator intended. They are valid, so they
//! cause only warnings.

use scanbridge_plugin_api::OptionDescriptor;
use serde_saphyr::granit_parser::ScalarStyle;

use super::collector::Collector;
use super::odd_character::{self, OddCharacter};
use super::tree::{Content, Node};

/// Warns when YAML has truncated, joined or unescaped a value, probably against the operator's intention.
pub(super) fn warn(collector: &mut Collector, option: &OptionDescriptor, node: &Node) {
    let Content::Scalar(scalar) = &node.content else { return };
    let name = &option.name;
    if let Some(odd) = odd_quote_or_space(&scalar.text).filter(|_| scalar.is_plain()) {
        collector
            .warning(
                "odd-character",
                &node.span,
                format!("the value of `{name}` begins or ends with a {}", odd.shown()),
            )
            .label("YAML takes it as part of the value")
            .help(odd.help());
    }
    match scalar.style {
        ScalarStyle::Plain if is_truncated(node, option.secret) => {
            collector
                .warning("cut-value", &node.span, format!("the value of `{name}` is truncated at ` #`"))
                .label("` #` starts a comment")
                .help(format!("if it is part of the value, use single quotes: {name}: '…'"));
        }
        ScalarStyle::Plain if option.secret && node.span.text().contains('\n') => {
            collector
                .warning(
                    "folded-value",
                    &node.span,
                    format!("the value of `{name}` continues on the next line"),
                )
                .label("YAML joins the two lines with a space")
                .help("if the next line is a key of its own, fix its indentation");
        }
        ScalarStyle::DoubleQuoted if option.secret && node.span.text().contains('\\') => {
            collector
                .warning(
                    "escaped-value",
                    &node.span,
                    format!("the value of `{name}` contains a backslash escape"),
                )
                .label("YAML interprets it inside double quotes")
                .help(format!("to keep every character unchanged, use single quotes: {name}: '…'"));
        }
        _ => {}
    }
}

/// A typographic quote or a no-break space where an operator writes a quote or a space.
fn odd_quote_or_space(text: &str) -> Option<OddCharacter> {
    let ends = [text.chars().next(), text.chars().next_back()];
    ends.into_iter()
        .flatten()
        .find_map(|c| odd_character::find(c.encode_utf8(&mut [0; 4])).map(|(_, odd)| odd))
}

/// Whether a comment is probably the rest of the value. A comment after a value is common: `path: a.csv  #
/// ours`. After a password it is suspicious, after other values only when no space follows the `#`.
fn is_truncated(node: &Node, secret: bool) -> bool {
    let rest = node.span.rest_of_line();
    let Some(comment) = rest.trim_start().strip_prefix('#') else { return false };
    let without_space = !comment.is_empty() && !comment.starts_with([' ', '\t', '#']);
    rest.starts_with([' ', '\t']) && (secret || without_space)
}
