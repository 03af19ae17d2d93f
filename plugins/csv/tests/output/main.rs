//! Tests of the plugin through its interface: options and batches in, files out.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod host_input;
mod readme;
mod reports;
mod table;
