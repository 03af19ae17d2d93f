//! What other threads tell the main loop.

use scanbridge_observe::RunEvent;
use tokio::sync::oneshot;

use crate::accepted::Loaded;
use crate::request::{Api, Reply};

/// What reaches the main loop from other threads.
#[derive(Debug)]
pub(crate) enum Message {
    Event {
        pipeline: String,
        process: u64,
        event: RunEvent,
    },
    /// The run has closed its channel.
    Closed {
        pipeline: String,
        process: u64,
    },
    Signal(i32),
    Api(Api, oneshot::Sender<Reply>),
    Loaded(Result<Loaded, String>),
}
