//! Tokens for `sasl: oauthbearer`: OAuth 2.0, client credentials.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use scanbridge_http_route::{Cause, NetworkOptions, Routes, Runtime, Wording};
use scanbridge_plugin_api::{ErrorKind, Options, PluginError, Result, Secret, Services, printable};
use scanbridge_tls_identity::TlsOptions;
use serde::Deserialize;
use url::{Host, Url};

/// Where tokens are requested, and with which login.
#[derive(Debug, Clone)]
pub(crate) struct TokenSource {
    url: Url,
    id: String,
    secret: Secret,
    scope: Option<String>,
    network: NetworkOptions,
}

/// A token and its end, in milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) value: Secret,
    pub(crate) ends: i64,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    /// In seconds. Some servers have texts with numbers.
    #[serde(default)]
    expires_in: serde_json::Value,
}

/// The life of a token whose server does not tell it.
const UNKNOWN_LIFE: u64 = 3600;
/// Maximum size of a response, in bytes.
const MAX_RESPONSE: usize = 1 << 20;

const WORDING: Wording = Wording {
    destination: "the token server",
    read_timeout: "connect_timeout",
    response_timeout: "connect_timeout",
    max_bytes: None,
};

impl TokenSource {
    /// # Errors
    /// [`ErrorKind::Config`] that names the option.
    pub(crate) fn read(options: &Options, tls: &TlsOptions, timeout: Duration) -> Result<Self> {
        let text = |name| Ok::<_, PluginError>(options.text(name)?.map(str::to_owned));
        let url = options.url("oauth_token_url")?.map(|url| url.to_string()).unwrap_or_default();
        let url = Url::parse(&url).map_err(|error| {
            PluginError::config(format!("option `oauth_token_url` is not a valid URL: {error}"))
                .with_option("oauth_token_url")
        })?;
        if url.scheme() != "https" && !is_local(&url) {
            return Err(PluginError::config("option `oauth_token_url`: a login is sent over https only")
                .with_option("oauth_token_url")
                .with_hint("write https://; http is for tests on this machine"));
        }
        // The client certificate is for the brokers.
        let tls = TlsOptions { ca_file: tls.ca_file.clone(), fips: tls.fips, ..TlsOptions::default() };
        Ok(Self {
            url,
            id: text("oauth_client_id")?.unwrap_or_default(),
            secret: options.secret("oauth_client_secret")?.unwrap_or_else(|| Secret::new(String::new())),
            scope: text("oauth_scope")?,
            network: NetworkOptions {
                proxy: None,
                tls,
                source: None,
                ip_version: Default::default(),
                connect_timeout: timeout,
                read_timeout: timeout,
                wording: &WORDING,
            },
        })
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.id
    }

    /// Requests a token. It is redacted in all later lines of the log.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`] if the server rejects the login; otherwise those of the request.
    pub(crate) fn request(&self, services: &Services) -> Result<Token> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (status, body) = self.exchange(services)?;
        if status != 200 {
            let text = String::from_utf8_lossy(&body).replace(self.secret.expose(), "[redacted]");
            let message = format!("no token from {} (HTTP {status}): {}", self.url, printable(&text, 300));
            return Err(match status {
                400 | 401 | 403 => PluginError::new(ErrorKind::Auth, message)
                    .with_hint("check `oauth_client_id`, `oauth_client_secret` and `oauth_scope`"),
                408 | 429 | 500..=599 => PluginError::unavailable(message),
                _ => PluginError::config(message).with_option("oauth_token_url"),
            });
        }
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| {
            // The body may contain a token, so it is not shown.
            PluginError::new(ErrorKind::Protocol, format!("invalid token response from {}", self.url))
                .with_hint("check `oauth_token_url`")
        })?;
        services.mask(&answer.access_token);
        let seconds = answer.expires_in.as_u64().or_else(|| answer.expires_in.as_str()?.parse().ok());
        let ends = now + Duration::from_secs(seconds.unwrap_or(UNKNOWN_LIFE).min(86_400));
        Ok(Token {
            value: Secret::new(answer.access_token),
            ends: i64::try_from(ends.as_millis()).unwrap_or(i64::MAX),
        })
    }

    fn exchange(&self, services: &Services) -> Result<(u16, Vec<u8>)> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.append_pair("client_id", &self.id);
        form.append_pair("client_secret", self.secret.expose());
        self.scope.iter().for_each(|scope| {
            form.append_pair("scope", scope);
        });
        let runtime = Runtime::new(services)?;
        let route = Routes::new(self.network.clone(), services).to(&self.url)?;
        let request = route
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .timeout(self.network.read_timeout)
            .body(form.finish());
        let exchange = async {
            let mut response = route.send(request).await?;
            let mut body = Vec::new();
            while let Some(piece) = route.chunk(&mut response).await? {
                body.extend_from_slice(piece.as_ref());
                if body.len() > MAX_RESPONSE {
                    return Err(route.failed(Cause::TooLarge("1 MiB".to_owned())));
                }
            }
            Ok((response.status().as_u16(), body))
        };
        Ok(runtime.run(exchange)??)
    }
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
