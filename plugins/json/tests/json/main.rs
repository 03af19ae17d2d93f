//! Tests of the plugin through its interface: options and batches in, lines out.

mod ecs;
mod formats;
mod native;
mod ocsf;
mod ocsf_schema;
mod output;
mod published;
mod reports;
mod schema;
