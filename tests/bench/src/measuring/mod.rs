//! Measurements of the host: generated files, interleaved runs, and limits.

mod bound;
mod bytes;
mod console;
mod crash;
mod dead_output;
mod defense_center;
mod instructions;
mod memory;
mod operations;
mod run;
mod service;
mod shapes;
mod soak;
mod stage;
mod table;

pub use bound::{Bound, Limit};
pub use instructions::Instructions;
pub use run::{Measurement, Program, measure_child};
pub use shapes::{CaseResult, ShapesRequest, compare};
pub use stage::{Stage, StageError};
