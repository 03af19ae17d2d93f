//! Values of which YAML makes something else than what the operator typed. They are valid, so they are warnings.

use scanbridge_plugin_api::OptionDescriptor;
use serde_saphyr::granit_parser::ScalarStyle;

use super::collector::Collector;
use super::tree::{Content, Node};

/// Warns when a value was probably meant to be longer or other than it is.
pub(super) fn warn(collector: &mut Collector, option: &OptionDescriptor, node: &Node) {
    let Content::Scalar(scalar) = &node.content else { return };
    let name = &option.name;
    match scalar.style {
        ScalarStyle::Plain if is_cut(node, option.secret) => {
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

/// A comment behind a value is common and fine, `path: a.csv  # ours`; in a password it is more likely the rest of
/// it. In anything else only a `#` that is not followed by a blank looks like part of the value.
fn is_cut(node: &Node, secret: bool) -> bool {
    let rest = node.span.rest_of_line();
    let Some(comment) = rest.trim_start().strip_prefix('#') else { return false };
    let glued = !comment.is_empty() && !comment.starts_with([' ', '\t', '#']);
    rest.starts_with([' ', '\t']) && (secret || glued)
}
