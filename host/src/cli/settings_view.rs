//! Output of `config show`: the effective configuration, with secrets redacted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use scanbridge_plugin_api::model::FindingKind;
use scanbridge_plugin_api::{Descriptor, EffectiveValue, OptionDescriptor, PluginKind};
use serde_json::{Map, Value, json};

use super::format::Format;
use super::option_words::value_in_words;
use super::plugin_view::pretty;
use super::table::{plain, render};
use crate::config::{
    AddressRanges, Catalogue, Exclude, Filter, HostSetting, HostSettings, Instance, Origin, Pipeline, Ranges,
    Scope,
};

const REDACTED: &str = "[redacted]";

/// What a pipeline file does not say about a run.
#[derive(Debug, Clone, Default)]
pub struct RunLocations {
    /// By the `id` of the instance: values of options that are not set and follow from others.
    pub effective: BTreeMap<String, Vec<EffectiveValue>>,
    /// The state directory of the pipeline.
    pub state: PathBuf,
    /// Where the log goes.
    pub log: String,
}

/// Every input and output with the effective value of each option and the origin of that value. Text is
/// wrapped to `width` columns; pass `usize::MAX` for a pipe.
#[must_use]
pub fn show_settings(
    pipeline: &Pipeline,
    catalogue: &dyn Catalogue,
    locations: &RunLocations,
    format: Format,
    width: usize,
) -> String {
    let effective = |id: &str| locations.effective.get(id).map(Vec::as_slice).unwrap_or_default();
    let inputs = pipeline.inputs.iter().map(|input| Shown {
        instance: &input.instance,
        plugin: catalogue.find(PluginKind::Input, &input.instance.plugin),
        kind: PluginKind::Input,
        effective: effective(&input.instance.id),
        host: &input.host,
        required: None,
        filters: &[],
    });
    let outputs = pipeline.outputs.iter().map(|output| Shown {
        instance: &output.instance,
        plugin: catalogue.find(PluginKind::Output, &output.instance.plugin),
        kind: PluginKind::Output,
        effective: effective(&output.instance.id),
        host: &output.host,
        required: Some(output.required),
        filters: &output.filters,
    });
    match format {
        Format::Text => {
            let blocks: Vec<String> = inputs.chain(outputs).map(|shown| shown.text(width)).collect();
            let run = table("KEY", host_keys(&pipeline.host, Scope::Run), width);
            format!(
                "pipeline {}\nstate directory: {}\nlog: {}\n{run}\n{}",
                pipeline.file.display(),
                locations.state.display(),
                locations.log,
                blocks.join("\n")
            )
        }
        Format::Json => pretty(&json!({
            "file": pipeline.file.display().to_string(),
            "state_directory": locations.state.display().to_string(),
            "log": locations.log,
            "settings": to_json(host_keys(&pipeline.host, Scope::Run)),
            "inputs": inputs.map(|shown| shown.json()).collect::<Vec<_>>(),
            "outputs": outputs.map(|shown| shown.json()).collect::<Vec<_>>(),
        })),
    }
}

/// One input or output with its plugin and filters.
struct Shown<'a> {
    instance: &'a Instance,
    plugin: Option<&'a Descriptor>,
    kind: PluginKind,
    /// Values of options that are not set.
    effective: &'a [EffectiveValue],
    host: &'a HostSettings,
    required: Option<bool>,
    filters: &'a [Filter],
}

/// One option with its effective value.
struct Setting<'a> {
    option: &'a OptionDescriptor,
    /// `None` when the option is not set and has no default.
    value: Option<&'a Value>,
    origin: Option<&'a Origin>,
    /// The value that follows from other options; `None` for a set or secret option.
    effective: Option<&'a EffectiveValue>,
}

/// The host's own keys of a scope.
fn host_keys(host: &HostSettings, scope: Scope) -> impl Iterator<Item = Setting<'_>> {
    host.iter(scope).map(|HostSetting { option, value, origin }| Setting {
        option,
        value,
        origin,
        effective: None,
    })
}

/// Values last: a long one must not push the other columns out of sight.
fn table<'a>(what: &str, settings: impl Iterator<Item = Setting<'a>>, width: usize) -> String {
    let rows = settings.map(|setting| {
        [format!("  {}", setting.option.name), setting.origin_in_words(), setting.value_in_words()]
    });
    render([&format!("  {what}"), "FROM", "VALUE"], rows, width)
}

fn to_json<'a>(settings: impl Iterator<Item = Setting<'a>>) -> Map<String, Value> {
    settings.map(|setting| (setting.option.name.clone(), setting.json())).collect()
}

