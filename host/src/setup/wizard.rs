//! Goes through the questions: forward, back, and to those that are still to be answered.

use super::draft::Draft;
use super::draft_reader::read_draft;
use super::live_check::Trial;
use super::prompts::{Leave, Prompts, Reply};
use super::questions::{ListChange, Questions};
use super::saved_answers::{Saved, SavedAnswers};
use super::screens::{WHAT_TO_HAVE_READY, heading, screen};
use super::steps::{Step, first_missing, steps};
use super::write::Target;
use crate::config::{self, Catalogue};

/// With what the questions begin.
pub(crate) enum Start {
    /// Nothing is answered.
    New,
    /// The answers of an interrupted set-up.
    Saved(Saved),
    /// A pipeline that exists: its values are the defaults.
    Existing(Draft),
}

/// The questions with their context.
pub(crate) struct Wizard<'a> {
    pub(super) catalogue: &'a dyn Catalogue,
    pub(super) trial: &'a dyn Trial,
    pub(super) prompts: &'a mut dyn Prompts,
    pub(super) target: &'a Target,
    pub(super) draft: Draft,
    /// Name of the pipeline; empty until it is answered.
    pub(super) name: String,
    saved: &'a SavedAnswers,
    /// The question to which a changed answer returns.
    pub(super) until: Option<Step>,
    /// Whether an input or output was added from the summary, so that the end of their list leads back there.
    is_adding: bool,
}

/// Where to go after an answer.
pub(super) enum Next {
    Forward,
    To(Step),
    /// The pipeline is to be written.
    Write,
}

impl<'a> Wizard<'a> {
    /// Questions about a pipeline for this target.
    pub(crate) fn new(
        catalogue: &'a dyn Catalogue,
        trial: &'a dyn Trial,
        prompts: &'a mut dyn Prompts,
        target: &'a Target,
        saved: &'a SavedAnswers,
    ) -> Self {
        let name = target.name().unwrap_or_default();
        let draft = Draft::new();
        Self { catalogue, trial, prompts, target, draft, name, saved, until: None, is_adding: false }
    }

    /// Asks until the pipeline is to be written. Returns it with its name. After each answer all of them are saved, but no
    /// secret.
    ///
    /// # Errors
    /// When the operator leaves, or the terminal or the file with the answers cannot be used.
    pub(crate) fn run(mut self, start: Start) -> Reply<(Draft, String)> {
        let mut at = self.begin(start);
        loop {
            // What is still to be answered is asked for before the end.
            if at == Step::Summary {
                at = self.resume_at(at);
            }
            let saved = Saved { draft: self.draft.clone(), name: self.name.clone(), at: at.word() };
            self.saved.store(&saved, self.catalogue).map_err(|error| Leave::Failed(error.to_string()))?;
            let asked = self.steps();
            match self.ask(&at) {
                Ok(Next::Forward) => at = self.after(&at, &asked),
                Ok(Next::To(step)) => at = step,
                Ok(Next::Write) => return Ok((self.draft, self.name)),
                Err(Leave::Back) => match self.before(&at) {
                    Some(step) => at = step,
                    None => return Err(Leave::Interrupted),
                },
                Err(leave) => return Err(leave),
            }
        }
    }

    /// The first question.
    fn begin(&mut self, start: Start) -> Step {
        match start {
            Start::New => Step::Ready,
            Start::Existing(draft) => {
                self.draft = draft;
                self.resume_at(Step::Summary)
            }
            Start::Saved(saved) => {
                self.draft = saved.draft;
                if self.target.name().is_none() {
                    self.name = saved.name;
                }
                let at = self.steps().into_iter().find(|step| step.word() == saved.at);
                match at {
                    Some(Step::Ready | Step::Name) | None => Step::Ready,
                    Some(step) => self.resume_at(step),
                }
            }
        }
    }

    /// This question, or before it those without which the pipeline cannot be written.
    pub(super) fn resume_at(&mut self, step: Step) -> Step {
        let steps = self.steps();
        // An output that was removed has no questions any more.
        let is_there = steps.contains(&step);
        let step = if is_there { step } else { Step::Summary };
        let end = steps.iter().position(|known| *known == step).unwrap_or(steps.len());
        match first_missing(&steps[..end], &self.draft, self.catalogue) {
            Some(missing) => {
                self.until = Some(step);
                steps[missing].clone()
            }
            None => {
                self.until = None;
                step
            }
        }
    }

