//! The host runtime: finds plugins, checks a pipeline file against them, runs the pipeline and reports what
//! was delivered. It contains no code for a particular plugin.
//!
//! ```text
//! cli ─► config (pipeline file) ──┐
//! plugins (installed) ────────────┴─► pipeline: input ─► queue ─► output ─► summary
//! ```

mod choice;
pub mod cli;
mod columns;
mod commands;
mod compare;
pub mod config;
mod encryption;
mod exam;
mod exit_code;
mod finding_identity;
mod fips;
mod hello;
pub mod legacy;
pub mod pipeline;
mod pipeline_test;
pub mod plugins;
mod read_only;
pub mod replay;
mod reports;
mod resume;
pub mod session;
mod setup;
mod shell;
pub mod state;
mod supervised;
pub mod telemetry;
mod yaml_text;

pub use commands::{execute, print_version, replaced_by_service};
