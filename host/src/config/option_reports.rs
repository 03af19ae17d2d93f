//! Messages about options that a plugin does not have, and values that it does not know.

use scanbridge_plugin_api::{Descriptor, OptionDescriptor, OptionKind, show_duration};
use serde_json::Value;

use super::check::belongs_next_to_plugin;
use super::checker::Checker;
use super::host_options::host_options;
use super::host_table::Scope;
use super::odd_character;
use super::settings::describe;
use super::suggestion::nearest;
use super::tree::{Content, Entry, Node};

impl Checker<'_> {
    /// Reports each item of a list that the plugin does not know. False if there is one.
    pub(super) fn knows_items(&mut self, option: &OptionDescriptor, node: &Node, value: &Value) -> bool {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut all_known = true;
        for (index, item) in items.iter().enumerate() {
            let Some(item) = item.as_str().filter(|item| !option.knows(item)) else { continue };
            let span = match &node.content {
                Content::Sequence(nodes) if nodes.len() == items.len() => &nodes[index].span,
                _ => &node.span,
            };
            let near = nearest(item, option.known.iter().map(String::as_str));
            let label = near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
            self.collector
                .error("unknown-column", span, format!("unknown item `{item}` in option `{}`", option.name))
                .label(label)
                .help("`scanbridge plugin describe` lists the known items of the option");
            all_known = false;
        }
        all_known
    }

    pub(super) fn report_unknown_option(
        &mut self,
        plugin: &Descriptor,
        entry: &Entry,
        suggested: Option<&OptionDescriptor>,
    ) {
        let (key, word) = (&entry.key, plugin.kind.word());
        let label = match (odd_character::find(&key.text), suggested) {
            (Some((_, odd)), _) => Some(format!("the key contains a {}; {}", odd.shown(), odd.help())),
            _ if belongs_next_to_plugin(&key.text, plugin.kind) => {
                Some("this key of the host belongs next to `plugin:`, not under `with:`".to_owned())
            }
            _ if let Some(key) = key_at_top(&key.text) => {
                Some(format!("this key of the host belongs to the top level of the pipeline, as `{key}`"))
            }
            (None, Some(option)) => Some(format!("did you mean `{}`?", option.name)),
            (None, None) if is_spelled_otherwise(&key.text) => {
                Some("settings of other products have other names here: see docs/migrating.md".to_owned())
            }
            (None, None) => None,
        };
        self.collector
            .error(
                "unknown-option",
                &key.span,
                format!("unknown option `{1}` for {word} plugin `{0}`", plugin.name, key.text),
            )
            .label(label.unwrap_or_default())
            .help(describe(plugin));
    }

    pub(super) fn report_no_value(&mut self, option: &OptionDescriptor, node: &Node) {
        let help = match (&option.default, option.required) {
            (_, true) => "add a value; this option is required".to_owned(),
            (Some(default), _) if !option.secret => {
                let default = match (&option.kind, default) {
                    (OptionKind::Duration { .. }, Value::Number(ms)) => {
                        ms.as_u64().map_or_else(|| ms.to_string(), show_duration)
                    }
                    (_, Value::String(text)) => text.clone(),
                    (_, default) => default.to_string(),
                };
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

/// Whether a key has words that no option has: separated by spaces or dots, or in mixed case, such as `Proxy Host` and
/// `nonProxyHosts`.
fn is_spelled_otherwise(key: &str) -> bool {
    let mixed =
        key.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    mixed || key.contains([' ', '.'])
}

/// The key at the top level of a pipeline that has these words: `connector.name` for `connector_name`.
fn key_at_top(key: &str) -> Option<&'static str> {
    let mut keys = host_options(Scope::Run).map(|option| option.name.as_str());
    keys.find(|name| name.contains('.') && name.replace('.', "_") == key)
}
