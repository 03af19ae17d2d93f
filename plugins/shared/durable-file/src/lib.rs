//! Files that appear under their final name only when they are complete: the base of every output that writes files.
//!
//! A report is written to `.NAME.part` in the directory of its target, synchronized to disk, and renamed when the
//! report is complete. A program that reads the target therefore sees a complete file or none, whatever happens: a
//! truncated report, a full disk, a kill. The crate does not know what the files contain.
//!
//! - A second report of one run that resolves to the same name goes on from a copy of the published file, so
//!   the file always holds all complete reports so far. (The copy is free where the file system shares blocks.)
//! - With [`Rotation`] the pieces are `stem.0001.ext`, `stem.0002.ext` …, published together and in order.
//! - Devices, pipes and `-` (standard output) have no final name: they are written directly, and what was written of
//!   a report that is not delivered cannot be rolled back.
//! - Two processes never write one file: the part file is locked, and the second one gets an error.
//! - A symbolic link as target is replaced, not followed (unless it leads to a device or pipe).
//!
//! # After a crash
//!
//! [`ReportFile::commit`] synchronizes everything to disk and returns a receipt. [`ReportFile::open`] with that
//! receipt restores the directory to its state at that time, whatever happened since. A file that was interrupted any
//! number of times is therefore, byte for byte, that of an undisturbed run, provided that the caller repeats what
//! came after the receipt. Any earlier receipt of the run can be used too, unless its report was rolled back since.
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
//! A receipt covers only reports that had begun when it was made. A report that began and ended after the last stored
//! receipt is repeated. With `if_exists: replace` the repetition replaces the file. With `append`, if it is the run's
//! first report into that file, it is in the file twice; `fail` refuses. A caller that stores a receipt between the
//! `begin` and the `end` of each report has no such gap.

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
