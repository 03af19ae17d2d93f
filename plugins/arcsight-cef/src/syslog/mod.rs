//! Syslog messages as bytes: header and framing. No I/O.

mod framing;
mod header;

pub(crate) use framing::Framing;
pub(crate) use header::{FACILITIES, Header, HeaderSettings, HeaderStyle};
