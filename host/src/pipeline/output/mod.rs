//! The thread of one output: delivers the items of its queue, commits at each barrier and publishes ended reports.

mod account;
mod ahead;
mod cipher;
mod destination;
mod discard;
mod encrypt;
mod failover;
mod live;
mod recover;
mod rejections;
mod render;
mod reports;
mod retry_buffer;
mod selection;
mod worker;
mod write;

pub(super) use account::Ended;
pub(super) use cipher::DestinationCipher;
pub(super) use destination::Destination;
pub(super) use discard::DISCARD;
pub(super) use live::LiveOutput;
pub(super) use worker::OutputWorker;
