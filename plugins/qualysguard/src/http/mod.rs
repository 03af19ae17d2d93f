//! HTTP as this input needs it: reqwest, one call after the other over one kept connection, through a proxy if there
//! is one, with every failure told apart. Bodies go to a file as they come.
//!
//! Redirects are never followed, and no other host than that of the call is talked to.

mod body;
mod exchange;
mod hops;
mod http_error;
mod names;
mod route;
mod runtime;
mod sorting;
mod tunnel;

pub(crate) use body::{Body, Keep};
pub(crate) use exchange::{Exchange, Request, Response, number, seconds, to_wait};
pub(crate) use http_error::HttpError;
pub(crate) use runtime::Runtime;
pub(crate) use tunnel::basic;
