//! Context of the check: the problems found so far, the plugins and the environment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scanbridge_plugin_api::Fips;

use super::catalogue::{Catalogue, may_be_secret};
use super::collector::{Collector, hide_mappings};
use super::reference::{Environment, Resolved, resolve};
use super::source::{Source, Span, Unreadable};
use super::tree::{self, Content, Node};

pub(super) struct Checker<'a> {
    pub(super) collector: Collector,
    pub(super) catalogue: &'a dyn Catalogue,
    pub(super) environment: Environment<'a>,
    /// Settings files read so far, so that a file shared by two instances is read and reported once.
    settings_files: HashMap<PathBuf, Option<(Arc<Source>, Node)>>,
    /// Files with secrets that have been reported because other users can read or change them.
    pub(super) open_files: Vec<PathBuf>,
    /// The texts of all settings files, if they come from a bundle.
    pub(super) bundled: Option<HashMap<PathBuf, String>>,
    /// Whether inputs and outputs may still be missing.
    pub(super) is_unfinished: bool,
    /// The FIPS mode that every instance has at least.
    pub(super) fips: Fips,
}

impl<'a> Checker<'a> {
    pub(super) fn new(catalogue: &'a dyn Catalogue, environment: Environment<'a>) -> Self {
        Self {
            collector: Collector::default(),
            catalogue,
            environment,
            settings_files: HashMap::new(),
            open_files: Vec::new(),
            bundled: None,
            is_unfinished: false,
            fips: catalogue.fips(),
        }
    }

    /// The text of a single value of a host key, with references resolved. `key` is the name in messages.
    /// Credentials are rejected, because the host may print its own values.
    pub(super) fn text(&mut self, node: &Node, key: &str) -> Option<Resolved> {
        match &node.content {
            _ if node.is_null() => {
                self.collector.error("no-value", &node.span, format!("`{key}` has no value"));
                None
            }
            Content::Scalar(scalar) => {
                let resolved = self.resolve(&scalar.text, &node.span)?;
                if resolved.is_credential {
                    self.collector
                        .error("reference", &node.span, format!("`{key}` cannot use a credential"))
                        .help("`${credential:NAME}` is only supported in plugin options");
                    return None;
                }
                Some(resolved)
            }
            _ => {
                hide_mappings(&mut self.collector, node);
                let message = format!("`{key}` must be a single value, found {}", node.form());
                self.collector.error("wrong-form", &node.span, message);
                None
            }
        }
    }

    /// Resolves the references in a scalar, or reports each one that cannot be resolved.
    pub(super) fn resolve(&mut self, text: &str, at: &Span) -> Option<Resolved> {
        match resolve(text, at.source.folder(), self.environment) {
            Ok(resolved) => Some(resolved),
            Err(unresolved) => {
                for problem in unresolved {
                    self.collector.error("reference", at, problem.message).help(problem.help);
                }
                None
            }
        }
    }

    /// The items of a list, or of one scalar with comma-separated items.
    pub(super) fn items<'n>(&mut self, node: &'n Node, key: &str) -> Vec<(String, &'n Node)> {
        let nodes: Vec<&Node> = match &node.content {
            Content::Sequence(items) => items.iter().collect(),
            _ => vec![node],
        };
        let mut found = Vec::new();
        let mut failed = false;
        for node in nodes {
            match self.text(node, key) {
                Some(resolved) => found.extend(split(&resolved.text).map(|item| (item.to_owned(), node))),
                None => failed = true,
            }
        }
        if found.is_empty() && !failed {
            self.collector
                .error("no-value", &node.span, format!("`{key}` is an empty list, so no finding would match"))
                .help("add at least one value, or remove the key to disable this filter");
        }
        found
    }

    /// The settings file that is set at `at`; `None` when it cannot be read. The error has then been reported.
    pub(super) fn settings_file(&mut self, path: PathBuf, at: &Span) -> Option<Node> {
        if let Some(known) = self.settings_files.get(&path) {
            return known.as_ref().map(|(_, root)| root.clone());
        }
        let source = match &self.bundled {
            Some(texts) => match texts.get(&path) {
                Some(text) => Ok(Source::new(&path, text.clone())),
                None => Err(Unreadable::NotBundled),
            },
            None => Source::open(&path),
        };
        let read = match source {
            Ok(source) => {
                let (collector, catalogue) = (&mut self.collector, self.catalogue);
                let report = |error| collector.syntax_error(error, |key| may_be_secret(catalogue, key));
                tree::parse(&source).map_err(report).ok().map(|root| (source, root))
            }
            Err(error) => {
                self.collector
                    .error("unreadable", at, format!("the settings file {} {error}", path.display()))
                    .help(match error.help() {
                        "" => format!("relative paths start at the directory of {}", at.file().display()),
                        help => help.to_owned(),
                    });
                None
            }
        };
        let root = read.as_ref().map(|(_, root)| root.clone());
        self.settings_files.insert(path, read);
        root
    }

    /// Path and text of each settings file that was read.
    pub(super) fn settings_texts(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.settings_files
            .iter()
            .filter_map(|(path, read)| read.as_ref().map(|(source, _)| (path.as_path(), source.text())))
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}
