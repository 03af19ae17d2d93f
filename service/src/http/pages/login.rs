//! Logging in and out.

use std::time::Instant;

use askama::Template;
use axum::Form;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use scanbridge_observe::Role;
use serde::Deserialize;

use super::assets::asset;
use super::frame::{Frame, page};
use crate::http::access::{Access, Login};
use crate::http::audit::session_cookies;
use crate::http::caller::{Caller, Origin};
use crate::http::context::Context;
use crate::http::sessions::is_csrf;
use crate::log_sink::Level;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    next: String,
    link: String,
    problem: &'static str,
}

/// What the login page is called with, and what its form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoginFields {
    next: String,
    link: String,
    token: String,
}

pub(super) async fn show(Query(fields): Query<LoginFields>) -> Response {
    let LoginFields { next, link, .. } = fields;
    page(&LoginPage { frame: Frame::default(), next, link, problem: "" })
}

pub(super) async fn log_in(
    State(Context { access, .. }): State<Context>,
    Extension(origin): Extension<Origin>,
    Form(fields): Form<LoginFields>,
) -> Response {
    let Origin::Tcp { peer, is_tls, .. } = origin else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (login, token) = if fields.link.is_empty() {
        let token = fields.token.trim();
        (access.log_in(token, peer.ip()), Some(token))
    } else if access.sessions.use_link(&fields.link, Instant::now()) {
        (Login::Accepted("login link".to_owned(), Role::Operate), None)
    } else {
        (access.refuse("the login link is unknown, was used, or is older than a minute", peer.ip()), None)
    };
    let (status, problem) = match login {
        Login::Accepted(name, role) => {
            let from = peer.ip().to_canonical();
            access.log.service(Level::Info, &format!("login of {name} from {from}"));
            match access.sessions.begin(&name, role, token, Instant::now()) {
                Some(cookie) => return begin(&cookie, &access, is_secure(is_tls, &access), &fields.next),
                None => (StatusCode::INTERNAL_SERVER_ERROR, "The system provides no random numbers."),
            }
        }
        Login::Refused if token.is_some() => {
            (StatusCode::UNAUTHORIZED, "The token is unknown or has expired.")
        }
        Login::Refused => (StatusCode::UNAUTHORIZED, "The link was used already, or is older than a minute."),
        Login::TooMany => (StatusCode::TOO_MANY_REQUESTS, "Too many refused logins. Try again in a minute."),
    };
    let shown = LoginPage { frame: Frame::default(), next: fields.next, link: String::new(), problem };
    let mut response = page(&shown);
    *response.status_mut() = status;
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    }
    response
}

/// Behind a reverse proxy, the connection of the browser is encrypted although this one is not.
fn is_secure(is_tls: bool, access: &Access) -> bool {
    is_tls || access.keys().public_url.as_ref().is_some_and(|url| url.starts_with("https:"))
}

fn begin(cookie: &str, access: &Access, is_secure: bool, next: &str) -> Response {
    // Only a path of this service: `//evil.example` and `/\evil.example` lead elsewhere.
    let is_printable = next.bytes().all(|byte| byte.is_ascii_graphic());
    let is_own = next.starts_with('/') && !next[1..].starts_with(['/', '\\']) && is_printable;
    let [secured, plain] = &access.cookies;
    let (name, secure) = if is_secure { (secured, "; Secure") } else { (plain, "") };
    let cookie = format!("{name}={cookie}; Path=/; HttpOnly; SameSite=Strict{secure}");
    ([(header::SET_COOKIE, cookie)], Redirect::to(if is_own { next } else { "/" })).into_response()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LogoutFields {
    csrf: String,
}

pub(super) async fn log_out(
    State(Context { access, .. }): State<Context>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Form(fields): Form<LogoutFields>,
) -> Response {
    if is_csrf(&caller.csrf, &fields.csrf) {
        session_cookies(&access, &headers).for_each(|cookie| access.sessions.end(cookie));
    }
    Redirect::to("/login").into_response()
}
