//! Requests of this input: one call after the other over a kept-alive connection. The crate `scanbridge-http-route` opens
//! the connections and classifies failures. Bodies are written to files while they arrive.

mod body;
mod exchange;

pub(crate) use body::{Body, Keep};
pub(crate) use exchange::{Exchange, Request, Response, number, seconds, to_wait};
