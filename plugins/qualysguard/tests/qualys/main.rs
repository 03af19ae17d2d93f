//! The whole input against a fake Qualys, through the same calls that the host makes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod detections;
mod drive;
mod failures;
mod template_reports;
