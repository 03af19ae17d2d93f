//! The whole input against a fake Qualys, through the same calls that the host makes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod contract;
mod detections;
mod drive;
mod failures;
mod hops;
mod network;
mod oddities;
mod scan_reports;
mod secrets;
mod template_reports;
