//! Reads the options of a plugin and checks them against its option table.

use std::collections::{BTreeMap, BTreeSet};

use scanbridge_plugin_api::{Descriptor, OptionDescriptor, OptionKind};
use serde_json::{Map, Value};

use super::checker::Checker;
use super::collector::{hide_all, hide_content};
use super::fields::{is_rest_of_value, report_duplicate, report_rest_of_value};
use super::pipeline::Origin;
use super::reference::is_bare_reference;
use super::scalar_traps;
use super::suggestion::{nearest, sounds_secret};
use super::tree::{Content, Entry, Node};

/// The options that are set. Those under `with:` override those of the settings file.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) options: Map<String, Value>,
    pub(super) origins: BTreeMap<String, Origin>,
    /// Options with an invalid value. They have been reported and are not reported as missing.
    pub(super) invalid: BTreeSet<String>,
}

impl Settings {
    /// Reports no option as missing, because the options of this file or mapping are unknown.
    pub(super) fn suppress_missing(&mut self, plugin: &Descriptor) {
        self.invalid.extend(plugin.options.iter().map(|option| option.name.clone()));
    }

    pub(super) fn has(&self, option: &OptionDescriptor) -> bool {
        self.options.contains_key(&option.name) || self.invalid.contains(&option.name)
    }
}

/// A value, and how it may be shown.
struct ReadValue {
    value: Value,
    references: Vec<String>,
    is_credential: bool,
}

