//! Plugins that exist only in these tests.

use scanbridge::config::Catalogue;
use scanbridge_plugin_api::{Descriptor, OptionDescriptor, OptionSpec, PluginKind, ValueSpec};

/// Three plugins with options of every kind.
pub(crate) struct FakeCatalogue(Vec<Descriptor>);

const API_INPUT: &[OptionSpec] = &[
    OptionSpec::text("username").required().deprecated_names(&["user_id"]).help("the login name"),
    OptionSpec::text("password").required().secret().help("the password; single quotes keep it whole"),
    OptionSpec::text("url").default_text("https://qualysapi.example.com").help("where the API is"),
    OptionSpec::integer("page_size", 1, 10_000).default_integer(1_000).help("assets per request"),
    OptionSpec::flag("add_host").default_flag(false).help("whether unknown assets are created"),
    OptionSpec::integer("pin", 1_000, 9_999).secret().help("the second factor"),
];
const FILE_INPUT: &[OptionSpec] = &[
    OptionSpec::path("path").required().help("a report, a folder of reports, or - for standard input"),
    OptionSpec::path("knowledge_base").help("a KNOWLEDGE_BASE file with titles and severities"),
    OptionSpec::flag("deliver_incomplete").default_flag(false).help("whether cut reports are delivered"),
];
const CSV_OUTPUT: &[OptionSpec] = &[
    OptionSpec::path("path").required().help("where to write"),
    OptionSpec::choice("format", &["table", "host-input"]).default_text("table").help("the layout"),
    OptionSpec::list("columns", &ValueSpec::Text).help("columns in their order").deprecated_names(&["cols"]),
    OptionSpec::list("ports", &ValueSpec::Integer { min: 1, max: 65_535 }).help("only these ports"),
    OptionSpec::size("rotate_bytes", 1024, 1 << 40).help("when to begin a new file"),
    OptionSpec::text("passphrase").secret().help("what the file is sealed with"),
];

impl FakeCatalogue {
    pub(crate) fn new() -> Self {
        Self(vec![
            plugin("QualysGuard", PluginKind::Input, "Reads findings from the Qualys API", API_INPUT),
            plugin("QualysGuardFile", PluginKind::Input, "Reads stored reports", FILE_INPUT),
            plugin("CSV", PluginKind::Output, "Writes a table", CSV_OUTPUT),
        ])
    }
}

fn plugin(name: &str, kind: PluginKind, summary: &str, options: &[OptionSpec]) -> Descriptor {
    Descriptor {
        name: name.to_owned(),
        kind,
        version: "1.2.3".to_owned(),
        summary: summary.to_owned(),
        options: options.iter().map(OptionDescriptor::from).collect(),
    }
}

impl Catalogue for FakeCatalogue {
    fn find(&self, kind: PluginKind, name: &str) -> Option<&Descriptor> {
        self.0.iter().find(|plugin| plugin.kind == kind && plugin.name.eq_ignore_ascii_case(name))
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        self.0.iter().filter(|plugin| plugin.kind == kind).map(|plugin| plugin.name.clone()).collect()
    }
}
