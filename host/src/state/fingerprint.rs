//! Whether a pipeline is still the one that an interrupted run was made of.

use scanbridge_plugin_api::PluginKind;
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_128;

use crate::config::{Catalogue, Instance, Pipeline};

/// A number for everything that decides what is delivered: instances, their options without the secret ones,
/// filters. How and when it is delivered (retries, queues) is not in it, so that such settings can be mended before
/// a run goes on.
#[must_use]
pub fn fingerprint(pipeline: &Pipeline, catalogue: &dyn Catalogue) -> String {
    let inputs = pipeline.inputs.iter().map(|input| shown(PluginKind::Input, &input.instance, catalogue));
    let outputs = pipeline.outputs.iter().map(|output| {
        let instance = shown(PluginKind::Output, &output.instance, catalogue);
        json!([instance, format!("{:?}", output.filters), output.delivery.failover])
    });
    let all = json!([inputs.collect::<Vec<_>>(), outputs.collect::<Vec<_>>()]);
    format!("{:032x}", xxh3_128(all.to_string().as_bytes()))
}

fn shown(kind: PluginKind, instance: &Instance, catalogue: &dyn Catalogue) -> Value {
    let plugin = catalogue.find(kind, &instance.plugin);
    let is_secret = |name: &String| {
        plugin.and_then(|plugin| plugin.option(name)).is_none_or(|option| option.secret)
            || instance.origins.get(name).is_some_and(|origin| origin.is_credential)
    };
    let open = instance.options.iter().filter(|(name, _)| !is_secret(name));
    let options: Map<String, Value> = open.map(|(name, value)| (name.clone(), value.clone())).collect();
    json!([instance.id, instance.plugin, options])
}
