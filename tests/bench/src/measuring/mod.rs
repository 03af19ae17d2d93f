//! Measurements of the host: generated files, interleaved runs, and limits.

mod bound;
mod console;
mod crash;
mod dead_output;
mod defense_center;
mod instructions;
mod memory;
mod operations;
mod outputs;
mod run;
mod service;
mod soak;
mod speed;
mod stage;
mod table;

pub use bound::{Bound, Limit};
pub use instructions::Instructions;
pub use run::{Measurement, Program, measure_child};
pub use stage::{Stage, StageError};
