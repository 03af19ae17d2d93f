//! Settings of the account and of the connection to Qualys.

use std::net::IpAddr;
use std::time::Duration;

use scanbridge_dialer::{IpVersion, SourceAddress};
use scanbridge_plugin_api::{Fips, Options, PluginError, Result, Secret};
use scanbridge_tls_identity::TlsOptions;
use url::{Host, Url};

use super::table::DEFAULT_URL;
use super::values::{minutes, text};
use super::{Platform, Proxy};

/// The Qualys account.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: Secret,
    pub(crate) auth: Auth,
}

/// Authentication method, option `auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    Basic,
    Session,
    Jwt,
}

/// Settings of the connection to Qualys.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) url: Url,
    pub(crate) gateway: Option<Url>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) tls: TlsOptions,
    /// Connections are made from here; `None`: the system chooses.
    pub(crate) source: Option<SourceAddress>,
    /// IP version of the addresses that are tried first.
    pub(crate) ip_version: IpVersion,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) busy_wait: Duration,
    pub(crate) max_bytes: u64,
}

pub(super) fn account(options: &Options, network: &Network) -> Result<Account> {
    let auth = match options.text("auth")? {
        Some("session") => Auth::Session,
        Some("jwt") => Auth::Jwt,
        _ => Auth::Basic,
    };
    let user = text(options, "user_id")?.unwrap_or_default();
    if user.is_empty() || user.contains(':') {
        return Err(PluginError::config("invalid option `user_id`: it is empty or contains a colon"));
    }
    let password = options.secret("password")?.expect("the option is required");
    if auth == Auth::Jwt && network.gateway.is_none() {
        return Err(PluginError::config("option `gateway_url` is required for `auth: jwt` with this `url`")
            .with_hint("see your platform's entry in the Qualys list of platforms: https://gateway.…"));
    }
    Ok(Account { user, password, auth })
}

pub(super) fn network(options: &Options, fips: Fips) -> Result<Network> {
    let platform = options.text("platform")?.and_then(Platform::named);
    let url = options.url("url")?.map_or_else(|| DEFAULT_URL.to_owned(), |url| url.to_string());
    let url = match platform {
        Some(platform) if url == DEFAULT_URL => platform.api.to_owned(),
        _ => url,
    };
    let gateway = match options.url("gateway_url")? {
        Some(gateway) => Some(gateway.to_string()),
        None => platform.or_else(|| Platform::at(&url)).map(|platform| platform.gateway.to_owned()),
    };
    let proxy = Proxy::read(options)?;
    let url = address("url", &url, proxy.as_ref())?;
    let gateway = gateway.map(|gateway| address("gateway_url", &gateway, proxy.as_ref())).transpose()?;
    let source = SourceAddress::of_option(options)?;
    if let Some(source) = source {
        reachable(source, [Some(&url), gateway.as_ref()].into_iter().flatten(), proxy.as_ref())?;
    }
    Ok(Network {
        url,
        gateway,
        proxy,
        tls: TlsOptions::read(options, fips)?,
        source,
        ip_version: IpVersion::of_option(options.text("preferred_ip_version")?),
        connect_timeout: Duration::from_secs(options.integer("connect_timeout_secs")?.unwrap_or(30)),
        read_timeout: Duration::from_secs(options.integer("read_timeout_secs")?.unwrap_or(300)),
        request_timeout: minutes(options, "request_timeout_minutes")?.unwrap_or(Duration::from_secs(14_400)),
        max_wait: minutes(options, "max_wait_minutes")?.unwrap_or(Duration::from_secs(7_200)),
        busy_wait: Duration::from_secs(options.integer("busy_wait_secs")?.unwrap_or(30)),
        max_bytes: options.size("max_download_bytes")?.unwrap_or(64 << 30),
    })
}

/// The HTTP client looks up no literal addresses, so their IP version is compared here.
fn reachable<'a>(
    source: SourceAddress,
    urls: impl Iterator<Item = &'a Url>,
    proxy: Option<&Proxy>,
) -> Result<()> {
    for url in urls {
        let host = url.host_str().unwrap_or_default();
        let peer = proxy.filter(|proxy| proxy.serves(host)).map_or(host, |proxy| &proxy.host);
        let literal = peer.trim_matches(['[', ']']).parse::<IpAddr>();
        if literal.is_ok_and(|address| !source.reaches(address)) {
            return Err(source.cannot_reach(peer));
        }
    }
    Ok(())
}

/// A URL of Qualys for requests: its host name is valid, and it is not an IPv6 address that goes through the proxy.
pub(super) fn address(option: &str, text: &str, proxy: Option<&Proxy>) -> Result<Url> {
    let url = Url::parse(text).map_err(|error| {
        PluginError::config(format!("option `{option}` is not a valid URL: {error}"))
            .with_hint("write it as https://qualysapi.qualys.com")
    })?;
    let host = url.host_str().unwrap_or_default();
    if matches!(url.host(), Some(Host::Ipv6(_))) && proxy.is_some_and(|proxy| proxy.serves(host)) {
        // With a proxy, reqwest treats the brackets of an IPv6 address as part of a host name.
        return Err(PluginError::config(format!(
            "option `{option}` contains the IPv6 address {host}, which is not supported through a proxy"
        ))
        .with_hint("use a host name, or add the address to `no_proxy`"));
    }
    Ok(url)
}
