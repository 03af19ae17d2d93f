//! Sets options of a draft to values of old settings, and reports it.

use std::path::Path;

use scanbridge_plugin_api::{Descriptor, PluginKind, Secret};

use super::conversion::{Conversion, Treatment};
use super::draft::Setting;
use super::draft_reader::fits_into_a_file;
use super::option_question::in_one_line;
use crate::config::{Catalogue, Written, WrittenEntry, escaped, typed_option};

/// One input or output of a conversion.
pub(super) struct OldInstance<'a> {
    pub(super) conversion: &'a mut Conversion,
    pub(super) catalogue: &'a dyn Catalogue,
    pub(super) kind: PluginKind,
    /// Its plugin.
    pub(super) plugin: &'a Descriptor,
}

impl OldInstance<'_> {
    /// Where an option is in the new file.
    pub(super) fn place(&mut self, option: &str) -> String {
        let id = &self.conversion.draft.instances(self.kind)[0].id;
        format!("{}s.{id}.{option}", self.kind.word())
    }

    /// Sets an option without a line in the report.
    pub(super) fn set(&mut self, option: &str, setting: Setting) {
        self.conversion.draft.instances_mut(self.kind)[0].set(option, setting);
    }

    /// Sets an option to the value of an old setting, if it is valid. `change` is how the value was changed; empty if it
    /// was not.
    pub(super) fn take(&mut self, old: &str, name: &str, value: &Written, change: &str) {
        let place = self.place(name);
        let Some(option) = self.plugin.option(name) else {
            let note = format!("{} has no such option", self.plugin.name);
            self.conversion.add(Treatment::LeftOut, old, "", &note);
            return;
        };
        let name = option.name.clone();
        let value = literal_value(value);
        if option.secret {
            let secret = match &value {
                Written::Text(text) => Some(text.replace("$${", "${")),
                _ => None,
            };
            match secret.filter(|secret| fits_into_a_file(secret)) {
                Some(secret) => {
                    self.set(&name, Setting::Secret(Secret::new(secret)));
                    let note = "in a file of its own, readable only by its owner";
                    self.conversion.add(Treatment::Changed, old, &place, note);
                }
                None => self.ask(old, &name, "the old value cannot be used"),
            }
            return;
        }
        let text = in_one_line(&value);
        let problem = match &text {
            Some(text) => typed_option(Path::new(""), self.plugin, &name, text, self.catalogue)
                .map(|problem| problem.message),
            None => Some("has another form than this option".to_owned()),
        };
        match problem {
            Some(problem) => self.ask(old, &name, &problem),
            None => {
                self.set(&name, Setting::Written(value));
                let treatment = if change.is_empty() { Treatment::TakenOver } else { Treatment::Changed };
                self.conversion.add(treatment, old, &place, change);
            }
        }
    }

    /// Leaves a placeholder for an option.
    pub(super) fn ask(&mut self, old: &str, option: &str, why: &str) {
        let place = self.place(option);
        self.set(option, Setting::Asked);
        self.conversion.add(Treatment::Asked, old, &place, why);
    }
}

/// The value in a pipeline file, where `${` begins a reference.
fn literal_value(value: &Written) -> Written {
    match value {
        Written::Nothing => Written::Nothing,
        Written::Text(text) => Written::Text(escaped(text)),
        Written::List(items) => Written::List(items.iter().map(literal_value).collect()),
        Written::Mapping(entries) => {
            let entry = |entry: &WrittenEntry| WrittenEntry {
                key: entry.key.clone(),
                line: entry.line,
                value: literal_value(&entry.value),
            };
            Written::Mapping(entries.iter().map(entry).collect())
        }
    }
}
