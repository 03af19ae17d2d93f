//! What is made of the table of the host's keys: checks, defaults, the JSON Schema and `config show`.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use scanbridge_plugin_api::{OptionDescriptor, OptionKind};
use serde_json::{Map, Value, json};

use super::checker::Checker;
use super::fields::Fields;
use super::host_table::{SECTIONS, Scope, TABLE};
use super::option_schema::describe;
use super::origin::Origin;
use super::read_value::ReadValue;
use super::tree::{Content, Node};

static DESCRIPTORS: LazyLock<Vec<(&[Scope], OptionDescriptor)>> =
    LazyLock::new(|| TABLE.iter().map(|(scopes, spec)| (*scopes, spec.into())).collect());

/// The keys of a scope, in display order.
pub(crate) fn host_options(scope: Scope) -> impl Iterator<Item = &'static OptionDescriptor> {
    DESCRIPTORS.iter().filter(move |(scopes, _)| scopes.contains(&scope)).map(|(_, option)| option)
}

/// Section and key of a name; the section is empty for a key of its own.
fn path(option: &OptionDescriptor) -> (&str, &str) {
    option.name.split_once('.').unwrap_or(("", &option.name))
}

/// The keys that the mapping of a scope may contain.
pub(super) fn keys(scope: Scope) -> Vec<&'static str> {
    let mut keys: Vec<&str> = host_options(scope)
        .map(|option| match path(option) {
            ("", key) => key,
            (section, _) => section,
        })
        .collect();
    keys.dedup();
    keys
}

/// The keys of a section.
pub(super) fn keys_of_section(scope: Scope, section: &str) -> Vec<&'static str> {
    host_options(scope).map(path).filter(|(of, _)| *of == section).map(|(_, key)| key).collect()
}

/// The JSON Schema of the keys of a scope.
pub(super) fn properties(scope: Scope) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut sections = Map::new();
    for option in host_options(scope) {
        match path(option) {
            ("", key) => {
                properties.insert(key.to_owned(), describe(option));
            }
            (section, key) => {
                let entry = sections.entry(section).or_insert_with(|| {
                    let description = SECTIONS.iter().find(|(name, _)| *name == section);
                    json!({
                        "type": ["object", "null"],
                        "description": description.map(|(_, text)| text),
                        "additionalProperties": false,
                        "properties": {},
                    })
                });
                entry["properties"][key] = describe(option);
            }
        }
    }
    for (name, section) in sections {
        // A key with two forms: one word, or a mapping.
        let section = match properties.remove(&name) {
            Some(word) => {
                let description = word["description"].clone();
                json!({ "anyOf": [word, section], "description": description })
            }
            None => section,
        };
        properties.insert(name, section);
    }
    properties
}

/// The values of the host's keys in one mapping of a pipeline. Keys that are not set have their defaults.
#[derive(Debug, Clone, Default)]
pub struct HostSettings(BTreeMap<&'static str, (Value, Origin)>);

/// One key with its effective value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostSetting<'a> {
    /// The key.
    pub(crate) option: &'static OptionDescriptor,
    /// The value; `None` if the key is not set and has no default.
    pub(crate) value: Option<&'a Value>,
    /// Where it is set; `None` for a default.
    pub(crate) origin: Option<&'a Origin>,
}

impl HostSettings {
    /// All keys of a scope.
    pub(crate) fn iter(&self, scope: Scope) -> impl Iterator<Item = HostSetting<'_>> {
        host_options(scope).map(|option| {
            let set = self.0.get(option.name.as_str());
            HostSetting {
                option,
                value: set.map(|(value, _)| value).or(option.default.as_ref()),
                origin: set.map(|(_, origin)| origin),
            }
        })
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }

    /// The value of a key and where it is set; `None` if it is not set.
    pub(super) fn set(&self, name: &str) -> Option<&(Value, Origin)> {
        self.0.get(name)
    }

    /// Whether a key is set, as opposed to its default.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.set(name).is_some()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.value(name).and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn optional_number(&self, name: &str) -> Option<u64> {
        self.value(name)?.as_u64()
    }

    /// A number with a default.
    pub(super) fn number(&self, name: &str) -> u64 {
        self.optional_number(name).expect("the key has a default")
    }

    pub(super) fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs(self.number(name))
    }

    /// The items of a list of texts.
    pub(super) fn texts(&self, name: &str) -> Option<Vec<String>> {
        let items = self.value(name)?.as_array()?.iter();
        Some(items.filter_map(|item| item.as_str().map(str::to_owned)).collect())
    }

    /// The entries of a map of texts.
    pub(super) fn pairs(&self, name: &str) -> BTreeMap<String, String> {
        let pairs = self.value(name).and_then(Value::as_object).into_iter().flatten();
        pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }

    /// Replaces the value of a key that is set. Returns the earlier one.
    pub(super) fn replace(&mut self, name: &str, with: Value) -> Option<Value> {
        self.0.get_mut(name).map(|(value, _)| std::mem::replace(value, with))
    }

    fn value(&self, name: &str) -> Option<&Value> {
        let (_, option) =
            DESCRIPTORS.iter().find(|(_, option)| option.name == name).expect("a key of the table");
        self.0.get(name).map(|(value, _)| value).or(option.default.as_ref())
    }
}

