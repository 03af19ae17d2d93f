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
mod control;
mod headers;
mod host_check;
mod limits;
mod listener;
mod requests;
mod routes;
mod server;
mod tls;
mod token_routes;
mod tokens;

pub(crate) use access::Access;
pub(crate) use control::Control;
pub(crate) use listener::{Listener, ListenerState};
pub(crate) use requests::Requests;
pub(crate) use server::serve;
pub(crate) use token_routes::NewToken;
pub(crate) use tokens::Tokens;
