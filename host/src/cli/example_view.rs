//! Output of `config example`: a pipeline file with comments, from the tables of the plugins.

use std::fmt::Write as _;

use scanbridge_plugin_api::{Descriptor, OptionCondition, OptionDescriptor, OptionKind, PluginKind};
use serde_json::Value;

use super::option_words::value_in_words;
use super::table::plain;
use crate::config::{PLACEHOLDER, Scope, host_options};
use crate::yaml_text::scalar;

/// A pipeline of these plugins. Required options have a placeholder, the others are comments with their defaults. With
/// `all`, the keys of the host are there too.
#[must_use]
pub fn show_example(plugins: &[&Descriptor], all: bool) -> String {
    let mut text = format!(
        "# Replace each {PLACEHOLDER}, remove the `#` before what you want to set, and run: scanbridge check FILE\n\
         version: 1\n"
    );
    if all {
        host_keys(&mut text, Scope::Run, "");
    }
    for kind in [PluginKind::Input, PluginKind::Output] {
        let _ = write!(text, "\n{}s:\n", kind.word());
        let mut ids: Vec<String> = Vec::new();
        for plugin in plugins.iter().filter(|plugin| plugin.kind == kind) {
            instance(&mut text, plugin, &mut ids, all);
        }
        if ids.is_empty() {
            let _ = write!(text, "  - id: {}\n    plugin: {PLACEHOLDER}\n", kind.word());
        }
    }
    text
}

fn instance(text: &mut String, plugin: &Descriptor, ids: &mut Vec<String>, all: bool) {
    let name = plain(&plugin.name);
    let mut id = name.to_lowercase();
    let same = ids.iter().filter(|known| known.starts_with(&id)).count();
    if same > 0 {
        let _ = write!(id, "-{}", same + 1);
    }
    comment(text, "  ", &plugin.summary);
    let _ = write!(text, "  - id: {id}\n    plugin: {name}\n");
    ids.push(id);
    if all {
        host_keys(text, if plugin.kind == PluginKind::Input { Scope::Input } else { Scope::Output }, "    ");
    }
    text.push_str("    with:\n");
    for option in &plugin.options {
        comment(text, "      ", &option.help);
        if is_required(plugin, option) {
            let _ = writeln!(text, "      {}: {PLACEHOLDER}", option.name);
        } else {
            let _ = writeln!(text, "      # {}: {}", option.name, default(option));
        }
    }
}

/// Whether the option must be set with the defaults of the others.
fn is_required(plugin: &Descriptor, option: &OptionDescriptor) -> bool {
    let holds = |condition: &OptionCondition| {
        let default = plugin.option(&condition.option).and_then(|option| option.default.as_ref());
        let word = default.and_then(Value::as_str);
        word.is_some_and(|word| condition.words.iter().any(|known| known == word))
    };
    option.required || option.required_with.as_ref().is_some_and(holds)
}

fn host_keys(text: &mut String, scope: Scope, indent: &str) {
    let mut section = "";
    for option in host_options(scope) {
        comment(text, indent, &option.help);
        let (of, key) = option.name.split_once('.').unwrap_or(("", &option.name));
        if !of.is_empty() && of != section {
            let _ = writeln!(text, "{indent}# {of}:");
        }
        section = of;
        let deeper = if of.is_empty() { "" } else { "  " };
        let _ = writeln!(text, "{indent}# {deeper}{key}: {}", default(option));
    }
}

/// The default as YAML; for an option without one, nothing.
fn default(option: &OptionDescriptor) -> String {
    match (&option.default, &option.kind) {
        (None, _) => String::new(),
        (Some(Value::Array(items)), OptionKind::List { of }) => {
            let items: Vec<String> = items.iter().map(|item| scalar(&value_in_words(of, item))).collect();
            format!("[{}]", items.join(", "))
        }
        (Some(Value::String(text)), _) => scalar(text),
        (Some(value), kind) => value_in_words(kind, value),
    }
}

/// Lines of at most 100 columns.
fn comment(text: &mut String, indent: &str, help: &str) {
    let prefix = format!("{indent}# ");
    let options = textwrap::Options::new(100).initial_indent(&prefix).subsequent_indent(&prefix);
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(&plain(help), options).iter().for_each(|line| {
        let _ = writeln!(text, "{line}");
    });
}
