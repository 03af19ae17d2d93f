//! The Qualys API: calls, what their answers mean, and what it asks of those who call.

mod call;
mod client;
mod limits;
mod lists;
mod login;
mod markup;
mod reply;
mod verdict;

pub(crate) use call::Call;
pub(crate) use client::{Answer, Client, Failure};
pub(crate) use lists::{Scan, StoredReport, read_asset_numbers, read_reports, read_scans, read_templates};
pub(crate) use reply::{Reply, clean};
