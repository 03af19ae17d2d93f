//! Options as a Markdown table, for the README of a plugin and for the pages of the documentation.

use scanbridge_plugin_api::{Descriptor, OptionDescriptor, OptionKind};
use serde_json::Value;

use super::option_words::{rules_in_words, value_in_words};
use super::table::plain;

/// The table of a plugin.
pub(super) fn plugin_table<'a>(
    plugin: &Descriptor,
    options: impl Iterator<Item = &'a OptionDescriptor>,
) -> String {
    option_table(&format!("{} {}", plugin.kind.word(), plain(&plugin.name)), options)
}

/// The options of `whom` as a table between two comments, by which it is found again in a page.
pub(crate) fn option_table<'a>(whom: &str, options: impl Iterator<Item = &'a OptionDescriptor>) -> String {
    let begin = format!("<!-- options of {whom} -->\n");
    let head = "| Option | Values | Default | Meaning |\n|---|---|---|---|\n";
    begin + head + &options.map(row).collect::<String>() + "<!-- end of options -->\n"
}

fn row(option: &OptionDescriptor) -> String {
    let secret = if option.secret { ", secret" } else { "" };
    let (default, meaning) = default_and_meaning(option);
    let cells = [format!("`{}`", option.name), values(&option.kind) + secret, default, meaning];
    let cells: Vec<String> = cells.iter().map(|cell| cell_text(cell)).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// A table row is one line, and `|` separates its cells. Addresses are shown, they are not links.
fn cell_text(text: &str) -> String {
    let text = plain(text).replace('\n', " ").replace('|', "\\|");
    let words =
        text.split(' ').map(|word| match word.starts_with("https://") || word.starts_with("http://") {
            true => {
                let url = word.trim_end_matches(['.', ',', ';']);
                format!("`{url}`{}", &word[url.len()..])
            }
            false => word.to_owned(),
        });
    words.collect::<Vec<_>>().join(" ")
}

/// The maximum number of words in a cell. `plugin describe` shows all of them.
const MAX_WORDS: usize = 24;

fn values(kind: &OptionKind) -> String {
    match kind {
        OptionKind::Choice { words } => in_code(words.iter().map(String::as_str)),
        OptionKind::List { of } => format!("list of {}", values(of)),
        OptionKind::Map { of } => format!("name=value pairs, each value: {}", values(of)),
        other => other.describe(),
    }
}

/// Words as code, separated by commas: all, or the first ones and the number of all.
fn in_code<'a>(words: impl Iterator<Item = &'a str> + Clone) -> String {
    let count = words.clone().count();
    let shown = if count > MAX_WORDS { 3 } else { count };
    let shown: Vec<String> = words.take(shown).map(|word| format!("`{word}`")).collect();
    let rest = if count > MAX_WORDS { format!(" … ({count})") } else { String::new() };
    shown.join(", ") + &rest
}

/// The default has a column of its own, so a sentence of the help that says it becomes the cell.
fn default_and_meaning(option: &OptionDescriptor) -> (String, String) {
    let (defaults, mut meaning): (Vec<&str>, Vec<&str>) =
        sentences(&option.help).partition(|sentence| sentence.starts_with(DEFAULT));
    let rules = rules_in_words(option);
    meaning.extend(rules.iter().map(String::as_str));
    let said = defaults.first().map(|sentence| sentence[DEFAULT.len()..].trim_end_matches('.').to_owned());
    let value = || Some(default_value(&option.kind, option.default.as_ref()?));
    let default = if option.required { Some("required".to_owned()) } else { said.or_else(value) };
    (default.unwrap_or_else(|| "–".to_owned()), meaning.join(" "))
}

fn default_value(kind: &OptionKind, value: &Value) -> String {
    match (kind, value) {
        (OptionKind::Flag, value) => value_in_words(kind, value),
        (OptionKind::List { of }, Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| value_in_words(of, item)).collect();
            in_code(items.iter().map(String::as_str))
        }
        (kind, value) => format!("`{}`", value_in_words(kind, value)),
    }
}

const DEFAULT: &str = "Default: ";

/// The sentences of a help text. A full stop ends one only if the next word can begin one.
fn sentences(help: &str) -> impl Iterator<Item = &str> {
    let starts = help.match_indices(". ").map(|(at, gap)| at + gap.len());
    let starts = starts.filter(|at| help[*at..].starts_with(|c: char| c.is_uppercase() || c == '`'));
    let mut bounds: Vec<usize> = std::iter::once(0).chain(starts).collect();
    bounds.push(help.len());
    let parts: Vec<&str> = bounds.windows(2).map(|pair| help[pair[0]..pair[1]].trim_end()).collect();
    parts.into_iter()
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::{OptionSpec, ValueSpec};
    use serde_json::json;

    use super::*;

    #[test]
    fn table_has_a_row_for_each_option() {
        let options = [
            OptionSpec::path("path").required().help("Output file."),
            OptionSpec::choice("format", &["a|b", "c"]).default_text("c").help("Form, e.g. `c`. `a|b`: old."),
            OptionSpec::flag("header").default_flag(true).only_with("format", &["c"]).help("Write a header."),
            OptionSpec::list("kinds", &ValueSpec::Choice(&["x", "y"]))
                .help("Kinds. Default: all. Others are skipped."),
            OptionSpec::text("separator").default_text("; ").help("Separator, see https://example.com/a."),
            OptionSpec::text("password").secret().help("Password."),
        ];
        let mut descriptor: Descriptor =
            serde_json::from_value(json!({ "name": "Rows", "kind": "output" })).unwrap();
        descriptor.options = options.iter().map(OptionDescriptor::from).collect();
        insta::assert_snapshot!(plugin_table(&descriptor, descriptor.options.iter()), @r"
        <!-- options of output Rows -->
        | Option | Values | Default | Meaning |
        |---|---|---|---|
        | `path` | path | required | Output file. |
        | `format` | `a\|b`, `c` | `c` | Form, e.g. `c`. `a\|b`: old. |
        | `header` | yes/no | yes | Write a header. Allowed only with `format: c`. |
        | `kinds` | list of `x`, `y` | all | Kinds. Others are skipped. |
        | `separator` | text | `; ` | Separator, see `https://example.com/a`. |
        | `password` | text, secret | – | Password. |
        <!-- end of options -->
        ");
    }
}