impl<'a> Shown<'a> {
    fn host_keys(&self) -> impl Iterator<Item = Setting<'a>> {
        host_keys(
            self.host,
            match self.kind {
                PluginKind::Input => Scope::Input,
                PluginKind::Output => Scope::Output,
            },
        )
    }

    fn settings(&self) -> impl Iterator<Item = Setting<'a>> {
        let instance = self.instance;
        let options = self.plugin.map_or(&[][..], |plugin| &plugin.options);
        let effective = self.effective;
        options.iter().map(move |option| {
            let origin = instance.origins.get(&option.name);
            let is_free = origin.is_none() && !option.secret;
            Setting {
                option,
                value: instance.options.get(&option.name).or(option.default.as_ref()),
                origin,
                effective: effective.iter().find(|value| is_free && value.option == option.name),
            }
        })
    }

    fn text(&self, width: usize) -> String {
        let required = match self.required {
            Some(false) => ", optional",
            _ => "",
        };
        let word = self.kind.word();
        let mut text = format!("{word} {}: {}{required}\n", self.instance.id, plain(&self.instance.plugin));
        for filter in self.filters {
            text.push_str(&format!("  filter: {}\n", filter_in_words(filter)));
        }
        text + &table("KEY", self.host_keys(), width) + &table("OPTION", self.settings(), width)
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "id": self.instance.id,
            "plugin": self.instance.plugin,
            "settings": to_json(self.host_keys()),
            "options": to_json(self.settings()),
        });
        if let Some(required) = self.required {
            value["required"] = json!(required);
            value["filters"] = self.filters.iter().map(filter_to_json).collect();
        }
        value
    }
}

impl Setting<'_> {
    fn is_hidden(&self) -> bool {
        self.option.secret || self.origin.is_some_and(|origin| origin.is_credential)
    }

    fn value_in_words(&self) -> String {
        if let Some(effective) = self.effective {
            return effective.value.clone();
        }
        match self.value {
            None => "-".to_owned(),
            Some(_) if self.is_hidden() => REDACTED.to_owned(),
            Some(value) => value_in_words(&self.option.kind, value),
        }
    }

    fn origin_in_words(&self) -> String {
        if let Some(effective) = self.effective {
            return effective.origin.clone();
        }
        match (self.origin, self.value) {
            (None, None) => "not set".to_owned(),
            (None, Some(_)) => "default".to_owned(),
            (Some(origin), _) => {
                let location = format!("{}:{}", origin.file.display(), origin.line);
                match origin.references.as_slice() {
                    [] => location,
                    references => format!("{location}, {}", references.join(", ")),
                }
            }
        }
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "value": match self.value {
                Some(_) if self.is_hidden() => json!(REDACTED),
                value => json!(value),
            },
            "redacted": self.value.is_some() && self.is_hidden(),
            "from": match (self.origin, self.value) {
                (None, None) => "unset",
                (None, Some(_)) => "default",
                (Some(_), _) => "file",
            },
        });
        if let Some(effective) = self.effective {
            value["value"] = json!(effective.value);
            value["from"] = json!("computed");
            value["origin"] = json!(effective.origin);
        }
        if let Some(origin) = self.origin {
            value["file"] = json!(origin.file.display().to_string());
            value["line"] = json!(origin.line);
            value["references"] = json!(origin.references);
        }
        value
    }
}

/// All filters of an output, which must all pass.
pub(super) fn filters_in_words(filters: &[Filter]) -> String {
    filters.iter().map(filter_in_words).collect::<Vec<_>>().join("; ")
}

fn filter_in_words(filter: &Filter) -> String {
    parts_in_words(&filter_to_json(filter))
}

fn parts_in_words(parts: &Value) -> String {
    let Value::Object(parts) = parts else { return String::new() };
    let parts: Vec<String> = parts
        .iter()
        .map(|(name, value)| match value {
            Value::Array(items) => {
                let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                format!("{name} {}", items.join(", "))
            }
            Value::Object(_) => format!("{name} ({})", parts_in_words(value)),
            value => format!("{name} {value}"),
        })
        .collect();
    parts.join("; ")
}

fn filter_to_json(filter: &Filter) -> Value {
    let mut parts = Map::new();
    let mut add =
        |name: &str, value: Option<Value>| parts.extend(value.map(|value| (name.to_owned(), value)));
    add("min_severity", filter.min_severity.map(|severity| severity.number().into()));
    add("kinds", filter.kinds.as_deref().map(kinds_to_json));
    add("qids", filter.qids.as_ref().map(qids_to_json));
    add("statuses", filter.statuses.map(|statuses| statuses.words().collect()));
    add("ip_ranges", filter.ip_ranges.as_ref().map(addresses_to_json));
    add("exclude", filter.exclude.as_ref().map(exclude_to_json));
    Value::Object(parts)
}

/// The conditions that are set.
fn exclude_to_json(exclude: &Exclude) -> Value {
    let parts = [
        ("kinds", kinds_to_json(&exclude.kinds)),
        ("qids", qids_to_json(&exclude.qids)),
        ("statuses", exclude.statuses.words().collect()),
        ("ip_ranges", addresses_to_json(&exclude.ip_ranges)),
    ];
    let is_set = |(_, value): &(&str, Value)| value.as_array().is_some_and(|items| !items.is_empty());
    parts.into_iter().filter(is_set).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn kinds_to_json(kinds: &[FindingKind]) -> Value {
    kinds.iter().map(|kind| kind.word()).collect()
}

fn qids_to_json(qids: &Ranges<u32>) -> Value {
    let show = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    qids.as_slice().iter().map(show).collect()
}

fn addresses_to_json(ranges: &AddressRanges) -> Value {
    ranges.iter().map(|range| range.to_string()).collect()
}
