//! Tests of the complete input against a fake Qualys, through the same calls that the host makes.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

mod broken_assets;
mod contract;
mod details;
mod detections;
mod drive;
mod earlier_reports;
mod failures;
mod hops;
mod html_pages;
mod knowledge_base;
mod logins;
mod malformed_responses;
mod network;
mod scan_reports;
mod secrets;
mod shares;
mod stored_reports;
mod template_reports;
