//! Checks of one input or output, and the summary before the pipeline is written.

use scanbridge_plugin_api::{Descriptor, PluginKind, Verdict};

use super::draft::{FILTER, Instance, KINDS, MIN_SEVERITY, Setting, Timing};
use super::draft_text::{Secrets, draft_text, secret_files};
use super::filter_question::condition_in_words;
use super::live_check::Finding;
use super::option_question::in_one_line;
use super::prompts::{Leave, Reply};
use super::steps::Step;
use super::wizard::{Next, Wizard};
use crate::columns::{cut, wrapped};
use crate::config::{self, Pipeline, Problems, check_unfinished};
use crate::telemetry::without_controls;

/// What the operator decides about an input or output that cannot be used as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remedy {
    Set,
    Other,
    Again,
    Keep,
    Leave,
}

impl Wizard<'_> {
    /// Checks one input or output with the answers so far, and offers to test its connection.
    pub(super) fn check(&mut self, kind: PluginKind, index: usize) -> Reply<Next> {
        let catalogue = self.catalogue;
        let instance = &self.draft.instances(kind)[index];
        let (id, plugin) = (instance.id.clone(), instance.descriptor(kind, catalogue));
        let mut pipeline = match self.checked(check_unfinished) {
            Ok(pipeline) => pipeline,
            Err(problems) => {
                let is_own = |of: &Option<String>| of.as_ref() == Some(&id);
                let own = Problems {
                    list: problems.list.into_iter().filter(|problem| is_own(&problem.instance)).collect(),
                    omitted: 0,
                };
                if own.errors() > 0 {
                    self.show_problems(&own);
                    let option = own.list.iter().find_map(|problem| named_option(plugin, &problem.message));
                    // The file would be invalid, so that it cannot stay.
                    let choice = self.remedy(option.as_deref(), &[Remedy::Other, Remedy::Leave])?;
                    return self.repair(choice, kind, index, option);
                }
                // Other errors are reported there, or in the summary.
                return Ok(Next::Forward);
            }
        };
        pipeline.inputs.retain(|input| input.instance.id == id);
        pipeline.outputs.retain(|output| output.instance.id == id);
        let mut probe = false;
        loop {
            if probe {
                self.prompts.show("\ntesting …\n");
            }
            let found = self.trial.open(&pipeline, probe);
            self.show_findings(&found, probe);
            let failed: Vec<&Finding> =
                found.iter().filter(|finding| finding.verdict == Verdict::Failed).collect();
            if failed.is_empty() {
                let rows = ["test the connection now", "continue without a test"].map(str::to_owned);
                if probe || self.prompts.choose(&format!("{id}:"), &rows, 0)? == 1 {
                    return Ok(Next::Forward);
                }
                probe = true;
                continue;
            }
            let named = |finding: &&Finding| {
                finding.option.clone().or_else(|| named_option(plugin, &finding.message))
            };
            let option = failed.iter().find_map(named);
            let choices = [Remedy::Other, Remedy::Again, Remedy::Keep, Remedy::Leave];
            match self.remedy(option.as_deref(), &choices)? {
                Remedy::Again => {}
                choice => return self.repair(choice, kind, index, option),
            }
        }
    }

    fn remedy(&mut self, option: Option<&str>, choices: &[Remedy]) -> Reply<Remedy> {
        let set = option.map(|_| Remedy::Set);
        let choices: Vec<Remedy> = set.into_iter().chain(choices.iter().copied()).collect();
        let row = |choice: &Remedy| match choice {
            Remedy::Set => format!("change `{}`", without_controls(option.unwrap_or_default())),
            Remedy::Other => "choose other options".to_owned(),
            Remedy::Again => "try again".to_owned(),
            Remedy::Keep => "keep it as it is and continue".to_owned(),
            Remedy::Leave => "leave, and keep the answers".to_owned(),
        };
        let rows: Vec<String> = choices.iter().map(row).collect();
        Ok(choices[self.prompts.choose("what now?", &rows, 0)?])
    }

    fn repair(
        &mut self,
        choice: Remedy,
        kind: PluginKind,
        index: usize,
        option: Option<String>,
    ) -> Reply<Next> {
        match (choice, option) {
            (Remedy::Set, Some(option)) => {
                let instance = &mut self.draft.instances_mut(kind)[index];
                if instance.setting(&option).is_none() {
                    instance.set(&option, Setting::Asked);
                }
                self.until = Some(Step::Check(kind, index));
                Ok(Next::To(Step::Option(kind, index, option)))
            }
            (Remedy::Set | Remedy::Other, _) => Ok(Next::To(Step::More(kind, index))),
            (Remedy::Again | Remedy::Keep, _) => Ok(Next::Forward),
            (Remedy::Leave, _) => Err(Leave::Interrupted),
        }
    }

    /// Shows what will be written, and does what the operator chooses.
    pub(super) fn summary(&mut self) -> Reply<Next> {
        let file = self.target.file(&self.name);
        let shown = self.draft.without_written_secrets(self.catalogue);
        let text = draft_text(&shown, Secrets::InFiles { pipeline: &self.name });
        self.prompts.show(&format!("\n{}:\n\n{text}", without_controls(&file.display().to_string())));
        for (secret, _) in secret_files(&self.draft, &self.name) {
            self.prompts.show(&format!("a secret gets the file {secret}, readable only by its owner\n"));
        }
        self.show_other_conditions();
        let pipeline = self.checked(config::check);
        let is_valid = pipeline.is_ok();
        match &pipeline {
            Ok(pipeline) if pipeline.warnings.is_empty() => {}
            Ok(Pipeline { warnings: list, .. }) => {
                self.show_problems(&Problems { list: list.clone(), omitted: 0 });
            }
            Err(problems) => self.show_problems(problems),
        }
        if file.exists() {
            self.prompts
                .show("The file exists; it will be kept as .old, without what is a comment in it here\n");
        }
        let mut rows = vec!["change an answer".to_owned(), "leave, and keep the answers".to_owned()];
        if is_valid {
            rows.insert(0, format!("write {}", without_controls(&file.display().to_string())));
            rows.insert(1, "show the first findings as the outputs would write them".to_owned());
        }
        let width = self.prompts.width().saturating_sub(4);
        let rows: Vec<String> = rows.iter().map(|row| cut(row, width)).collect();
        let chosen = self.prompts.choose("what now?", &rows, 0)?;
        match (pipeline, chosen) {
            (Ok(_), 0) => Ok(Next::Write),
            (Ok(pipeline), 1) => {
                let preview = self.trial.preview(&pipeline, 3);
                self.prompts.show(&format!("\n{preview}"));
                Ok(Next::To(Step::Summary))
            }
            (Ok(_), 2) | (Err(_), 0) => self.change(),
            _ => Err(Leave::Interrupted),
        }
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
            (Step::Outputs, _) => ("outputs".to_owned(), "add or remove".to_owned()),
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

    /// The pipeline with these answers, checked.
    fn checked(
        &self,
        check: fn(&config::Document, &dyn config::Catalogue) -> Result<Pipeline, Problems>,
    ) -> Result<Pipeline, Problems> {
        let text = draft_text(&self.draft, Secrets::Inline);
        let document = config::read_text_for(&self.target.file(&self.name), &text, self.catalogue)?;
        check(&document, self.catalogue)
    }

    /// Shows problems without the lines: they are not in a file yet.
    pub(super) fn show_problems(&mut self, problems: &Problems) {
        for problem in &problems.list {
            let hints = [problem.label.as_str(), problem.help.as_str()];
            let hints: Vec<&str> = hints.into_iter().filter(|hint| !hint.is_empty()).collect();
            self.show_message(problem.level.word(), &problem.message, &hints.join("; "));
        }
    }

    fn show_findings(&mut self, found: &[Finding], with_ok: bool) {
        for finding in found {
            let word = match finding.verdict {
                Verdict::Ok if !with_ok => continue,
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Failed => "error",
            };
            self.show_message(word, &finding.message, &finding.hint);
        }
    }

    fn show_message(&mut self, word: &str, message: &str, hint: &str) {
        let hint = if hint.is_empty() { String::new() } else { format!(" ({hint})") };
        let text = without_controls(&format!("{word}: {message}{hint}")).into_owned();
        let text = wrapped(&text, self.prompts.width());
        self.prompts.show(&format!("{text}\n"));
    }
}

/// The first option of the plugin that a message names in backticks.
fn named_option(plugin: Option<&Descriptor>, message: &str) -> Option<String> {
    let named = message.split('`').skip(1).step_by(2);
    let name = |word: &str| word.split([':', ' ']).next().unwrap_or_default().to_owned();
    named.map(name).find_map(|word| plugin?.option(&word).map(|option| option.name.clone()))
}
