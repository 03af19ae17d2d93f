//! Tests of the plugin through its interface: options and batches in, lines out.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod ecs;
mod formats;
mod native;
mod ocsf;
mod ocsf_schema;
mod output;
mod reports;
mod schema;
