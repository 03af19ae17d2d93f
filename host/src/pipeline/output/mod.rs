//! The thread of one output: delivers the items of its queue, commits at each barrier and publishes ended reports.

mod account;
mod destination;
mod failover;
mod retry_buffer;
mod selection;
mod worker;

pub(super) use account::Ended;
pub(super) use destination::Destination;
pub(super) use failover::Pair;
pub(super) use retry_buffer::RetryBuffer;
pub(super) use worker::{OutputWorker, Skipping};
