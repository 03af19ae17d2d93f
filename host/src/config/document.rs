//! A pipeline file that has been parsed as YAML, but not checked.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalogue::{Catalogue, may_be_secret};
use super::collector::Collector;
use super::host_table::MAX_INSTANCES;
use super::pipeline::Pipeline;
use super::problem::Problems;
use super::source::Source;
use super::tree::{self, Content, Node};

/// A pipeline file as a YAML tree. It may contain secrets, so `Debug` shows only its path.
pub struct Document {
    pub(super) source: Arc<Source>,
    pub(super) root: Node,
    /// The texts of its settings files by path, if they come from a bundle; otherwise they are read.
    pub(super) settings: Option<HashMap<PathBuf, String>>,
    /// Digest of the bundle; empty without one.
    pub(super) digest: String,
    /// Number of the instance that the bundle is for.
    pub(super) instance: Option<u32>,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({})", self.source.path().display())
    }
}

impl Document {
    /// Name of the pipeline: its `name`, otherwise the file name without extension. The name is not validated, and
    /// references in it are not resolved.
    #[must_use]
    pub fn name(&self) -> String {
        let named = self.root.entry("name").and_then(Node::text);
        named.map_or_else(|| Pipeline::named_after(self.source.path()).name, str::to_owned)
    }

    /// Name of the state directory, like [`Pipeline::state_name`].
    #[must_use]
    pub fn state_name(&self) -> String {
        self.named_pipeline().state_name()
    }

    /// Number and state name of each instance, like [`Pipeline::all_instances`].
    pub(crate) fn all_instances(&self) -> Vec<(Option<u32>, String)> {
        self.named_pipeline().all_instances()
    }

    /// A pipeline with nothing but its name and its instances. A number of instances that is not allowed counts as 1.
    fn named_pipeline(&self) -> Pipeline {
        let mut pipeline = Pipeline::named_after(self.source.path());
        (pipeline.name, pipeline.instance) = (self.name(), self.instance);
        let instances = self.root.entry("instances").and_then(Node::text);
        let allowed = |number: &u32| (1..=MAX_INSTANCES).contains(&i64::from(*number));
        pipeline.run.instances = instances.and_then(|text| text.parse().ok()).filter(allowed).unwrap_or(1);
        pipeline
    }

    /// The pipeline file.
    pub(crate) fn file(&self) -> &Path {
        self.source.path()
    }

    /// The IDs of all inputs and outputs, not validated, with unresolved references.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids_under("inputs").chain(self.output_ids())
    }

    /// The IDs of all outputs, like [`Document::ids`].
    pub(crate) fn output_ids(&self) -> impl Iterator<Item = &str> {
        self.ids_under("outputs")
    }

    fn ids_under(&self, key: &str) -> impl Iterator<Item = &str> {
        let items = match self.root.entry(key).map(|node| &node.content) {
            Some(Content::Sequence(items)) => items.as_slice(),
            _ => &[],
        };
        items.iter().filter_map(|item| item.entry("id").and_then(Node::text))
    }
}

/// Reads a pipeline file without checking its content. A line that is not valid YAML is not shown, because it is not known
/// what is secret.
///
/// # Errors
/// When the file cannot be read, is too large or is invalid YAML.
pub fn read(path: &Path) -> Result<Document, Problems> {
    open(path).and_then(|source| from_source(source, |_| true))
}

/// Like [`read`]. Of a line that is not valid YAML all is shown but values of secret options of these plugins, and of
/// keys whose name sounds secret.
///
/// # Errors
/// Like [`read`].
pub fn read_for(path: &Path, catalogue: &dyn Catalogue) -> Result<Document, Problems> {
    open(path).and_then(|source| from_source(source, |key| may_be_secret(catalogue, key)))
}

fn open(path: &Path) -> Result<Arc<Source>, Problems> {
    Source::open(path).map_err(|error| {
        let mut collector = Collector::default();
        collector.file_error("unreadable", path, format!("the pipeline file {error}")).help(error.help());
        collector.finish()
    })
}

/// Reads a pipeline from a string. `path` is its name in messages and the base of relative paths.
///
/// # Errors
/// When the text is invalid YAML or larger than 256 KiB.
pub fn read_text(path: &Path, text: &str) -> Result<Document, Problems> {
    from_text(path, text, |_| true)
}

/// Like [`read_text`], and shows as much of an invalid line as [`read_for`].
///
/// # Errors
/// Like [`read_text`].
pub fn read_text_for(path: &Path, text: &str, catalogue: &dyn Catalogue) -> Result<Document, Problems> {
    from_text(path, text, |key| may_be_secret(catalogue, key))
}

fn from_text(path: &Path, text: &str, is_secret: impl Fn(&str) -> bool) -> Result<Document, Problems> {
    if text.len() as u64 > Source::MAX_BYTES {
        let mut collector = Collector::default();
        collector.file_error("unreadable", path, "the pipeline file is larger than 256 KiB".to_owned());
        return Err(collector.finish());
    }
    from_source(Source::new(path, text.to_owned()), is_secret)
}

fn from_source(source: Arc<Source>, is_secret: impl Fn(&str) -> bool) -> Result<Document, Problems> {
    match tree::parse(&source) {
        Ok(root) => Ok(Document { source, root, settings: None, digest: String::new(), instance: None }),
        Err(error) => {
            let mut collector = Collector::default();
            collector.syntax_error(error, is_secret);
            Err(collector.finish())
        }
    }
}
