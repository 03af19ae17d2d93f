//! Finds out who sends a request, and logs each change with its result.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use scanbridge_observe::{Role, without_controls};
use serde_json::json;

use super::access::{Access, Login};
use super::caller::{Caller, Origin};
use super::routes::Context;
use crate::log_sink::{Level, Log};
use crate::request::Reply;

/// Adds the caller to a request.
pub(super) async fn identify(State(context): State<Context>, mut request: Request, next: Next) -> Response {
    let caller = match request.extensions().get::<Origin>() {
        Some(Origin::Socket(user)) => Caller::of_user(*user),
        Some(Origin::Tcp { peer, certificate }) => {
            match of_tcp(&context.access, *peer, certificate.as_ref(), request.headers()) {
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
    if method != Method::GET && method != Method::HEAD {
        log_change(&context.access.log, &caller, (&method, &path), response.status().as_u16());
    }
    response
}

/// A token counts more than a certificate: it can have a lower role.
fn of_tcp(
    access: &Access,
    peer: SocketAddr,
    certificate: Option<&(String, Role)>,
    headers: &HeaderMap,
) -> Result<Caller, Reply> {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        return Ok(Caller::of_tcp(peer, certificate.cloned()));
    };
    let text = authorization.to_str().unwrap_or_default();
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err(Reply::problem(401, "unknown authentication", "use `Authorization: Bearer TOKEN`")),
    };
    match access.log_in(token, peer.ip()) {
        Login::Accepted(name, role) => Ok(Caller::of_tcp(peer, Some((name, role)))),
        Login::Refused => Err(Reply::problem(401, "the token is unknown or has expired", "")),
        Login::TooMany => Err(Reply::problem(429, "too many refused logins", "try again in a minute")),
    }
}

fn log_change(log: &Log, caller: &Caller, (method, path): (&Method, &str), status: u16) {
    let (path, result) = (without_controls(path), if status < 400 { "done" } else { "refused" });
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
