//! Output of `plugin list` and `plugin describe`.

use std::path::Path;

use scanbridge_plugin_api::{CryptoModule, Descriptor, OptionDescriptor, OptionSpec};
use serde_json::{Value, json};

use super::format::{DescribeFormat, Format};
use super::option_table::plugin_table;
use super::option_words::{rules_in_words, value_in_words};
use super::table::{plain, render};

/// A plugin and the library that contains it.
#[derive(Debug, Clone, Copy)]
pub struct ListedPlugin<'a> {
    /// The plugin's own description.
    pub descriptor: &'a Descriptor,
    /// File of the library.
    pub file: &'a Path,
    /// Warning for the operator, for example that a panic would end the program; may be empty.
    pub note: &'a str,
    /// The cryptography that its library declares.
    pub crypto: CryptoModule,
}

/// A file in a plugin directory that was not loaded.
#[derive(Debug, Clone, Copy)]
pub struct RefusedLibrary<'a> {
    /// The file.
    pub file: &'a Path,
    /// The reason, as one sentence that names the file.
    pub reason: &'a str,
}

/// Message when no plugin was found.
pub const NO_PLUGINS: &str =
    "no plugins found; set their directory with --plugin-dir or SCANBRIDGE_PLUGIN_DIR";

/// All plugins and refused libraries. Text is wrapped to `width` columns; pass `usize::MAX` for a pipe.
#[must_use]
pub fn list_plugins(
    plugins: &[ListedPlugin<'_>],
    refused: &[RefusedLibrary<'_>],
    format: Format,
    width: usize,
) -> String {
    match format {
        Format::Text => list_as_text(plugins, refused, width),
        Format::Json => {
            let plugins: Vec<Value> = plugins.iter().map(plugin_to_json).collect();
            let refused: Vec<Value> = refused
                .iter()
                .map(
                    |library| json!({ "file": library.file.display().to_string(), "reason": library.reason }),
                )
                .collect();
            pretty(&json!({ "plugins": plugins, "refused": refused }))
        }
    }
}

/// One plugin with all its options in groups, or with the option called `only`. Text is wrapped to `width` columns;
/// `usize::MAX` is a pipe, where it is wrapped to 80.
#[must_use]
pub fn describe_plugin(
    plugin: &ListedPlugin<'_>,
    only: Option<&str>,
    format: DescribeFormat,
    width: usize,
) -> String {
    let descriptor = plugin.descriptor;
    let only = only.and_then(|name| descriptor.option(name));
    let is_shown = |option: &&OptionDescriptor| only.is_none_or(|only| only.name == option.name);
    let shown = descriptor.options.iter().filter(is_shown);
    match format {
        DescribeFormat::Markdown => plugin_table(descriptor, shown),
        DescribeFormat::Json => {
            let mut value = plugin_to_json(plugin);
            value["capabilities"] = descriptor.capabilities.clone();
            value["options"] = shown.map(option_to_json).collect();
            pretty(&value)
        }
        DescribeFormat::Text => {
            let width = if width == usize::MAX { PIPE_WIDTH } else { width };
            only.map_or_else(|| describe_as_text(plugin, width), |option| option_block(option, width))
        }
    }
}

fn describe_as_text(plugin: &ListedPlugin<'_>, width: usize) -> String {
    let descriptor = plugin.descriptor;
    let text = format!(
        "{} {}, {}\n{}\nlibrary: {}\n{}",
        plain(&descriptor.name),
        plain(&descriptor.version),
        descriptor.kind.word(),
        plain(&with_note(&descriptor.summary, plugin.note)),
        plugin.file.display(),
        capabilities(descriptor, width)
    );
    if descriptor.options.is_empty() {
        return text + "\nThis plugin has no options.\n";
    }
    let groups = groups(descriptor);
    let has_headings = groups != [""];
    groups.into_iter().fold(text, |text, group| {
        let heading = if group.is_empty() { "OTHER".into() } else { group.to_uppercase() };
        let heading = if has_headings { format!("\n{}\n", plain(&heading)) } else { String::new() };
        let options = descriptor.options.iter().filter(|option| option.group == group);
        let text = text + &heading;
        options.fold(text, |text, option| text + "\n" + &option_block(option, width))
    })
}

/// The groups of a plugin's options: those without a group first, then the usual ones, then the plugin's own.
fn groups(descriptor: &Descriptor) -> Vec<&str> {
    let usual = [""].into_iter().chain(OptionSpec::GROUPS);
    let rank = |group: &str| usual.clone().position(|usual| usual == group).unwrap_or(usize::MAX);
    let mut groups: Vec<&str> = Vec::new();
    for option in &descriptor.options {
        if !groups.contains(&option.group.as_str()) {
            groups.push(&option.group);
        }
    }
    groups.sort_by_key(|group| rank(group));
    groups
}

/// What the plugin declares, wrapped; empty if it declares nothing.
fn capabilities(descriptor: &Descriptor, width: usize) -> String {
    let Some(declared) = descriptor.capabilities.as_object() else { return String::new() };
    let words = declared.iter().filter_map(|(name, word)| Some(format!("{name}: {}", plain(word.as_str()?))));
    let words: Vec<String> = words.collect();

    if words.is_empty() {
        String::new()
    } else {
        wrapped(&format!("capabilities: {}", words.join(", ")), "", width)
    }
}

/// Columns of a description that goes into a pipe or a file: people read it there too.
const PIPE_WIDTH: usize = 80;

/// A default that is longer than this gets lines of its own.
const LONG_DEFAULT: usize = 40;

/// One option: its name, type and default on the first line, what it means below.
fn option_block(option: &OptionDescriptor, width: usize) -> String {
    let default = option.default.as_ref().map(|default| quoted(value_in_words(&option.kind, default)));
    let (short, long) = match default {
        Some(default) if default.chars().count() > LONG_DEFAULT => (None, Some(default)),
        short => (short, None),
    };
    let mut facts = vec![option.kind.describe()];
    facts.extend(option.required.then(|| "required".to_owned()));
    facts.extend(short.map(|default| format!("default: {default}")));
    facts.extend(option.secret.then(|| "secret, always redacted".to_owned()));
    let mut block = wrapped(&format!("{} ({})", option.name, facts.join("; ")), "", width);
    block += &wrapped(&option.help, "    ", width);
    if let Some(default) = long {
        block += &wrapped(&format!("Default: {default}."), "    ", width);
    }
    let rules = rules_in_words(option);
    if !rules.is_empty() {
        block += &wrapped(&rules.join(" "), "    ", width);
    }
    if !option.known.is_empty() {
        block += &wrapped(&format!("Known items: {}.", option.known.join(", ")), "    ", width);
    }
    if !option.deprecated_names.is_empty() {
        block +=
            &wrapped(&format!("Deprecated name: {}.", option.deprecated_names.join(", ")), "    ", width);
    }
    block
}

/// Text that has no letter or digit, or ends in a space, would be lost among the words around it.
fn quoted(text: String) -> String {
    let is_visible = text.contains(char::is_alphanumeric) && text.trim() == text;
    if is_visible || text == "''" { text } else { format!("'{text}'") }
}

/// Lines of at most `width` columns. The first line starts with `indent`, the others too, but at least with four spaces.
fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let options = textwrap::Options::new(width).initial_indent(indent).subsequent_indent("    ");
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(&plain(text), options).iter().map(|line| format!("{line}\n")).collect()
}

fn list_as_text(plugins: &[ListedPlugin<'_>], refused: &[RefusedLibrary<'_>], width: usize) -> String {
    let mut text = if plugins.is_empty() {
        format!("{NO_PLUGINS}\n")
    } else {
        let rows = plugins.iter().map(|plugin| {
            let Descriptor { name, kind, version, summary, .. } = plugin.descriptor;
            let file = plugin.file.display().to_string();
            let (kind, crypto) = (kind.word().to_owned(), plugin.crypto.word().to_owned());
            [name.clone(), kind, version.clone(), crypto, with_note(summary, plugin.note), file]
        });
        render(["PLUGIN", "KIND", "VERSION", "CRYPTO", "DESCRIPTION", "LIBRARY"], rows, width)
    };
    if !refused.is_empty() {
        text.push_str("\nRefused:\n");
        for library in refused {
            text.push_str(&plain(&format!("  {}\n", library.reason)));
        }
    }
    text
}

fn with_note(summary: &str, note: &str) -> String {
    if note.is_empty() { summary.to_owned() } else { format!("{summary} ({note})") }
}

fn plugin_to_json(plugin: &ListedPlugin<'_>) -> Value {
    let Descriptor { name, kind, version, summary, .. } = plugin.descriptor;
    json!({
        "name": name,
        "kind": kind.word(),
        "version": version,
        "summary": summary,
        "file": plugin.file.display().to_string(),
        "note": plugin.note,
        "crypto": plugin.crypto.word(),
    })
}

fn option_to_json(option: &OptionDescriptor) -> Value {
    serde_json::to_value(option).unwrap_or(Value::Null)
}

pub(super) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
