//! URLs, as far as an option needs them: scheme, host, port and path.

use std::fmt;

use super::endpoint::{BAD_PORT, Endpoint, EndpointFault};

/// A value of a URL option, split into its parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct UrlParts {
    /// The scheme in lower case: `https`.
    pub scheme: String,
    /// Host and port; the port is absent unless the URL has one.
    pub endpoint: Endpoint,
    /// Path, query and fragment as written; empty, or starts with `/`, `?` or `#`.
    pub path: String,
}

/// What the URLs of an option may consist of.
#[derive(Debug, Clone, Copy)]
pub(super) struct UrlForm<'a> {
    pub(super) schemes: &'a [String],
    pub(super) default_scheme: Option<&'a str>,
    pub(super) path: bool,
}

impl UrlParts {
    /// Reads the text, which has the form that the option demands.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the option's name. It does not quote the text, which may contain a
    /// login.
    pub(super) fn parse(text: &str, form: UrlForm<'_>) -> Result<Self, String> {
        let starts = || Err(format!("must start with {}", prefixes(form.schemes)));
        let (scheme, rest) = match (text.split_once("://"), form.default_scheme) {
            (Some((scheme, rest)), _) => (scheme.to_ascii_lowercase(), rest),
            (None, Some(scheme)) => (scheme.to_owned(), text),
            (None, None) => return starts(),
        };
        if !form.schemes.contains(&scheme) {
            return starts();
        }
        if text.contains(|sign: char| sign.is_whitespace() || sign.is_control()) {
            return Err("must not contain spaces or control characters".to_owned());
        }
        let (authority, path) = rest.split_at(rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("must not contain a user name or password".to_owned());
        }
        let endpoint = Endpoint::split(authority).map_err(|fault| match fault {
            EndpointFault::NoHost => "has no host name".to_owned(),
            EndpointFault::BadHost => "has an invalid host name or IP address".to_owned(),
            EndpointFault::BadPort => BAD_PORT.to_owned(),
        })?;
        if !form.path && !path.trim_end_matches('/').is_empty() {
            return Err("must not contain a path".to_owned());
        }
        Ok(Self { scheme, endpoint, path: path.to_owned() })
    }
}

/// The complete URL, with an IPv6 address in brackets.
impl fmt::Display for UrlParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.endpoint, self.path)
    }
}

/// `https://`, or `http:// or https://`.
fn prefixes(schemes: &[String]) -> String {
    schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, default_scheme: Option<&str>, path: bool) -> Result<UrlParts, String> {
        let schemes = ["http".to_owned(), "https".to_owned()];
        UrlParts::parse(text, UrlForm { schemes: &schemes, default_scheme, path })
    }

    #[test]
    fn parts_are_read() {
        for (text, scheme, host, port, path) in [
            ("https://qualysapi.qualys.com", "https", "qualysapi.qualys.com", None, ""),
            ("HTTPS://h:8443/a/b?c=d@e", "https", "h", Some(8443), "/a/b?c=d@e"),
            ("http://[2001:db8::1]:3128/", "http", "2001:db8::1", Some(3128), "/"),
            ("http://2001:db8::1", "http", "2001:db8::1", None, ""),
            ("proxy.example.com:65535", "http", "proxy.example.com", Some(65_535), ""),
        ] {
            let url = read(text, Some("http"), true).unwrap();
            assert_eq!((url.scheme.as_str(), url.endpoint.host.as_str()), (scheme, host), "{text}");
            assert_eq!((url.endpoint.port, url.path.as_str()), (port, path), "{text}");
        }
        assert_eq!(read("http://2001:db8::1", None, true).unwrap().to_string(), "http://[2001:db8::1]");
    }

    #[test]
    fn error_names_the_wrong_part_and_no_login() {
        for (text, problem) in [
            ("proxy:1", "must start with http:// or https://"),
            ("socks5://192.0.2.1:1", "must start with http:// or https://"),
            ("https:/h", "must start with http:// or https://"),
            ("http://192.0.2.1:abc", "has an invalid port; expected a number from 1 to 65535"),
            ("http://192.0.2.1:70000", "has an invalid port; expected a number from 1 to 65535"),
            ("http://192.0.2.1:-1", "has an invalid port; expected a number from 1 to 65535"),
            ("https://", "has no host name"),
            ("https:///a", "has no host name"),
            ("https://a,b", "has an invalid host name or IP address"),
            ("https://a b", "must not contain spaces or control characters"),
            ("https://user:t0w3L@h", "must not contain a user name or password"),
            ("https://user:t0w3L/x@h", "has an invalid port; expected a number from 1 to 65535"),
            ("https://h:1/a", "must not contain a path"),
            ("https://h?a", "must not contain a path"),
        ] {
            assert_eq!(read(text, None, false), Err(problem.to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn shown_url_is_read_again(
            scheme in "https?",
            address in any::<std::net::IpAddr>(),
            port in proptest::option::of(1_u16..),
            path in "(/[a-z0-9@:=?#]{0,9})?",
        ) {
            let url = UrlParts { scheme, endpoint: Endpoint { host: address.to_string(), port }, path };
            prop_assert_eq!(read(&url.to_string(), None, true), Ok(url));
        }

        #[test]
        fn displayed_value_is_read_as_the_same_value(text in "https?://\\PC{0,20}|\\PC{0,20}") {
            if let Ok(url) = read(&text, Some("http"), true) {
                prop_assert_eq!(read(&url.to_string(), None, true), Ok(url));
            }
        }
    }
}
