//! A draft as the text of a pipeline file.

use std::fmt::Write as _;

use scanbridge_plugin_api::{PluginKind, Secret};

use super::draft::{Draft, FILTER, Instance, Schedule, Setting, Timing};
use crate::config::{PLACEHOLDER, Written, WrittenEntry, escaped};
use crate::yaml_text::scalar;

/// How secrets are written.
#[derive(Clone, Copy)]
pub(crate) enum Secrets<'a> {
    /// As references to files of their own; what is still to be asked for is a placeholder. `pipeline` is the name that
    /// the files begin with.
    InFiles { pipeline: &'a str },
    /// As they are; what is still to be asked for is left out. Only for text that stays in memory.
    Inline,
    /// As placeholders.
    Omitted,
}

/// Directory of the files with secrets, next to the pipeline file.
pub(super) const SECRETS: &str = "secrets";

/// The file with a secret, relative to the directory of the pipeline file.
fn secret_file(pipeline: &str, instance: &Instance, option: &str) -> String {
    // Names of options come from plugins.
    let good = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = format!("{pipeline}-{}-{option}", instance.id).chars().map(good).collect();
    format!("{SECRETS}/{name}")
}

/// The files of all secrets that were entered, relative to the directory of the pipeline file.
pub(crate) fn secret_files<'d>(draft: &'d Draft, pipeline: &str) -> Vec<(String, &'d Secret)> {
    let mut files = Vec::new();
    for (_, _, instance) in draft.all() {
        for (option, setting) in &instance.with {
            if let Setting::Secret(secret) = setting {
                files.push((secret_file(pipeline, instance, option), secret));
            }
        }
    }
    files
}

/// The text of a pipeline file.
pub(crate) fn draft_text(draft: &Draft, secrets: Secrets<'_>) -> String {
    let mut text = String::from("version: 1\n");
    entries(&mut text, 0, &draft.rest);
    if !draft.filter.is_empty() {
        let _ = writeln!(text, "{FILTER}:");
        entries(&mut text, 2, &draft.filter);
    }
    if let Some(schedule) = &draft.schedule {
        schedule_text(&mut text, schedule);
    }
    for kind in [PluginKind::Input, PluginKind::Output] {
        let instances = draft.instances(kind);
        let begun: Vec<&Instance> = instances.iter().filter(|one| !one.plugin.is_empty()).collect();
        if !begun.is_empty() {
            let _ = writeln!(text, "{}s:", kind.word());
        }
        begun.into_iter().for_each(|instance| instance_text(&mut text, instance, secrets));
    }
    text
}

fn instance_text(text: &mut String, instance: &Instance, secrets: Secrets<'_>) {
    let _ = writeln!(text, "  - id: {}", scalar(&instance.id));
    let _ = writeln!(text, "    plugin: {}", scalar(&instance.plugin));
    entries(text, 4, &instance.rest);
    let mut with = Vec::new();
    for (option, setting) in &instance.with {
        let value = match (setting, secrets) {
            (Setting::Written(value), _) => value.clone(),
            (Setting::Secret(secret), Secrets::Inline) => Written::Text(escaped(secret.expose())),
            (Setting::Secret(_), Secrets::InFiles { pipeline }) => {
                Written::Text(format!("${{file:{}}}", secret_file(pipeline, instance, option)))
            }
            (Setting::Asked, Secrets::Inline) => continue,
            (Setting::Secret(_) | Setting::Asked, _) => Written::Text(PLACEHOLDER.to_owned()),
        };
        with.push(WrittenEntry::new(option, value));
    }
    if !with.is_empty() {
        text.push_str("    with:\n");
        entries(text, 6, &with);
    }
}

fn schedule_text(text: &mut String, schedule: &Schedule) {
    let (key, value) = match &schedule.timing {
        Timing::Manual | Timing::Continuous => {
            let word = if schedule.timing == Timing::Manual { "manual" } else { "continuous" };
            let _ = writeln!(text, "schedule: {word}");
            return;
        }
        Timing::Every(minutes) => ("every_minutes", minutes),
        Timing::Cron(pattern) => ("cron", pattern),
    };
    text.push_str("schedule:\n");
    let _ = writeln!(text, "  {key}: {}", scalar(value));
    entries(text, 2, &schedule.rest);
}

/// The entries of a mapping, each at this indentation.
pub(super) fn entries(text: &mut String, indent: usize, entries: &[WrittenEntry]) {
    for WrittenEntry { key, value, .. } in entries {
        let _ = write!(text, "{:indent$}{}:", "", scalar(key));
        value_text(text, indent, value);
    }
}

/// A value after its key or the dash of its item, with the line break.
fn value_text(text: &mut String, indent: usize, value: &Written) {
    match value {
        Written::Nothing => text.push('\n'),
        Written::Text(value) => {
            let _ = writeln!(text, " {}", scalar(value));
        }
        Written::List(items) if items.is_empty() => text.push_str(" []\n"),
        Written::Mapping(map) if map.is_empty() => text.push_str(" {}\n"),
        Written::List(items) => {
            text.push('\n');
            for item in items {
                let _ = write!(text, "{:1$}-", "", indent + 2);
                value_text(text, indent + 4, item);
            }
        }
        Written::Mapping(map) => {
            text.push('\n');
            entries(text, indent + 2, map);
        }
    }
}
