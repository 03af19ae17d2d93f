//! Checks a pipeline file and reports all problems at once.

use std::mem;
use std::path::Path;

use scanbridge_observe::{NAME_RULE, is_name};
use scanbridge_plugin_api::{Descriptor, PluginKind};

use super::catalogue::Catalogue;
use super::checker::Checker;
use super::collector::{hide_content, hide_mappings};
use super::delivery::{Delivery, OnInvalid, RetryPolicy, RunSettings};
use super::document::Document;
use super::fields::{Elsewhere, Fields};
use super::filter::Filter;
use super::host_options::{HostSettings, keys};
use super::host_table::Scope;
use super::origin::Origin;
use super::pipeline::{InputInstance, Instance, OptionLocations, OutputInstance, Pipeline};
use super::problem::Problems;
use super::reference::Environment;
use super::settings::Settings;
use super::source::Span;
use super::tree::{Content, Node};

/// Checks a pipeline file and its settings files. Starts nothing.
///
/// # Errors
/// All errors and warnings, when there is at least one error.
pub fn check(document: &Document, catalogue: &dyn Catalogue) -> Result<Pipeline, Problems> {
    check_in(document, catalogue, Environment::of_process())
}

/// Like [`check`], with the given environment.
///
/// # Errors
/// Like [`check`].
pub fn check_in(
    document: &Document,
    catalogue: &dyn Catalogue,
    environment: Environment<'_>,
) -> Result<Pipeline, Problems> {
    check_with(&mut Checker::new(catalogue, environment), document)
}

/// Like [`check`], for a pipeline that may still lack inputs or outputs.
///
/// # Errors
/// Like [`check`].
pub(crate) fn check_unfinished(document: &Document, catalogue: &dyn Catalogue) -> Result<Pipeline, Problems> {
    let mut checker = Checker::new(catalogue, Environment::of_process());
    checker.is_unfinished = true;
    check_with(&mut checker, document)
}

/// Checks a document; the checker has its settings files afterwards.
pub(super) fn check_with(checker: &mut Checker<'_>, document: &Document) -> Result<Pipeline, Problems> {
    checker.bundled = document.settings.clone();
    if checker.other_file(document) {
        return Err(mem::take(&mut checker.collector).finish());
    }
    checker.writable_by_all(document);
    let file = document.source.path();
    let mut pipeline = checker.pipeline(&document.root, file);
    pipeline.digest.clone_from(&document.digest);
    pipeline.instance = document.instance;
    if checker.collector.has_errors() {
        return Err(mem::take(&mut checker.collector).finish());
    }
    pipeline.locations.hidden = checker.collector.redactions();
    pipeline.warnings = mem::take(&mut checker.collector).finish().list;
    Ok(pipeline)
}

const KEYS: [&str; 4] = ["version", "inputs", "filter", "outputs"];
const INPUT_KEYS: [&str; 4] = ["id", "plugin", "config", "with"];
const OUTPUT_KEYS: [&str; 5] = ["id", "plugin", "filter", "config", "with"];

/// What the service has in the state directory besides the directories of pipelines: no names of pipelines.
pub(crate) const RESERVED: [&str; 3] = ["service", "service.lock", "control.sock"];

/// The IDs found so far, in lower case, with their locations.
type Ids<'n> = Vec<(String, &'n Span)>;

