//! Identities from files of every kind, and handshakes over loopback with servers that are right, wrong, late.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod first_use;
mod handshake;
mod identities;
mod loopback;
mod refusals;
mod settings;
