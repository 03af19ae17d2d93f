//! Questions in the terminal.

use inquire::error::InquireError;
use inquire::list_option::ListOption;
use inquire::validator::Validation;
use inquire::{MultiSelect, Password, PasswordDisplayMode, Select, Text};

use super::prompts::{Check, Leave, Prompts, Reply};
use crate::columns::cut;
use crate::commands::terminal::{error_style, print_text};

/// Questions on standard error, with answers from the terminal.
#[derive(Debug, Default)]
pub(crate) struct TerminalPrompts;

/// Rows of a list that are visible at the same time.
const PAGE: usize = 12;
/// What each question accepts.
const KEYS: &str = "Esc back, Ctrl-C leave";

impl TerminalPrompts {
    fn hint(&self, hint: &str) -> String {
        let hint = if hint.is_empty() { KEYS.to_owned() } else { format!("{KEYS}; {hint}") };
        cut(&hint, self.width().saturating_sub(3))
    }
}

impl Prompts for TerminalPrompts {
    fn width(&self) -> usize {
        error_style().width
    }

    fn show(&mut self, text: &str) {
        print_text(text);
    }

    fn choose(&mut self, question: &str, rows: &[String], start: usize) -> Reply<usize> {
        let hint = self.hint("↑ ↓, Enter; type to search");
        // The answer is shown in one line.
        let columns = self.width().saturating_sub(question.chars().count() + 4);
        let shown = |chosen: ListOption<&String>| cut(chosen.value, columns);
        let prompt = Select::new(question, rows.to_vec()).with_page_size(PAGE).with_help_message(&hint);
        let prompt = prompt.with_formatter(&shown);
        let chosen = prompt.with_starting_cursor(start).raw_prompt_skippable();
        answer(chosen).map(|chosen| chosen.index)
    }

    fn mark(&mut self, question: &str, rows: &[String], marked: &[usize]) -> Reply<Vec<usize>> {
        let hint = self.hint("space mark, type to search, Enter");
        let prompt = MultiSelect::new(question, rows.to_vec()).with_page_size(PAGE).with_default(marked);
        let prompt =
            prompt.with_help_message(&hint).with_formatter(&|chosen| format!("{} marked", chosen.len()));
        let chosen = answer(prompt.raw_prompt_skippable())?;
        let mut chosen: Vec<usize> = chosen.into_iter().map(|chosen| chosen.index).collect();
        chosen.sort_unstable();
        Ok(chosen)
    }

    fn enter(
        &mut self,
        question: &str,
        hint: &str,
        default: Option<&str>,
        check: Check<'_>,
    ) -> Reply<String> {
        let hint = self.hint(hint);
        let judge = |text: &str| Ok(judgement(check(text)));
        let mut prompt = Text::new(question).with_help_message(&hint).with_validator(judge);
        match default.map(|default| (default, check(default))) {
            Some((default, Ok(()))) => prompt = prompt.with_default(default),
            // A default that is not accepted any more can be corrected.
            Some((default, Err(_))) => prompt = prompt.with_initial_value(default),
            None => {}
        }
        answer(prompt.prompt_skippable())
    }

    fn enter_secret(&mut self, question: &str, hint: &str, check: Check<'_>) -> Reply<String> {
        let hint = self.hint(hint);
        loop {
            let prompt = Password::new(question).with_display_mode(PasswordDisplayMode::Hidden);
            let prompt = prompt.without_confirmation().with_help_message(&hint);
            let typed = answer(prompt.prompt_skippable())?;
            match check(&typed) {
                Ok(()) => return Ok(typed),
                // Nothing of the secret is part of it.
                Err(problem) => self.show(&format!("# {problem}\n")),
            }
        }
    }
}

fn judgement(result: Result<(), String>) -> Validation {
    match result {
        Ok(()) => Validation::Valid,
        Err(problem) => Validation::Invalid(problem.into()),
    }
}

fn answer<T>(result: Result<Option<T>, InquireError>) -> Reply<T> {
    match result {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(Leave::Back),
        Err(InquireError::OperationInterrupted) => Err(Leave::Interrupted),
        Err(error) => Err(Leave::Failed(format!("the question cannot be shown: {error}"))),
    }
}
