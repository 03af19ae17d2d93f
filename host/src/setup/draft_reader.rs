//! Reads a draft from a pipeline file, or from the answers of an interrupted set-up.

use scanbridge_plugin_api::{PluginKind, Secret};

use super::draft::{Draft, FILTER, Instance, Schedule, Setting, Timing};
use crate::config::{Catalogue, Document, PLACEHOLDER, Written, WrittenEntry, literal};

/// The pipeline of a file. What is not a pipeline in it is kept, so that the check of the result reports it. Secrets that
/// are in the file get files of their own; a placeholder is to be asked for.
pub(crate) fn read_draft(document: &Document, catalogue: &dyn Catalogue) -> Draft {
    let mut draft = Draft { inputs: Vec::new(), outputs: Vec::new(), ..Draft::new() };
    for entry in document.written().into_entries() {
        let kind = match entry.key.as_str() {
            "version" => continue,
            FILTER if matches!(entry.value, Written::Mapping(_) | Written::Nothing) => {
                draft.filter = entry.value.into_entries();
                continue;
            }
            "inputs" => PluginKind::Input,
            "outputs" => PluginKind::Output,
            "schedule" => match schedule(&entry.value) {
                Some(schedule) => {
                    draft.schedule = Some(schedule);
                    continue;
                }
                None => {
                    draft.rest.push(entry);
                    continue;
                }
            },
            _ => {
                draft.rest.push(entry);
                continue;
            }
        };
        let items = entry.value.into_items().into_iter();
        *draft.instances_mut(kind) = items.map(|item| instance(item, kind, catalogue)).collect();
    }
    for kind in [PluginKind::Input, PluginKind::Output] {
        if draft.instances(kind).is_empty() {
            draft.instances_mut(kind).push(Instance::default());
        }
    }
    draft
}

fn instance(item: Written, kind: PluginKind, catalogue: &dyn Catalogue) -> Instance {
    let mut instance = Instance::default();
    let mut with = Vec::new();
    for entry in item.into_entries() {
        match (entry.key.as_str(), &entry.value) {
            ("id", Written::Text(id)) => instance.id.clone_from(id),
            ("plugin", Written::Text(plugin)) => instance.plugin.clone_from(plugin),
            ("with", Written::Mapping(_)) => with = entry.value.into_entries(),
            ("with", Written::Nothing) => {}
            _ => instance.rest.push(entry),
        }
    }
    if instance.plugin == PLACEHOLDER {
        instance.plugin.clear();
    }
    let plugin = instance.descriptor(kind, catalogue);
    for WrittenEntry { key, value, .. } in with {
        let option = plugin.and_then(|plugin| plugin.option(&key));
        let is_secret = option.is_some_and(|option| option.secret);
        let name = option.map_or(key, |option| option.name.clone());
        instance.with.push((name, setting(value, is_secret)));
    }
    instance
}

fn setting(value: Written, is_secret: bool) -> Setting {
    match value.text() {
        Some(PLACEHOLDER) => Setting::Asked,
        Some(text) if is_secret => match literal(text).filter(|secret| fits_into_a_file(secret)) {
            Some(secret) => Setting::Secret(Secret::new(secret)),
            None => Setting::Written(value),
        },
        _ => Setting::Written(value),
    }
}

/// Whether a reference to a file with this text has the text as its value: line breaks at the end are lost.
pub(super) fn fits_into_a_file(secret: &str) -> bool {
    !secret.is_empty() && secret.len() <= 64 * 1024 && !secret.ends_with(['\r', '\n'])
}

/// `None` for a value that is not a schedule.
fn schedule(value: &Written) -> Option<Schedule> {
    let simple = |timing| Some(Schedule { timing, rest: Vec::new() });
    match value {
        Written::Text(word) if word.eq_ignore_ascii_case("manual") => simple(Timing::Manual),
        Written::Text(word) if word.eq_ignore_ascii_case("continuous") => simple(Timing::Continuous),
        Written::Mapping(entries) => {
            let (mut timing, mut rest) = (None, Vec::new());
            for entry in entries {
                match (entry.key.as_str(), &entry.value, &timing) {
                    ("every_minutes", Written::Text(minutes), None) => {
                        timing = Some(Timing::Every(minutes.clone()));
                    }
                    ("cron", Written::Text(pattern), None) => timing = Some(Timing::Cron(pattern.clone())),
                    _ => rest.push(entry.clone()),
                }
            }
            timing.map(|timing| Schedule { timing, rest })
        }
        _ => None,
    }
}
