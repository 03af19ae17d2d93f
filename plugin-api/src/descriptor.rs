//! What a plugin says about itself: the one source of `plugin describe`, of the checks of a pipeline file and
//! of the generated tables in the documentation.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::capabilities::{InputCapabilities, OutputCapabilities};
use crate::options::{OptionKind, OptionSpec};

/// Which side of a pipeline a plugin stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginKind {
    /// Reads findings from somewhere.
    Input,
    /// Writes findings somewhere.
    Output,
}

impl PluginKind {
    /// The kind with this word; none for a word that this version does not know.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Input, Self::Output].into_iter().find(|kind| kind.word() == word)
    }

    /// The word as it stands in pipelines, listings and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// One plugin, as its library describes it. Crosses the ABI as JSON, so a field may be added at any time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The name that a pipeline uses, matched without regard to case.
    pub name: String,
    /// Input or output.
    pub kind: PluginKind,
    /// The version of the plugin's crate.
    #[serde(default)]
    pub version: String,
    /// One line on what it does.
    #[serde(default)]
    pub summary: String,
    /// The plugin API that it was built with: `2.0`.
    #[serde(default)]
    pub api: String,
    /// The IDs of its function tables.
    #[serde(default)]
    pub tables: Vec<String>,
    /// The most that it can do: an [`InputCapabilities`] or [`OutputCapabilities`].
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub capabilities: Value,
    /// Its options, in the order in which they are shown.
    #[serde(default)]
    pub options: Vec<OptionDescriptor>,
}

impl Descriptor {
    /// The capabilities of an input. What is missing or not understood counts as the least.
    #[must_use]
    pub fn input_capabilities(&self) -> InputCapabilities {
        serde_json::from_value(self.capabilities.clone()).unwrap_or_default()
    }

    /// The capabilities of an output. What is missing or not understood counts as the least.
    #[must_use]
    pub fn output_capabilities(&self) -> OutputCapabilities {
        serde_json::from_value(self.capabilities.clone()).unwrap_or_default()
    }

    /// The option with this name or with this deprecated spelling.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&OptionDescriptor> {
        self.options
            .iter()
            .find(|option| option.name == name || option.deprecated_names.iter().any(|d| d == name))
    }
}

/// One option of a plugin; see [`OptionSpec`], from which it is made, for the meaning of each field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptionDescriptor {
    /// The key in YAML.
    pub name: String,
    /// What values it takes.
    pub kind: OptionKind,
    /// The value when the key is absent, in the form that crosses the ABI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether the key must be there.
    #[serde(default)]
    pub required: bool,
    /// Whether the value is never shown.
    #[serde(default)]
    pub secret: bool,
    /// What it is for.
    #[serde(default)]
    pub help: String,
    /// Spellings that still work and are answered with a warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deprecated_names: Vec<String>,
}

impl From<&OptionSpec> for OptionDescriptor {
    fn from(spec: &OptionSpec) -> Self {
        Self {
            name: spec.name.to_owned(),
            kind: OptionKind::from(spec.value),
            default: spec.default_value(),
            required: spec.required,
            secret: spec.secret,
            help: spec.help.to_owned(),
            deprecated_names: spec.deprecated_names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }
}
