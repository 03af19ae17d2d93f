//! The options of the connection that all HTTP clients share.

use std::net::IpAddr;
use std::time::Duration;

use scanbridge_dialer::{IpVersion, SourceAddress};
use scanbridge_plugin_api::{Fips, OptionSpec, Options, PluginError, Result, ValueSpec};
use scanbridge_tls_identity::TlsOptions;
use url::{Host, Url};

use crate::http_error::Wording;
use crate::proxy::Proxy;

/// `proxy`.
pub const PROXY: OptionSpec = OptionSpec::of(
    "proxy",
    ValueSpec::Url { schemes: &["http", "https"], default_scheme: Some("http"), path: false },
)
.resume_safe()
.group("network")
.help(
    "HTTP proxy with CONNECT support: `http://ADDRESS:PORT`, or `https://ADDRESS:PORT` for a proxy \
     with TLS. All connections use it, except to `no_proxy`. Proxy environment variables are ignored.",
);
/// `proxy_username`.
pub const PROXY_USERNAME: OptionSpec = OptionSpec::text("proxy_username")
    .resume_safe()
    .requires(&["proxy"])
    .group("network")
    .help("User name for the proxy (Basic authentication). Default: no authentication.");
/// `proxy_password`.
pub const PROXY_PASSWORD: OptionSpec = OptionSpec::text("proxy_password")
    .secret()
    .requires(&["proxy_username"])
    .group("network")
    .help("Password for the proxy.");
/// `no_proxy`.
pub const NO_PROXY: OptionSpec =
    OptionSpec::list("no_proxy", &ValueSpec::Text).resume_safe().group("network").help(
        "Destinations reached without the proxy: host names, `.domains`, `*.domains`, addresses and \
         ranges. Entries may also be separated by `,` or `|`. Default: none.",
    );
/// `preferred_ip_version`.
pub const IP_VERSION: OptionSpec = OptionSpec::choice("preferred_ip_version", &["any", "ipv4", "ipv6"])
    .default_text("ipv4")
    .group("network")
    .help("IP version tried first when a name has several addresses. `any`: order of the system's resolver.");

/// How connections are made.
#[derive(Debug, Clone)]
pub struct NetworkOptions {
    /// The proxy; `None`: connections are direct.
    pub proxy: Option<Proxy>,
    /// TLS to the destination.
    pub tls: TlsOptions,
    /// Connections are made from here; `None`: the system chooses.
    pub source: Option<SourceAddress>,
    /// IP version of the addresses that are tried first.
    pub ip_version: IpVersion,
    /// For connecting, including the TLS handshake.
    pub connect_timeout: Duration,
    /// The longest time without data before and within a response.
    pub read_timeout: Duration,
    /// Words for messages.
    pub wording: &'static Wording,
}

impl NetworkOptions {
    /// Reads the options of this module, those of `tls-identity` and `source_address`. The timeouts have options of
    /// other names in each plugin.
    ///
    /// # Errors
    /// [`Config`](scanbridge_plugin_api::ErrorKind::Config) for an invalid fingerprint or address.
    pub fn read(
        options: &Options,
        fips: Fips,
        [connect_timeout, read_timeout]: [Duration; 2],
        wording: &'static Wording,
    ) -> Result<Self> {
        Ok(Self {
            proxy: Proxy::read(options)?,
            tls: TlsOptions::read(options, fips)?,
            source: SourceAddress::of_option(options)?,
            ip_version: IpVersion::of_option(options.text(IP_VERSION.name)?),
            connect_timeout,
            read_timeout,
            wording,
        })
    }

    /// Whether requests to this URL, the value of this option, can be made with these options.
    ///
    /// # Errors
    /// [`Config`](scanbridge_plugin_api::ErrorKind::Config): an IPv6 address that goes through the proxy, or an address that
    /// `source_address` cannot reach.
    pub fn accept(&self, option: &str, url: &Url) -> Result<()> {
        let host = url.host_str().unwrap_or_default();
        let proxy = self.proxy.as_ref().filter(|proxy| proxy.serves(host));
        if matches!(url.host(), Some(Host::Ipv6(_))) && proxy.is_some() {
            // With a proxy, reqwest treats the brackets of an IPv6 address as part of a host name.
            return Err(PluginError::config(format!(
                "option `{option}` contains the IPv6 address {host}, which is not supported through a proxy"
            ))
            .with_hint("use a host name, or add the address to `no_proxy`"));
        }
        // The HTTP client looks up no literal addresses, so their IP version is compared here.
        let peer = proxy.map_or(host, |proxy| &proxy.host);
        let literal = peer.trim_matches(['[', ']']).parse::<IpAddr>();
        match self.source {
            Some(source) if literal.is_ok_and(|address| !source.reaches(address)) => {
                Err(source.cannot_reach(peer))
            }
            _ => Ok(()),
        }
    }
}
