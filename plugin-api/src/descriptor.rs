//! The description of a plugin. `plugin describe`, the checks of a pipeline file and the generated tables in the
//! documentation are based on it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::capabilities::{InputCapabilities, OutputCapabilities};
use crate::fips::DescribedCrypto;
use crate::options::{BrokenRule, OptionDescriptor, broken_rules, fault};

/// Input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
// The host is built with this very version, so it may write and match all of it.
#[cfg_attr(not(feature = "host"), non_exhaustive)]
pub enum PluginKind {
    /// Reads findings from a source.
    Input,
    /// Writes findings to a destination.
    Output,
}

impl PluginKind {
    /// The kind with this word; `None` for a word that this version does not know.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Input, Self::Output].into_iter().find(|kind| kind.word() == word)
    }

    /// The word that is used in pipelines, listings and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// One plugin, as its library describes it. Crosses the ABI as JSON, so fields may be added at any time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
// The host is built with this very version, so it may write and match all of it.
#[cfg_attr(not(feature = "host"), non_exhaustive)]
pub struct Descriptor {
    /// The name that a pipeline uses; case is ignored.
    pub name: String,
    /// Input or output.
    pub kind: PluginKind,
    /// The version of the plugin's crate.
    #[serde(default)]
    pub version: String,
    /// What it does, in one line.
    #[serde(default)]
    pub summary: String,
    /// The plugin API that the plugin was built with: `2.0`.
    #[serde(default)]
    pub api: String,
    /// The IDs of its function tables.
    #[serde(default)]
    pub tables: Vec<String>,
    /// The maximum that it can do: an [`InputCapabilities`] or [`OutputCapabilities`].
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub capabilities: Value,
    /// Its options, in display order.
    #[serde(default)]
    pub options: Vec<OptionDescriptor>,
    /// The cryptography of its library; `None` if the library declares nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crypto: Option<DescribedCrypto>,
}

impl Descriptor {
    /// The capabilities of an input. A missing or unknown value counts as the minimum.
    #[must_use]
    pub fn input_capabilities(&self) -> InputCapabilities {
        serde_json::from_value(self.capabilities.clone()).unwrap_or_default()
    }

    /// The capabilities of an output. A missing or unknown value counts as the minimum.
    #[must_use]
    pub fn output_capabilities(&self) -> OutputCapabilities {
        serde_json::from_value(self.capabilities.clone()).unwrap_or_default()
    }

    /// The option with this name or this deprecated name.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&OptionDescriptor> {
        self.options
            .iter()
            .find(|option| option.name == name || option.deprecated_names.iter().any(|d| d == name))
    }

    /// The rules between options that these settings break, in the order of the table. `set` has the values that the
    /// operator set, by their current names and in their ABI form.
    #[must_use]
    pub fn broken_rules(&self, set: &Map<String, Value>) -> Vec<BrokenRule> {
        broken_rules(&self.options, set)
    }

    /// A fault of the plugin in the rules between its options, as a sentence: an option or a word that the table does
    /// not have.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        fault(&self.options)
    }
}
