//! Puts the question about one option.

use std::path::Path;

use scanbridge_plugin_api::{Descriptor, OptionDescriptor, OptionKind, PluginKind, Secret};

use super::draft::{Draft, Instance, Setting};
use super::draft_reader::fits_into_a_file;
use super::prompts::Reply;
use super::questions::{Questions, capitalized};
use super::steps::has_settings_file;
use crate::cli::value_in_words;
use crate::config::{Catalogue, Written, WrittenEntry, escaped, is_bare_reference, typed_option};
use crate::telemetry::without_controls;

impl Questions<'_> {
    /// Value of an option.
    pub(super) fn option(
        &mut self,
        draft: &mut Draft,
        kind: PluginKind,
        index: usize,
        name: &str,
    ) -> Reply<()> {
        let catalogue = self.catalogue;
        let instance = &mut draft.instances_mut(kind)[index];
        let Some(plugin) = instance.descriptor(kind, catalogue) else { return Ok(()) };
        let Some(option) = plugin.option(name) else { return Ok(()) };
        let place = format!("{} {} · {name}", capitalized(kind.word()), instance.id);
        self.show_heading(&without_controls(&place), &without_controls(&option.help));
        let is_required = instance.requires(plugin, option) && !has_settings_file(instance);
        let question = format!("{}:", without_controls(name));
        let answer = match &option.kind {
            _ if option.secret => {
                self.secret(plugin, option, instance.setting(name), &question, is_required)?
            }
            OptionKind::Flag => self.word(option, &["yes", "no"].map(str::to_owned), instance, &question)?,
            OptionKind::Choice { words } if !words.is_empty() => {
                self.word(option, words, instance, &question)?
            }
            _ => self.text(plugin, option, instance, &question, is_required)?,
        };
        match answer {
            Some(setting) => instance.set(name, setting),
            None => instance.unset(name),
        }
        self.drop_useless(plugin, instance);
        Ok(())
    }

    /// Removes options that have no effect after another answer, and says so.
    fn drop_useless(&mut self, plugin: &Descriptor, instance: &mut Instance) {
        let is_useless = |option: &&OptionDescriptor| {
            instance.setting(&option.name).is_some() && !instance.accepts(plugin, option)
        };
        let useless: Vec<String> =
            plugin.options.iter().filter(is_useless).map(|option| option.name.clone()).collect();
        for name in useless {
            instance.unset(&name);
            let name = without_controls(&name);
            self.prompts.show(&format!("`{name}` has no effect with this answer and was removed\n"));
        }
    }

    /// One of a few words.
    fn word(
        &mut self,
        option: &OptionDescriptor,
        words: &[String],
        instance: &Instance,
        question: &str,
    ) -> Reply<Option<Setting>> {
        let written = match instance.setting(&option.name) {
            Some(Setting::Written(Written::Text(text))) => Some(text.clone()),
            _ => None,
        };
        let default = option.default.as_ref().map(|value| value_in_words(&option.kind, value));
        let is_same = |text: &String, word: &String| match option.kind.parse(text) {
            Ok(value) => value_in_words(&option.kind, &value).eq_ignore_ascii_case(word),
            Err(_) => false,
        };
        let of = |text: &Option<String>| {
            let text = text.as_ref()?;
            words.iter().position(|word| is_same(text, word))
        };
        let mut rows: Vec<String> = words.iter().map(|word| without_controls(word).into_owned()).collect();
        // A reference is one of the rows, so that it can stay.
        let reference = written.clone().filter(|text| text.contains("${"));
        rows.extend(reference.iter().map(|text| without_controls(text).into_owned()));
        let start = match &reference {
            Some(_) => rows.len() - 1,
            None => of(&written).or_else(|| of(&default)).unwrap_or(0),
        };
        let chosen = self.prompts.choose(question, &rows, start)?;
        let text = words.get(chosen).cloned().or(reference).unwrap_or_default();
        Ok(Some(Setting::Written(Written::Text(text))))
    }

    /// A text of any kind; lists and mappings in one line.
    fn text(
        &mut self,
        plugin: &Descriptor,
        option: &OptionDescriptor,
        instance: &Instance,
        question: &str,
        is_required: bool,
    ) -> Reply<Option<Setting>> {
        let set = match instance.setting(&option.name) {
            Some(Setting::Written(value)) => Some((value.clone(), in_one_line(value))),
            _ => None,
        };
        let default = option.default.as_ref().map(|value| value_in_words(&option.kind, value));
        let shown = set.as_ref().and_then(|(_, line)| line.clone()).or(default);
        // What cannot be shown or typed in one line cannot be kept by Enter.
        let shown = shown.filter(|text| !text.is_empty() && is_shown_as_it_is(text));
        let check = |text: &str| {
            if text.is_empty() {
                let is_kept = set.is_some() && shown.is_none();
                return if is_required && !is_kept { Err("must not be empty".to_owned()) } else { Ok(()) };
            }
            self_check(self.file, plugin, option, text, self.catalogue)
        };
        let hint = describe(&option.kind);
        let typed = self.prompts.enter(question, &hint, shown.as_deref(), &check)?;
        Ok(match set {
            // A value that cannot be shown stays.
            Some((value, _)) if shown.is_none() && typed.is_empty() => Some(Setting::Written(value)),
            // The form that it has in the file, for example a list.
            Some((value, Some(line))) if line == typed => Some(Setting::Written(value)),
            _ if typed.is_empty() => None,
            None if shown.as_ref() == Some(&typed) => None,
            _ => Some(Setting::Written(Written::Text(typed))),
        })
    }

    /// A secret, which is not shown. A reference to where it is kept is not secret.
    fn secret(
        &mut self,
        plugin: &Descriptor,
        option: &OptionDescriptor,
        set: Option<&Setting>,
        question: &str,
        is_required: bool,
    ) -> Reply<Option<Setting>> {
        let kept = match set {
            Some(Setting::Asked) | None => None,
            Some(setting) => Some(setting.clone()),
        };
        let check = |text: &str| match text {
            "" if is_required && kept.is_none() => Err("must not be empty".to_owned()),
            "" => Ok(()),
            _ if is_bare_reference(text) => self_check(self.file, plugin, option, text, self.catalogue),
            _ if !fits_into_a_file(text) => {
                Err("must have at most 64 KiB and end in no line break".to_owned())
            }
            _ => self_check(self.file, plugin, option, &escaped(text), self.catalogue),
        };
        let hint =
            if kept.is_some() { "not shown; Enter keeps the old one" } else { "not shown, without quotes" };
        let typed = self.prompts.enter_secret(question, hint, &check)?;
        Ok(match typed.as_str() {
            "" => kept,
            reference if is_bare_reference(reference) => Some(Setting::Written(Written::Text(typed))),
            _ => Some(Setting::Secret(Secret::new(typed))),
        })
    }
}

