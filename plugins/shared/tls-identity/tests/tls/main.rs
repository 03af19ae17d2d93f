//! Identities from files of every kind, and handshakes over loopback with servers that are right, wrong, late.

mod first_use;
mod handshake;
mod identities;
mod loopback;
mod refusals;
mod settings;
