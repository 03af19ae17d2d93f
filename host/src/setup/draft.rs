//! A pipeline that is being set up.

use scanbridge_observe::is_name;
use scanbridge_plugin_api::{Descriptor, OptionCondition, OptionDescriptor, OptionKind, PluginKind, Secret};
use serde_json::Value;

use crate::config::{Catalogue, ServicePlan, Written, WrittenEntry, is_bare_reference, sounds_secret};

/// A pipeline that is being set up. Keys that nothing asks for are kept as they are.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) inputs: Vec<Instance>,
    pub(crate) outputs: Vec<Instance>,
    /// The conditions of the filter for the whole pipeline.
    pub(crate) filter: Vec<WrittenEntry>,
    /// `None` until it is answered.
    pub(crate) schedule: Option<Schedule>,
    /// The service that is to run it. Not part of the pipeline file.
    pub(crate) service: Option<ServicePlan>,
    /// The other keys of the pipeline.
    pub(crate) rest: Vec<WrittenEntry>,
}

/// An input or output.
#[derive(Clone, Default)]
pub(crate) struct Instance {
    /// Empty until it is answered.
    pub(crate) id: String,
    /// Name of the plugin; empty until it is answered.
    pub(crate) plugin: String,
    /// The options that are set, by the names of the option table.
    pub(crate) with: Vec<(String, Setting)>,
    /// The other keys.
    pub(crate) rest: Vec<WrittenEntry>,
}

/// The value of an option.
#[derive(Clone)]
pub(crate) enum Setting {
    /// As in a pipeline file, with references.
    Written(Written),
    /// A secret, which gets a file of its own.
    Secret(Secret),
    /// To be set; the value is still to be asked for.
    Asked,
}

/// When the service runs the pipeline.
#[derive(Clone)]
pub(crate) struct Schedule {
    pub(crate) timing: Timing,
    /// The other keys of `schedule`.
    pub(crate) rest: Vec<WrittenEntry>,
}

/// The kind of schedule. The texts are empty until they are answered.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Timing {
    Manual,
    Continuous,
    /// Minutes between two starts.
    Every(String),
    /// A cron pattern.
    Cron(String),
}

/// Key of the filter.
pub(super) const FILTER: &str = "filter";
/// The key of the filter for the lowest severity.
pub(super) const MIN_SEVERITY: &str = "min_severity";
/// The key of the filter for the kinds.
pub(super) const KINDS: &str = "kinds";

impl Draft {
    /// A pipeline of which nothing is answered.
    pub(crate) fn new() -> Self {
        let instances = || vec![Instance::default()];
        Self {
            inputs: instances(),
            outputs: instances(),
            filter: Vec::new(),
            schedule: None,
            service: None,
            rest: Vec::new(),
        }
    }

    pub(crate) fn instances(&self, kind: PluginKind) -> &[Instance] {
        match kind {
            PluginKind::Input => &self.inputs,
            PluginKind::Output => &self.outputs,
        }
    }

    pub(crate) fn instances_mut(&mut self, kind: PluginKind) -> &mut Vec<Instance> {
        match kind {
            PluginKind::Input => &mut self.inputs,
            PluginKind::Output => &mut self.outputs,
        }
    }

    /// All inputs and outputs.
    pub(crate) fn all(&self) -> impl Iterator<Item = (PluginKind, usize, &Instance)> {
        let inputs = self.inputs.iter().enumerate().map(|(index, one)| (PluginKind::Input, index, one));
        let outputs = self.outputs.iter().enumerate().map(|(index, one)| (PluginKind::Output, index, one));
        inputs.chain(outputs)
    }

