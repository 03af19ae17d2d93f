//! The content of a checked pipeline file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scanbridge_observe::ServiceKeys;
use serde_json::{Map, Value};

use super::delivery::{Delivery, OnInvalid, RetryPolicy, RunSettings};
use super::filter::Filter;
use super::host_options::HostSettings;
use super::origin::Origin;
use super::problem::Problem;

/// A pipeline that passed all checks that need no plugin to be opened.
#[derive(Debug)]
pub struct Pipeline {
    /// The pipeline file.
    pub file: PathBuf,
    /// Name of the state directory: the `name:` in the file, otherwise the file name without extension.
    pub name: String,
    /// Settings of the run.
    pub run: RunSettings,
    /// Digest of the version that the service has accepted; empty when the files were read.
    pub digest: String,
    /// The keys for the service, which a run ignores.
    pub service: ServiceKeys,
    /// The host's keys at the top level, for display.
    pub host: HostSettings,
    /// Inputs, at least one.
    pub inputs: Vec<InputInstance>,
    /// Outputs, at least one.
    pub outputs: Vec<OutputInstance>,
    /// Warnings for the operator; the pipeline can run.
    pub warnings: Vec<Problem>,
}

impl Pipeline {
    /// Whether an output writes its data to standard output.
    #[must_use]
    pub fn writes_to_stdout(&self) -> bool {
        let is_stdout = |path: &str| matches!(path, "-" | "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1");
        self.outputs.iter().filter_map(|output| output.instance.path()).any(is_stdout)
    }

    /// An empty pipeline with the default name of this file.
    pub(super) fn named_after(file: &Path) -> Self {
        let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        Self {
            file: file.to_owned(),
            name,
            run: RunSettings::default(),
            digest: String::new(),
            service: ServiceKeys::default(),
            host: HostSettings::default(),
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
    /// Retries when its source is unavailable.
    pub retry: RetryPolicy,
    /// Timeout of one plugin call without progress; then the input is abandoned.
    pub hang: Duration,
    /// Behavior when it sends an invalid row.
    pub on_invalid: OnInvalid,
    /// The host's keys of this input, for display.
    pub host: HostSettings,
}

/// A plugin as configured in one input or output.
pub struct Instance {
    /// Unique in the pipeline, ignoring case. Letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// The plugin's name as the plugin spells it.
    pub plugin: String,
    /// The options that are set, by their current names, in the format of the plugin ABI, with all references
    /// resolved. Does not include defaults. Contains secrets.
    pub options: Map<String, Value>,
    /// Origin of each of `options`.
    pub origins: BTreeMap<String, Origin>,
    /// Location of this input or output in the pipeline file.
    pub declared: Origin,
}

/// Option of an output that contains its output file; all file outputs use this name.
pub(super) const PATH: &str = "path";

impl Instance {
    /// The output file.
    pub(super) fn path(&self) -> Option<&str> {
        self.options.get(PATH)?.as_str()
    }
}

impl fmt::Debug for Instance {
    /// Omits the values, because some are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.options.keys().collect();
        write!(f, "Instance({} of {}, options {names:?})", self.id, self.plugin)
    }
}

/// One output of a pipeline.
#[derive(Debug)]
pub struct OutputInstance {
    /// The plugin and its options.
    pub instance: Instance,
    /// Whether the run fails when this output fails. Default: true.
    pub required: bool,
    /// The filters of the pipeline and of this output, if set. A finding must pass all of them.
    pub filters: Vec<Filter>,
    /// Queue, retries and limits.
    pub delivery: Delivery,
    /// The host's keys of this output, for display.
    pub host: HostSettings,
}
