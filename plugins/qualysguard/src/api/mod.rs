//! The Qualys API: calls, responses, authentication and limits.

mod call;
mod classify;
mod client;
mod html_page;
mod limits;
mod login;

pub(crate) use call::Call;
pub(crate) use client::{Answer, Client, Failure, unusable_list};
