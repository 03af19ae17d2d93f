//! The file of `scanbridge test`: a pipeline, and what its outputs must write for a report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{Descriptor, OptionKind, PluginKind};
use serde_json::{Map, Value};

use super::catalogue::Catalogue;
use super::check::{check, start};
use super::checker::Checker;
use super::document::{Document, read_for};
use super::fields::{Elsewhere, Fields};
use super::pipeline::{PATH, Pipeline};
use super::problem::Problems;
use super::reference::Environment;
use super::settings::{Settings, describe};
use super::source::Source;
use super::suggestion::nearest;
use super::tree::{self, Content, Node};

/// A pipeline and its tests.
#[derive(Debug)]
pub(crate) struct TestFile {
    /// The pipeline file, which has passed all checks.
    pub(crate) document: Document,
    /// The tests, at least one.
    pub(crate) tests: Vec<PipelineTest>,
}

/// One test.
#[derive(Debug)]
pub(crate) struct PipelineTest {
    /// Its name, or that of its report.
    pub(crate) name: String,
    pub(crate) input: TestInput,
    /// The exit code that the run must have.
    pub(crate) exit_code: u8,
    /// What is expected of outputs, by their `id`.
    pub(crate) expect: BTreeMap<String, Expectation>,
}

/// What a test reads.
#[derive(Debug)]
pub(crate) struct TestInput {
    /// The `id` of the input of the pipeline that reads it.
    pub(crate) id: String,
    /// Another plugin that reads it in the place of that of the pipeline, with its options.
    pub(crate) plugin: Option<(String, Map<String, Value>)>,
    /// The reports.
    pub(crate) files: Vec<PathBuf>,
}

/// What is expected of one output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expectation {
    /// Counts of its summary, by name.
    pub(crate) counts: Vec<(&'static str, u64)>,
    /// Texts that its files must contain.
    pub(crate) contains: Vec<String>,
    /// Texts that its files must not contain.
    pub(crate) lacks: Vec<String>,
}

/// The counts of an output's summary that a test can expect.
const COUNTS: [&str; 4] = ["records", "derived", "filtered", "rejected"];
const EXPECT_KEYS: [&str; 6] = ["records", "derived", "filtered", "rejected", "contains", "lacks"];

/// Reads a test file and its pipeline file.
///
/// # Errors
/// Everything that is wrong with one of them.
pub(crate) fn read_tests(path: &Path, catalogue: &dyn Catalogue) -> Result<TestFile, Problems> {
    let mut checker = Checker::new(catalogue, Environment::of_process());
    let source = match Source::open(path) {
        Ok(source) => source,
        Err(error) => {
            let message = format!("the test file {error}");
            checker.collector.file_error("unreadable", path, message).help(error.help());
            return Err(checker.collector.finish());
        }
    };
    let root = match tree::parse(&source) {
        Ok(root) => root,
        Err(error) => {
            checker.collector.syntax_error(error, |_| true);
            return Err(checker.collector.finish());
        }
    };
    let fields =
        Fields::read(&mut checker.collector, &root, "the test file", &["pipeline", "tests"], |key| {
            let hint = "tests are in a file of their own, which names the pipeline: `pipeline: FILE`";
            ["version", "inputs", "outputs", "filter"].contains(&key).then(|| Elsewhere::of(hint))
        });
    let pipeline = fields.get("pipeline").and_then(|node| checker.text(node, "pipeline"));
    let Some(pipeline) = pipeline else {
        if !checker.collector.has_errors() {
            checker
                .collector
                .error("missing-key", &start(&root), "`pipeline` is missing".to_owned())
                .help("add `pipeline: FILE`; the path is relative to the test file");
        }
        return Err(checker.collector.finish());
    };
    let document = read_for(&source.folder().join(pipeline.text), catalogue)?;
    let checked = check(&document, catalogue)?;
    let tests = checker.tests(&root, &fields, source.folder(), &checked);
    if checker.collector.has_errors() {
        Err(checker.collector.finish())
    } else {
        Ok(TestFile { document, tests })
    }
}

