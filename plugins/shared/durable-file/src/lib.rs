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
//!
//! # After a crash
//!
//! [`ReportFile::commit`] brings everything to the disk and gives a receipt; [`ReportFile::open`] with that receipt
//! brings the folder back to what it was then, whatever happened since. So a file that was interrupted any number of
//! times is, byte for byte, the one of an undisturbed run, provided that the caller repeats what came after the
//! receipt. Any earlier receipt of the run will do as well as the last one, unless its report was taken back since.
//!
//! | the crash came | what `open` and `begin` find | what they do |
//! |---|---|---|
//! | in the middle of a report | the part file, at least as long as the receipt says | cut it back, go on |
//! | among the pieces of a rotated file | further part files | remove them |
//! | while names were given, or behind | pieces under their final names | make parts of their beginnings, take the names back (`replace`: the next publication does) |
//! | behind a later report into the same file | a longer file whose beginning has the receipt's checksum | cut it back to the end of the last known report |
//! | in the middle of all this | some of it done | do all of it again |
//!
//! What is not as the receipt says in any other way (removed, shorter, of another program) is an error that names the
//! file; only a run that starts over passes it. A file that was complete and taken away by its reader is no such
//! case: the next report begins a new one. Devices and pipes cannot go back; what was written to them since the last
//! commit may come twice, which the log says.
//!
//! A receipt can know only what had begun when it was given. A report that began and ended after the last one that
//! was stored is repeated: with `if_exists: replace` the repetition takes its place; with `append`, when it is the
//! run's first report into that file, it stands there twice, and `fail` refuses. Whoever stores a receipt between
//! the `begin` and the `end` of each report has no such gap.

mod beginning;
mod content;
mod direct;
mod disk;
#[cfg(test)]
mod exactly_once;
mod failure;
#[cfg(test)]
mod fault;
mod interrupted;
mod name;
pub mod options;
mod part;
mod pieces;
mod receipt;
mod recovery;
mod report_file;
mod target;

pub use report_file::{ReportFile, StartMode};
pub use target::{IfExists, Rotation, Target};
