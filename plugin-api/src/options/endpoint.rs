//! Addresses of network services: a host, and a port if there is one.

use std::fmt;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

/// Whether an endpoint has a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum EndpointPort {
    /// It must have one: `host:port`.
    #[default]
    Required,
    /// It may have one; the plugin has a default.
    Optional,
    /// It must not have one: the port is a separate option.
    Absent,
}

/// A value of an endpoint option: `host:port`, `[address]:port`, `host`, or an IPv6 address with or without brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Endpoint {
    /// A host name or an IP address; an IPv6 address without brackets.
    pub host: String,
    /// The port, 1 to 65535, if the value has one.
    pub port: Option<u16>,
}

/// What is wrong with a text that is not an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndpointFault {
    NoHost,
    BadHost,
    BadPort,
}

/// Reason for [`EndpointFault::BadPort`].
pub(super) const BAD_PORT: &str = "has an invalid port; expected a number from 1 to 65535";

impl Endpoint {
    /// This host, an IPv6 address without brackets, with this port.
    pub fn new(host: impl Into<String>, port: Option<u16>) -> Self {
        Self { host: host.into(), port }
    }

    /// Reads the text with or without a port. Spaces around it are not accepted.
    pub(super) fn split(text: &str) -> Result<Self, EndpointFault> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(EndpointFault::BadHost)?;
                match rest.strip_prefix(':') {
                    None if rest.is_empty() => (host, None),
                    None => return Err(EndpointFault::BadHost),
                    port => (host, port),
                }
            }
            // More than one colon: an IPv6 address without brackets, which cannot have a port.
            None if text.matches(':').count() > 1 => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            return Err(EndpointFault::NoHost);
        }
        if !is_host(host) {
            return Err(EndpointFault::BadHost);
        }
        let port = port.map(port_number).transpose()?;
        Ok(Self { host: host.to_owned(), port })
    }

    /// Reads the text, which has a port as the option demands.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the option's name.
    pub(super) fn parse(text: &str, port: EndpointPort) -> Result<Self, String> {
        // The text may contain a login.
        let found = if text.contains('@') { String::new() } else { format!(", found `{text}`") };
        let wrong = || Err(format!("must be {}{found}", port.describe()));
        if text.contains("://") {
            return Err(format!("must not contain a scheme such as `https://`{found}"));
        }
        match (Self::split(text), port) {
            (Err(EndpointFault::NoHost | EndpointFault::BadHost), _) => wrong(),
            (Ok(Self { port: Some(_), .. }) | Err(EndpointFault::BadPort), EndpointPort::Absent) => {
                Err(format!("must not contain a port{found}"))
            }
            (Err(EndpointFault::BadPort), _) => Err(format!("{BAD_PORT}{found}")),
            (Ok(Self { port: None, .. }), EndpointPort::Required) => wrong(),
            (Ok(endpoint), _) => Ok(endpoint),
        }
    }
}

/// `host:port` or `host`. An IPv6 address is in brackets.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl EndpointPort {
    /// The form of the values, in words.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Required => "`host:port`, with an IPv6 address as `[address]:port`",
            Self::Optional => "`host` or `host:port`, with an IPv6 address as `[address]:port`",
            Self::Absent => "a host name or IP address",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
    pub(super) fn is_required(&self) -> bool {
        *self == Self::Required
    }
}

fn port_number(text: &str) -> Result<u16, EndpointFault> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port > 0).ok_or(EndpointFault::BadPort)
}

fn is_host(text: &str) -> bool {
    let is_word = |text: &str| {
        !text.is_empty() && text.chars().all(|sign| sign.is_alphanumeric() || ".-_".contains(sign))
    };
    if text.contains(':') {
        let (address, zone) =
            text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
        return address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_word);
    }
    // Four numbers are an IPv4 address, never a name.
    let parts: Vec<&str> = text.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_v4 = parts.len() == 4 && parts.iter().all(is_number);
    is_word(text) && (!is_v4 || parts.iter().all(|part| part.parse::<u8>().is_ok()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn host_and_port_are_read() {
        for (text, host, port) in [
            ("siem.example.com", "siem.example.com", None),
            ("siem.example.com:601", "siem.example.com", Some(601)),
            ("192.0.2.1:6514", "192.0.2.1", Some(6514)),
            ("[2001:db8::1]:6514", "2001:db8::1", Some(6514)),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("2001:db8::1", "2001:db8::1", None),
            ("fe80::1%eth0", "fe80::1%eth0", None),
            ("münchen.example.com:1", "münchen.example.com", Some(1)),
            ("srv_1:65535", "srv_1", Some(65_535)),
        ] {
            let endpoint = Endpoint::parse(text, EndpointPort::Optional);
            assert_eq!(endpoint, Ok(Endpoint { host: host.to_owned(), port }), "{text}");
        }
    }

    #[test]
    fn error_names_the_wrong_part() {
        let optional = EndpointPort::Optional;
        for (text, port, part) in [
            ("", optional, "must be `host` or `host:port`"),
            (":514", optional, "must be `host` or `host:port`"),
            ("host:", optional, "has an invalid port; expected a number from 1 to 65535, found `host:`"),
            ("host:0", optional, "has an invalid port"),
            ("host:+1", optional, "has an invalid port"),
            ("host:65536", optional, "has an invalid port"),
            ("host:abc", optional, "has an invalid port"),
            ("[::1]514", optional, "must be `host` or"),
            ("[::1", optional, "must be `host` or"),
            ("[]:1", optional, "must be `host` or"),
            ("1:2:3", optional, "must be `host` or"),
            ("192.0.2.300", optional, "must be `host` or"),
            ("a b", optional, "must be `host` or"),
            ("tcp://host", optional, "must not contain a scheme such as `https://`, found `tcp://host`"),
            ("host", EndpointPort::Required, "must be `host:port`"),
            ("host:1", EndpointPort::Absent, "must not contain a port, found `host:1`"),
            ("host:x", EndpointPort::Absent, "must not contain a port"),
        ] {
            let problem = Endpoint::parse(text, port).unwrap_err();
            assert!(problem.starts_with(part), "{text}: {problem}");
        }
        let problem = Endpoint::parse("user:t0w3L@host:1", optional).unwrap_err();
        assert!(!problem.contains("t0w3L"), "{problem}");
    }

    proptest! {
        #[test]
        fn shown_endpoint_is_read_again(
            host in prop_oneof![
                "[a-z][a-z0-9_-]{0,9}(\\.[a-z0-9]{1,9}){0,3}",
                any::<std::net::IpAddr>().prop_map(|address| address.to_string()),
            ],
            port in proptest::option::of(1_u16..),
        ) {
            let endpoint = Endpoint { host, port };
            prop_assert_eq!(Endpoint::parse(&endpoint.to_string(), EndpointPort::Optional), Ok(endpoint));
        }

        #[test]
        fn displayed_value_is_read_as_the_same_value(text in "\\PC{0,20}|[a-f0-9:.%\\[\\]@/]{0,20}") {
            if let Ok(endpoint) = Endpoint::split(&text) {
                prop_assert_eq!(Endpoint::split(&endpoint.to_string()), Ok(endpoint));
            }
        }
    }
}