impl Checker<'_> {
    /// Reads one mapping of options. Its values override those in `settings`.
    pub(super) fn options(&mut self, plugin: &Descriptor, node: &Node, settings: &mut Settings) {
        let entries = match &node.content {
            Content::Mapping(entries) => entries,
            _ if node.is_null() => return,
            _ => {
                hide_content(&mut self.collector, node);
                let message = format!("options must be a mapping, found {}", node.form());
                self.collector.error("wrong-form", &node.span, message).help(describe(plugin));
                settings.suppress_missing(plugin);
                return;
            }
        };
        // Before any problem is reported, so that no message quotes a secret.
        entries.iter().for_each(|entry| self.hide_secret(plugin, entry));
        let mut seen: Vec<(&OptionDescriptor, &Entry)> = Vec::new();
        let may_be_secret = |entry: &Entry| plugin.option(&entry.key.text).is_none_or(|option| option.secret);
        for (index, entry) in entries.iter().enumerate() {
            match plugin.option(&entry.key.text) {
                None if is_rest_of_value(node, &entries[..index], entry, may_be_secret) => {
                    report_rest_of_value(&mut self.collector, entry);
                }
                None => {
                    let suggested = suggestion(plugin, &entry.key.text);
                    settings.invalid.extend(suggested.map(|option| option.name.clone()));
                    self.report_unknown_option(plugin, entry, suggested);
                }
                Some(option) => match seen.iter().find(|(known, _)| known.name == option.name) {
                    Some((_, first)) => report_duplicate(&mut self.collector, &entry.key, &first.key),
                    None => {
                        seen.push((option, entry));
                        self.option(option, entry, settings);
                    }
                },
            }
        }
    }

    fn option(&mut self, option: &OptionDescriptor, entry: &Entry, settings: &mut Settings) {
        let (key, node) = (&entry.key, &entry.value);
        if key.text != option.name {
            self.collector
                .warning("deprecated", &key.span, format!("`{}` was renamed to `{}`", key.text, option.name))
                .label(format!("use `{}`", option.name));
        }
        scalar_traps::warn(&mut self.collector, option, node);
        let name = option.name.clone();
        match self.value(option, node) {
            Some(ReadValue { value, references, is_credential }) => {
                settings.invalid.remove(&name);
                settings.options.insert(name.clone(), value);
                settings.origins.insert(name, Origin { references, is_credential, ..Origin::of(&key.span) });
            }
            None => {
                settings.invalid.insert(name);
            }
        }
    }

    fn value(&mut self, option: &OptionDescriptor, node: &Node) -> Option<ReadValue> {
        match (&node.content, &option.kind) {
            _ if node.is_null() => {
                self.report_no_value(option, node);
                None
            }
            (Content::Scalar(scalar), kind) => self.scalar(option, kind, &scalar.text, node),
            (Content::Sequence(items), OptionKind::List { of }) => self.list(option, of, items),
            (_, kind) => {
                let expected =
                    if matches!(kind, OptionKind::List { .. }) { "a list" } else { "a single value" };
                let message = format!("option `{}` must be {expected}, found {}", option.name, node.form());
                self.collector
                    .error("wrong-form", &node.span, message)
                    .help("set one value; if the brackets or braces are part of it, put it in single quotes");
                None
            }
        }
    }

    fn list(&mut self, option: &OptionDescriptor, of: &OptionKind, items: &[Node]) -> Option<ReadValue> {
        let mut list = ReadValue { value: Value::Null, references: Vec::new(), is_credential: false };
        let mut values = Vec::new();
        for item in items {
            let given = match &item.content {
                Content::Scalar(scalar) if !item.is_null() => self.scalar(option, of, &scalar.text, item),
                _ => {
                    let message = format!(
                        "an item of `{}` must be {}, found {}",
                        option.name,
                        of.describe(),
                        item.form()
                    );
                    self.collector.error("wrong-form", &item.span, message);
                    None
                }
            };
            if let Some(given) = given {
                values.push(given.value);
                list.references.extend(given.references);
                list.is_credential |= given.is_credential;
            }
        }
        list.value = Value::from(values);
        (list.value.as_array().map(Vec::len) == Some(items.len())).then_some(list)
    }

    fn scalar(
        &mut self,
        option: &OptionDescriptor,
        kind: &OptionKind,
        text: &str,
        node: &Node,
    ) -> Option<ReadValue> {
        let resolved = self.resolve(text, &node.span)?;
        let name = &option.name;
        let problem = match kind.parse(&resolved.text) {
            Ok(Value::String(text)) if option.required && text.is_empty() => "must not be empty".to_owned(),
            Ok(value) => {
                let (references, is_credential) = (resolved.references, resolved.is_credential);
                return Some(ReadValue { value, references, is_credential });
            }
            // The value of a reference may be secret in every option.
            Err(_) if option.secret || !resolved.references.is_empty() => {
                format!("has an invalid value (not shown, it may be secret); expected: {}", kind.describe())
            }
            Err(problem) => problem,
        };
        let suggestion = match kind {
            OptionKind::Choice { words } => nearest(&resolved.text, words.iter().map(String::as_str)),
            _ => None,
        };
        let label = match (suggestion, resolved.references.as_slice()) {
            (Some(word), []) if !option.secret => format!("did you mean `{word}`?"),
            (_, []) => String::new(),
            (_, references) => format!("the value comes from {}", references.join(", ")),
        };
        self.collector.error("bad-value", &node.span, format!("option `{name}` {problem}")).label(label);
        None
    }

    fn hide_secret(&mut self, plugin: &Descriptor, entry: &Entry) {
        match plugin.option(&entry.key.text) {
            Some(option) if option.secret => match &entry.value.content {
                Content::Scalar(scalar) if is_bare_reference(&scalar.text) => {}
                _ => self.collector.hide_value(&entry.key.span, &entry.value),
            },
            Some(_) => {}
            None => {
                let suggested = suggestion(plugin, &entry.key.text);
                let is_secret =
                    suggested.is_none_or(|option| option.secret) || sounds_secret(&entry.key.text);
                if is_secret {
                    hide_all(&mut self.collector, &entry.key.span, &entry.value);
                }
            }
        }
    }

    fn report_unknown_option(
        &mut self,
        plugin: &Descriptor,
        entry: &Entry,
        suggested: Option<&OptionDescriptor>,
    ) {
        let (key, word) = (&entry.key, plugin.kind.word());
        let label = suggested.map(|option| format!("did you mean `{}`?", option.name));
        self.collector
            .error(
                "unknown-option",
                &key.span,
                format!("unknown option `{1}` for {word} plugin `{0}`", plugin.name, key.text),
            )
            .label(label.unwrap_or_default())
            .help(describe(plugin));
    }

    fn report_no_value(&mut self, option: &OptionDescriptor, node: &Node) {
        let help = match (&option.default, option.required) {
            (_, true) => "add a value; this option is required".to_owned(),
            (Some(default), _) if !option.secret => {
                let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
                format!("add a value, or remove the line to use the default {default}")
            }
            _ => "add a value, or remove the line".to_owned(),
        };
        self.collector.error("no-value", &node.span, format!("option `{}` has no value", option.name)).help(
            match node.span.text() {
                "" if node.span.line().contains(['#', '&']) => {
                    format!("{help}; put a value that starts with # or & in single quotes")
                }
                "" => help,
                word => format!("{help}; without quotes, {word} is read as no value"),
            },
        );
    }
}

fn suggestion<'p>(plugin: &'p Descriptor, typed: &str) -> Option<&'p OptionDescriptor> {
    let nearest_word = nearest(typed, plugin.options.iter().map(|option| option.name.as_str()))?;
    plugin.option(nearest_word)
}

pub(super) fn describe(plugin: &Descriptor) -> String {
    format!("`scanbridge plugin describe {}` lists its options", plugin.name)
}
