//! The file of an exam: per plugin its options, its samples, and where its records are found.

use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{Descriptor, PluginKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::catalogue::Catalogue;
use super::checker::Checker;
use super::fields::{Elsewhere, Fields};
use super::problem::Problems;
use super::reference::Environment;
use super::settings::{Settings, describe};
use super::source::Source;
use super::tree::{self, Content, Entry, Node};

/// Where delivered records are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DeliveredRecords {
    /// A file, or a directory of files; one record per line.
    Path(String),
    /// A command that prints one record per line.
    Command(String),
}

/// One plugin in the file of an exam.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExamPlugin {
    /// Its options, with `{dir}` replaced by the marker that the caller has chosen.
    pub(crate) options: Map<String, Value>,
    /// Values of secret options.
    pub(crate) secrets: Vec<String>,
    /// The command of its peer.
    pub(crate) peer: Option<String>,
    /// Outputs: where the records are found.
    pub(crate) delivered: Option<DeliveredRecords>,
    /// Inputs: the file or directory of complete reports.
    pub(crate) samples: Option<PathBuf>,
    /// Inputs: a truncated report, in the place of the samples.
    pub(crate) truncated: Option<PathBuf>,
    /// Inputs: other samples of the same names, for a source that changes.
    pub(crate) changed: Option<PathBuf>,
    /// Inputs: number of reports in the samples.
    pub(crate) reports: Option<u64>,
    /// Inputs: number of findings in the samples.
    pub(crate) findings: Option<u64>,
}

/// The plugins of the file, by kind and name as the plugins spell them.
pub(crate) type ExamFile = Vec<(PluginKind, String, ExamPlugin)>;

/// Reads the file of an exam. `prepare` replaces the placeholders in its text.
///
/// # Errors
/// Everything that is wrong with the file.
pub(crate) fn read_exam(
    path: &Path,
    plugins: &[Descriptor],
    prepare: impl Fn(&str) -> String,
) -> Result<ExamFile, Problems> {
    let catalogue = Plugins(plugins);
    let mut checker = Checker::new(&catalogue, Environment::of_process());
    let source = match Source::open(path) {
        Ok(source) => Source::new(path, prepare(source.text())),
        Err(error) => {
            checker.collector.file_error("unreadable", path, format!("the exam file {error}"));
            return Err(checker.collector.finish());
        }
    };
    let mut file = ExamFile::new();
    match tree::parse(&source) {
        Ok(root) => {
            let fields =
                Fields::read(&mut checker.collector, &root, "the exam", &["inputs", "outputs"], |_| None);
            for (key, kind) in [("inputs", PluginKind::Input), ("outputs", PluginKind::Output)] {
                for entry in fields.get(key).map(Node::entries).unwrap_or_default() {
                    if let Some((name, plugin)) = checker.exam_plugin(kind, entry, source.folder()) {
                        file.push((kind, name, plugin));
                    }
                }
            }
        }
        Err(error) => checker.collector.syntax_error(error, |_| true),
    }
    if checker.collector.has_errors() { Err(checker.collector.finish()) } else { Ok(file) }
}

struct Plugins<'a>(&'a [Descriptor]);

impl Catalogue for Plugins<'_> {
    fn find(&self, kind: PluginKind, name: &str) -> Option<&Descriptor> {
        self.0.iter().find(|plugin| plugin.kind == kind && plugin.name.eq_ignore_ascii_case(name))
    }

    fn refusal(&self, _: PluginKind, _: &str) -> Option<String> {
        None
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        self.0.iter().filter(|plugin| plugin.kind == kind).map(|plugin| plugin.name.clone()).collect()
    }
}

impl Checker<'_> {
    fn exam_plugin(
        &mut self,
        kind: PluginKind,
        entry: &Entry,
        folder: &Path,
    ) -> Option<(String, ExamPlugin)> {
        let name = &entry.key.text;
        let Some(plugin) = self.catalogue.find(kind, name).cloned() else {
            let names = self.catalogue.names(kind).join(", ");
            self.collector
                .error("unknown-plugin", &entry.key.span, format!("unknown {} plugin `{name}`", kind.word()))
                .help(format!("{} plugins of the library: {names}", kind.word()));
            return None;
        };
        let known: &[&str] = match kind {
            PluginKind::Input => &["with", "peer", "samples", "truncated", "changed", "expect"],
            PluginKind::Output => &["with", "peer", "delivered"],
        };
        let owner = format!("{} `{name}`", kind.word());
        let fields = Fields::read(&mut self.collector, &entry.value, &owner, known, |key| {
            plugin.option(key).map(|option| Elsewhere {
                hint: "move plugin options under `with:`".to_owned(),
                secret: option.secret,
            })
        });
        let mut settings = Settings::default();
        if let Some(with) = fields.get("with") {
            self.options(&plugin, with, &mut settings);
        }
        for option in plugin.options.iter().filter(|option| option.required && !settings.has(option)) {
            self.collector
                .error(
                    "missing-option",
                    &entry.key.span,
                    format!("{owner} requires option `{}`", option.name),
                )
                .help(describe(&plugin));
        }
        let mut exam = ExamPlugin::default();
        let secret = plugin.options.iter().filter(|option| option.secret);
        exam.secrets = secret
            .filter_map(|option| settings.options.get(&option.name)?.as_str().map(str::to_owned))
            .collect();
        exam.options = settings.options;
        let file = |checker: &mut Self, key: &str| {
            let path = checker.text(fields.get(key)?, key)?.text;
            Some(folder.join(path))
        };
        exam.peer = fields.get("peer").and_then(|node| Some(self.text(node, "peer")?.text));
        exam.samples = file(self, "samples");
        exam.truncated = file(self, "truncated");
        exam.changed = file(self, "changed");
        if let Some(node) = fields.get("delivered") {
            exam.delivered = self.delivered(node);
        }
        if let Some(node) = fields.get("expect") {
            let expected =
                Fields::read(&mut self.collector, node, "`expect`", &["reports", "findings"], |_| None);
            exam.reports = expected.get("reports").and_then(|node| self.count(node, "reports"));
            exam.findings = expected.get("findings").and_then(|node| self.count(node, "findings"));
        }
        Some((plugin.name, exam))
    }

    fn delivered(&mut self, node: &Node) -> Option<DeliveredRecords> {
        if !matches!(node.content, Content::Mapping(_)) {
            return Some(DeliveredRecords::Path(self.text(node, "delivered")?.text));
        }
        let fields = Fields::read(&mut self.collector, node, "`delivered`", &["command"], |_| None);
        Some(DeliveredRecords::Command(self.text(fields.get("command")?, "command")?.text))
    }

    fn count(&mut self, node: &Node, key: &str) -> Option<u64> {
        let text = self.text(node, key)?.text;
        let count = text.parse().ok();
        if count.is_none() {
            self.collector.error(
                "bad-value",
                &node.span,
                format!("`{key}` must be a number, found `{text}`"),
            );
        }
        count
    }
}
