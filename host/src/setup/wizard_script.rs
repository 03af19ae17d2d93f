//! A wizard that gets its answers from a script.

use std::cell::RefCell;
use std::path::Path;

use scanbridge_plugin_api::{OptionDescriptor, OptionSpec, PluginKind};

use super::draft::Draft;
use super::draft_text::{Secrets, draft_text, secret_files};
use super::fake_plugins::{Nothing, Plugins, plugin};
use super::prompts::{Check, Leave, Prompts, Reply};
use super::saved_answers::SavedAnswers;
use super::service_set_up::ServiceSetUp;
use super::wizard::{Start, Wizard};
use super::write::{Files, Target, with_comments, write_files};

/// Answers in order: the question that is expected, and the answer to it.
struct Script<'s> {
    answers: std::slice::Iter<'s, (&'s str, Typed<'s>)>,
    shown: RefCell<String>,
}

#[derive(Clone, Copy)]
pub(super) enum Typed<'s> {
    Row(&'s str),
    Mark(&'s [&'s str]),
    Text(&'s str),
    Enter,
    Back,
    Leave,
}

impl<'s> Script<'s> {
    fn of(answers: &'s [(&'s str, Typed<'s>)]) -> Self {
        Self { answers: answers.iter(), shown: RefCell::default() }
    }

    fn next(&mut self, question: &str) -> Reply<Typed<'s>> {
        let (expected, typed) =
            self.answers.next().unwrap_or_else(|| panic!("`{question}` was not expected"));
        assert_eq!(question, *expected, "after:\n{}", self.shown.borrow());
        match typed {
            Typed::Back => Err(Leave::Back),
            Typed::Leave => Err(Leave::Interrupted),
            typed => Ok(*typed),
        }
    }
}

impl Prompts for Script<'_> {
    fn width(&self) -> usize {
        100
    }

    fn show(&mut self, text: &str) {
        self.shown.borrow_mut().push_str(text);
    }

    fn choose(&mut self, question: &str, rows: &[String], start: usize) -> Reply<usize> {
        match self.next(question)? {
            Typed::Row(row) => {
                let found = rows.iter().position(|known| known.starts_with(row));
                Ok(found.unwrap_or_else(|| panic!("{question}: no row `{row}` in {rows:?}")))
            }
            _ => Ok(start),
        }
    }

    fn mark(&mut self, question: &str, rows: &[String], marked: &[usize]) -> Reply<Vec<usize>> {
        match self.next(question)? {
            Typed::Mark(names) => {
                let is_marked = |row: &String| names.iter().any(|name| row.starts_with(name));
                Ok((0..rows.len()).filter(|row| is_marked(&rows[*row])).collect())
            }
            _ => Ok(marked.to_vec()),
        }
    }

    fn enter(&mut self, question: &str, _: &str, default: Option<&str>, check: Check<'_>) -> Reply<String> {
        let text = match self.next(question)? {
            Typed::Text(text) => text,
            _ => default.unwrap_or_default(),
        };
        check(text).unwrap_or_else(|problem| panic!("{question} {problem}"));
        Ok(text.to_owned())
    }

    fn enter_secret(&mut self, question: &str, _: &str, check: Check<'_>) -> Reply<String> {
        let Typed::Text(text) = self.next(question)? else { return Ok(String::new()) };
        check(text).unwrap_or_else(|problem| panic!("{question} {problem}"));
        Ok(text.to_owned())
    }
}

pub(super) fn two_plugins() -> Plugins {
    let specs = |specs: &[OptionSpec]| specs.iter().map(OptionDescriptor::from).collect();
    Plugins(vec![
        plugin(
            "Acme",
            PluginKind::Input,
            specs(&[
                OptionSpec::text("user").required(),
                OptionSpec::text("token").required().secret(),
                OptionSpec::integer("pages", 1, 9).default_integer(3),
            ]),
        ),
        plugin(
            "Relay",
            PluginKind::Output,
            specs(&[
                OptionSpec::choice("transport", &["file", "tcp"]).default_text("file"),
                OptionSpec::path("path")
                    .only_with("transport", &["file"])
                    .required_with("transport", &["file"]),
                OptionSpec::text("address")
                    .only_with("transport", &["tcp"])
                    .required_with("transport", &["tcp"]),
            ]),
        ),
    ])
}

/// Runs the wizard with a script. Returns the text of the pipeline, if it is to be written, and what was shown.
pub(super) fn run(folder: &Path, answers: &[(&str, Typed<'_>)]) -> (Option<String>, String) {
    let plugins = two_plugins();
    let target = Target::Folder(folder.to_owned());
    let saved = SavedAnswers::of(&target);
    let start = saved.load(&plugins).unwrap().map_or(Start::New, Start::Saved);
    let mut script = Script::of(answers);
    let result = Wizard::new(&plugins, &Nothing, &mut script, &target, &saved).run(start);
    assert_eq!(script.answers.len(), 0, "answers are left");
    let text = result.ok().map(|(draft, name)| {
        let text = write(&target.file(&name), &draft, &name);
        saved.remove().unwrap();
        text
    });
    (text, script.shown.into_inner())
}

/// Writes all files of a set-up. Returns the text of the pipeline.
pub(super) fn write(file: &Path, draft: &Draft, name: &str) -> String {
    let text = with_comments(file, draft_text(draft, Secrets::InFiles { pipeline: name })).text;
    let service = draft.service.as_ref().map(|plan| ServiceSetUp::of(file, plan).unwrap());
    let service = service.as_ref().filter(|service| !service.is_written());
    let service = service.map(|service| (service.file.as_path(), service.content.text.as_str()));
    write_files(&Files { pipeline: (file, &text), service, secrets: secret_files(draft, name) }).unwrap();
    text
}
