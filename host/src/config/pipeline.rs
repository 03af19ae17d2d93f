//! What a checked pipeline file says.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{Descriptor, PluginKind};
use serde_json::{Map, Value};

use super::delivery::{Delivery, RetryPolicy, RunSettings};
use super::filter::Filter;
use super::problem::Problem;

/// The plugins that exist.
pub trait Catalogue {
    /// The plugin with this name, in any case.
    fn find(&self, kind: PluginKind, name: &str) -> Option<&Descriptor>;
    /// Why a plugin that is there by name cannot be had: a sentence for the operator.
    fn refusal(&self, kind: PluginKind, name: &str) -> Option<String> {
        let _ = (kind, name);
        None
    }
    /// The names of all plugins of a kind, in the order in which they are shown.
    fn names(&self, kind: PluginKind) -> Vec<String>;
}

/// A pipeline in which everything that can be checked without starting a plugin is right.
#[derive(Debug)]
pub struct Pipeline {
    /// The pipeline file.
    pub file: PathBuf,
    /// The name under which its state is kept: its `name:`, else the stem of the file.
    pub name: String,
    /// How it is run.
    pub run: RunSettings,
    /// At least one.
    pub inputs: Vec<InputInstance>,
    /// At least one.
    pub outputs: Vec<OutputInstance>,
    /// What somebody should look at although nothing is wrong.
    pub warnings: Vec<Problem>,
}

impl Pipeline {
    /// A pipeline without anything in it.
    pub(super) fn named_after(file: &Path) -> Self {
        let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        Self {
            file: file.to_owned(),
            name,
            run: RunSettings::default(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// One input of a pipeline.
#[derive(Debug)]
pub struct InputInstance {
    /// The plugin and its options.
    pub instance: Instance,
    /// How it is tried again when its source is unavailable.
    pub retry: RetryPolicy,
}

/// One use of a plugin.
pub struct Instance {
    /// Unique in the pipeline, also when letter case is ignored: letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// The plugin's name as the plugin spells it.
    pub plugin: String,
    /// The options that are given, by their present names, in the form that crosses the ABI, with all references
    /// resolved. Defaults are not in it. Holds secrets.
    pub options: Map<String, Value>,
    /// Where each of `options` was given.
    pub origins: BTreeMap<String, Origin>,
    /// Where the instance itself stands.
    pub declared: Origin,
}

impl fmt::Debug for Instance {
    /// Without the values, for some are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.options.keys().collect();
        write!(f, "Instance({} of {}, options {names:?})", self.id, self.plugin)
    }
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The settings file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The references that the value was made of, as they may be shown: `${env:NAME}`.
    pub references: Vec<String>,
    /// Whether the value must not be shown even if its option is no secret.
    pub is_credential: bool,
}

/// One output of a pipeline.
#[derive(Debug)]
pub struct OutputInstance {
    /// The plugin and its options.
    pub instance: Instance,
    /// Whether the run fails when this output fails; true unless the file says otherwise.
    pub required: bool,
    /// The filter of the pipeline, then that of the output, as far as they are given. A finding must pass all.
    pub filters: Vec<Filter>,
    /// How it is fed.
    pub delivery: Delivery,
}