impl Checker<'_> {
    fn pipeline(&mut self, root: &Node, file: &Path) -> Pipeline {
        let mut pipeline = Pipeline::named_after(file);
        if root.is_null() {
            self.collector
                .file_error("empty", root.span.file(), "the pipeline file is empty".to_owned())
                .help("add `version: 1`, `inputs:` and `outputs:`");
            return pipeline;
        }
        let known = [&KEYS[..], &keys(Scope::Run)].concat();
        // The operator's own keys, for example values that aliases refer to.
        let is_own = |key: &str| key.starts_with("x-");
        let collector = &mut self.collector;
        let fields =
            Fields::read_except(collector, root, "the pipeline", &known, belongs_to_instance, is_own);
        if !matches!(root.content, Content::Mapping(_)) {
            return pipeline;
        }
        self.version(root, &fields);
        pipeline.host = self.host_settings(&fields, Scope::Run);
        if let (Some(node), Some(name)) = (fields.get("name"), pipeline.host.text("name")) {
            pipeline.name = self.name(node, "name", name.to_owned()).unwrap_or(pipeline.name);
        }
        if RESERVED.contains(&pipeline.name.as_str()) {
            let message = format!("the pipeline name `{}` is that of a file of the service", pipeline.name);
            let named = fields.get("name").map(|node| node.span.clone());
            match named {
                Some(span) => self.collector.error("reserved-name", &span, message),
                None => self.collector.file_error("reserved-name", file, message),
            }
            .help("set another `name:`");
        }
        self.fips = self.fips_mode(&fields, &pipeline.host);
        pipeline.run = RunSettings::of(&pipeline.host);
        pipeline.service = self.service_keys(&fields, &pipeline.host);
        let shared = fields.get("filter").map(|node| self.filter(node));
        let mut ids = Ids::new();
        for (number, node) in self.instances(root, &fields, PluginKind::Input) {
            let (instance, _, host) =
                self.instance(node, PluginKind::Input, number, &mut ids, &mut pipeline.locations);
            let (retry, hang) = (RetryPolicy::of(&host), host.seconds("hang_secs"));
            let on_invalid = OnInvalid::of(&host);
            pipeline.inputs.extend(instance.map(|instance| InputInstance {
                instance,
                retry,
                hang,
                on_invalid,
                host,
            }));
        }
        let nodes = self.instances(root, &fields, PluginKind::Output);
        for (number, node) in &nodes {
            let output = self.output(node, *number, &mut ids, shared.as_ref(), &mut pipeline.locations);
            pipeline.outputs.extend(output);
        }
        self.collector.instance = None;
        pipeline.connector = self.connector(&fields, &pipeline.host);
        self.preferred_ip_version(&mut pipeline);
        self.failovers(&pipeline.outputs, &nodes);
        self.same_paths(&pipeline.outputs, &nodes);
        let hangs = pipeline.inputs.iter().map(|input| input.hang);
        let hangs = hangs.chain(pipeline.outputs.iter().map(|output| output.delivery.hang));
        pipeline.service.hang_secs = hangs.max().unwrap_or_default().as_secs();
        pipeline
    }

    fn version(&mut self, root: &Node, fields: &Fields<'_>) {
        let Some(node) = fields.get("version") else {
            if fields.is_misspelled("version") {
                return;
            }
            self.collector
                .error("missing-key", &start(root), "`version` is missing".to_owned())
                .help("add `version: 1` as the first line");
            return;
        };
        if let Some(found) = self.text(node, "version")
            && found.text != "1"
        {
            self.collector
                .error("bad-value", &node.span, format!("`version` must be 1, found `{}`", found.text))
                .help("this release supports pipeline files of version 1");
        }
    }

    /// The entries of `inputs` or `outputs`, numbered from 1.
    fn instances<'n>(
        &mut self,
        root: &'n Node,
        fields: &Fields<'n>,
        kind: PluginKind,
    ) -> Vec<(usize, &'n Node)> {
        let word = kind.word();
        let key = format!("{word}s");
        let form = format!("write it as a list:  {word}s: [ {{ id: NAME, plugin: PLUGIN, with: {{ … }} }} ]");
        match fields.get(&key).map(|node| (node, &node.content)) {
            Some((_, Content::Sequence(items))) if !items.is_empty() => {
                return items.iter().enumerate().map(|(index, item)| (index + 1, item)).collect();
            }
            Some((node, content)) if !node.is_null() && !matches!(content, Content::Sequence(_)) => {
                hide_mappings(&mut self.collector, node);
                self.collector
                    .error(
                        "wrong-form",
                        &start(node),
                        format!("`{key}` must be a list, found {}", node.form()),
                    )
                    .help(format!("start each {word} with `- `, for example `- id: NAME`"));
            }
            Some((node, _)) => {
                self.collector
                    .error(
                        "missing-key",
                        &node.span,
                        format!("`{key}` is empty; at least one entry is required"),
                    )
                    .help(form);
            }
            None if self.is_unfinished || fields.is_misspelled(&key) => {}
            None => {
                self.collector.error("missing-key", &start(root), format!("`{key}` is missing")).help(form);
            }
        }
        Vec::new()
    }

    fn output<'n>(
        &mut self,
        node: &'n Node,
        number: usize,
        ids: &mut Ids<'n>,
        shared: Option<&Filter>,
        locations: &mut OptionLocations,
    ) -> Option<OutputInstance> {
        self.hide_encrypt_secret(node);
        let (instance, fields, mut host) = self.instance(node, PluginKind::Output, number, ids, locations);
        let own = fields.get("filter").map(|node| self.filter(node));
        let filters = shared.cloned().into_iter().chain(own).filter(|filter| !filter.is_open()).collect();
        let encryption = self.encryption(&fields, &mut host);
        let (required, delivery) = (host.flag("required"), Delivery::of(&host));
        Some(OutputInstance { instance: instance?, required, filters, delivery, encryption, host })
    }

    /// An `id` or `name`, which becomes the name of a directory.
    pub(super) fn name(&mut self, node: &Node, key: &str, name: String) -> Option<String> {
        if !is_name(&name) {
            self.collector
                .error("bad-value", &node.span, format!("invalid {key} `{name}`"))
                .help(format!("`{key}` must have {NAME_RULE}"));
            return None;
        }
        Some(name)
    }

    fn instance<'n>(
        &mut self,
        node: &'n Node,
        kind: PluginKind,
        number: usize,
        ids: &mut Ids<'n>,
        locations: &mut OptionLocations,
    ) -> (Option<Instance>, Fields<'n>, HostSettings) {
        let owner = owner(node, kind, number);
        self.collector.instance = node.entry("id").and_then(Node::text).map(str::to_owned);
        let (own, scope) = match kind {
            PluginKind::Input => (&INPUT_KEYS[..], Scope::Input),
            PluginKind::Output => (&OUTPUT_KEYS[..], Scope::Output),
        };
        let known = [own, &keys(scope)].concat();
        let named = node.entry("plugin").and_then(Node::text);
        let catalogue = self.catalogue;
        // Only for hints: a library that FIPS mode may refuse is not loaded.
        let may_load = |name: &&str| {
            (self.fips.is_off() && node.entry("fips").is_none())
                || catalogue.refusal_in_fips_mode(kind, name).is_none()
        };
        let expected = named.filter(may_load).and_then(|name| catalogue.find(kind, name));
        let fields = Fields::read(&mut self.collector, node, &owner, &known, |key| {
            let option = expected?.option(key)?;
            let hint = "move plugin options under `with:`".to_owned();
            Some(Elsewhere { hint, secret: option.secret })
        });
        if !matches!(node.content, Content::Mapping(_)) {
            return (None, fields, HostSettings::default());
        }
        let host = self.host_settings(&fields, scope);
        let fips = self.fips_mode(&fields, &host);
        let id = self.id(node, &fields, &owner, ids);
        let plugin = self.plugin(node, &fields, &owner, (kind, fips));
        let Some(plugin) = plugin else {
            // Without the plugin's option table it is unknown which options are secret.
            if let Some(with) = fields.get("with") {
                hide_content(&mut self.collector, with);
            }
            return (None, fields, host);
        };
        let settings = self.settings(node, &fields, plugin, &owner);
        let declared = fields.get("plugin").map_or_else(|| start(node), |value| value.span.clone());
        if let Some(id) = &id {
            locations.instances.insert(id.clone(), (declared, settings.spans));
        }
        let instance = id.map(|id| Instance {
            id,
            plugin: plugin.name.clone(),
            options: settings.options,
            origins: settings.origins,
            declared: Origin::of(&start(node)),
            fips,
        });
        (instance, fields, host)
    }

    fn id<'n>(
        &mut self,
        node: &'n Node,
        fields: &Fields<'n>,
        owner: &str,
        ids: &mut Ids<'n>,
    ) -> Option<String> {
        let Some(value) = fields.get("id") else {
            self.collector
                .error("missing-key", &start(node), format!("{owner} has no `id`"))
                .help("add `id: NAME`, a unique name that appears in logs, summaries and state");
            return None;
        };
        let id = self.text(value, "id")?.text;
        let id = self.name(value, "id", id)?;
        if let Some((_, first)) = ids.iter().find(|(known, _)| *known == id.to_ascii_lowercase()) {
            let line = first.line_number();
            self.collector
                .error("duplicate-id", &value.span, format!("duplicate id `{id}`"))
                .label(format!("first defined on line {line}"))
                .help("IDs must be unique across inputs and outputs, ignoring case");
            return None;
        }
        ids.push((id.to_ascii_lowercase(), &value.span));
        Some(id)
    }

    /// Reads the options of the settings file, then those under `with:`, which override them, and reports
    /// missing ones.
    fn settings(&mut self, node: &Node, fields: &Fields<'_>, plugin: &Descriptor, owner: &str) -> Settings {
        let mut settings = Settings::default();
        let mut file = None;
        if let Some(value) = fields.get("config")
            && let Some(path) = self.text(value, "config")
        {
            let path = value.span.source.folder().join(path.text);
            match self.settings_file(path, &value.span) {
                Some(root) => {
                    self.options(plugin, &root, &mut settings);
                    file = Some(root.span.file().to_owned());
                }
                None => settings.suppress_missing(plugin),
            }
        }
        if fields.is_misspelled("with") || fields.is_misspelled("config") {
            settings.suppress_missing(plugin);
        }
        // Options next to `with:` instead of under it have been reported.
        let misplaced = node.entries().iter().filter_map(|entry| plugin.option(&entry.key.text));
        settings.invalid.extend(misplaced.map(|option| option.name.clone()));
        if let Some(with) = fields.get("with") {
            self.options(plugin, with, &mut settings);
        }
        for option in plugin.options.iter().filter(|option| option.required && !settings.has(option)) {
            let name = &option.name;
            let target = match &file {
                Some(file) => format!("to {} or under `with:`", file.display()),
                None => "under `with:`".to_owned(),
            };
            let at = fields.get("plugin").map_or_else(|| start(node), |value| value.span.clone());
            self.collector
                .error(
                    "missing-option",
                    &at,
                    format!("{owner} has no `{name}`, which is required by {}", plugin.name),
                )
                .help(format!("add `{name}: …` {target}: {}", option.help));
        }
        let at = fields.get("plugin").map_or_else(|| start(node), |value| value.span.clone());
        self.rules(plugin, &settings, &at);
        settings
    }
}

