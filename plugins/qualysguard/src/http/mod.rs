//! HTTP client of this input, based on reqwest: one call after the other over a kept-alive connection,
//! optionally through a proxy, with classified failures. Bodies are written to files while they arrive.
//!
//! Redirects are never followed, and each call connects only to the host in its URL.

mod body;
mod classify;
mod dns;
mod exchange;
mod hops;
mod http_error;
mod route;
mod runtime;
mod tunnel;

pub(crate) use body::{Body, Keep};
pub(crate) use exchange::{Exchange, Request, Response, number, seconds, to_wait};
pub(crate) use http_error::HttpError;
pub(crate) use runtime::Runtime;
