//! HTTP as this input needs it: reqwest, one call after the other over one kept connection, through a proxy if there
//! is one, with every failure told apart. Bodies go to a file as they come.
//!
//! Redirects are never followed, and no other host than that of the call is talked to.

mod body;
mod exchange;
mod hops;
mod names;
mod runtime;
mod sorting;
mod trouble;
mod tunnel;
mod way;

pub(crate) use body::{Body, Keep};
pub(crate) use exchange::{Exchange, Request, Response, number, seconds, to_wait};
pub(crate) use runtime::Runtime;
pub(crate) use trouble::Trouble;
pub(crate) use tunnel::basic;
