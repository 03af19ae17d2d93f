//! Authentication of API calls.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, SET_COOKIE};
use scanbridge_http_route::basic;
use scanbridge_plugin_api::{PluginError, Result, Secret};
use url::Url;

use super::call::Call;
use crate::options::{Account, Auth, Network};

/// Credentials, and the session or token obtained with them.
#[derive(Debug)]
pub(crate) struct Login {
    basic: Secret,
    kind: Auth,
    /// Session cookies, or the header value of the token, and when they were received.
    obtained: Option<(Secret, Instant)>,
}

/// A token is renewed after this time, because tokens expire after about four hours.
const TOKEN_AGE: Duration = Duration::from_secs(3 * 3_600 + 1_800);

impl Login {
    pub(crate) fn new(account: &Account) -> Self {
        Self { basic: basic(&account.user, &account.password), kind: account.auth, obtained: None }
    }

    /// True if a session or token is needed before this call.
    pub(crate) fn is_missing(&self, call: &Call) -> bool {
        let is_old = |since: &Instant| self.kind == Auth::Jwt && since.elapsed() > TOKEN_AGE;
        self.kind != Auth::Basic
            && !call.first_version
            && self.obtained.as_ref().is_none_or(|(_, since)| is_old(since))
    }

    /// The request headers of a call.
    pub(crate) fn headers(&self, call: &Call) -> Vec<(&'static str, Secret)> {
        let text = |text: &str| Secret::new(text.to_owned());
        let mut headers = vec![
            ("x-requested-with", text("Scanbridge")),
            ("user-agent", text(concat!("Scanbridge/", env!("CARGO_PKG_VERSION")))),
            ("accept", text("*/*")),
        ];
        match (&self.obtained, self.kind) {
            _ if is_login(call) => {}
            (Some((cookies, _)), Auth::Session) if !call.first_version => {
                headers.push(("cookie", cookies.clone()));
            }
            (Some((token, _)), Auth::Jwt) if !call.first_version => {
                headers.push(("authorization", token.clone()));
            }
            _ => headers.push(("authorization", self.basic.clone())),
        }
        headers
    }

    /// Discards the session or token; true if there was one.
    pub(crate) fn discard(&mut self) -> bool {
        self.obtained.take().is_some()
    }

    pub(crate) fn has_session(&self) -> bool {
        self.kind == Auth::Session && self.obtained.is_some()
    }

    /// The call that obtains a session or token.
    pub(crate) fn call(&self, account: &Account, network: &Network) -> Result<Call> {
        let password = account.password.expose();
        if self.kind == Auth::Session {
            let call = Call::post("logging in", session_address(&network.url), &[]);
            return Ok(call
                .field("action", "login")
                .field("username", &account.user)
                .field("password", password));
        }
        let gateway = network
            .gateway
            .as_ref()
            .ok_or_else(|| PluginError::bug("plugin bug: a token was requested without a gateway URL"))?;
        let call = Call::post("requesting a token", at(gateway, "auth"), &[""]);
        Ok(call.field("username", &account.user).field("password", password).field("token", "true"))
    }

    /// Stores the cookies of a session.
    ///
    /// # Errors
    /// The response sets no cookies.
    pub(crate) fn take_cookies(&mut self, headers: &HeaderMap) -> Result<()> {
        let all = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let cookies: Vec<&str> = all.filter_map(|cookie| cookie.split(';').next()).map(str::trim).collect();
        if cookies.is_empty() {
            let error = PluginError::new(
                scanbridge_plugin_api::ErrorKind::Protocol,
                "login failed: the response contains no session cookie",
            );
            return Err(error.with_hint("set `auth: basic`"));
        }
        self.obtained = Some((Secret::new(cookies.join("; ")), Instant::now()));
        Ok(())
    }

    /// Stores a token.
    ///
    /// # Errors
    /// The response is not a valid token.
    pub(crate) fn take_token(&mut self, body: &[u8]) -> Result<()> {
        let token = std::str::from_utf8(body).map(str::trim).unwrap_or_default();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=+/~".contains(&byte);
        if token.is_empty() || !token.bytes().all(fits) {
            let error = PluginError::new(
                scanbridge_plugin_api::ErrorKind::Protocol,
                "token request failed: the response is not a token",
            );
            return Err(error.with_hint("check option `gateway_url`"));
        }
        self.obtained = Some((Secret::new(format!("Bearer {token}")), Instant::now()));
        Ok(())
    }
}

/// The call that ends a session.
pub(crate) fn logout(network: &Network) -> Call {
    Call::post("logging out", session_address(&network.url), &[]).field("action", "logout")
}

fn is_login(call: &Call) -> bool {
    call.fields.iter().any(|(name, _)| name == "password")
}

fn session_address(url: &Url) -> Url {
    at(url, "api/2.0/fo/session/")
}

/// A URL with `path` appended to the path of `base`.
pub(crate) fn at(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url.set_query(None);
    url
}
