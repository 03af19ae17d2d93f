//! Files that appear under their final name only when they are complete and the caller has stored that fact: the base
//! of every output that writes files.
//!
//! A report is written to a part file, `.NAME.N.part` in the directory of its target; with rotation there is one for each
//! piece, `.NAME.N-0001.part`. `N` counts up through the run. When the report is complete, [`ReportFile::end`] and
//! [`ReportFile::commit`] make the parts durable and return a receipt. The caller stores the receipt. Only then,
//! [`ReportFile::stored`] renames the parts to their final names. A program that reads the target therefore sees a complete
//! file or none, and each report appears exactly once, whatever happens: a truncated report, a full disk, a kill, a loss of
//! power. The crate does not know what the files contain.
//!
//! - A second report of one run with the same name continues a copy of the published file, so the file always contains
//!   all complete reports so far. (The copy is free where the file system shares blocks.)
//! - With `if_exists: append`, and for such a second report, publication checks that the file is still the one that was
//!   copied. If it is not, `FILE was changed by another program` is an error, and the part stays. A file that was moved
//!   away or emptied in the meantime appears again, with its old content.
//! - A report without a record changes no file that exists, and with `if_exists: append` makes none: what was written with
//!   [`ReportFile::write_head`] counts as no record.
//! - With [`Rotation`] the pieces are `stem.0001.ext`, `stem.0002.ext` …, published one after the other in order.
//! - Devices, pipes and `-` (standard output) have no final name and no two phases: they are written directly, and what
//!   was written of a report that is not delivered cannot be rolled back.
//! - Two processes never write one file: the first one that changes anything holds `.NAME.lock` until it closes the
//!   file, and the second one gets an error.
//! - A symbolic link as target is replaced, not followed (unless it leads to a device or pipe).
//! - A part file is always created, never opened because of its name: a file or link that another user has prepared is
//!   not written to.
//!
//! # After a crash
//!
//! [`ReportFile::open`] accepts any receipt that was stored, also one that is older than the last commit, as long as
//! [`ReportFile::stored`] was not called for a later one. The files are then, byte for byte, those of an undisturbed run,
//! provided that the caller repeats what came after the receipt.
//!
//! | the crash came | stored receipt | `open`, `begin` and `stored` find | they |
//! |---|---|---|---|
//! | before the first commit of a report | of an earlier report | parts that are in no receipt | write the report to a part with a new number; the next `stored` removes the old ones |
//! | after a commit | of that commit, or an earlier one | a part that is longer than the receipt says, perhaps further pieces | truncate it and continue; further pieces are written again |
//! | after `end`, before its receipt was stored | in the report | the same | the same: a sealed part is only a longer part |
//! | after the receipt of the end was stored | of the end | all parts | rename them |
//! | between two renames | of the end | some of the parts | rename them; a missing part was published |
//! | after a rename, and the power failed before the directory was synchronized | of the end | the part or the final name | rename the part if it is there |
//! | after `stored` | of the end | no part | nothing, also if a reader has taken the file away |
//! | while parts are removed | of the end | some of them | remove the rest |
//! | in the middle of all this | unchanged | some of it done | do all of it again |
//!
//! Only `stored`, and `open` with a receipt of a report's end, remove parts that a receipt may name. An instance can be
//! opened at a commit that is not stored yet, while the stored receipt still names the part of an earlier attempt.
//!
//! A part that is missing or shorter than the receipt says is an error that names it; only a run that starts from the
//! beginning passes it. A report to a device or pipe is in no
//! receipt: it begins again.
//!
//! A run that ends without any receipt leaves no part behind. After a kill, a part can remain if no later report has its
//! name.

mod direct;
mod disk;
#[cfg(test)]
mod exactly_once;
mod failure;
#[cfg(test)]
mod fault;
mod leftover;
mod lock;
mod name;
pub mod options;
mod part;
mod publication;
mod receipt;
mod report_file;
mod series;
mod target;

pub use report_file::{ReportFile, StartMode};
pub use target::{DateOf, IfExists, Rotation, Target};
