//! What a job does.

use crate::dead_letter_request::DeadLetterRequest;
use crate::skip_request::SkipRequest;

/// What a job does.
#[derive(Debug, Clone)]
pub(crate) enum JobRequest {
    DeadLetters(DeadLetterRequest),
    Skip(SkipRequest),
}

impl JobRequest {
    /// One word, for clients.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::DeadLetters(request) => request.word(),
            Self::Skip(_) => "skip",
        }
    }

    /// What is done, as a verb.
    pub(crate) fn verb(&self) -> String {
        match self {
            Self::DeadLetters(request) => format!("{} dead letters", request.word()),
            Self::Skip(_) => "mark reports".to_owned(),
        }
    }

    /// What is done, as a noun.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::DeadLetters(request) => format!("{} of dead letters", request.word()),
            Self::Skip(_) => "marking of reports".to_owned(),
        }
    }
}
