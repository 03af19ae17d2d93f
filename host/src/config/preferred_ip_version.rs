//! The IP version of the pipeline as the default of its plugins.

use scanbridge_plugin_api::{OptionKind, PluginKind};
use serde_json::Value;

use super::checker::Checker;
use super::connector::PREFERRED;
use super::pipeline::{Instance, Pipeline};

/// The option of a plugin for which the key of the pipeline is the default.
const OPTION: &str = "preferred_ip_version";

impl Checker<'_> {
    /// Makes the IP version of the pipeline, if it is set, the value of each plugin that has such an option and does not set
    /// it.
    pub(super) fn preferred_ip_version(&self, pipeline: &mut Pipeline) {
        let Some((Value::String(word), origin)) = pipeline.host.set(PREFERRED).cloned() else { return };
        let is_choice =
            |kind: &OptionKind| matches!(kind, OptionKind::Choice { words } if words.contains(&word));
        let inputs = pipeline.inputs.iter_mut().map(|input| (PluginKind::Input, &mut input.instance));
        let outputs = pipeline.outputs.iter_mut().map(|output| (PluginKind::Output, &mut output.instance));
        for (kind, Instance { plugin, options, origins, .. }) in inputs.chain(outputs) {
            let option = self.catalogue.find(kind, plugin).and_then(|plugin| plugin.option(OPTION));
            if option.is_some_and(|option| is_choice(&option.kind)) && !options.contains_key(OPTION) {
                options.insert(OPTION.to_owned(), Value::String(word.clone()));
                origins.insert(OPTION.to_owned(), origin.clone());
            }
        }
    }
}
