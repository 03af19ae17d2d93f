//! The Qualys API: calls, what their answers mean, and what it asks of those who call.

mod call;
mod client;
mod limits;
mod login;
mod verdict;

pub(crate) use call::Call;
pub(crate) use client::{Answer, Client, Failure, unusable_list};
