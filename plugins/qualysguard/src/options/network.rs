//! Settings of the account and of the connection to Qualys.

use std::time::Duration;

use scanbridge_http_route::{NetworkOptions, Wording};
use scanbridge_plugin_api::{Fips, Options, PluginError, Result, Secret};
use url::Url;

use super::Platform;
use super::table::DEFAULT_URL;
use super::values::{minutes, text};

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
    pub(crate) route: NetworkOptions,
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
    let seconds = |name, default| -> Result<Duration> {
        Ok(Duration::from_secs(options.integer(name)?.unwrap_or(default)))
    };
    let timeouts = [seconds("connect_timeout_secs", 30)?, seconds("read_timeout_secs", 300)?];
    let route = NetworkOptions::read(options, fips, timeouts, &WORDING)?;
    Ok(Network {
        url: address("url", &url, &route)?,
        gateway: gateway.map(|gateway| address("gateway_url", &gateway, &route)).transpose()?,
        route,
        request_timeout: minutes(options, "request_timeout_minutes")?.unwrap_or(Duration::from_secs(14_400)),
        max_wait: minutes(options, "max_wait_minutes")?.unwrap_or(Duration::from_secs(7_200)),
        busy_wait: Duration::from_secs(options.integer("busy_wait_secs")?.unwrap_or(30)),
        max_bytes: options.size("max_download_bytes")?.unwrap_or(64 << 30),
    })
}

/// A URL of Qualys for requests: its host name is valid, and the route reaches it.
pub(super) fn address(option: &str, text: &str, route: &NetworkOptions) -> Result<Url> {
    let url = Url::parse(text).map_err(|error| {
        PluginError::config(format!("option `{option}` is not a valid URL: {error}"))
            .with_hint("write it as https://qualysapi.qualys.com")
    })?;
    route.accept(option, &url)?;
    Ok(url)
}

/// Words for messages about connections.
const WORDING: Wording = Wording {
    destination: "port 443 of Qualys",
    read_timeout: "read_timeout_secs",
    response_timeout: "request_timeout_minutes",
    max_bytes: Some("max_download_bytes"),
};
