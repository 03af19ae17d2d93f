//! Checks of one input or output, and how what was found is shown.

use scanbridge_plugin_api::{Descriptor, PluginKind, Verdict};

use super::draft::Setting;
use super::draft_text::{Secrets, draft_text};
use super::live_check::Finding;
use super::prompts::{Leave, Reply};
use super::steps::Step;
use super::wizard::{Next, Wizard};
use crate::columns::wrapped;
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

    /// The pipeline with these answers, checked.
    pub(super) fn checked(
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

    pub(super) fn show_message(&mut self, word: &str, message: &str, hint: &str) {
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
