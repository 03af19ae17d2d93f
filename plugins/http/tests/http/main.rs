//! The plugin against doubles of its destinations.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

mod bulk;
mod case;
mod google;
mod import;
mod modes;
mod rude;
mod sentinel;
mod settings;
mod splunk;
mod templates;
mod webhook;