impl Checker<'_> {
    /// Reads the host's keys in one mapping. Invalid values are reported and have their defaults.
    pub(super) fn host_settings(&mut self, fields: &Fields<'_>, scope: Scope) -> HostSettings {
        let mut sections = Vec::new();
        for (section, _) in SECTIONS {
            if let Some(node) = fields.get(section).filter(|node| !is_word(section, node)) {
                let known = keys_of_section(scope, section);
                let owner = format!("`{section}`");
                sections.push((section, Fields::read(&mut self.collector, node, &owner, &known, |_| None)));
            }
        }
        let mut settings = HostSettings::default();
        for option in host_options(scope) {
            let node = match path(option) {
                ("", key) => fields.get(key).filter(|node| !is_section(key) || is_word(key, node)),
                (section, key) => {
                    sections.iter().find(|(name, _)| *name == section).and_then(|(_, fields)| fields.get(key))
                }
            };
            let Some(node) = node else { continue };
            if option.secret || matches!(option.kind, OptionKind::List { .. } | OptionKind::Map { .. }) {
                if let Some(ReadValue { value, references, .. }) = self.value(option, node) {
                    settings.0.insert(&option.name, (value, Origin { references, ..Origin::of(&node.span) }));
                }
                continue;
            }
            let Some(resolved) = self.text(node, &option.name) else { continue };
            match option.kind.parse(&resolved.text) {
                Ok(value) => {
                    let origin = Origin { references: resolved.references, ..Origin::of(&node.span) };
                    settings.0.insert(&option.name, (value, origin));
                }
                Err(problem) => {
                    self.collector.error("bad-value", &node.span, format!("`{}` {problem}", option.name));
                }
            }
        }
        settings
    }
}

fn is_section(key: &str) -> bool {
    SECTIONS.iter().any(|(section, _)| *section == key)
}

/// Whether the value of a section is its short form, one word.
fn is_word(section: &str, node: &Node) -> bool {
    let has_short_form = DESCRIPTORS.iter().any(|(_, option)| option.name == section);
    has_short_form && matches!(node.content, Content::Scalar(_))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use scanbridge_plugin_api::OptionKind;
    use scanbridge_plugin_api::model::{FindingKind, FindingStatus};

    use super::*;
    use crate::cli::option_table;

    #[test]
    fn table_is_valid() {
        for (index, (_, option)) in DESCRIPTORS.iter().enumerate() {
            assert!(
                DESCRIPTORS[..index].iter().all(|(_, other)| other.name != option.name),
                "{}",
                option.name
            );
            assert!(option.default.as_ref().is_none_or(|default| option.kind.accepts(default)));
            let (section, _) = path(option);
            assert!(section.is_empty() || SECTIONS.iter().any(|(name, _)| *name == section));
        }
    }

    #[test]
    fn words_of_the_filter_are_those_of_the_model() {
        let words = |name: &str| {
            let option = host_options(Scope::Filter).find(|option| option.name == name).unwrap();
            let OptionKind::List { of } = &option.kind else { panic!("{name}") };
            let OptionKind::Choice { words } = &**of else { panic!("{name}") };
            words.clone()
        };
        assert_eq!(words("kinds"), FindingKind::ALL.map(FindingKind::word));
        assert_eq!(words("statuses"), FindingStatus::ALL.map(FindingStatus::word));
    }

    /// With `UPDATE_DOCS=1` it writes them.
    #[test]
    fn documentation_lists_every_key() {
        let of_plugins = DESCRIPTORS
            .iter()
            .filter(|(scopes, _)| scopes.contains(&Scope::Input) || scopes.contains(&Scope::Output));
        let described = option_table("a pipeline", host_options(Scope::Run))
            + &option_table("outputs and inputs", of_plugins.map(|(_, option)| option));
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pipelines.md");
        scanbridge_plugin_contract::readme(&described, &page);
    }
}