    pub(super) fn steps(&self) -> Vec<Step> {
        steps(&self.draft, self.target.name().is_none(), self.catalogue)
    }

    /// The next question. `asked` are the questions before this one was answered.
    fn after(&mut self, at: &Step, asked: &[Step]) -> Step {
        if let Some(until) = self.until.clone().filter(|until| until != at) {
            return self.resume_at(until);
        }
        self.until = None;
        let steps = self.steps();
        // An option that was left at its default has no question any more: what followed it comes next.
        let until_now = asked.iter().position(|step| step == at).map_or(asked, |index| &asked[..=index]);
        let last = until_now.iter().rev().find_map(|step| steps.iter().position(|known| known == step));
        last.and_then(|index| steps.get(index + 1)).cloned().unwrap_or(Step::Summary)
    }

    fn before(&self, at: &Step) -> Option<Step> {
        let steps = self.steps();
        let index = steps.iter().position(|step| step == at)?;
        index.checked_sub(1).map(|index| steps[index].clone())
    }

    fn ask(&mut self, at: &Step) -> Reply<Next> {
        let file = self.target.file(&self.name);
        let mut questions = Questions { catalogue: self.catalogue, prompts: &mut *self.prompts, file: &file };
        let draft = &mut self.draft;
        match at {
            Step::Ready => return self.ready(),
            Step::Name => {
                let default = if self.name.is_empty() { "findings" } else { &self.name };
                self.name = questions.name(default)?;
                return self.named();
            }
            Step::Plugin(kind, index) => questions.plugin(draft, *kind, *index)?,
            Step::Id(kind, index) => questions.id(draft, *kind, *index)?,
            Step::Option(kind, index, name) => questions.option(draft, *kind, *index, name)?,
            Step::More(kind, index) => questions.more(draft, *kind, *index)?,
            Step::Check(kind, index) => return self.check(*kind, *index),
            Step::List(kind) => match questions.list(draft, *kind)? {
                ListChange::Complete => {
                    if std::mem::take(&mut self.is_adding) {
                        self.until = Some(Step::Summary);
                    }
                }
                ListChange::Added => {
                    // First all questions about the new one.
                    self.is_adding |= self.until.take() == Some(Step::Summary);
                    return Ok(Next::To(Step::Plugin(*kind, draft.instances(*kind).len() - 1)));
                }
                ListChange::Removed => return Ok(Next::To(at.clone())),
            },
            Step::Severity => questions.severity(draft)?,
            Step::Kinds => questions.kinds(draft)?,
            Step::Schedule => questions.schedule(draft)?,
            Step::Times => questions.times(draft)?,
            Step::Service => return self.service(),
            Step::ServiceName => questions.service_name(draft)?,
            Step::ServiceDescription => questions.service_description(draft)?,
            Step::StartAtBoot => questions.start_at_boot(draft)?,
            Step::Console => return self.console(),
            Step::ConsoleAddress => questions.console_address(draft)?,
            Step::Summary => return self.summary(),
        }
        Ok(Next::Forward)
    }

    fn ready(&mut self) -> Reply<Next> {
        let text = screen(WHAT_TO_HAVE_READY, self.prompts.width());
        self.prompts.show(&text);
        let rows = ["continue", "leave"].map(str::to_owned);
        match self.prompts.choose("ready?", &rows, 0)? {
            0 => Ok(Next::Forward),
            _ => Err(Leave::Interrupted),
        }
    }

    pub(super) fn show_heading(&mut self, name: &str, help: &str) {
        let text = heading(name, help, self.prompts.width());
        self.prompts.show(&text);
    }

    /// After the name is known: the values of a file that exists are the defaults, unless others were answered already.
    fn named(&mut self) -> Reply<Next> {
        let file = self.target.file(&self.name);
        let is_new = self.draft.all().all(|(_, _, instance)| instance.plugin.is_empty());
        if !is_new || !file.exists() {
            return Ok(Next::Forward);
        }
        match config::read_for(&file, self.catalogue) {
            Ok(document) => {
                self.draft = read_draft(&document, self.catalogue);
                self.prompts.show(&format!("\n{} exists; its values are the defaults\n", file.display()));
                let step = self.resume_at(Step::Summary);
                Ok(Next::To(step))
            }
            Err(problems) => {
                self.show_problems(&problems);
                self.prompts.show(&format!("{} is in the way; choose another name\n", file.display()));
                Ok(Next::To(Step::Name))
            }
        }
    }
}
