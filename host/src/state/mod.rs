//! What outlives a run: one folder for each pipeline.
//!
//! ```text
//! STATE_DIR/NAME/ledger.redb            positions, receipts, sent reports, run history
//!               /lock                   held while the pipeline runs
//!               /dead-letters/ID.ndjson what an output refused
//!               /instances/ID/          what a plugin keeps for itself
//! ```

mod dead_letters;
mod error;
mod fingerprint;
mod folder;
mod ledger;
mod letter;
mod lock;
mod record;

pub use dead_letters::{DeadLetters, LetterFile, list_letters};
pub use error::StateError;
pub use fingerprint::fingerprint;
pub use folder::StateFolder;
pub use ledger::Ledger;
pub use letter::{Letter, LetterHistory, LetterReport, Record};
pub use lock::{Lock, Occupied};
pub use record::{AheadReport, Checkpoint, OutputState, RunRecord, RunState, SentReport};

/// The present time as state tells it, in UTC.
#[must_use]
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