/// The rest of a sentence about a value that the pipeline file must not have.
fn self_check(
    file: &Path,
    plugin: &Descriptor,
    option: &OptionDescriptor,
    text: &str,
    catalogue: &dyn Catalogue,
) -> Result<(), String> {
    if !option.secret && !is_shown_as_it_is(text) {
        return Err("must not contain control characters or invisible characters".to_owned());
    }
    let Some(problem) = typed_option(file, plugin, &option.name, text, catalogue) else { return Ok(()) };
    let begin = format!("option `{}` ", option.name);
    let message = problem.message.strip_prefix(&begin).unwrap_or(&problem.message);
    let hints = [problem.label.as_str(), problem.help.as_str()];
    let hints: String =
        hints.iter().filter(|hint| !hint.is_empty()).map(|hint| format!("; {hint}")).collect();
    Err(without_controls(&format!("{message}{hints}")).into_owned())
}

/// A value in one line, as it can be typed; `None` if it cannot.
pub(super) fn in_one_line(value: &Written) -> Option<String> {
    match value {
        Written::Nothing => Some(String::new()),
        Written::Text(text) => Some(text.clone()),
        Written::List(items) => {
            let item = |item: &Written| item.text().filter(|text| is_item(text)).map(str::to_owned);
            Some(items.iter().map(item).collect::<Option<Vec<_>>>()?.join(", "))
        }
        Written::Mapping(entries) => {
            let pair = |entry: &WrittenEntry| {
                let value = entry.value.text().filter(|text| is_item(text))?;
                let key = Some(&entry.key).filter(|key| is_item(key) && !key.contains('='))?;
                Some(format!("{key}={value}"))
            };
            Some(entries.iter().map(pair).collect::<Option<Vec<_>>>()?.join(", "))
        }
    }
}

/// Whether an item of a list can be one of several in one line.
fn is_item(text: &str) -> bool {
    !text.is_empty() && !text.contains(',') && text.trim() == text
}

/// Whether a terminal shows the text unchanged.
fn is_shown_as_it_is(text: &str) -> bool {
    without_controls(text) == text
}

/// What can be typed.
fn describe(kind: &OptionKind) -> String {
    match kind {
        OptionKind::Path => "path; a relative one begins where a run is started".to_owned(),
        OptionKind::List { of } => format!("{}; several with commas", of.describe()),
        kind => kind.describe(),
    }
}
