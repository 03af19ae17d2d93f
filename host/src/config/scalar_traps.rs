//! Values that YAML probably interprets differently from what the operator intended. They are valid, so they
//! cause only warnings.

use scanbridge_plugin_api::OptionDescriptor;
use serde_saphyr::granit_parser::ScalarStyle;

use super::collector::Collector;
use super::tree::{Content, Node};

/// Warns when YAML has truncated, joined or unescaped a value, probably against the operator's intention.
pub(super) fn warn(collector: &mut Collector, option: &OptionDescriptor, node: &Node) {
    let Content::Scalar(scalar) = &node.content else { return };
    let name = &option.name;
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

/// Whether a comment is probably the rest of the value. A comment after a value is common: `path: a.csv  #
/// ours`. After a password it is suspicious, after other values only when no space follows the `#`.
fn is_truncated(node: &Node, secret: bool) -> bool {
    let rest = node.span.rest_of_line();
    let Some(comment) = rest.trim_start().strip_prefix('#') else { return false };
    let without_space = !comment.is_empty() && !comment.starts_with([' ', '\t', '#']);
    rest.starts_with([' ', '\t']) && (secret || without_space)
}
