//! Tests of the complete input against a fake Qualys, through the same calls that the host makes.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

mod contract;
mod detections;
mod drive;
mod failures;
mod hops;
mod logins;
mod malformed_responses;
mod network;
mod scan_reports;
mod secrets;
mod template_reports;
