//! What the routes need besides the main loop: who may use them, and the log.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use scanbridge_observe::{ConsoleKeys, Role};

use super::limits::RefusedLogins;
use super::tokens::{Refused, Tokens};
use crate::log_sink::{Level, Log};

/// Who may use the service, and how.
#[derive(Debug)]
pub(crate) struct Access {
    pub(super) tokens: Tokens,
    pub(super) log: Arc<Log>,
    refused: RefusedLogins,
    keys: Mutex<ConsoleKeys>,
}

/// The result of a token that a client has sent.
#[derive(Debug)]
pub(super) enum Login {
    Accepted(String, Role),
    Refused,
    TooMany,
}

impl Access {
    pub(crate) fn new(tokens: Tokens, log: Arc<Log>) -> Self {
        Self { tokens, log, refused: RefusedLogins::new(), keys: Mutex::default() }
    }

    /// Applies the service file.
    pub(crate) fn change(&self, keys: ConsoleKeys) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    pub(super) fn keys(&self) -> ConsoleKeys {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Checks a token. Refused ones are in the log, as long as they are not too many.
    pub(super) fn log_in(&self, token: &str, from: IpAddr) -> Login {
        let why = match self.tokens.find(token, Timestamp::now()) {
            Ok((name, role)) => return Login::Accepted(name, role),
            Err(Refused::Unknown) => "the token is unknown".to_owned(),
            Err(Refused::Expired(name)) => format!("the token `{name}` has expired"),
        };
        if self.refused.are_too_many(from) {
            return Login::TooMany;
        }
        let from = from.to_canonical();
        self.log.service(Level::Warn, &format!("login from {from} refused: {why}"));
        Login::Refused
    }
}
