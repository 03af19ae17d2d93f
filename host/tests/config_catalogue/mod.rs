//! Plugins that exist only in these tests.

use scanbridge::config::Catalogue;
use scanbridge_plugin_api::{Descriptor, EndpointPort, OptionDescriptor, OptionSpec, PluginKind, ValueSpec};

/// Three plugins with options of every kind.
pub(crate) struct FakeCatalogue(Vec<Descriptor>);

const API_INPUT: &[OptionSpec] = &[
    OptionSpec::text("username").required().deprecated_names(&["user_id"]).help("Login name."),
    OptionSpec::text("password").required().secret().help("Password; use single quotes."),
    OptionSpec::text("url").default_text("https://qualysapi.example.com").help("URL of the API."),
    OptionSpec::integer("page_size", 1, 10_000).default_integer(1_000).help("Assets per request."),
    OptionSpec::flag("add_host").default_flag(false).help("Create assets that do not exist."),
    OptionSpec::integer("pin", 1_000, 9_999).secret().help("Second factor."),
];
const FILE_INPUT: &[OptionSpec] = &[
    OptionSpec::path("path").required().help("Report, directory of reports, or - for standard input."),
    OptionSpec::path("knowledge_base").help("KNOWLEDGE_BASE file with titles and severities."),
    OptionSpec::flag("deliver_incomplete").default_flag(false).help("Deliver truncated reports."),
];
const CSV_OUTPUT: &[OptionSpec] = &[
    OptionSpec::path("path").required().help("Output file."),
    OptionSpec::choice("if_exists", &["replace", "append"]).default_text("replace").help("Existing file."),
    OptionSpec::choice("format", &["table", "host-input"]).default_text("table").help("File format."),
    OptionSpec::list("columns", &ValueSpec::Text).help("Columns, in order.").deprecated_names(&["cols"]),
    OptionSpec::list("fields", &ValueSpec::Text)
        .known(&["asset.address", "finding.port", "finding.other"])
        .help("Fields of the file."),
    OptionSpec::list("ports", &ValueSpec::Integer { min: 1, max: 65_535 }).help("Only these ports."),
    OptionSpec::size("rotate_bytes", 1024, 1 << 40).help("Maximum file size; then a new file is started."),
    OptionSpec::text("passphrase").secret().help("Passphrase to encrypt the file."),
];
const RELAY_OUTPUT: &[OptionSpec] = &[
    OptionSpec::choice("transport", &["udp", "tcp"]).default_text("udp").help("Transport."),
    OptionSpec::list("address", &ValueSpec::Endpoint(EndpointPort::Optional))
        .help("Receivers.")
        .required_with("transport", &["udp", "tcp"]),
    OptionSpec::size("max_message_bytes", 480, 1 << 20).help("Maximum message size.").max_with(
        "transport",
        &["udp"],
        65_507,
    ),
    OptionSpec::choice("framing", &["newline", "octets"]).help("Framing.").only_with("transport", &["tcp"]),
    OptionSpec::duration("timeout", 1_000, 60_000).default_integer(30_000).help("Timeout."),
    OptionSpec::of(
        "proxy",
        ValueSpec::Url { schemes: &["http", "https"], default_scheme: Some("http"), path: false },
    )
    .help("Proxy."),
    OptionSpec::text("proxy_username").help("User name for the proxy.").requires(&["proxy"]),
    OptionSpec::path("ca_file").help("Authorities."),
    OptionSpec::list("pins", &ValueSpec::Text).help("Fingerprints.").conflicts(&["ca_file"]),
    OptionSpec::map("labels", &ValueSpec::Text).help("Labels."),
    OptionSpec::map("limits", &ValueSpec::Integer { min: 1, max: 9 }).help("Limits."),
];

impl FakeCatalogue {
    pub(crate) fn new() -> Self {
        Self(vec![
            plugin("QualysGuard", PluginKind::Input, "Reads findings from the Qualys API", API_INPUT),
            plugin("QualysGuardFile", PluginKind::Input, "Reads saved reports", FILE_INPUT),
            plugin("CSV", PluginKind::Output, "Writes a CSV file", CSV_OUTPUT),
            plugin("Relay", PluginKind::Output, "Sends events", RELAY_OUTPUT),
        ])
    }
}

fn plugin(name: &str, kind: PluginKind, summary: &str, options: &[OptionSpec]) -> Descriptor {
    Descriptor {
        api: "2.0".to_owned(),
        tables: Vec::new(),
        capabilities: serde_json::Value::Null,
        name: name.to_owned(),
        kind,
        version: "1.2.3".to_owned(),
        summary: summary.to_owned(),
        options: options.iter().map(OptionDescriptor::from).collect(),
        crypto: None,
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
