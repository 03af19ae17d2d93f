//! Identity files of all formats, and handshakes over loopback with valid, invalid and slow servers.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod fips;
mod first_use;
mod handshake;
mod identities;
mod loopback;
mod refusals;
mod settings;
