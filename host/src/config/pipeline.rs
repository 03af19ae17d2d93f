//! The content of a checked pipeline file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scanbridge_observe::ServiceKeys;
use scanbridge_plugin_api::Fips;
use serde_json::{Map, Value};

use super::connector::Connector;
use super::delivery::{Delivery, OnInvalid, RetryPolicy, RunSettings};
use super::excerpt::Redactions;
use super::filter::Filter;
use super::host_options::HostSettings;
use super::origin::Origin;
use super::problem::{Problem, ProblemLevel, SourceLocation};
use super::source::Span;
use crate::encryption::Encryption;

/// A pipeline that passed all checks that need no plugin to be opened.
#[derive(Debug)]
pub struct Pipeline {
    /// The pipeline file.
    pub file: PathBuf,
    /// The `name:` in the file, otherwise the file name without extension.
    pub name: String,
    /// Number of this instance, from 1, of a pipeline with several; `None` for the first or only one.
    pub instance: Option<u32>,
    /// Settings of the run.
    pub run: RunSettings,
    /// Digest of the version that the service has accepted; empty when the files were read.
    pub digest: String,
    /// The keys for the service, which a run ignores.
    pub service: ServiceKeys,
    /// The host's keys at the top level, for display.
    pub host: HostSettings,
    /// What this installation is called in events.
    pub connector: Connector,
    /// Inputs, at least one.
    pub inputs: Vec<InputInstance>,
    /// Outputs, at least one.
    pub outputs: Vec<OutputInstance>,
    /// Warnings for the operator; the pipeline can run.
    pub warnings: Vec<Problem>,
    /// Where the options are set, for problems that plugins find.
    pub(super) locations: OptionLocations,
}

/// The location of each option in the settings files.
#[derive(Debug, Clone, Default)]
pub(super) struct OptionLocations {
    pub(super) hidden: Redactions,
    /// By the `id` of the instance: its declaration, and the key and value of each option.
    pub(super) instances: BTreeMap<String, (Span, OptionSpans)>,
}

/// Key and value of each option that is set, in their file.
pub(super) type OptionSpans = BTreeMap<String, (Span, Span)>;

/// What a plugin found about one of its options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judgement<'a> {
    /// Error or warning.
    pub(crate) level: ProblemLevel,
    /// Stable code for scripts.
    pub(crate) code: &'static str,
    /// What was found.
    pub(crate) message: &'a str,
    /// What the operator can do; may be empty.
    pub(crate) hint: &'a str,
    /// The input or output.
    pub(crate) instance: &'a str,
    /// The option, if one is named.
    pub(crate) option: Option<&'a str>,
    /// The step of the plugin; `None` if the host judges.
    pub(crate) step: Option<&'a str>,
}

impl Pipeline {
    /// Name of the state directory, and of the pipeline for operators: each of several instances has its own.
    #[must_use]
    pub fn state_name(&self) -> String {
        match (self.run.instances, self.instance) {
            (0 | 1, _) => self.name.clone(),
            (_, instance) => format!("{}.{}", self.name, instance.unwrap_or(1)),
        }
    }

    /// Number and [`Self::state_name`] of each instance; only of this one, if it is known. A pipeline with one instance has no
    /// number.
    pub(crate) fn all_instances(&self) -> Vec<(Option<u32>, String)> {
        match (self.run.instances, self.instance) {
            (0 | 1, _) => vec![(None, self.state_name())],
            (_, Some(number)) => vec![(Some(number), self.state_name())],
            (all, None) => {
                (1..=all).map(|number| (Some(number), format!("{}.{number}", self.name))).collect()
            }
        }
    }

    /// Makes it this instance, also if the pipeline file has fewer instances now. `None` for the only one.
    pub(crate) fn choose_instance(&mut self, number: Option<u32>) {
        self.instance = number;
        if let Some(number) = number {
            self.run.instances = self.run.instances.max(number).max(2);
        }
    }

    /// Whether an output writes its data to standard output.
    #[must_use]
    pub fn writes_to_stdout(&self) -> bool {
        let is_stdout = |path: &str| matches!(path, "-" | "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1");
        self.outputs.iter().filter_map(|output| output.instance.path()).any(is_stdout)
    }

    /// The problem that a plugin found, at the option that it names, otherwise at the instance.
    pub(crate) fn problem(&self, judgement: Judgement<'_>) -> Problem {
        let Judgement { level, code, message, hint, instance, option, step } = judgement;
        let span = self.locations.instances.get(instance).map(|(declared, options)| {
            option.and_then(|option| options.get(option)).map_or(declared, |(_, value)| value)
        });
        let file = span.map_or(self.file.as_path(), Span::file).to_owned();
        let excerpt = span.map(|span| self.locations.hidden.excerpt(span));
        Problem {
            level,
            code,
            message: message.to_owned(),
            location: SourceLocation { file, excerpt },
            label: String::new(),
            help: hint.to_owned(),
            instance: Some(instance.to_owned()),
            step: step.map(str::to_owned),
        }
    }

    /// A problem of the pipeline, without a line.
    pub(crate) fn file_problem(
        &self,
        level: ProblemLevel,
        code: &'static str,
        message: &str,
        hint: &str,
    ) -> Problem {
        Problem {
            level,
            code,
            message: message.to_owned(),
            location: SourceLocation { file: self.file.clone(), excerpt: None },
            label: String::new(),
            help: hint.to_owned(),
            instance: None,
            step: None,
        }
    }

    /// An empty pipeline with the default name of this file.
    pub(super) fn named_after(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            name: default_name(file),
            instance: None,
            run: RunSettings::default(),
            digest: String::new(),
            service: ServiceKeys::default(),
            host: HostSettings::default(),
            connector: Connector::default(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            warnings: Vec::new(),
            locations: OptionLocations::default(),
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
    /// The strictest FIPS mode that applies to it.
    pub fips: Fips,
}

/// Option of an output that contains its output file; all file outputs use this name.
pub(crate) const PATH: &str = "path";

/// The name of the pipeline in this file, unless the file sets one.
pub(crate) fn default_name(file: &Path) -> String {
    file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

impl Instance {
    /// The output file.
    pub(super) fn path(&self) -> Option<&str> {
        self.options.get(PATH)?.as_str()
    }
}

impl Instance {
    /// The same instance with the defaults of all options.
    pub(crate) fn without_options(&self) -> Self {
        Self {
            id: self.id.clone(),
            plugin: self.plugin.clone(),
            options: Map::new(),
            origins: BTreeMap::new(),
            declared: self.declared.clone(),
            fips: self.fips,
        }
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
    /// What is encrypted before the plugin gets it, and how. Default: nothing.
    pub(crate) encryption: Option<Encryption>,
    /// The host's keys of this output, for display.
    pub host: HostSettings,
}
