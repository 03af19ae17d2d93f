//! Reads any text as a pipeline file. It is valid, or its problems are reported. It never causes a panic.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use scanbridge::config::{self, Catalogue};
use scanbridge_plugin_api::{Descriptor, OptionDescriptor, OptionSpec, PluginKind, ValueSpec};

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::path("path").required().help("Path."),
    OptionSpec::integer("page_size", 1, 10_000).default_integer(1_000).help("Number."),
    OptionSpec::flag("add_host").help("Flag.").deprecated_names(&["addhost"]),
    OptionSpec::text("password").secret().help("Password."),
    OptionSpec::list("columns", &ValueSpec::Choice(&["qid", "title"])).help("List."),
    OptionSpec::size("rotate_bytes", 0, u64::MAX).help("Size."),
];

static PLUGINS: LazyLock<[Descriptor; 2]> = LazyLock::new(|| {
    [("In", PluginKind::Input), ("Out", PluginKind::Output)].map(|(name, kind)| Descriptor {
        api: "2.0".to_owned(),
        tables: Vec::new(),
        capabilities: serde_json::Value::Null,
        name: name.to_owned(),
        kind,
        version: "1.0.0".to_owned(),
        summary: "a plugin".to_owned(),
        options: OPTIONS.iter().map(OptionDescriptor::from).collect(),
        crypto: None,
    })
});

struct FixedCatalogue;

impl Catalogue for FixedCatalogue {
    fn find(&self, kind: PluginKind, name: &str) -> Option<&Descriptor> {
        PLUGINS.iter().find(|plugin| plugin.kind == kind && plugin.name.eq_ignore_ascii_case(name))
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        PLUGINS.iter().filter(|plugin| plugin.kind == kind).map(|plugin| plugin.name.clone()).collect()
    }
}

fuzz_target!(|text: &str| {
    let path = Path::new("/nonexistent/pipeline.yaml");
    match config::read_text(path, text).and_then(|document| config::check(&document, &FixedCatalogue)) {
        Ok(pipeline) => assert!(!pipeline.inputs.is_empty() && !pipeline.outputs.is_empty()),
        Err(problems) => assert!(problems.errors() > 0 && !problems.to_string().is_empty()),
    }
});
