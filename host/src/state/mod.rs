//! State that is kept between runs: one directory per pipeline.
//!
//! ```text
//! STATE_DIR/NAME/ledger.redb            positions, receipts, sent reports, run history
//!               /lock                   held while the pipeline runs
//!               /dead-letters/ID.ndjson findings that an output rejected
//!               /instances/ID/          private data of a plugin
//! ```

mod dead_letter;
mod dead_letter_file;
mod error;
mod fingerprint;
mod folder;
mod ledger;
mod lock;
mod record;

pub use dead_letter::{DeadLetter, DeadLetterHistory, Record, ReportRecord};
pub use dead_letter_file::{DeadLetterFile, DeadLetterWriter, list_dead_letter_files};
pub use error::StateError;
pub use fingerprint::fingerprint;
pub use folder::StateFolder;
pub use ledger::Ledger;
pub use lock::{Lock, Occupied};
pub use record::{AheadReport, Checkpoint, OutputState, RunRecord, RunState, SentReport};

/// The current time in UTC, in the format of the state.
#[must_use]
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
