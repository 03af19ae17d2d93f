//! Files that are not pipelines, although they were given as one: the settings of a plugin, or of the service.

use std::path::Path;

use scanbridge_plugin_api::{Descriptor, PluginKind};

use super::catalogue::Catalogue;
use super::check::check;
use super::checker::Checker;
use super::collector::hide_mappings;
use super::document::{Document, read};
use super::pipeline::Pipeline;
use super::problem::{Problem, Problems};
use super::reference::Environment;
use super::settings::Settings;
use super::source::Span;
use super::tree::Node;

/// The content of a valid file.
#[derive(Debug)]
pub(crate) enum CheckedDocument {
    /// A pipeline.
    Pipeline(Box<Pipeline>),
    /// Settings of a plugin, for `config:`.
    PluginSettings { plugin: String, warnings: Vec<Problem> },
}

impl CheckedDocument {
    /// Warnings for the operator.
    pub(crate) fn warnings(&self) -> &[Problem] {
        match self {
            Self::Pipeline(pipeline) => &pipeline.warnings,
            Self::PluginSettings { warnings, .. } => warnings,
        }
    }
}

/// Checks a pipeline file or the settings file of a plugin.
///
/// # Errors
/// All errors and warnings, when there is at least one error.
pub(crate) fn check_any(document: &Document, catalogue: &dyn Catalogue) -> Result<CheckedDocument, Problems> {
    let Some(plugin) = plugin_of(document, catalogue) else {
        return check(document, catalogue).map(|pipeline| CheckedDocument::Pipeline(Box::new(pipeline)));
    };
    let mut checker = Checker::new(catalogue, Environment::of_process());
    // Required options and rules between options may be kept by the pipeline.
    checker.options(plugin, &document.root, &mut Settings::default());
    let failed = checker.collector.has_errors();
    let problems = checker.collector.finish();
    if failed {
        return Err(problems);
    }
    Ok(CheckedDocument::PluginSettings { plugin: plugin.name.clone(), warnings: problems.list })
}

/// The plugin whose settings this file contains: it knows most of the keys, and none of the keys is one of a pipeline.
fn plugin_of<'a>(document: &Document, catalogue: &'a dyn Catalogue) -> Option<&'a Descriptor> {
    let entries = document.root.entries();
    if entries.is_empty() || entries.iter().any(|entry| PIPELINE_KEYS.contains(&entry.key.text.as_str())) {
        return None;
    }
    let stem = document.source.path().file_stem().unwrap_or_default().to_string_lossy();
    let plugins = [PluginKind::Input, PluginKind::Output].into_iter().flat_map(|kind| {
        catalogue.names(kind).into_iter().filter_map(move |name| catalogue.find(kind, &name))
    });
    let rank = |plugin: &&Descriptor| {
        let known = entries.iter().filter(|entry| plugin.option(&entry.key.text).is_some()).count();
        (known, plugin.name.eq_ignore_ascii_case(&stem))
    };
    plugins.max_by_key(rank).filter(|plugin| rank(plugin).0 * 2 > entries.len())
}

/// Keys that every pipeline has.
const PIPELINE_KEYS: [&str; 3] = ["version", "inputs", "outputs"];

impl Checker<'_> {
    /// Reports a file that is something else than a pipeline as what it is. False if it may be a pipeline.
    pub(super) fn other_file(&mut self, document: &Document) -> bool {
        let Some(first) = document.root.entries().first() else { return false };
        let (code, message, help) = if let Some(plugin) = plugin_of(document, self.catalogue) {
            document.root.entries().iter().for_each(|entry| self.hide_secret(plugin, entry));
            let (name, file) = (&plugin.name, document.source.path().display());
            let message =
                format!("this file contains settings of the plugin `{name}`, and is not a pipeline");
            let help = format!(
                "refer to it in a pipeline: `{}s: [ {{ id: NAME, plugin: {name}, config: {file} }} ]`; the path is \
                 relative to the pipeline file",
                plugin.kind.word()
            );
            ("settings-file", message, help)
        } else if is_of_the_service(&document.root) {
            hide_mappings(&mut self.collector, &document.root);
            let help = "pipeline files are listed under its key `pipelines`; check those";
            let message = "this file contains settings of the service, and is not a pipeline";
            ("service-file", message.to_owned(), help.to_owned())
        } else if is_of_tests(&document.root) {
            hide_mappings(&mut self.collector, &document.root);
            let help = format!("run the tests: scanbridge test {}", document.source.path().display());
            let message = "this file contains tests of a pipeline, and is not a pipeline";
            ("test-file", message.to_owned(), help)
        } else {
            return false;
        };
        let at: &Span = &first.key.span;
        self.collector.error(code, at, message).help(help);
        true
    }
}

/// The first key of a service file is its version.
fn is_of_the_service(root: &Node) -> bool {
    root.entry("service").is_some() && PIPELINE_KEYS.iter().all(|key| root.entry(key).is_none())
}

/// Whether a file has settings of the service. False for a file that cannot be read.
pub(crate) fn is_service_file(path: &Path) -> bool {
    read(path).is_ok_and(|document| is_of_the_service(&document.root))
}

/// A test file names its pipeline.
fn is_of_tests(root: &Node) -> bool {
    root.entry("tests").is_some() && root.entry("pipeline").is_some()
}
