//! A replay or purge of dead letters that a client waits for.

use tokio::sync::oneshot;

use crate::dead_letter_request::DeadLetterRequest;
use crate::request::Reply;

/// A job, and the client that waits for its result.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) request: DeadLetterRequest,
    pub(crate) reply: oneshot::Sender<Reply>,
    /// Number of the last line in the log when it was requested.
    pub(crate) since: u64,
    pub(crate) is_abandoned: bool,
}

impl Job {
    /// The pipeline was removed before the job began.
    pub(crate) fn refuse(self, name: &str) {
        let _ = self.reply.send(Reply::problem(409, &format!("pipeline `{name}` was removed"), ""));
    }
}
