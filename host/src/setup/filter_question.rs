//! Questions about the filter of the whole pipeline. Choices and help come from the table of the host's keys.

use scanbridge_plugin_api::{OptionDescriptor, OptionKind};

use super::draft::{Draft, KINDS, MIN_SEVERITY};
use super::option_question::in_one_line;
use super::prompts::Reply;
use super::questions::Questions;
use crate::columns::cut;
use crate::config::{Scope, Written, host_options};
use crate::telemetry::without_controls;

/// A condition that is not set.
const EVERYTHING: &str = "everything";

impl Questions<'_> {
    /// Lowest severity that is delivered.
    pub(super) fn severity(&mut self, draft: &mut Draft) -> Reply<()> {
        let Some(option) = of_the_table(MIN_SEVERITY) else { return Ok(()) };
        let OptionKind::Integer { min, max } = option.kind else { return Ok(()) };
        self.show_heading(&format!("Filter · {MIN_SEVERITY}"), &option.help);
        // The lowest number lets everything pass.
        let numbers: Vec<String> = (min + 1..=max).map(|number| number.to_string()).collect();
        let set = draft.condition(MIN_SEVERITY);
        let of_the_numbers = numbers.iter().position(|number| set.and_then(Written::text) == Some(number));
        let mut rows = vec![EVERYTHING.to_owned()];
        rows.extend(numbers.iter().map(|number| format!("severity {number} and higher")));
        let start = match (set, of_the_numbers) {
            (None, _) => 0,
            (Some(_), Some(index)) => 1 + index,
            // Another value, for example a reference, is one of the rows, so that it can stay.
            (Some(_), None) => {
                rows.push(self.shown(&condition_in_words(set)));
                rows.len() - 1
            }
        };
        let chosen = self.prompts.choose(&format!("{MIN_SEVERITY}:"), &rows, start)?;
        if chosen != start {
            let number = chosen.checked_sub(1).and_then(|index| numbers.get(index));
            draft.set_condition(MIN_SEVERITY, number.cloned().map(Written::Text));
        }
        Ok(())
    }

    /// Kinds of findings that are delivered.
    pub(super) fn kinds(&mut self, draft: &mut Draft) -> Reply<()> {
        let Some(option) = of_the_table(KINDS) else { return Ok(()) };
        let OptionKind::List { of } = &option.kind else { return Ok(()) };
        let OptionKind::Choice { words } = &**of else { return Ok(()) };
        self.show_heading(
            &format!("Filter · {KINDS}"),
            &format!("{} Without a mark: everything.", option.help),
        );
        let set = draft.condition(KINDS).map(items).unwrap_or_default();
        let is_set = |word: &String| set.iter().any(|item| item.eq_ignore_ascii_case(word));
        // Other items, for example references, are rows of their own, so that they can stay.
        let is_known = |item: &&String| words.iter().any(|word| word.eq_ignore_ascii_case(item));
        let others = set.iter().filter(|item| !is_known(item));
        let all: Vec<&String> = words.iter().chain(others).collect();
        let rows: Vec<String> = all.iter().map(|word| self.shown(word)).collect();
        let marked: Vec<usize> = (0..all.len()).filter(|row| is_set(all[*row])).collect();
        let chosen = self.prompts.mark(&format!("{KINDS}:"), &rows, &marked)?;
        if chosen != marked {
            let list = chosen.iter().map(|row| Written::Text(all[*row].clone())).collect();
            draft.set_condition(KINDS, (!chosen.is_empty()).then_some(Written::List(list)));
        }
        Ok(())
    }

    fn shown(&self, text: &str) -> String {
        cut(&without_controls(text), self.prompts.width().saturating_sub(6))
    }
}

/// The value of a condition as a row shows it.
pub(super) fn condition_in_words(set: Option<&Written>) -> String {
    set.map_or_else(|| EVERYTHING.to_owned(), |value| in_one_line(value).unwrap_or_else(|| "…".to_owned()))
}

fn of_the_table(name: &str) -> Option<&'static OptionDescriptor> {
    host_options(Scope::Filter).find(|option| option.name == name)
}

/// The items of a list, which can be a text with commas. A reference may have commas of its own.
fn items(value: &Written) -> Vec<String> {
    match value {
        Written::Text(text) if text.contains("${") => vec![text.clone()],
        Written::Text(text) => {
            let items = text.split(',').map(str::trim);
            items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
        }
        Written::List(list) => list.iter().flat_map(items).collect(),
        Written::Nothing | Written::Mapping(_) => Vec::new(),
    }
}