    /// A condition of the filter, if it is set.
    pub(crate) fn condition(&self, key: &str) -> Option<&Written> {
        self.filter.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Sets a condition of the filter, or removes it.
    pub(crate) fn set_condition(&mut self, key: &str, value: Option<Written>) {
        // A filter that is not a mapping was kept until now.
        self.rest.retain(|entry| entry.key != FILTER);
        let at = self.filter.iter().position(|entry| entry.key == key);
        match (at, value) {
            (Some(at), Some(value)) => self.filter[at].value = value,
            (Some(at), None) => drop(self.filter.remove(at)),
            (None, Some(value)) => self.filter.push(WrittenEntry::new(key, value)),
            (None, None) => {}
        }
    }

    /// The same without secrets: what may be one is to be asked for again, unless it is a reference to where it is kept.
    pub(crate) fn without_secrets(&self, catalogue: &dyn Catalogue) -> Self {
        self.hidden(catalogue, |_| true)
    }

    /// The same without secrets that the file itself has, for display.
    pub(crate) fn without_written_secrets(&self, catalogue: &dyn Catalogue) -> Self {
        self.hidden(catalogue, |setting| matches!(setting, Setting::Written(_)))
    }

    fn hidden(&self, catalogue: &dyn Catalogue, is_hidden: impl Fn(&Setting) -> bool) -> Self {
        let mut draft = self.clone();
        for kind in [PluginKind::Input, PluginKind::Output] {
            for instance in draft.instances_mut(kind) {
                let plugin = instance.descriptor(kind, catalogue);
                for (name, setting) in &mut instance.with {
                    let option = plugin.and_then(|plugin| plugin.option(name));
                    let is_secret = option.map_or_else(|| sounds_secret(name), |option| option.secret);
                    match setting {
                        Setting::Written(_) if !is_secret => {}
                        Setting::Written(Written::Text(text)) if is_bare_reference(text) => {}
                        _ if is_hidden(setting) => *setting = Setting::Asked,
                        _ => {}
                    }
                }
            }
        }
        draft
    }

    /// Whether another instance has this ID, ignoring case.
    pub(crate) fn has_other(&self, kind: PluginKind, index: usize, id: &str) -> bool {
        self.all().any(|(of, at, one)| (of, at) != (kind, index) && one.id.eq_ignore_ascii_case(id))
    }

    /// An ID for an instance of this plugin that no other instance has.
    pub(crate) fn new_id(&self, kind: PluginKind, index: usize, plugin: &str) -> String {
        let good = |c: &char| c.is_ascii_alphanumeric() || "-_".contains(*c);
        let mut id: String = plugin.to_lowercase().chars().filter(good).take(50).collect();
        if !is_name(&id) {
            kind.word().clone_into(&mut id);
        }
        let first = id.clone();
        for number in 2.. {
            if !self.has_other(kind, index, &id) {
                break;
            }
            id = format!("{first}-{number}");
        }
        id
    }
}

impl Instance {
    /// The value of an option, if it is set or to be set.
    pub(crate) fn setting(&self, option: &str) -> Option<&Setting> {
        self.with.iter().find(|(name, _)| name == option).map(|(_, setting)| setting)
    }

    /// Sets an option.
    pub(crate) fn set(&mut self, option: &str, setting: Setting) {
        match self.with.iter_mut().find(|(name, _)| name == option) {
            Some((_, old)) => *old = setting,
            None => self.with.push((option.to_owned(), setting)),
        }
    }

    /// Leaves an option at its default.
    pub(crate) fn unset(&mut self, option: &str) {
        self.with.retain(|(name, _)| name != option);
    }

    /// The plugin's table.
    pub(crate) fn descriptor<'c>(
        &self,
        kind: PluginKind,
        catalogue: &'c dyn Catalogue,
    ) -> Option<&'c Descriptor> {
        catalogue.find(kind, &self.plugin)
    }

    /// Whether the option must be set, with the options that are set now.
    pub(crate) fn requires(&self, plugin: &Descriptor, option: &OptionDescriptor) -> bool {
        option.required
            || option.required_with.as_ref().is_some_and(|condition| self.holds(plugin, condition))
    }

    /// Whether the option can be set, with the options that are set now.
    pub(crate) fn accepts(&self, plugin: &Descriptor, option: &OptionDescriptor) -> bool {
        option.only_with.as_ref().is_none_or(|condition| self.holds(plugin, condition))
    }

    /// Whether an option has one of the words of a condition. A reference is not resolved, so that it has none.
    fn holds(&self, plugin: &Descriptor, condition: &OptionCondition) -> bool {
        let Some(option) = plugin.option(&condition.option) else { return false };
        let set = match self.setting(&option.name) {
            Some(Setting::Written(Written::Text(text))) => option.kind.parse(text).ok(),
            _ => None,
        };
        let word = match set.as_ref().or(option.default.as_ref()) {
            Some(Value::Bool(true)) => "yes",
            Some(Value::Bool(false)) => "no",
            Some(Value::String(text)) => text,
            _ => return false,
        };
        condition.words.iter().any(|known| known == word)
    }

    /// The options that are always asked for: what must be set, and what decides which others can or must be set.
    pub(crate) fn is_asked(&self, plugin: &Descriptor, option: &OptionDescriptor) -> bool {
        let decides = |condition: &OptionCondition| condition.option == option.name;
        let is_word = matches!(option.kind, OptionKind::Choice { .. });
        let is_flag = option.kind == OptionKind::Flag;
        let is_decisive = plugin.options.iter().any(|other| {
            let mut conditions = other.only_with.iter().chain(&other.required_with);
            let mut of_keys = other.excludes_keys.iter().flat_map(|keys| &keys.conditions);
            (is_word || is_flag) && conditions.any(decides) || is_word && of_keys.any(decides)
        });
        self.accepts(plugin, option) && (self.requires(plugin, option) || is_decisive)
    }
}
