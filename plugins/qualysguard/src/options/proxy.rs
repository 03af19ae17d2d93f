//! The proxy, and the destinations reached without it.

use std::net::IpAddr;

use ipnet::IpNet;
use scanbridge_dialer::host_and_port;
use scanbridge_plugin_api::{Options, PluginError, Result, Secret};

/// An HTTP proxy with CONNECT support.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// True if the connection to the proxy itself uses TLS.
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) login: Option<(String, Secret)>,
    direct: Vec<Direct>,
}

/// A destination reached without the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Direct {
    All,
    /// This domain and its subdomains.
    Domain(String),
    /// Only subdomains of this domain.
    Below(String),
    Net(IpNet),
}

impl Proxy {
    /// Reads `proxy`, `proxy_username`, `proxy_password` and `no_proxy`.
    ///
    /// # Errors
    /// [`scanbridge_plugin_api::ErrorKind::Config`] names the option and what is wrong with it.
    pub(crate) fn read(options: &Options) -> Result<Option<Self>> {
        let (user, password) = (options.text("proxy_username")?, options.secret("proxy_password")?);
        let Some(address) = options.text("proxy")?.map(str::trim).filter(|text| !text.is_empty()) else {
            return match (user, password) {
                (None, None) => Ok(None),
                (Some(_), _) => {
                    Err(PluginError::config("option `proxy_username` is set, but `proxy` is not"))
                }
                _ => Err(PluginError::config("option `proxy_password` is set, but `proxy` is not")),
            };
        };
        let login = match (user.map(str::trim), password) {
            (None, Some(_)) => {
                return Err(PluginError::config(
                    "option `proxy_password` is set, but `proxy_username` is not",
                ));
            }
            (None, None) => None,
            (Some(user), password) => {
                Some((user.to_owned(), password.unwrap_or_else(|| Secret::new(String::new()))))
            }
        };
        let (tls, host, port) = read_address(address)?;
        let direct = options.list("no_proxy")?.into_iter().map(read_direct).collect();
        Ok(Some(Self { tls, host, port, login, direct }))
    }

    /// True if a host is reached through the proxy.
    pub(crate) fn serves(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok();
        !self.direct.iter().any(|direct| match direct {
            Direct::All => true,
            Direct::Net(net) => address.is_some_and(|address| net.contains(&address)),
            Direct::Domain(name) => host == *name || host.ends_with(&format!(".{name}")),
            Direct::Below(name) => host.ends_with(&format!(".{name}")),
        })
    }

    /// `host:port`, for messages.
    pub(crate) fn shown(&self) -> String {
        host_and_port(&self.host, self.port)
    }
}

fn read_address(text: &str) -> Result<(bool, String, u16)> {
    let (tls, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        Some(_) => return Err(wrong("must start with http:// or https://")),
        None => (false, text),
    };
    let rest = rest.trim_end_matches('/');
    if rest.contains('@') {
        return Err(wrong("must not contain a login; use `proxy_username` and `proxy_password`"));
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && (!host.contains(':') || host.ends_with(']')) => {
            (host, Some(port))
        }
        _ => (rest, None),
    };
    let port = match port {
        Some(port) => port.parse().map_err(|_| wrong("has an invalid port; expected 0 to 65535"))?,
        None if tls => 443,
        None => 8080,
    };
    let host = host.trim_matches(['[', ']']);
    if host.is_empty() || host.contains(['/', '?', '#', ' ']) {
        return Err(wrong("is not a valid URL"));
    }
    Ok((tls, host.to_owned(), port))
}

fn wrong(what: &str) -> PluginError {
    PluginError::config(format!("option `proxy` {what}")).with_hint("write it as https://192.0.2.1:443")
}

fn read_direct(entry: &str) -> Direct {
    let entry = entry.trim().to_ascii_lowercase();
    if entry == "*" {
        return Direct::All;
    }
    if let Ok(net) = entry.parse::<IpNet>() {
        return Direct::Net(net);
    }
    if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Direct::Net(address.into());
    }
    match entry.strip_prefix("*.").or_else(|| entry.strip_prefix('.')) {
        Some(name) => Direct::Below(name.to_owned()),
        None => Direct::Domain(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::TABLE;
    use super::*;

    fn proxy(json: &str) -> Result<Option<Proxy>> {
        let options = format!(r#"{{"user_id": "u", "password": "p", {json}}}"#);
        Proxy::read(&Options::read(TABLE, options.as_bytes())?)
    }

    #[test]
    fn common_spellings_of_a_proxy_url_are_accepted() {
        for (text, tls, host, port) in [
            ("https://192.168.1.100:443", true, "192.168.1.100", 443),
            ("http://proxy.example.com:3128/", false, "proxy.example.com", 3128),
            ("proxy.example.com:65535", false, "proxy.example.com", 65535),
            ("https://[2001:db8::1]:8443", true, "2001:db8::1", 8443),
            ("https://proxy.example.com", true, "proxy.example.com", 443),
        ] {
            let proxy = proxy(&format!(r#""proxy": "{text}""#)).unwrap().unwrap();
            assert_eq!(proxy.tls, tls, "{text}");
            assert_eq!(proxy.host.as_str(), host, "{text}");
            assert_eq!(proxy.port, port, "{text}");
        }
        assert!(proxy(r#""no_proxy": ["x"]"#).unwrap().is_none());
    }

    #[test]
    fn invalid_proxy_is_a_config_error() {
        for port in ["70000", "-1", "abc"] {
            let error = proxy(&format!(r#""proxy": "https://192.0.2.1:{port}""#)).unwrap_err();
            assert_eq!(error.message, "option `proxy` has an invalid port; expected 0 to 65535");
        }
        for json in [
            r#""proxy": "socks5://192.0.2.1:1""#,
            r#""proxy": "https://u:p@192.0.2.1:1""#,
            r#""proxy_username": "u""#,
            r#""proxy_password": "p""#,
            r#""proxy": "https://192.0.2.1:1", "proxy_password": "p""#,
        ] {
            let error = proxy(json).unwrap_err();
            assert_eq!(error.kind, scanbridge_plugin_api::ErrorKind::Config, "{json}");
        }
    }

    #[test]
    fn no_proxy_destinations_bypass_the_proxy() {
        let direct =
            r#""no_proxy": ["localhost", ".example.com", "*.example.org", "192.0.2.0/24", "2001:db8::1"]"#;
        let proxy = proxy(&format!(r#""proxy": "p:1", {direct}"#)).unwrap().unwrap();
        for host in ["localhost", "a.example.com", "B.example.org", "192.0.2.9", "[2001:db8::1]"] {
            assert!(!proxy.serves(host), "{host}");
        }
        for host in ["example.com", "badexample.com", "192.0.3.9", "2001:db8::2"] {
            assert!(proxy.serves(host), "{host}");
        }
    }
}
