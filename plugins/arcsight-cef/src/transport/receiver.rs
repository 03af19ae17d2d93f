//! A receiver as configured.

use scanbridge_dialer::host_and_port;
use scanbridge_plugin_api::{PluginError, Result};

/// A receiver as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receiver {
    /// Host name, or IP address without brackets.
    pub host: String,
    pub port: u16,
}

impl std::fmt::Display for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&host_and_port(&self.host, self.port))
    }
}

impl Receiver {
    /// Reads `host`, `host:port`, `[address]` or `[address]:port`, or a bare IPv6 address.
    pub(crate) fn parse(text: &str, default_port: u16) -> Result<Self> {
        let invalid = || {
            PluginError::config(format!("invalid `address`: expected `host` or `host:port`, found `{text}`"))
                .with_hint("put an IPv6 address with a port in brackets: [2001:db8::1]:6514")
        };
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':').or((!rest.is_empty()).then_some("?"))),
            None if text.matches(':').count() > 1 => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(default_port), |port| port.parse().map_err(|_| invalid()))?;
        let is_name = !host.is_empty() && !host.contains(['/', '[', ']', ' ']) && port > 0;
        if is_name { Ok(Self { host: host.to_owned(), port }) } else { Err(invalid()) }
    }
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::ErrorKind;

    use super::*;

    #[test]
    fn receiver_addresses_are_parsed_with_and_without_port() {
        for (text, host, port) in [
            ("siem.example.com", "siem.example.com", 514),
            ("siem.example.com:601", "siem.example.com", 601),
            ("192.0.2.1:6514", "192.0.2.1", 6514),
            ("[2001:db8::1]:6514", "2001:db8::1", 6514),
            ("[2001:db8::1]", "2001:db8::1", 514),
            ("2001:db8::1", "2001:db8::1", 514),
        ] {
            assert_eq!(Receiver::parse(text, 514), Ok(Receiver { host: host.to_owned(), port }), "{text}");
        }
        for text in ["", ":514", "host:", "host:0", "host:65536", "[::1]514", "tcp://host", "[]:1", "a b"] {
            assert_eq!(
                Receiver::parse(text, 514).map_err(|error| error.kind),
                Err(ErrorKind::Config),
                "{text}"
            );
        }
        assert_eq!(Receiver::parse("2001:db8::1", 9).unwrap().to_string(), "[2001:db8::1]:9");
    }
}
