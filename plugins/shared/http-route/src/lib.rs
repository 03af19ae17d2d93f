//! HTTP clients of plugins, based on reqwest: a [`Route`] to each host, directly or through a proxy, with failures that are
//! classified by their peer and cause ([`HttpError`]).
//!
//! Redirects are never followed, nothing is repeated, environment variables are ignored, and each request connects only to
//! the host in its URL. [`Runtime`] runs requests on the thread of the caller and ends them if the host stops the run.
//! What is requested, and what a status means, stays with each plugin.

mod classify;
mod dns;
mod exchange;
mod hops;
mod http_error;
mod network;
mod proxy;
mod route;
mod runtime;
mod tunnel;

pub use http_error::{Cause, HttpError, Peer, Wording};
pub use network::{IP_VERSION, NO_PROXY, NetworkOptions, PROXY, PROXY_PASSWORD, PROXY_USERNAME};
pub use proxy::{Proxy, basic};
pub use route::{Route, Routes, address};
pub use runtime::Runtime;
