//! Finds out who sends a request, and logs each change with its result.

use std::net::SocketAddr;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use scanbridge_observe::{Role, without_controls};
use serde_json::json;

use super::access::{Access, Login};
use super::caller::{Caller, Origin};
use super::context::Context;
use super::sessions::Session;
use crate::log_sink::{Level, Log};
use crate::request::Reply;

const MAX_COOKIES: usize = 4;
/// Characters of a path in the log.
const MAX_PATH: usize = 200;

/// Adds the caller to a request, and logs the result of a change.
pub(super) async fn identify(State(context): State<Context>, mut request: Request, next: Next) -> Response {
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD);
    let caller = match request.extensions().get::<Origin>() {
        Some(Origin::Socket(user)) => Caller::of_user(*user),
        Some(Origin::Tcp { peer, certificate, .. }) => {
            if is_change && is_of_other_site(request.headers(), &context.access) {
                return Reply::problem(403, "the request comes from a page of another site", "")
                    .into_response();
            }
            let is_page = !request.uri().path().starts_with("/api/");
            let may_use_cookie = is_page || !is_change;
            match of_tcp(&context.access, *peer, (certificate.as_ref(), may_use_cookie), request.headers()) {
                Ok(caller) => caller,
                Err(reply) => return reply.into_response(),
            }
        }
        None => return Reply::problem(500, "the connection is unknown", "").into_response(),
    };
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    request.extensions_mut().insert(caller.clone());
    let response = next.run(request).await;
    let is_audited = is_change && !matches!(path.as_str(), "/login" | "/logout");
    // Anyone could fill the log with requests of clients who may do nothing.
    if is_audited && (caller.role.is_some() || context.access.limits.may_log()) {
        log_change(&context.access.log, &caller, (&method, &path), response.status().as_u16());
    }
    response
}

/// The texts in the session's cookies. Another service on the same host can have set one, too.
pub(super) fn session_cookies<'a>(
    access: &'a Access,
    headers: &'a HeaderMap,
) -> impl Iterator<Item = &'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let is_own = |name: &str| access.cookies.iter().any(|own| own == name);
    pairs.filter(move |(name, _)| is_own(name)).map(|(_, value)| value).take(MAX_COOKIES)
}

/// Whether a browser says that a page of another site sends the request. Other programs send neither header.
fn is_of_other_site(headers: &HeaderMap, access: &Access) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(header::ORIGIN) else { return false };
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    let is_host = text(header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(authority));
    let keys = access.keys();
    let is_public = |url: &String| url.trim_end_matches('/').eq_ignore_ascii_case(origin);
    !is_host && !keys.public_url.as_ref().is_some_and(is_public)
}

/// A token counts more than a session, and a session more than a certificate: it can have a lower role.
fn of_tcp(
    access: &Access,
    peer: SocketAddr,
    (certificate, may_use_cookie): (Option<&(String, Role)>, bool),
    headers: &HeaderMap,
) -> Result<Caller, Reply> {
    if let Some(authorization) = headers.get(header::AUTHORIZATION) {
        let text = authorization.to_str().unwrap_or_default();
        let token = match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => {
                return Err(Reply::problem(
                    401,
                    "unknown authentication",
                    "use `Authorization: Bearer TOKEN`",
                ));
            }
        };
        return match access.log_in(token, peer.ip()) {
            Login::Accepted(name, role) => Ok(Caller::of_tcp(peer, Some((name, role)))),
            Login::Refused => Err(Reply::problem(401, "the token is unknown or has expired", "")),
            Login::TooMany => Err(Reply::problem(429, "too many refused logins", "try again in a minute")),
        };
    }
    let is_valid = |token: &str| access.tokens.is_valid(token, Timestamp::now());
    let mut cookies = session_cookies(access, headers).filter(|_| may_use_cookie);
    let session = cookies.find_map(|cookie| access.sessions.find(cookie, Instant::now(), is_valid));
    if let Some(Session { name, role, csrf }) = session {
        let caller = Caller::of_tcp(peer, Some((name, role)));
        return Ok(Caller { csrf, has_session: true, ..caller });
    }
    let csrf = certificate.map(|(name, _)| access.sessions.csrf_of(name)).unwrap_or_default();
    Ok(Caller { csrf, ..Caller::of_tcp(peer, certificate.cloned()) })
}

fn log_change(log: &Log, caller: &Caller, (method, path): (&Method, &str), status: u16) {
    let path: String = path.chars().take(MAX_PATH).collect();
    let (path, result) = (without_controls(&path), if status < 400 { "done" } else { "refused" });
    let fields = [
        ("target", json!("audit")),
        ("event", json!("audit")),
        ("message", json!(format!("{caller}: {method} {path}: {result} ({status})"))),
        ("actor", json!(caller.name)),
        ("role", json!(caller.role.map(Role::word))),
        ("peer", json!(caller.from)),
        ("action", json!(format!("{method} {path}"))),
        ("result", json!(result)),
        ("status", json!(status)),
    ];
    let level = if status < 400 { Level::Info } else { Level::Warn };
    log.fields(level, fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
}
