//! State that is kept between runs: one directory per pipeline.
//!
//! ```text
//! STATE_DIR/NAME/ledger.redb     positions, receipts, keys, dead letters, sent reports, run history
//!               /lock            held while the pipeline runs
//!               /instances/ID/   private data of a plugin
//! ```

use std::time::Duration;

mod checkpoint;
mod day_counts;
mod dead_letter;
mod dead_letter_writer;
mod error;
mod fingerprint;
mod folder;
mod instance_keys;
mod kept;
mod ledger;
mod letter_filter;
mod lock;
mod owner;
mod record;

pub use checkpoint::{
    AheadReport, Checkpoint, DeadLetterEnd, EndOfRun, InvalidOfReport, KeyChanges, Missed, MissedChange,
    MissedReport, OutputCounts, OutputState, SentReport, SinceCheckpoint,
};
pub use day_counts::DayCounts;
pub use dead_letter::{DeadLetter, Record, ReportRecord, Stage};
pub use dead_letter_writer::DeadLetterWriter;
pub use error::StateError;
pub use fingerprint::{Change, ChangedOptions, Fingerprint};
pub use folder::StateFolder;
pub use instance_keys::InstanceKeys;
pub use kept::{About, KeptCheckpoint, pair_changes};
pub use ledger::{DeadLetterCount, DeadLetterReader, Ledger, LetterGroup, LetterGroups};
pub use letter_filter::LetterFilter;
pub use lock::{Lock, Occupied};
pub use owner::user_name;
pub use record::{Choice, RunRecord, RunState};

/// The current time in UTC, in the format of the state.
#[must_use]
pub fn now() -> String {
    time_ago(Duration::ZERO)
}

/// The time that was this long ago, in UTC, in the format of the state.
#[must_use]
pub fn time_ago(age: Duration) -> String {
    let now = jiff::Timestamp::now();
    now.checked_sub(age).unwrap_or(now).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
