//! Syslog messages as bytes: header, framing and truncation to the maximum size. No I/O.

pub(crate) mod budget;
mod framing;
mod header;

pub(crate) use framing::Framing;
pub(crate) use header::{FACILITIES, Header, HeaderSettings, HeaderStyle};
