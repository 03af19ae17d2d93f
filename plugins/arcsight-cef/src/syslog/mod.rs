//! Syslog as text: what stands before an event, how messages are told apart, and how an event is made to fit. Knows
//! no socket.

pub(crate) mod budget;
mod framing;
mod header;

pub(crate) use framing::Framing;
pub(crate) use header::{FACILITIES, Header, HeaderSettings, HeaderStyle};
