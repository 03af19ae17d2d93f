//! The price of reading, for every shape of report, source and destination: CPU and wall time compared with the bare
//! event loop, and peak memory.

mod case;
mod destination;
mod measure;
mod result;
mod shape;
mod source;
mod stored_report;

pub use measure::ShapesRequest;
pub use result::{CaseResult, compare};

pub(super) use case::max_mib;
pub(super) use destination::Destination;
pub(super) use shape::{FULL_MB, ReportFiles, ReportShape, SHAPES};
pub(super) use source::Source;
