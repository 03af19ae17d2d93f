//! What the routes need besides the main loop: who may use them, and the log.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use scanbridge_observe::{ConsoleKeys, Role};

use super::limits::Limits;
use super::sessions::Sessions;
use super::tokens::{Refused, Tokens};
use crate::log_sink::{Level, Log};

/// Who may use the service, and how.
#[derive(Debug)]
pub(crate) struct Access {
    pub(super) tokens: Tokens,
    pub(super) log: Arc<Log>,
    pub(super) sessions: Sessions,
    pub(super) limits: Limits,
    keys: Mutex<Arc<ConsoleKeys>>,
    /// Names of the session's cookie: over TLS, browsers accept the first only from this service itself. The port is part of
    /// them, because browsers send the cookies of all services on a host to each of these.
    pub(super) cookies: [String; 2],
}

/// The result of a token that a client has sent.
#[derive(Debug)]
pub(super) enum Login {
    Accepted(String, Role),
    Refused,
    TooMany,
}

impl Access {
    /// `port` is that of the TCP listener.
    pub(crate) fn new(tokens: Tokens, log: Arc<Log>, port: u16) -> Self {
        let cookies = ["__Host-scanbridge", "scanbridge"].map(|name| format!("{name}-{port}"));
        let (sessions, limits) = (Sessions::default(), Limits::new());
        Self { tokens, log, sessions, limits, keys: Mutex::default(), cookies }
    }

    /// Applies the service file.
    pub(crate) fn change(&self, keys: ConsoleKeys) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    pub(super) fn keys(&self) -> Arc<ConsoleKeys> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Checks a token. Refused ones are in the log, as long as they are not too many.
    pub(super) fn log_in(&self, token: &str, from: IpAddr) -> Login {
        let why = match self.tokens.find(token, Timestamp::now()) {
            Ok((name, role)) => return Login::Accepted(name, role),
            Err(Refused::Unknown) => "the token is unknown".to_owned(),
            Err(Refused::Expired(name)) => format!("the token `{name}` has expired"),
        };
        self.refuse(&why, from)
    }

    /// Counts a refused login.
    pub(super) fn refuse(&self, why: &str, from: IpAddr) -> Login {
        if self.limits.is_refused_too_often(from) {
            return Login::TooMany;
        }
        let from = from.to_canonical();
        self.log.service(Level::Warn, &format!("login from {from} refused: {why}"));
        Login::Refused
    }
}
