//! Puts one question and stores its answer in the draft.

use std::path::Path;

use scanbridge_observe::{Cron, NAME_RULE, is_name};
use scanbridge_plugin_api::{OptionDescriptor, PluginKind};

use super::draft::{Draft, Instance, Schedule, Setting, Timing};
use super::prompts::{Prompts, Reply};
use super::screens::heading;
use super::steps::has_settings_file;
use crate::columns::cut;
use crate::config::{Catalogue, RESERVED, Scope, WrittenEntry, host_options};
use crate::telemetry::without_controls;

/// Puts questions about a draft.
pub(super) struct Questions<'a> {
    pub(super) catalogue: &'a dyn Catalogue,
    pub(super) prompts: &'a mut dyn Prompts,
    /// The pipeline file, at whose directory relative references begin.
    pub(super) file: &'a Path,
}

/// The rows of a list of instances before those that remove one.
const LIST_ROWS: usize = 2;

/// What the operator decides about the list of inputs or outputs.
pub(super) enum ListChange {
    Complete,
    Added,
    Removed,
}

impl Questions<'_> {
    /// Name of the pipeline and its file.
    pub(super) fn name(&mut self, default: &str) -> Reply<String> {
        let help = "Name of the pipeline: the name of its file, and of its directory for saved state.";
        self.show_heading("Pipeline", help);
        let check = |text: &str| match text {
            _ if !is_name(text) => Err(format!("must have {NAME_RULE}")),
            _ if RESERVED.contains(&text) => Err("is the name of a file of the service".to_owned()),
            _ => Ok(()),
        };
        self.prompts.enter("name:", "letters, digits, - _ .", Some(default), &check)
    }

    /// Plugin of an input or output.
    pub(super) fn plugin(&mut self, draft: &mut Draft, kind: PluginKind, index: usize) -> Reply<()> {
        let names = self.catalogue.names(kind);
        let help = match kind {
            PluginKind::Input => "Where findings are read from.",
            PluginKind::Output => "Where findings are written to.",
        };
        self.show_heading(&capitalized(kind.word()), help);
        let width = self.prompts.width();
        let row = |name: &String| {
            let summary = self.catalogue.find(kind, name).map(|plugin| plugin.summary.as_str());
            cut(
                &without_controls(&format!("{name}: {}", summary.unwrap_or_default())),
                width.saturating_sub(4),
            )
        };
        let rows: Vec<String> = names.iter().map(row).collect();
        if rows.is_empty() {
            return Err(super::prompts::Leave::Failed(format!("no {} plugin is installed", kind.word())));
        }
        let current = &draft.instances(kind)[index].plugin;
        let start = names.iter().position(|name| name.eq_ignore_ascii_case(current)).unwrap_or(0);
        let chosen = self.prompts.choose(&format!("{}:", kind.word()), &rows, start)?;
        let name = names[chosen].clone();
        let instance = &mut draft.instances_mut(kind)[index];
        if !instance.plugin.eq_ignore_ascii_case(&name) {
            if !instance.with.is_empty() {
                let old = without_controls(&instance.plugin).into_owned();
                self.prompts.show(&format!("the options of {old} were removed\n"));
            }
            let rest = instance.rest.drain(..).filter(|entry| entry.key != "config").collect();
            *instance = Instance { id: String::new(), plugin: name, with: Vec::new(), rest };
        }
        Ok(())
    }

    /// ID of an input or output.
    pub(super) fn id(&mut self, draft: &mut Draft, kind: PluginKind, index: usize) -> Reply<()> {
        let instance = &draft.instances(kind)[index];
        let default = match instance.id.as_str() {
            "" => draft.new_id(kind, index, &instance.plugin),
            id => id.to_owned(),
        };
        let help = "Its name in logs, summaries and saved state. Choose one that stays.";
        self.show_heading(
            &format!("{} {}", capitalized(kind.word()), without_controls(&instance.plugin)),
            help,
        );
        let check = |text: &str| match text {
            _ if !is_name(text) => Err(format!("must have {NAME_RULE}")),
            _ if draft.has_other(kind, index, text) => Err("is the id of another input or output".to_owned()),
            _ => Ok(()),
        };
        let id = self.prompts.enter("id:", "letters, digits, - _ .", Some(&default), &check)?;
        draft.instances_mut(kind)[index].id = id;
        Ok(())
    }

    /// Which of the options that were not asked for are to be set.
    pub(super) fn more(&mut self, draft: &mut Draft, kind: PluginKind, index: usize) -> Reply<()> {
        let instance = &mut draft.instances_mut(kind)[index];
        let Some(plugin) = instance.descriptor(kind, self.catalogue) else { return Ok(()) };
        let is_offered = |option: &&OptionDescriptor| {
            let is_set = instance.setting(&option.name).is_some();
            is_set && !instance.is_asked(plugin, option)
                || instance.accepts(plugin, option)
                    && (has_settings_file(instance) || !instance.is_asked(plugin, option))
        };
        let known: Vec<(&str, &str)> = plugin
            .options
            .iter()
            .filter(is_offered)
            .map(|option| (option.name.as_str(), option.help.as_str()))
            .collect();
        let unknown = instance.with.iter().filter(|(name, _)| plugin.option(name).is_none());
        let unknown: Vec<String> = unknown.map(|(name, _)| name.clone()).collect();
        let unknown = unknown.iter().map(|name| (name.as_str(), "The plugin has no such option."));
        let offered: Vec<(String, String)> =
            known.into_iter().chain(unknown).map(|(name, help)| (name.to_owned(), help.to_owned())).collect();
        if offered.is_empty() {
            return Ok(());
        }
        let place = format!("{} {} · other options", capitalized(kind.word()), instance.id);
        self.show_heading(&without_controls(&place), "Mark what to set. All others have their defaults.");
        let width = self.prompts.width().saturating_sub(6);
        let row = |(name, help): &(String, String)| cut(&without_controls(&format!("{name}: {help}")), width);
        let rows: Vec<String> = offered.iter().map(row).collect();
        let is_set = |number: &usize| instance.setting(&offered[*number].0).is_some();
        let marked: Vec<usize> = (0..offered.len()).filter(is_set).collect();
        let chosen = self.prompts.mark("options:", &rows, &marked)?;
        for (number, (name, _)) in offered.iter().enumerate() {
            match (chosen.contains(&number), instance.setting(name).is_some()) {
                (true, false) => instance.set(name, Setting::Asked),
                (false, true) => instance.unset(name),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether there are more inputs or outputs.
    pub(super) fn list(&mut self, draft: &mut Draft, kind: PluginKind) -> Reply<ListChange> {
        let word = kind.word();
        let shown = |one: &Instance| if one.id.is_empty() { "(new)".to_owned() } else { one.id.clone() };
        let ids: Vec<String> = draft.instances(kind).iter().map(shown).collect();
        let help = match kind {
            PluginKind::Input => format!("Findings are read from {}.", ids.join(", ")),
            PluginKind::Output => format!("Findings are written to {}.", ids.join(", ")),
        };
        self.show_heading(&format!("{}s", capitalized(word)), &without_controls(&help));
        let mut rows = vec![format!("no more {word}s"), format!("add another {word}")];
        if ids.len() > 1 {
            rows.extend(ids.iter().map(|id| without_controls(&format!("remove {id}")).into_owned()));
        }
        Ok(match self.prompts.choose(&format!("{word}s:"), &rows, 0)? {
            0 => ListChange::Complete,
            1 => {
                draft.instances_mut(kind).push(Instance::default());
                ListChange::Added
            }
            row => {
                draft.instances_mut(kind).remove(row - LIST_ROWS);
                ListChange::Removed
            }
        })
    }

    /// Kind of schedule.
    pub(super) fn schedule(&mut self, draft: &mut Draft) -> Reply<()> {
        self.show_heading("Schedule", "When the service runs the pipeline. `scanbridge run` ignores it.");
        let rows =
            ["only on request", "at an interval", "at fixed times (cron)", "always"].map(str::to_owned);
        let old = draft.schedule.take();
        let start = match old.as_ref().map(|old| &old.timing) {
            None | Some(Timing::Manual) => 0,
            Some(Timing::Every(_)) => 1,
            Some(Timing::Cron(_)) => 2,
            Some(Timing::Continuous) => 3,
        };
        let chosen = self.prompts.choose("schedule:", &rows, start);
        if matches!(chosen, Ok(chosen) if chosen != start) || old.is_none() {
            let timing = match chosen.as_ref().unwrap_or(&0) {
                0 => Timing::Manual,
                1 => Timing::Every(String::new()),
                2 => Timing::Cron(String::new()),
                _ => Timing::Continuous,
            };
            // Keys such as `timezone` belong to one kind only.
            draft.schedule = chosen.is_ok().then_some(Schedule { timing, rest: Vec::new() });
        } else {
            draft.schedule = old;
        }
        chosen.map(|_| ())
    }

    /// Interval or times of the schedule.
    pub(super) fn times(&mut self, draft: &mut Draft) -> Reply<()> {
        let Some(schedule) = &mut draft.schedule else { return Ok(()) };
        let key = |name: &str| host_options(Scope::Run).find(|option| option.name == name);
        match &mut schedule.timing {
            Timing::Every(minutes) => {
                let option = key("schedule.every_minutes");
                self.show_heading("Schedule · every_minutes", option.map_or("", |option| &option.help));
                let check = |text: &str| option.map_or(Ok(()), |option| option.kind.parse(text).map(|_| ()));
                let default = if minutes.is_empty() { "60".to_owned() } else { minutes.clone() };
                *minutes =
                    self.prompts.enter("every_minutes:", "number of minutes", Some(&default), &check)?;
            }
            Timing::Cron(pattern) => {
                let help = key("schedule.cron").map_or("", |option| &option.help);
                self.show_heading("Schedule · cron", help);
                let zone = |entry: &WrittenEntry| {
                    (entry.key == "timezone").then(|| entry.value.text().map(str::to_owned))
                };
                let zone = schedule.rest.iter().find_map(zone).flatten();
                let check = |text: &str| match Cron::parse(text, zone.as_deref()) {
                    Ok(_) => Ok(()),
                    Err(error) => Err(format!("is invalid: {} ({})", error.message, error.help)),
                };
                let default = if pattern.is_empty() { "0 5 * * *".to_owned() } else { pattern.clone() };
                *pattern =
                    self.prompts.enter("cron:", "minute hour day month weekday", Some(&default), &check)?;
            }
            Timing::Manual | Timing::Continuous => {}
        }
        Ok(())
    }

    pub(super) fn show_heading(&mut self, name: &str, help: &str) {
        let text = heading(name, help, self.prompts.width());
        self.prompts.show(&text);
    }
}

pub(super) fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}
