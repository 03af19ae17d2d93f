//! Detects whether a pipeline changed since an interrupted run.

use scanbridge_plugin_api::PluginKind;
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_128;

use crate::config::{Catalogue, Instance, Pipeline};

/// A hash of everything that decides what is delivered: instances, their options without secrets, and filters.
/// Settings for how and when (retries, queues) are excluded, so that an operator can fix them before a run resumes.
#[must_use]
pub fn fingerprint(pipeline: &Pipeline, catalogue: &dyn Catalogue) -> String {
    let inputs =
        pipeline.inputs.iter().map(|input| without_secrets(PluginKind::Input, &input.instance, catalogue));
    let outputs = pipeline.outputs.iter().map(|output| {
        let instance = without_secrets(PluginKind::Output, &output.instance, catalogue);
        json!([instance, format!("{:?}", output.filters), output.delivery.failover])
    });
    let all = json!([inputs.collect::<Vec<_>>(), outputs.collect::<Vec<_>>()]);
    format!("{:032x}", xxh3_128(all.to_string().as_bytes()))
}

fn without_secrets(kind: PluginKind, instance: &Instance, catalogue: &dyn Catalogue) -> Value {
    let plugin = catalogue.find(kind, &instance.plugin);
    let is_secret = |name: &String| {
        plugin.and_then(|plugin| plugin.option(name)).is_none_or(|option| option.secret)
            || instance.origins.get(name).is_some_and(|origin| origin.is_credential)
    };
    let public = instance.options.iter().filter(|(name, _)| !is_secret(name));
    let options: Map<String, Value> = public.map(|(name, value)| (name.clone(), value.clone())).collect();
    json!([instance.id, instance.plugin, options])
}
