//! The proxy, and the destinations reached without it.

use std::net::IpAddr;

use ipnet::IpNet;
use scanbridge_plugin_api::{Endpoint, Fips, Options, Result, Secret, UrlParts};

/// An HTTP proxy with CONNECT support.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// True if the connection to the proxy itself uses TLS.
    pub tls: bool,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User name and password for Basic authentication.
    pub login: Option<(String, Secret)>,
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
    /// A plugin bug: the table does not have the options.
    pub fn read(options: &Options) -> Result<Option<Self>> {
        let Some(UrlParts { scheme, endpoint: Endpoint { host, port, .. }, .. }) = options.url("proxy")?
        else {
            return Ok(None);
        };
        let tls = scheme == "https";
        let port = port.unwrap_or(if tls { 443 } else { 8080 });
        let password = options.secret("proxy_password")?.unwrap_or_else(|| Secret::new(String::new()));
        let login = options.text("proxy_username")?.map(|user| (user.trim().to_owned(), password));
        let direct = options.list("no_proxy")?;
        if direct.iter().any(|entry| entry.contains('|')) {
            scanbridge_plugin_api::tracing::warn!(
                "option `no_proxy`: `|` separates entries, as in `nonProxyHosts` of Java; write a list instead"
            );
        }
        let direct =
            direct.iter().flat_map(|entry| entry.split(['|', ','])).filter_map(read_direct).collect();
        Ok(Some(Self { tls, host, port, login, direct }))
    }

    /// In FIPS mode, the warning about a password that crosses the network in the clear. For `check`, about option `proxy`.
    #[must_use]
    pub fn clear_login(&self, fips: Fips) -> Option<&'static str> {
        (!fips.is_off() && !self.tls && self.login.is_some())
            .then_some("the proxy password goes in the clear, because `proxy` begins with http://")
    }

    /// True if a host is reached through the proxy.
    #[must_use]
    pub fn serves(&self, host: &str) -> bool {
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
    #[must_use]
    pub fn shown(&self) -> String {
        Endpoint::new(&*self.host, Some(self.port)).to_string()
    }
}

/// One entry; `None` if it is empty.
fn read_direct(entry: &str) -> Option<Direct> {
    let entry = entry.trim().to_ascii_lowercase();
    if entry.is_empty() {
        return None;
    }
    if entry == "*" {
        return Some(Direct::All);
    }
    if let Ok(net) = entry.parse::<IpNet>() {
        return Some(Direct::Net(net));
    }
    if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Some(Direct::Net(address.into()));
    }
    Some(match entry.strip_prefix("*.").or_else(|| entry.strip_prefix('.')) {
        Some(name) => Direct::Below(name.to_owned()),
        None => Direct::Domain(entry),
    })
}

/// The header value for Basic authentication.
#[must_use]
pub fn basic(user: &str, password: &Secret) -> Secret {
    use base64::Engine as _;
    let plain = format!("{user}:{}", password.expose());
    Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain)))
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::OptionSpec;

    use super::*;
    use crate::network::{NO_PROXY, PROXY, PROXY_PASSWORD, PROXY_USERNAME};

    const TABLE: &[OptionSpec] = &[PROXY, PROXY_USERNAME, PROXY_PASSWORD, NO_PROXY];

    fn proxy(json: &str) -> Result<Option<Proxy>> {
        let options = format!("{{{json}}}");
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
            assert_eq!(
                error.message,
                "option `proxy` has an invalid port; expected a number from 1 to 65535"
            );
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
    fn no_proxy_accepts_the_separators_of_both_old_guides() {
        for direct in [
            r#"["localhost|127.0.0.1|*.example.com"]"#,
            r#"["localhost, 127.0.0.1 ,*.example.com,"]"#,
            r#"["localhost||127.0.0.1", "*.example.com"]"#,
        ] {
            let proxy = proxy(&format!(r#""proxy": "p:1", "no_proxy": {direct}"#)).unwrap().unwrap();
            for host in ["localhost", "127.0.0.1", "a.example.com"] {
                assert!(!proxy.serves(host), "{direct}: {host}");
            }
            assert!(proxy.serves("example.org") && proxy.serves("127.0.0.2"), "{direct}");
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

    #[test]
    fn clear_login_is_a_warning_in_fips_mode() {
        let login = r#""proxy_username": "u", "proxy_password": "s3cret""#;
        for (options, fips, is_warned) in [
            (format!(r#""proxy": "http://192.0.2.1:1", {login}"#), Fips::On, true),
            (format!(r#""proxy": "http://192.0.2.1:1", {login}"#), Fips::SuiteB192, true),
            (format!(r#""proxy": "http://192.0.2.1:1", {login}"#), Fips::Off, false),
            (format!(r#""proxy": "https://192.0.2.1:1", {login}"#), Fips::On, false),
            (r#""proxy": "http://192.0.2.1:1""#.to_owned(), Fips::On, false),
        ] {
            let warning = proxy(&options).unwrap().unwrap().clear_login(fips);
            assert_eq!(warning.is_some(), is_warned, "{options}");
            assert!(warning.is_none_or(|warning| !warning.contains("s3cret")));
        }
    }
}
