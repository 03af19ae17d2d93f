//! Files that appear under their name only when they are whole: what every output that writes files stands on.
//!
//! A report is written to `.NAME.part` beside its target, brought to the disk, and renamed when the report is
//! complete. Whoever reads the target therefore sees a whole file or none, whatever happens: a cut report, a
//! full disk, a kill. The crate knows nothing of what is in the files.
//!
//! - A second report of one run that resolves to the same name goes on from a copy of the published file, so
//!   the file always holds all complete reports so far. (The copy is free where the file system shares blocks.)
//! - With [`Rotation`] the pieces are `stem.0001.ext`, `stem.0002.ext` …, published together and in order.
//! - Devices, pipes and `-` (standard output) have no name to give late: they are written directly, and what
//!   was written of a report that is not delivered cannot be taken back.
//! - Two processes never write one file: the part file is locked, and the second one gets an error.
//! - A symbolic link as target is replaced, not followed (unless it leads to a device or pipe).

mod beginning;
mod content;
mod direct;
mod disk;
#[cfg(test)]
mod exactly_once;
mod failure;
#[cfg(test)]
mod fault;
mod name;
pub mod options;
mod part;
mod pieces;
mod receipt;
mod recovery;
mod report_file;
mod target;

pub use report_file::{Begun, ReportFile};
pub use target::{IfExists, Rotation, Target};
