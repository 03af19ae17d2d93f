//! The complete input over the fixtures, through the same calls that the host makes.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue may panic")]

mod complete_reports;
mod contract;
mod damaged;
mod drive;
mod fields;
mod files;
mod hostile;
mod refused;
mod resume;
mod session;
mod two_passes;
mod watch;
