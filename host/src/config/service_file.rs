//! The service file: limits of the service that apply to all pipelines.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use scanbridge_observe::ServiceFile;
use scanbridge_plugin_api::Fips;

use super::catalogue::{NoPlugins, may_be_secret};
use super::checker::Checker;
use super::fields::Fields;
use super::problem::Problems;
use super::reference::Environment;
use super::source::{Source, Unreadable};
use super::tree::{self, Content, Node};
use crate::fips::{NEEDS_FIPS_BUILD, not_fips_build};

const KEYS: [&str; 7] = ["service", "pipelines", "max_running", "groups", "log", "console", "fips"];

/// Reads and checks a service file, and returns it with its warnings. Paths in it are relative to its directory.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn read_service_file(path: &Path) -> Result<(ServiceFile, Problems), Problems> {
    checked(path, Source::open(path))
}

/// Like [`read_service_file`], for a text that is to be the content of the file.
///
/// # Errors
/// Like [`read_service_file`].
pub(crate) fn read_service_text(path: &Path, text: String) -> Result<(ServiceFile, Problems), Problems> {
    checked(path, Ok(Source::new(path, text)))
}

fn checked(
    path: &Path,
    source: Result<Arc<Source>, Unreadable>,
) -> Result<(ServiceFile, Problems), Problems> {
    let mut checker = Checker::new(&NoPlugins, Environment::of_process());
    let mut file = ServiceFile::default();
    match source {
        Err(error) => {
            checker.collector.file_error("unreadable", path, format!("the service file {error}"));
        }
        Ok(source) => match tree::parse(&source) {
            Ok(root) => file = checker.service_file(&root, source.folder()),
            Err(error) => checker.collector.syntax_error(error, |key| may_be_secret(&NoPlugins, key)),
        },
    }
    let has_errors = checker.collector.has_errors();
    let problems = checker.collector.finish();
    if has_errors { Err(problems) } else { Ok((file, problems)) }
}

impl Checker<'_> {
    fn service_file(&mut self, root: &Node, folder: &Path) -> ServiceFile {
        let mut file = ServiceFile::default();
        let fields = Fields::read(&mut self.collector, root, "the service file", &KEYS, |_| None);
        match fields.get("service") {
            Some(node) => {
                if let Some(version) = self.text(node, "service").filter(|version| version.text != "1") {
                    let message = format!("`service` must be 1, found `{}`", version.text);
                    self.collector.error("bad-value", &node.span, message);
                }
            }
            None if fields.is_misspelled("service") || self.collector.has_errors() => {}
            None => {
                self.collector
                    .error("missing-key", &root.span, "`service` is missing".to_owned())
                    .help("add `service: 1` as the first line");
            }
        }
        if let Some(node) = fields.get("pipelines") {
            let nodes: Vec<&Node> = match &node.content {
                Content::Sequence(items) => items.iter().collect(),
                _ => vec![node],
            };
            let texts = nodes.into_iter().filter_map(|node| self.text(node, "pipelines"));
            file.pipelines = texts.map(|path| folder.join(path.text).display().to_string()).collect();
        }
        if let Some(node) = fields.get("max_running") {
            file.max_running = self.places(node, "max_running").unwrap_or(file.max_running);
        }
        if let Some(node) = fields.get("groups") {
            file.groups = self.groups(node);
        }
        if let Some(node) = fields.get("log") {
            file.log = self.service_log(node, folder);
        }
        file.console = fields.get("console").map(|node| self.console(node, folder));
        if let Some(node) = fields.get("fips") {
            file.fips = self.service_fips(node).unwrap_or_default().word().to_owned();
        }
        file
    }

    fn service_fips(&mut self, node: &Node) -> Option<Fips> {
        let text = self.text(node, "fips")?.text;
        let mode: Fips = match text.parse() {
            Ok(mode) => mode,
            Err(problem) => {
                self.collector.error("bad-value", &node.span, problem);
                return None;
            }
        };
        if !mode.is_off() && !self.catalogue.is_fips_build() {
            self.collector.error("fips", &node.span, not_fips_build(mode)).help(NEEDS_FIPS_BUILD);
        }
        Some(mode)
    }

    fn groups(&mut self, node: &Node) -> BTreeMap<String, u64> {
        if !matches!(node.content, Content::Mapping(_)) && !node.is_null() {
            let message = format!("`groups` must be a mapping, found {}", node.form());
            self.collector
                .error("wrong-form", &node.span, message)
                .help("example: `groups: { qualys-emea: 1 }`");
        }
        let mut groups = BTreeMap::new();
        for entry in node.entries() {
            if let Some(places) = self.places(&entry.value, &entry.key.text) {
                groups.insert(entry.key.text.clone(), places);
            }
        }
        groups
    }

    fn places(&mut self, node: &Node, key: &str) -> Option<u64> {
        let text = self.text(node, key)?.text;
        let places = text.parse().ok().filter(|places| (1..=1000).contains(places));
        if places.is_none() {
            let message = format!("`{key}` must be a number from 1 to 1000, found `{text}`");
            self.collector.error("bad-value", &node.span, message);
        }
        places
    }
}
