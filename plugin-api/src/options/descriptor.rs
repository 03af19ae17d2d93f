//! One option of a plugin, as it crosses the ABI.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::OptionKind;
use super::spec::OptionSpec;

/// One option of a plugin. [`OptionSpec`], from which it is created, explains the fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
// The host is built with this very version, so it may write and match all of it.
#[cfg_attr(not(feature = "host"), non_exhaustive)]
pub struct OptionDescriptor {
    /// The key in YAML.
    pub name: String,
    /// The type of its values.
    pub kind: OptionKind,
    /// The value when the key is absent, in its ABI form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether the key is required.
    #[serde(default)]
    pub required: bool,
    /// Whether the value is never shown.
    #[serde(default)]
    pub secret: bool,
    /// Help text.
    #[serde(default)]
    pub help: String,
    /// Old names that are still accepted, with a warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deprecated_names: Vec<String>,
    /// Whether an interrupted run can be resumed after the value was changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resume_safe: bool,
    /// Options that must be set when this one is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Options that must not be set when this one is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<String>,
    /// The condition under which the option can be set; without it, always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_with: Option<OptionCondition>,
    /// The condition under which the option must be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_with: Option<OptionCondition>,
    /// A lower maximum under a condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_with: Option<OptionMaximum>,
    /// When the text must be a plain host name: if all conditions of one of these lists hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_name_with: Vec<Vec<OptionCondition>>,
    /// Keys that this map must not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excludes_keys: Vec<ExcludedKeys>,
    /// The known items of a list of texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
    /// The heading under which the option is described; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
}

impl OptionDescriptor {
    /// Whether this item of the list is allowed: every item is, if the list has no known items.
    #[must_use]
    pub fn knows(&self, item: &str) -> bool {
        let continues = |known: &String| item.strip_prefix(known.as_str()).is_some_and(is_continuation);
        self.known.is_empty() || item.contains(':') || self.known.iter().any(continues)
    }
}

/// Nothing, or a dot and a name.
fn is_continuation(rest: &str) -> bool {
    rest.is_empty() || rest.strip_prefix('.').is_some_and(|name| !name.is_empty())
}

/// A condition of a rule: an option, a choice or a flag, has one of these words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
// The host is built with this very version, so it may write and match all of it.
#[cfg_attr(not(feature = "host"), non_exhaustive)]
pub struct OptionCondition {
    /// The name of the option.
    pub option: String,
    /// The words; `yes` and `no` for a flag.
    pub words: Vec<String>,
}

/// A maximum that applies under a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
// The host is built with this very version, so it may write and match all of it.
#[cfg_attr(not(feature = "host"), non_exhaustive)]
pub struct OptionMaximum {
    /// The condition.
    #[serde(flatten)]
    pub condition: OptionCondition,
    /// The maximum: a number, bytes or milliseconds.
    pub max: u64,
}

/// Keys that a map must not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
// The host is built with this very version, so it may write and match all of it.
#[cfg_attr(not(feature = "host"), non_exhaustive)]
pub struct ExcludedKeys {
    /// The conditions, which must all hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<OptionCondition>,
    /// The keys, in any letter case.
    pub keys: Vec<String>,
}

impl From<&OptionSpec> for OptionDescriptor {
    fn from(spec: &OptionSpec) -> Self {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let condition = |(option, words): (&str, &[&str])| OptionCondition {
            option: option.to_owned(),
            words: owned(words),
        };
        let conditions = |all: &[(&str, &[&str])]| all.iter().copied().map(condition).collect();
        Self {
            name: spec.name.to_owned(),
            kind: OptionKind::from(spec.value),
            default: spec.default_value(),
            required: spec.required,
            secret: spec.secret,
            help: spec.help.to_owned(),
            deprecated_names: owned(spec.deprecated_names),
            resume_safe: spec.resume_safe,
            requires: owned(spec.requires),
            conflicts: owned(spec.conflicts),
            only_with: spec.only_with.map(condition),
            required_with: spec.required_with.map(condition),
            max_with: spec
                .max_with
                .map(|(option, words, max)| OptionMaximum { condition: condition((option, words)), max }),
            host_name_with: spec.host_name_with.iter().map(|case| conditions(case)).collect(),
            excludes_keys: spec
                .excludes_keys
                .iter()
                .map(|(all, keys)| ExcludedKeys { conditions: conditions(all), keys: owned(keys) })
                .collect(),
            known: owned(spec.known),
            group: spec.group.to_owned(),
        }
    }
}
