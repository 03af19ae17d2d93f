//! The login at the destination.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Secret, Services};
use serde::Deserialize;
use url::Url;

use crate::answer::Response;
use crate::client::{Client, Request, secret_header};
use crate::redact::Redactor;
use crate::service_account::ServiceAccount;

/// How to log in.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    None,
    /// A value of the header `Authorization`, and the option that it is from.
    Fixed(&'static str, Secret),
    /// Tokens by OAuth 2.0.
    Tokens(TokenSource),
}

/// Where tokens are requested.
#[derive(Debug, Clone)]
pub(crate) enum TokenSource {
    ClientCredentials { url: Url, id: String, secret: Secret, scope: Option<String> },
    ServiceAccount(Box<ServiceAccount>),
}

impl Login {
    /// Whether the login must not be sent in clear text.
    pub(crate) fn is_secret(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Basic authentication.
    pub(crate) fn basic(user: &str, password: &Secret) -> Self {
        let login = STANDARD.encode(format!("{user}:{}", password.expose()));
        Self::Fixed("password", Secret::new(format!("Basic {login}")))
    }
}

/// The login of an instance, with its current token.
#[derive(Debug)]
pub(crate) struct Credentials {
    login: Login,
    token: Option<Token>,
    services: Services,
}

#[derive(Debug)]
struct Token {
    header: HeaderValue,
    renew_at: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    /// In seconds. Azure also has texts with numbers.
    #[serde(default)]
    expires_in: serde_json::Value,
}

/// A token is replaced this long before its end, or after half of its life if that is shorter.
const EARLY: Duration = Duration::from_secs(300);
/// The life of a token whose server does not tell it.
const UNKNOWN_LIFE: u64 = 3600;

impl Credentials {
    pub(crate) fn new(login: Login, services: &Services) -> Self {
        Self { login, token: None, services: services.clone() }
    }

    /// Whether a new token may help against a 401.
    pub(crate) fn can_renew(&self) -> bool {
        matches!(self.login, Login::Tokens(_))
    }

    /// The current token is no longer valid.
    pub(crate) fn forget(&mut self) {
        self.token = None;
    }

    /// The header `Authorization`; `None` without a login. Requests a token if there is none that is valid.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`] if the token server rejects the login; otherwise those of the request.
    pub(crate) fn header(
        &mut self,
        client: &mut Client,
        redactor: &mut Redactor,
    ) -> Result<Option<HeaderValue>> {
        let source = match &self.login {
            Login::None => return Ok(None),
            Login::Fixed(option, value) => return secret_header(option, value).map(Some),
            Login::Tokens(source) => source,
        };
        if let Some(token) = self.token.as_ref().filter(|token| token.renew_at > Instant::now()) {
            return Ok(Some(token.header.clone()));
        }
        let asked = Instant::now();
        let response = client.send(source.request()?)?;
        let (token, life) = read_token(&response, redactor)?;
        self.services.mask(token.expose());
        redactor.add(&token);
        let header = secret_header("oauth_token_url", &Secret::new(format!("Bearer {}", token.expose())))?;
        let renew_at = asked + life.saturating_sub(EARLY).max(life / 2);
        self.token = Some(Token { header: header.clone(), renew_at });
        Ok(Some(header))
    }
}

impl TokenSource {
    fn request(&self) -> Result<Request> {
        let (url, form) = match self {
            Self::ClientCredentials { url, id, secret, scope } => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.append_pair("grant_type", "client_credentials");
                form.append_pair("client_id", id);
                form.append_pair("client_secret", secret.expose());
                if let Some(scope) = scope {
                    form.append_pair("scope", scope);
                }
                (url.clone(), form.finish())
            }
            Self::ServiceAccount(account) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                form.append_pair("assertion", &account.assertion(jiff::Timestamp::now().as_second())?);
                (account.token_url.clone(), form.finish())
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        Ok(Request { method: Method::POST, url, headers, body: form.into_bytes() })
    }
}

/// The token and its life.
fn read_token(response: &Response, redactor: &Redactor) -> Result<(Secret, Duration)> {
    let says = || {
        let text = redactor.shown(&response.body);
        format!("no token from {} (HTTP {}): {text}", response.address, response.status)
    };
    if response.status == 200 {
        let answer: TokenAnswer = serde_json::from_slice(&response.body).map_err(|_| {
            // The body may contain a token, so it is not shown.
            PluginError::new(ErrorKind::Protocol, format!("invalid token response from {}", response.address))
                .with_hint("check `oauth_token_url`")
        })?;
        let seconds = answer.expires_in.as_u64().or_else(|| answer.expires_in.as_str()?.parse().ok());
        let life = Duration::from_secs(seconds.unwrap_or(UNKNOWN_LIFE).min(86_400));
        return Ok((Secret::new(answer.access_token), life));
    }
    Err(match response.status {
        400 | 401 | 403 => refused(response, says()),
        408 | 429 | 500..=599 => response.unavailable(says()),
        _ => PluginError::config(says()).with_hint("check `oauth_token_url`"),
    })
}

/// The token server refuses the login. An assertion with times of a wrong clock is one reason.
fn refused(response: &Response, says: String) -> PluginError {
    match response.clock_difference(Timestamp::now()) {
        Some(difference) => PluginError::new(ErrorKind::Auth, format!("{says}; {difference}")).with_hint(
            "set the clock of this machine (NTP); tokens are refused when it differs from that of the server",
        ),
        None => PluginError::new(ErrorKind::Auth, says)
            .with_hint("check the client ID and its secret, or the service account"),
    }
}