impl Checker<'_> {
    fn tests(
        &mut self,
        root: &Node,
        fields: &Fields<'_>,
        folder: &Path,
        pipeline: &Pipeline,
    ) -> Vec<PipelineTest> {
        match fields.get("tests").map(|node| (node, &node.content)) {
            Some((_, Content::Sequence(items))) if !items.is_empty() => {
                items.iter().filter_map(|item| self.test(item, folder, pipeline)).collect()
            }
            found => {
                let at = found.map_or_else(|| start(root), |(node, _)| node.span.clone());
                self.collector
                    .error("missing-key", &at, "`tests` must be a list with at least one test".to_owned())
                    .help("tests: [ { input: REPORT, expect: { OUTPUT: { records: NUMBER } } } ]");
                Vec::new()
            }
        }
    }

    fn test(&mut self, node: &Node, folder: &Path, pipeline: &Pipeline) -> Option<PipelineTest> {
        let keys = ["name", "input", "exit_code", "expect"];
        let fields = Fields::read(&mut self.collector, node, "a test", &keys, |_| None);
        let [input, expected] = ["input", "expect"].map(|key| {
            let found = fields.get(key);
            if found.is_none() && !fields.is_misspelled(key) && matches!(node.content, Content::Mapping(_)) {
                self.collector.error("missing-key", &start(node), format!("the test has no `{key}`"));
            }
            found
        });
        let input = input.and_then(|node| self.test_input(node, folder, pipeline));
        let mut expect = BTreeMap::new();
        for entry in expected.map(Node::entries).unwrap_or_default() {
            if let Some(of_output) =
                self.expectation(&entry.value, &entry.key.text, &entry.key.span, pipeline)
            {
                expect.insert(entry.key.text.clone(), of_output);
            }
        }
        if let Some(node) = expected.filter(|node| node.entries().is_empty()) {
            let message =
                format!("`expect` must be a mapping with the id of an output, found {}", node.form());
            self.collector
                .error("wrong-form", &node.span, message)
                .help("expect: { OUTPUT: { records: NUMBER, contains: [TEXT] } }");
        }
        let exit_code = fields.get("exit_code").and_then(|node| self.number(node, "exit_code"));
        let input = input?;
        let first = input.files.first().map(|file| file.display().to_string()).unwrap_or_default();
        let name = fields.get("name").and_then(|node| self.text(node, "name"));
        Some(PipelineTest {
            name: name.map_or(first, |name| name.text),
            input,
            exit_code: exit_code.and_then(|code| u8::try_from(code).ok()).unwrap_or_default(),
            expect,
        })
    }

    /// The report of a test: a path, several, or a mapping with the input that reads it.
    fn test_input(&mut self, node: &Node, folder: &Path, pipeline: &Pipeline) -> Option<TestInput> {
        let mapping = Node { content: Content::Mapping(Vec::new()), span: node.span.clone() };
        let (fields, path) = match node.content {
            Content::Mapping(_) => {
                let keys = ["id", "plugin", "with", "path"];
                let fields = Fields::read(&mut self.collector, node, "`input`", &keys, |_| None);
                let path = fields.get("path");
                if path.is_none() {
                    self.collector.error("missing-key", &start(node), "`input` has no `path`".to_owned());
                }
                (fields, path?)
            }
            _ => (Fields::read(&mut self.collector, &mapping, "`input`", &[], |_| None), node),
        };
        let files = self.items(path, "input").into_iter().map(|(file, _)| folder.join(file)).collect();
        let id = fields.get("id").and_then(|node| self.text(node, "id").map(|id| (id.text, node)));
        let ids: Vec<&str> = pipeline.inputs.iter().map(|input| input.instance.id.as_str()).collect();
        let reader = match (&id, &pipeline.inputs[..]) {
            (Some((id, node)), inputs) => {
                let found = inputs.iter().find(|input| input.instance.id == *id);
                if found.is_none() {
                    let message = format!("the pipeline has no input `{id}`");
                    self.collector
                        .error("bad-value", &node.span, message)
                        .help(format!("its inputs: {}", ids.join(", ")));
                }
                found?
            }
            (None, [only]) => only,
            (None, _) => {
                self.collector
                    .error("missing-key", &node.span, "the pipeline has several inputs".to_owned())
                    .help(format!("write input: {{ id: ID, path: FILE }}; its inputs: {}", ids.join(", ")));
                return None;
            }
        };
        let plugin = match fields.get("plugin") {
            Some(node) => Some(self.test_plugin(node, fields.get("with"))?),
            None => None,
        };
        let name = plugin.as_ref().map_or(&reader.instance.plugin, |(name, _)| name);
        let descriptor = self.catalogue.find(PluginKind::Input, name)?;
        if !reads_files(descriptor) {
            self.collector
                .error(
                    "bad-value",
                    &node.span,
                    format!("the plugin `{name}` has no option `path` for a report"),
                )
                .help("name a plugin that reads files: input: { plugin: PLUGIN, path: FILE }");
            return None;
        }
        Some(TestInput { id: reader.instance.id.clone(), plugin, files })
    }

    fn test_plugin(&mut self, node: &Node, with: Option<&Node>) -> Option<(String, Map<String, Value>)> {
        let name = self.text(node, "plugin")?.text;
        let Some(plugin) = self.catalogue.find(PluginKind::Input, &name).cloned() else {
            let names = self.catalogue.names(PluginKind::Input);
            self.collector
                .error("unknown-plugin", &node.span, format!("unknown input plugin `{name}`"))
                .help(format!("installed input plugins: {}", names.join(", ")));
            return None;
        };
        let mut settings = Settings::default();
        if let Some(with) = with {
            self.options(&plugin, with, &mut settings);
        }
        let is_missing = |option: &&scanbridge_plugin_api::OptionDescriptor| {
            option.required && option.name != PATH && !settings.has(option)
        };
        for option in plugin.options.iter().filter(is_missing) {
            self.collector
                .error("missing-option", &node.span, format!("`{}` requires option `{}`", name, option.name))
                .help(describe(&plugin));
        }
        Some((plugin.name, settings.options))
    }

    fn expectation(
        &mut self,
        node: &Node,
        id: &str,
        at: &super::source::Span,
        pipeline: &Pipeline,
    ) -> Option<Expectation> {
        let owner = format!("the expectation of `{id}`");
        let fields = Fields::read(&mut self.collector, node, &owner, &EXPECT_KEYS, |_| None);
        let ids: Vec<&str> = pipeline.outputs.iter().map(|output| output.instance.id.as_str()).collect();
        let Some(output) = pipeline.outputs.iter().find(|output| output.instance.id == id) else {
            let near = nearest(id, ids.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            self.collector
                .error("bad-value", at, format!("the pipeline has no output `{id}`"))
                .label(near.unwrap_or_default())
                .help(format!("its outputs: {}", ids.join(", ")));
            return None;
        };
        let plugin = &output.instance.plugin;
        if !self.catalogue.find(PluginKind::Output, plugin).is_some_and(writes_file) {
            self.collector
                .error("bad-value", at, format!("output `{id}` ({plugin}) cannot write to a file"))
                .help("a test sends nothing, so it leaves this output out; expect something of another one");
        }
        let counts = COUNTS.into_iter();
        let counts = counts.filter_map(|key| Some((key, self.number(fields.get(key)?, key)?))).collect();
        let mut texts = |key| -> Vec<String> {
            let nodes = fields.get(key).map(|node| match &node.content {
                Content::Sequence(items) => items.iter().collect(),
                _ => vec![node],
            });
            let nodes: Vec<&Node> = nodes.unwrap_or_default();
            nodes.into_iter().filter_map(|node| Some(self.text(node, key)?.text)).collect()
        };
        Some(Expectation { counts, contains: texts("contains"), lacks: texts("lacks") })
    }

    fn number(&mut self, node: &Node, key: &str) -> Option<u64> {
        let text = self.text(node, key)?.text;
        let number = text.parse().ok();
        if number.is_none() {
            let message = format!("`{key}` must be a number, found `{text}`");
            self.collector.error("bad-value", &node.span, message);
        }
        number
    }
}

/// Whether an input reads the files that its option `path` names.
fn reads_files(plugin: &Descriptor) -> bool {
    plugin.option(PATH).is_some_and(|option| match &option.kind {
        OptionKind::Path => true,
        OptionKind::List { of } => **of == OptionKind::Path,
        _ => false,
    })
}

/// Whether an output can write to the file that its option `path` names.
pub(crate) fn writes_file(plugin: &Descriptor) -> bool {
    plugin.option(PATH).is_some_and(|option| option.kind == OptionKind::Path)
}
