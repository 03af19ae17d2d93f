//! HTTP: the control socket, and the TCP listener of the service file. Both have the same routes.
//!
//! ```text
//! control socket ─┐                  ┌ host_check ─ caller (who, role) ─ audit ─ whole_body ─┐
//! TCP, TLS ───────┴─► connection ──► │                                                       ├─► routes ─► main loop
//!                                    └ headers ──────────────────────────────────────────────┘
//! ```

mod access;
mod audit;
mod caller;
mod certificate;
mod connection;
mod context;
mod control;
mod control_routes;
mod data_routes;
mod headers;
mod host;
mod host_check;
mod ledger;
mod limits;
mod listener;
mod lists;
mod pages;
mod problems;
mod requests;
mod routes;
mod server;
mod sessions;
mod timed;
mod tls;
mod token_routes;
mod tokens;

pub(crate) use access::Access;
pub(crate) use context::Context;
pub(crate) use control::Control;
pub(crate) use host::Host;
pub(crate) use listener::{Listener, ListenerState};
pub(crate) use lists::Lists;
pub(crate) use requests::Requests;
pub(crate) use server::serve;

pub(crate) use token_routes::NewToken;
pub(crate) use tokens::Tokens;

/// A text as one segment of a path.
pub(crate) fn encoded(text: &str) -> String {
    let mut path = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}
