//! Tokens and login links, for `scanbridge service`: only over the control socket.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use scanbridge_observe::Role;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::access::Access;
use super::caller::LocalOperator;
use super::tokens::TokenError;
use crate::request::Reply;

/// The token to make.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewToken {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) expires: Option<Timestamp>,
}

pub(super) async fn list(_: LocalOperator, State(access): State<Arc<Access>>) -> Response {
    Reply::ok(json!(access.tokens.list())).into_response()
}

pub(super) async fn add(
    _: LocalOperator,
    State(access): State<Arc<Access>>,
    Json(new): Json<NewToken>,
) -> Response {
    match access.tokens.add(&new.name, new.role, new.expires, Timestamp::now()) {
        Ok(token) => Reply { status: 201, body: json!({ "token": token }) }.into_response(),
        Err(error) => problem(error, &new.name).into_response(),
    }
}

pub(super) async fn revoke(
    _: LocalOperator,
    State(access): State<Arc<Access>>,
    Path(name): Path<String>,
) -> Response {
    match access.tokens.revoke(&name) {
        Ok(()) => Reply::ok(json!({ "revoked": name })).into_response(),
        Err(error) => problem(error, &name).into_response(),
    }
}

pub(super) async fn add_link(_: LocalOperator, State(access): State<Arc<Access>>) -> Response {
    match access.sessions.link(Instant::now()) {
        Some(link) => Reply { status: 201, body: json!({ "link": link }) }.into_response(),
        None => problem(TokenError::Random, "").into_response(),
    }
}

fn problem(error: TokenError, name: &str) -> Reply {
    match error {
        TokenError::Name => Reply::problem(
            404,
            &format!("`{name}` cannot be the name of a token"),
            "use 1 to 64 characters: letters, digits, `-`, `_` and `.`",
        ),
        TokenError::Unknown => Reply::problem(404, &format!("no token has the name `{name}`"), ""),
        TokenError::Exists => {
            Reply::problem(409, &format!("a token with the name `{name}` exists"), "revoke it first")
        }
        TokenError::Store(error) => Reply::problem(500, "cannot store the tokens", &error.to_string()),
        TokenError::Random => Reply::problem(500, "the system provides no random numbers", ""),
    }
}
