//! Checks the value of one option as if it was written in a pipeline file.

use std::path::Path;

use scanbridge_plugin_api::Descriptor;
use serde_saphyr::granit_parser::ScalarStyle;

use super::catalogue::Catalogue;
use super::checker::Checker;
use super::problem::{Problem, ProblemLevel};
use super::reference::Environment;
use super::settings::Settings;
use super::source::{Source, Span};
use super::tree::{Content, Entry, Key, Node, Scalar};

/// The error that a check of the pipeline file `file` reports for this value of an option, which may have references;
/// `None` for a valid value. Rules between options are not judged.
pub(crate) fn typed_option(
    file: &Path,
    plugin: &Descriptor,
    option: &str,
    text: &str,
    catalogue: &dyn Catalogue,
) -> Option<Problem> {
    let span = Span { source: Source::new(file, String::new()), start: 0, end: 0 };
    let scalar = Scalar { text: text.to_owned(), style: ScalarStyle::SingleQuoted };
    let value = Node { content: Content::Scalar(scalar), span: span.clone() };
    let entry = Entry { key: Key { text: option.to_owned(), span: span.clone() }, value };
    let mut checker = Checker::new(catalogue, Environment::of_process());
    checker.options(plugin, &Node { content: Content::Mapping(vec![entry]), span }, &mut Settings::default());
    checker.collector.finish().list.into_iter().find(|problem| problem.level == ProblemLevel::Error)
}
