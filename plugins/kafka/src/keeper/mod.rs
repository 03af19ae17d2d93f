//! Exactly once: `slot` decides which instance works, `stored` reads the checkpoint that the former one has left, and
//! `transaction` writes records and checkpoint together.
//!
//! A slot is a partition of the state topic. Its owner in a consumer group fetches this share of the source, and the partition
//! holds the checkpoint. The order is important: first the transactions of a former owner are fenced off, then the
//! checkpoint is read.

mod session;
mod settings;
mod slot;
mod stored;
mod transaction;

pub(crate) use session::Session;
pub(crate) use settings::KeeperSettings;