/// Name of an entry in messages: ``input `scans` ``, or `input #2` when it has no `id`.
fn owner(node: &Node, kind: PluginKind, number: usize) -> String {
    match node.entry("id").and_then(Node::text).filter(|id| !id.is_empty()) {
        Some(id) => format!("{} `{id}`", kind.word()),
        None => format!("{} #{number}", kind.word()),
    }
}

fn belongs_to_instance(key: &str) -> Option<Elsewhere> {
    let is_of = |keys: &[&str], scope| keys.contains(&key) || super::host_options::keys(scope).contains(&key);
    match key {
        "input" | "output" => Some(Elsewhere::of(format!("did you mean `{key}s`? Its value is a list"))),
        _ if is_of(&INPUT_KEYS, Scope::Input) || is_of(&OUTPUT_KEYS, Scope::Output) => {
            Some(Elsewhere::of("this key belongs to an entry of `inputs:` or `outputs:`"))
        }
        _ => None,
    }
}

/// Where a key of the host belongs that is written under `with:`.
pub(super) fn belongs_next_to_plugin(key: &str, kind: PluginKind) -> bool {
    match kind {
        PluginKind::Input => INPUT_KEYS.contains(&key) || keys(Scope::Input).contains(&key),
        PluginKind::Output => OUTPUT_KEYS.contains(&key) || keys(Scope::Output).contains(&key),
    }
}

/// Location of a node for messages: its first key, because marking a complete block is of no help.
pub(super) fn start(node: &Node) -> Span {
    match &node.content {
        Content::Mapping(entries) => {
            entries.first().map_or_else(|| node.span.clone(), |e| e.key.span.clone())
        }
        Content::Sequence(items) => items.first().map_or_else(|| node.span.clone(), start),
        Content::Scalar(_) => node.span.clone(),
    }
}
