//! `scanbridge config`.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::sync::Arc;

use scanbridge_plugin_api::{Descriptor, EffectiveValue, PluginKind, Purpose};

use super::plugin::unknown;
use super::preparation::{checked, registry};
use super::run::state_folder;
use super::terminal::{print_output, width};
use crate::cli::{CommonOptions, Format, RunLocations, show_example, show_settings};
use crate::config::{self, Pipeline};
use crate::exit_code::USAGE;
use crate::pipeline::{self, Settings, Stop};
use crate::plugins::Registry;
use crate::state::StateFolder;

pub(super) fn show(file: &Path, format: Format, common: &CommonOptions) -> u8 {
    let registry = registry(common);
    match checked(file, &registry, "") {
        Ok(pipeline) => {
            let folder = StateFolder::of(&state_folder(common), &pipeline.state_name());
            let locations = RunLocations {
                state: folder.path().to_owned(),
                log: log_place(),
                effective: effective(&pipeline, &registry, folder),
            };
            print_output(&show_settings(&pipeline, &registry, &locations, format, width()), 0)
        }
        Err(code) => code,
    }
}

pub(super) fn schema_of_summary() -> u8 {
    print_output(&format!("{:#}\n", pipeline::summary_schema()), 0)
}

/// The values that plugins compute from their options, by the `id` of the instance. Contacts no peer.
fn effective(
    pipeline: &Pipeline,
    registry: &Registry,
    folder: StateFolder,
) -> BTreeMap<String, Vec<EffectiveValue>> {
    let settings = Settings::without_run(folder, Purpose::Check);
    match pipeline::open_all(pipeline, registry, settings, &Arc::new(Stop::default())) {
        Ok(mut opened) => {
            let reports = opened.check(false).into_iter();
            reports.filter_map(|(id, report)| Some((id, report.ok()?.effective))).collect()
        }
        Err(errors) => {
            let first = errors.first().map(|error| error.failure.message.as_str()).unwrap_or_default();
            tracing::warn!("defaults that a plugin computes are not shown: {first}");
            BTreeMap::new()
        }
    }
}

/// systemd sets the variable when standard error is connected to the journal.
fn log_place() -> String {
    match env::var_os("JOURNAL_STREAM") {
        Some(_) => "standard error, which is in the journal (journalctl -u UNIT)".to_owned(),
        None => "standard error".to_owned(),
    }
}

pub(super) fn schema(registry: &Registry) -> u8 {
    print_output(&format!("{:#}\n", config::schema(registry)), 0)
}

pub(super) fn example(names: &[String], all: bool, registry: &Registry) -> u8 {
    let mut plugins: Vec<&Descriptor> = Vec::new();
    for name in names {
        let kinds = [PluginKind::Input, PluginKind::Output];
        let found: Vec<_> = kinds.iter().filter_map(|kind| registry.descriptor(*kind, name).ok()).collect();
        if found.is_empty() {
            unknown(name, registry);
            return USAGE;
        }
        plugins.extend(found);
    }
    print_output(&show_example(&plugins, all), 0)
}
