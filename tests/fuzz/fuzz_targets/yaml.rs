//! A pipeline file is right, or its problems are told: never a panic, and never a secret in a message.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use scanbridge::config::{self, Catalogue};
use scanbridge_plugin_api::{Descriptor, OptionDescriptor, OptionSpec, PluginKind, ValueSpec};

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::path("path").required().help("a path"),
    OptionSpec::integer("page_size", 1, 10_000).default_integer(1_000).help("a number"),
    OptionSpec::flag("add_host").help("a flag").deprecated_names(&["addhost"]),
    OptionSpec::text("password").secret().help("a secret"),
    OptionSpec::list("columns", &ValueSpec::Choice(&["qid", "title"])).help("a list"),
    OptionSpec::size("rotate_bytes", 0, u64::MAX).help("a size"),
];

static PLUGINS: LazyLock<[Descriptor; 2]> = LazyLock::new(|| {
    [("In", PluginKind::Input), ("Out", PluginKind::Output)].map(|(name, kind)| Descriptor {
        name: name.to_owned(),
        kind,
        version: "1.0.0".to_owned(),
        summary: "a plugin".to_owned(),
        options: OPTIONS.iter().map(OptionDescriptor::from).collect(),
    })
});

struct Fixed;

impl Catalogue for Fixed {
    fn find(&self, kind: PluginKind, name: &str) -> Option<&Descriptor> {
        PLUGINS.iter().find(|plugin| plugin.kind == kind && plugin.name.eq_ignore_ascii_case(name))
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        PLUGINS.iter().filter(|plugin| plugin.kind == kind).map(|plugin| plugin.name.clone()).collect()
    }
}

fuzz_target!(|text: &str| {
    let path = Path::new("/nonexistent/pipeline.yaml");
    match config::read_text(path, text).and_then(|document| config::check(&document, &Fixed)) {
        Ok(pipeline) => assert!(!pipeline.inputs.is_empty() && !pipeline.outputs.is_empty()),
        Err(problems) => assert!(problems.errors() > 0 && !problems.to_string().is_empty()),
    }
});
