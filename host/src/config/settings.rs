//! Reads the options of a plugin and checks them against its option table.

use std::collections::{BTreeMap, BTreeSet};

use scanbridge_plugin_api::{Descriptor, OptionDescriptor, OptionKind, RuleRepair};
use serde_json::{Map, Value, json};

use super::checker::Checker;
use super::collector::{hide_all, hide_content};
use super::fields::{is_rest_of_value, report_duplicate, report_rest_of_value};
use super::origin::Origin;
use super::pipeline::OptionSpans;
use super::read_value::ReadValue;
use super::reference::{file_of, is_bare_reference};
use super::scalar_traps;
use super::source::Span;
use super::suggestion::{nearest, sounds_secret};
use super::tree::{Content, Entry, Node};

/// The options that are set. Those under `with:` override those of the settings file.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) options: Map<String, Value>,
    pub(super) origins: BTreeMap<String, Origin>,
    /// Key and value of each of `options` in its file.
    pub(super) spans: OptionSpans,
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

/// What `config example` writes for a value that the operator must choose. Only the whole word is a placeholder: a password may
/// contain it.
pub(crate) const PLACEHOLDER: &str = "REPLACE-ME";

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
                if !self.knows_items(option, node, &value) {
                    settings.invalid.insert(name);
                    return;
                }
                if is_path(&option.kind) && begins_with_tilde(&value) {
                    self.collector
                        .warning("tilde", &node.span, format!("`~` in the value of `{name}` is not replaced"))
                        .label("this is a directory named `~`")
                        .help("write ${env:HOME} instead, or the complete path");
                }
                settings.invalid.remove(&name);
                settings.options.insert(name.clone(), value);
                settings.spans.insert(name.clone(), (key.span.clone(), node.span.clone()));
                settings.origins.insert(name, Origin { references, is_credential, ..Origin::of(&key.span) });
            }
            None => {
                settings.invalid.insert(name);
            }
        }
    }

    pub(super) fn value(&mut self, option: &OptionDescriptor, node: &Node) -> Option<ReadValue> {
        match (&node.content, &option.kind) {
            _ if node.is_null() => {
                self.report_no_value(option, node);
                None
            }
            (Content::Scalar(scalar), kind) => {
                self.scalar(option, kind, &scalar.text, node, |text| kind.parse(text))
            }
            (Content::Sequence(items), OptionKind::List { of }) => {
                let values = self.list(option, of, items, |text| of.parse_item(text))?;
                Some(ReadValue::join(values, |values| values.into()))
            }
            (Content::Sequence(items), kind @ OptionKind::Map { .. }) => {
                let pair = |text: &str| kind.parse_pair(text).map(|(name, value)| json!({ name: value }));
                let pairs = self.list(option, kind, items, pair)?;
                let entries = pairs.iter().flat_map(|pair| pair.value.as_object()).flat_map(Map::keys);
                let mut names = BTreeSet::new();
                for (name, item) in entries.zip(items) {
                    if !names.insert(name) {
                        let message = format!("option `{}` has the name `{name}` twice", option.name);
                        self.collector.error("duplicate-key", &item.span, message);
                        return None;
                    }
                }
                Some(ReadValue::join(pairs, |pairs| {
                    let objects = pairs.into_iter().filter_map(|pair| match pair {
                        Value::Object(pair) => Some(pair),
                        _ => None,
                    });
                    Value::Object(objects.flatten().collect())
                }))
            }
            (Content::Mapping(entries), OptionKind::Map { of }) => self.map(option, of, entries),
            (_, kind) => {
                let expected = match kind {
                    OptionKind::List { .. } => "a list",
                    OptionKind::Map { .. } => "a mapping",
                    _ => "a single value",
                };
                let message = format!("option `{}` must be {expected}, found {}", option.name, node.form());
                self.collector
                    .error("wrong-form", &node.span, message)
                    .help("set one value; if the brackets or braces are part of it, put it in single quotes");
                None
            }
        }
    }

    /// The items of a list, each read by `parse`.
    fn list(
        &mut self,
        option: &OptionDescriptor,
        of: &OptionKind,
        items: &[Node],
        parse: impl Fn(&str) -> Result<Value, String>,
    ) -> Option<Vec<ReadValue>> {
        let mut values = Vec::new();
        for item in items {
            match &item.content {
                Content::Scalar(scalar) if !item.is_null() => {
                    values.extend(self.scalar(option, of, &scalar.text, item, &parse));
                }
                _ => {
                    let message = format!(
                        "an item of `{}` must be {}, found {}",
                        option.name,
                        of.describe(),
                        item.form()
                    );
                    self.collector.error("wrong-form", &item.span, message);
                }
            }
        }
        (values.len() == items.len()).then_some(values)
    }

    /// The values of a mapping with names that the operator chooses.
    fn map(&mut self, option: &OptionDescriptor, of: &OptionKind, entries: &[Entry]) -> Option<ReadValue> {
        let mut values: Vec<(&str, ReadValue)> = Vec::new();
        for (index, Entry { key, value }) in entries.iter().enumerate() {
            if let Some(first) = entries[..index].iter().find(|first| first.key.text == key.text) {
                report_duplicate(&mut self.collector, key, &first.key);
                continue;
            }
            match &value.content {
                Content::Scalar(scalar) if !value.is_null() => {
                    let read = self.scalar(option, of, &scalar.text, value, |text| of.parse_item(text));
                    values.extend(read.map(|read| (key.text.as_str(), read)));
                }
                _ => {
                    let message = format!(
                        "`{}` in option `{}` must be {}, found {}",
                        key.text,
                        option.name,
                        of.describe(),
                        value.form()
                    );
                    self.collector.error("wrong-form", &value.span, message);
                }
            }
        }
        if values.len() != entries.len() {
            return None;
        }
        let (names, values): (Vec<&str>, Vec<ReadValue>) = values.into_iter().unzip();
        Some(ReadValue::join(values, |values| {
            names.into_iter().map(str::to_owned).zip(values).collect::<Map<_, _>>().into()
        }))
    }

    /// One scalar, read by `parse`; `kind` is its type in messages.
    fn scalar(
        &mut self,
        option: &OptionDescriptor,
        kind: &OptionKind,
        text: &str,
        node: &Node,
        parse: impl Fn(&str) -> Result<Value, String>,
    ) -> Option<ReadValue> {
        let resolved = self.resolve(text, &node.span)?;
        let name = &option.name;
        if option.secret {
            for path in resolved.references.iter().filter_map(|reference| file_of(reference)) {
                self.open_secret(&node.span.source.folder().join(path), &node.span);
            }
        }
        if resolved.text == PLACEHOLDER {
            self.collector
                .error("placeholder", &node.span, format!("option `{name}` still has its placeholder"))
                .help(format!("replace it: {}", option.help));
            return None;
        }
        let problem = match parse(&resolved.text) {
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

    pub(super) fn hide_secret(&mut self, plugin: &Descriptor, entry: &Entry) {
        match plugin.option(&entry.key.text) {
            Some(option) if option.secret => match &entry.value.content {
                Content::Scalar(scalar) if is_bare_reference(&scalar.text) => {}
                _ => {
                    self.collector.hide_value(&entry.key.span, &entry.value);
                    if !entry.value.is_null() {
                        self.secret_in_file(&entry.key.span);
                    }
                }
            },
            // The kind refuses a login in a URL; the login must not be shown.
            Some(option) if has_url(&option.kind) && entry.value.span.text().contains('@') => {
                self.collector.hide_value(&entry.key.span, &entry.value);
            }
            Some(_) => {}
            None => {
                let suggested = suggestion(plugin, &entry.key.text);
                let is_scalar = matches!(entry.value.content, Content::Scalar(_));
                let is_secret =
                    suggested.is_some_and(|option| option.secret) || sounds_secret(&entry.key.text);
                if is_secret || !is_scalar {
                    hide_all(&mut self.collector, &entry.key.span, &entry.value);
                }
            }
        }
    }

    /// Reports the rules between options that the settings break. `at` is where a missing option is reported. A rule
    /// about an option with an invalid value is not judged.
    pub(super) fn rules(&mut self, plugin: &Descriptor, settings: &Settings, at: &Span) {
        for rule in plugin.broken_rules(&settings.options) {
            if [&rule.option, &rule.other].into_iter().any(|name| settings.invalid.contains(name)) {
                continue;
            }
            let (code, at) = match (rule.repair, settings.spans.get(&rule.option)) {
                (RuleRepair::Set, _) | (_, None) => ("missing-option", at),
                (RuleRepair::Remove, Some((key, _))) => ("contradiction", key),
                (RuleRepair::Change, Some((_, value))) => ("bad-value", value),
            };
            let other = settings.spans.get(&rule.other).map(|(key, _)| {
                let line = key.line_number();
                match key.file() == at.file() {
                    true => format!("`{}` is set on line {line}", rule.other),
                    false => format!("`{}` is set in {}:{line}", rule.other, key.file().display()),
                }
            });
            self.collector.error(code, at, rule.message).label(other.unwrap_or_default()).help(rule.hint);
        }
    }
}

fn has_url(kind: &OptionKind) -> bool {
    match kind {
        OptionKind::Endpoint { .. } | OptionKind::Url { .. } => true,
        OptionKind::List { of } | OptionKind::Map { of } => has_url(of),
        _ => false,
    }
}

fn is_path(kind: &OptionKind) -> bool {
    match kind {
        OptionKind::Path => true,
        OptionKind::List { of } | OptionKind::Map { of } => is_path(of),
        _ => false,
    }
}

fn begins_with_tilde(value: &Value) -> bool {
    match value {
        Value::String(text) => text == "~" || text.starts_with("~/"),
        Value::Array(items) => items.iter().any(begins_with_tilde),
        Value::Object(entries) => entries.values().any(begins_with_tilde),
        _ => false,
    }
}

fn suggestion<'p>(plugin: &'p Descriptor, typed: &str) -> Option<&'p OptionDescriptor> {
    let nearest_word = nearest(typed, plugin.options.iter().map(|option| option.name.as_str()))?;
    plugin.option(nearest_word)
}

pub(super) fn describe(plugin: &Descriptor) -> String {
    format!("`scanbridge plugin describe {}` lists its options", plugin.name)
}
