//! The keys of `connector:`: what the operator calls this installation, and the IP version that its machine prefers.

use scanbridge_plugin_api::{OptionKind, PluginKind, is_printable};
use serde_json::Value;

use super::checker::Checker;
use super::fields::Fields;
use super::host_options::HostSettings;
use super::pipeline::{Instance, Pipeline};

/// The texts of `connector:`, with their maximum length in bytes.
const TEXTS: [(&str, usize); 3] =
    [("connector.name", 255), ("connector.location", 1023), ("connector.comment", 1023)];
/// The key in the pipeline, and the option of a plugin for which it is the default.
const PREFERRED: &str = "connector.preferred_ip_version";
const PREFERRED_OPTION: &str = "preferred_ip_version";

/// What the operator calls this installation, and how its machine is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connector {
    /// Name, location and comment; `None` for those that are not set.
    pub texts: [Option<String>; 3],
    /// Whether an IPv6 address of the machine is preferred over an IPv4 address.
    pub prefers_ipv6: bool,
}

impl Connector {
    /// Whether the operator set a name, a location or a comment.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.texts.iter().any(Option::is_some)
    }
}

impl Checker<'_> {
    /// Reads `connector:`, and makes its IP version the default of each plugin that has such an option.
    pub(super) fn connector(&mut self, fields: &Fields<'_>, pipeline: &mut Pipeline) {
        let host = &pipeline.host;
        if let Some(node) = fields.get("connector") {
            for (name, limit) in TEXTS {
                let Some(text) = host.text(name) else { continue };
                let key = name.trim_start_matches("connector.");
                let problem = if text.len() > limit {
                    format!("`{name}` has {} bytes; at most {limit} are allowed", text.len())
                } else if text.trim().is_empty() || !text.chars().all(is_printable) {
                    format!("`{name}` is empty or has characters that cannot be printed")
                } else {
                    continue;
                };
                let span = &node.entry(key).unwrap_or(node).span;
                self.collector
                    .error("bad-value", span, problem)
                    .help("it is shown in events; choose a short text");
            }
        }
        pipeline.connector = Connector {
            texts: TEXTS.map(|(name, _)| host.text(name).map(str::to_owned)),
            prefers_ipv6: host.text(PREFERRED) == Some("ipv6"),
        };
        let inputs = pipeline.inputs.iter_mut().map(|input| (PluginKind::Input, &mut input.instance));
        let outputs = pipeline.outputs.iter_mut().map(|output| (PluginKind::Output, &mut output.instance));
        for (kind, instance) in inputs.chain(outputs) {
            self.prefer(kind, instance, &pipeline.host);
        }
    }

    fn prefer(&self, kind: PluginKind, instance: &mut Instance, host: &HostSettings) {
        let (Some((Value::String(word), origin)), None) =
            (host.set(PREFERRED), instance.options.get(PREFERRED_OPTION))
        else {
            return;
        };
        let plugin = self.catalogue.find(kind, &instance.plugin);
        let option = plugin.and_then(|plugin| plugin.option(PREFERRED_OPTION));
        let accepts =
            |kind: &OptionKind| matches!(kind, OptionKind::Choice { words } if words.contains(word));
        if option.is_some_and(|option| accepts(&option.kind)) {
            instance.options.insert(PREFERRED_OPTION.to_owned(), Value::String(word.clone()));
            instance.origins.insert(PREFERRED_OPTION.to_owned(), origin.clone());
        }
    }
}
