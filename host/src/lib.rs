//! The host runtime: finds plugins, checks a pipeline file against them, runs the pipeline and says what was
//! delivered. It knows no plugin by name.
//!
//! ```text
//! cli ─► config (what was asked) ─┐
//! plugins (what exists) ──────────┴─► pipeline: input ─► queue ─► output ─► summary
//! ```

pub mod cli;
mod commands;
pub mod config;
pub mod legacy;
pub mod pipeline;
pub mod plugins;
pub mod replay;
pub mod session;
pub mod state;
pub mod telemetry;

pub use commands::execute;
