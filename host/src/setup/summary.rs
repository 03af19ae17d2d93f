//! The summary before anything is written, from which each answer can be changed.

use std::path::Path;

use super::draft::{FILTER, Instance, KINDS, MIN_SEVERITY, Setting, Timing};
use super::draft_text::{Secrets, draft_text, secret_files};
use super::filter_question::condition_in_words;
use super::option_question::in_one_line;
use super::prompts::{Leave, Reply};
use super::service_set_up::ServiceSetUp;
use super::steps::Step;
use super::wizard::{Next, Wizard};
use super::write::with_comments;
use crate::columns::{cut, wrapped};
use crate::config::{self, Commented, Pipeline, Problems};
use crate::telemetry::without_controls;

impl Wizard<'_> {
    /// Shows what will be written, and does what the operator chooses.
    pub(super) fn summary(&mut self) -> Reply<Next> {
        let file = self.target.file(&self.name);
        let shown = self.draft.without_written_secrets(self.catalogue);
        let text = draft_text(&shown, Secrets::InFiles { pipeline: &self.name });
        self.prompts.show(&format!("\n{}:\n\n{text}", shown_path(&file)));
        for (secret, _) in secret_files(&self.draft, &self.name) {
            self.prompts.show(&format!("a secret gets the file {secret}, readable only by its owner\n"));
        }
        self.show_other_conditions();
        if file.exists() {
            self.show_kept(&file, &with_comments(&file, text));
        }
        let is_complete = self.show_service(&file);
        let pipeline = self.checked(config::check);
        let is_valid = pipeline.is_ok() && is_complete;
        match &pipeline {
            Ok(pipeline) if pipeline.warnings.is_empty() => {}
            Ok(Pipeline { warnings: list, .. }) => {
                self.show_problems(&Problems { list: list.clone(), omitted: 0 });
            }
            Err(problems) => self.show_problems(problems),
        }
        let mut rows = vec!["change an answer".to_owned(), "leave, and keep the answers".to_owned()];
        if is_valid {
            rows.insert(0, format!("write {}", shown_path(&file)));
            rows.insert(1, "show the first findings as the outputs would write them".to_owned());
        }
        let width = self.prompts.width().saturating_sub(4);
        let rows: Vec<String> = rows.iter().map(|row| cut(row, width)).collect();
        let chosen = self.prompts.choose("what now?", &rows, 0)?;
        match (pipeline.ok().filter(|_| is_valid), chosen) {
            (Some(_), 0) => Ok(Next::Write),
            (Some(pipeline), 1) => {
                let preview = self.trial.preview(&pipeline, 3);
                self.prompts.show(&format!("\n{preview}"));
                Ok(Next::To(Step::Summary))
            }
            (Some(_), 2) | (None, 0) => self.change(),
            _ => Err(Leave::Interrupted),
        }
    }

    /// Shows the service file and the command. False if the service file that exists cannot be changed.
    fn show_service(&mut self, pipeline: &Path) -> bool {
        let Some(plan) = &self.draft.service else { return true };
        let service = match ServiceSetUp::of(pipeline, plan) {
            Ok(service) => service,
            Err(problem) => {
                self.show_no_service(&problem);
                return false;
            }
        };
        let text = &service.content.text;
        self.prompts.show(&format!("\n{}:\n\n{}", shown_path(&service.file), printable(text)));
        if service.file.exists() && !service.is_written() {
            self.show_kept(&service.file, &service.content);
        }
        let command = without_controls(&service.command).into_owned();
        self.prompts.show(&format!("\nThe command that installs the service, for root:\n  {command}\n"));
        true
    }

    /// Says what becomes of a file that exists, and of its comments.
    fn show_kept(&mut self, file: &Path, new: &Commented) {
        let comments = match (new.kept, new.lost) {
            (0, 0) => String::new(),
            (kept, lost) => format!("; comments kept: {kept}, lost with their keys: {lost}"),
        };
        let path = shown_path(file);
        let text = format!("{path} exists; its old content is kept as {path}.old{comments}");
        let text = wrapped(&text, self.prompts.width());
        self.prompts.show(&format!("{text}\n"));
    }

    /// Says which conditions of filters are kept although they are not asked for.
    fn show_other_conditions(&mut self) {
        let keys = self.draft.filter.iter().map(|entry| entry.key.as_str());
        let others: Vec<&str> = keys.filter(|key| ![MIN_SEVERITY, KINDS].contains(key)).collect();
        let mut lines = Vec::new();
        if !others.is_empty() {
            lines.push(format!("the filter keeps its other conditions: {}", others.join(", ")));
        }
        let has_own = |output: &&Instance| output.rest.iter().any(|entry| entry.key == FILTER);
        for output in self.draft.outputs.iter().filter(has_own) {
            lines.push(format!("output {} keeps the further conditions of its own filter", output.id));
        }
        for line in lines {
            let line = wrapped(&without_controls(&line), self.prompts.width());
            self.prompts.show(&format!("{line}\n"));
        }
    }

    /// Lets the operator choose the answer to change.
    fn change(&mut self) -> Reply<Next> {
        let is_answer = |step: &Step| !matches!(step, Step::Ready | Step::Check(..) | Step::Summary);
        let steps: Vec<Step> = self.steps().into_iter().filter(is_answer).collect();
        let width = self.prompts.width().saturating_sub(4);
        let rows: Vec<String> = steps.iter().map(|step| cut(&self.row(step), width)).collect();
        match self.prompts.choose("change:", &rows, 0) {
            Ok(chosen) => {
                self.until = Some(Step::Summary);
                Ok(Next::To(steps[chosen].clone()))
            }
            Err(Leave::Back) => Ok(Next::To(Step::Summary)),
            Err(leave) => Err(leave),
        }
    }

    /// A question with its answer.
    fn row(&self, step: &Step) -> String {
        let instance = step.instance().map(|(kind, index)| (kind, &self.draft.instances(kind)[index]));
        if let Some(value) = self.draft.service_in_words(step) {
            return without_controls(&format!("{}: {value}", step.word().replace('.', " · "))).into_owned();
        }
        let (name, value) = match (step, instance) {
            (Step::Plugin(kind, _), Some((_, instance))) => (kind.word().to_owned(), instance.plugin.clone()),
            (Step::Id(..), Some((kind, instance))) => (format!("{} id", kind.word()), instance.id.clone()),
            (Step::Option(_, _, option), Some((kind, instance))) => {
                let is_secret = instance
                    .descriptor(kind, self.catalogue)
                    .and_then(|plugin| plugin.option(option))
                    .is_some_and(|option| option.secret);
                let value = match instance.setting(option) {
                    Some(Setting::Secret(_)) => "set".to_owned(),
                    Some(Setting::Written(_)) if is_secret => "set".to_owned(),
                    Some(Setting::Written(value)) => in_one_line(value).unwrap_or_else(|| "…".to_owned()),
                    Some(Setting::Asked) | None => "not set".to_owned(),
                };
                (format!("{} · {option}", instance.id), value)
            }
            (Step::More(..), Some((_, instance))) => {
                (format!("{} · other options", instance.id), "…".to_owned())
            }
            (Step::Name, _) => ("name".to_owned(), self.name.clone()),
            (Step::List(kind), _) => (format!("{}s", kind.word()), "add or remove".to_owned()),
            (Step::Severity | Step::Kinds, _) => {
                let key = if *step == Step::Severity { MIN_SEVERITY } else { KINDS };
                (step.word().replace('.', " · "), condition_in_words(self.draft.condition(key)))
            }
            _ => {
                let value = match self.draft.schedule.as_ref().map(|schedule| &schedule.timing) {
                    None | Some(Timing::Manual) => "only on request".to_owned(),
                    Some(Timing::Continuous) => "always".to_owned(),
                    Some(Timing::Every(minutes)) => format!("every {minutes} minutes"),
                    Some(Timing::Cron(pattern)) => pattern.clone(),
                };
                (step.word().replace('.', " · "), value)
            }
        };
        without_controls(&format!("{name}: {value}")).into_owned()
    }
}

fn shown_path(path: &Path) -> String {
    without_controls(&path.display().to_string()).into_owned()
}

/// A text of several lines for the terminal.
fn printable(text: &str) -> String {
    text.lines().map(|line| without_controls(line).into_owned() + "\n").collect()
}
