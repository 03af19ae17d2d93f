//! The keys of `connector:`: what the operator calls this installation, and the IP version that its machine prefers.

use scanbridge_plugin_api::is_printable;

use super::checker::Checker;
use super::fields::Fields;
use super::host_options::HostSettings;

/// The texts of `connector:`, with their maximum length in bytes.
const TEXTS: [(&str, usize); 3] =
    [("connector.name", 255), ("connector.location", 1023), ("connector.comment", 1023)];
/// The key for the IP version.
pub(super) const PREFERRED: &str = "connector.preferred_ip_version";

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
    pub(super) fn connector(&mut self, fields: &Fields<'_>, host: &HostSettings) -> Connector {
        let texts = TEXTS.map(|(name, limit)| {
            let text = host.text(name)?;
            let problem = if text.len() > limit {
                format!("`{name}` has {} bytes; at most {limit} are allowed", text.len())
            } else if text.trim().is_empty() || !text.chars().all(is_printable) {
                format!("`{name}` is empty or has characters that cannot be printed")
            } else {
                return Some(text.to_owned());
            };
            let node = fields.get("connector")?;
            let span = &node.entry(name.trim_start_matches("connector.")).unwrap_or(node).span;
            self.collector.error("bad-value", span, problem).help("events show it; choose a short text");
            None
        });
        Connector { texts, prefers_ipv6: host.text(PREFERRED) == Some("ipv6") }
    }
}
