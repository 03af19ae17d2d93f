//! What clients of librdkafka report besides the results of calls: log lines, errors of connections, requests for tokens.

use std::error::Error;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::Metadata;
use scanbridge_plugin_api::tracing::{debug, warn};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, printable};

use crate::connection::Connection;
use crate::error::{Failed, Resource, kind};

/// The part of a client's context that is the same in all clients of an instance.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) services: Services,
    pub(crate) connection: Connection,
    state: Mutex<State>,
    /// What has ended the work of the instance; several clients can share it.
    ended: Arc<OnceLock<PluginError>>,
}

#[derive(Debug, Default)]
struct State {
    /// A login or certificate that is rejected: trying again does not help.
    permanent: Option<PluginError>,
    /// The words of the last error of a connection.
    last: Option<(Code, String)>,
}

/// The longest time of one query while connecting: between two queries, errors and stop requests are noticed.
const SLICE: Duration = Duration::from_secs(1);

impl Link {
    pub(crate) fn new(connection: Connection, services: &Services) -> Self {
        Self { services: services.clone(), connection, state: Mutex::default(), ended: Arc::default() }
    }

    /// Shares with another client what has ended the work of the instance.
    pub(crate) fn ending_with(self, other: &Self) -> Self {
        Self { ended: Arc::clone(&other.ended), ..self }
    }

    /// Ends the work of the instance: all waits for the brokers end with this error.
    pub(crate) fn end(&self, error: PluginError) {
        // The first one counts.
        let _ = self.ended.set(error);
    }

    /// What an operation failed at, for messages.
    pub(crate) fn failed<'a>(&'a self, what: &'a str, resource: Resource<'a>) -> Failed<'a> {
        let Connection { brokers, principal, .. } = &self.connection;
        Failed { what, resource, brokers, principal }
    }

    /// The login or the certificate was rejected since the connection was made, or the work of the instance has ended.
    ///
    /// # Errors
    /// That error.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(error) = self.ended.get() {
            return Err(error.clone());
        }
        self.lock().permanent.clone().map_or(Ok(()), Err)
    }

    /// The error for a call that ended with this code, with the reason that the connection reported, if it has one.
    pub(crate) fn explain(&self, what: &str, resource: Resource<'_>, code: Code) -> PluginError {
        let state = self.lock();
        if let Some(error) = &state.permanent {
            return error.clone();
        }
        let is_vague = matches!(
            code,
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::MessageTimedOut
        );
        match &state.last {
            Some((last, words)) if is_vague => {
                self.failed(what, resource).error(*last, &format!("{words} ({})", usual(code)))
            }
            _ => self.failed(what, resource).error(code, ""),
        }
    }

    /// Waits until a broker has answered with the metadata of a topic, or of the cluster. `poll` serves the events of the
    /// client, if no thread does.
    ///
    /// # Errors
    /// As soon as login or certificate are rejected; otherwise after `connect_timeout`.
    pub(crate) fn metadata<C: ClientContext>(
        &self,
        client: &Client<C>,
        topic: Option<&str>,
        poll: impl Fn(),
    ) -> Result<Metadata> {
        let began = Instant::now();
        self.services.phase("connecting to the brokers");
        loop {
            poll();
            let result = client.fetch_metadata(topic, SLICE);
            poll();
            if self.services.is_cancelled() {
                return Err(PluginError::cancelled());
            }
            match result {
                Ok(metadata) => {
                    *self.lock() = State::default();
                    return Ok(metadata);
                }
                Err(error) => {
                    self.check()?;
                    let is_late = began.elapsed() >= self.connection.connect_timeout
                        || (self.services.is_draining() && began.elapsed() >= Services::DRAIN_PATIENCE);
                    if is_late {
                        let code = error.rdkafka_error_code().unwrap_or(Code::OperationTimedOut);
                        let what = format!("cannot connect to {}", self.connection.brokers);
                        return Err(self.explain(&what, Resource::Cluster, code));
                    }
                    self.services.alive();
                }
            }
        }
    }

    fn note(&self, code: Code, reason: &str) {
        let words = printable(reason, 300).into_owned();
        debug!(code = ?code, "{words}");
        let what = format!("cannot connect to {}", self.connection.brokers);
        let error = self.failed(&what, Resource::Cluster).error(code, &words);
        let mut state = self.lock();
        if is_of_connection(code) && matches!(error.kind, ErrorKind::Auth | ErrorKind::Config) {
            state.permanent.get_or_insert(error);
        }
        if code != Code::AllBrokersDown {
            state.last = Some((code, words));
        }
    }

    fn token(&self) -> Result<OAuthToken> {
        let source = self.connection.tokens.as_ref().ok_or_else(|| {
            PluginError::bug("plugin bug: a token is requested without `sasl: oauthbearer`")
        })?;
        let token = source.request(&self.services)?;
        Ok(OAuthToken {
            token: token.value.expose().to_owned(),
            principal_name: source.client_id().to_owned(),
            lifetime_ms: token.ends,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the code is about a connection, not about a topic or a group.
fn is_of_connection(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::SSL
            | Code::BrokerTransportFailure
    )
}

fn usual(code: Code) -> &'static str {
    match code {
        Code::MessageTimedOut => "not acknowledged in time",
        Code::OperationTimedOut => "timed out",
        _ => "no broker reachable",
    }
}

/// Contexts with a [`Link`] behave in the same way.
pub(crate) trait Linked: Send + Sync {
    fn link(&self) -> &Link;
}

/// Calls of librdkafka that are the same for all kinds of clients.
pub(crate) fn log(link: &Link, level: RDKafkaLogLevel, facility: &str, text: &str) {
    let _log = link.services.enter();
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            warn!(facility, "{}", printable(text, 500));
        }
        // What matters is also an event or a result; brokers that come and go are not worth a warning each.
        _ => debug!(facility, "{}", printable(text, 500)),
    }
}

pub(crate) fn error(link: &Link, error: &KafkaError, reason: &str) {
    let _log = link.services.enter();
    if let Some(code) = error.rdkafka_error_code().filter(|code| *code != Code::PartitionEOF) {
        link.note(code, reason);
    }
}

pub(crate) fn oauth_token(link: &Link) -> std::result::Result<OAuthToken, Box<dyn Error>> {
    let _log = link.services.enter();
    link.token().map_err(|error| {
        let text = error.message.replace('\0', " ");
        if matches!(error.kind, ErrorKind::Auth | ErrorKind::Config | ErrorKind::Protocol) {
            link.lock().permanent.get_or_insert(error);
        } else {
            link.lock().last = Some((Code::BrokerTransportFailure, text.clone()));
        }
        text.into()
    })
}

/// The code and the words of an error that a consumer reports between records; none if it passes, because the client
/// connects again. If the client cannot continue, those of the cause.
pub(crate) fn lasting<C: ClientContext>(client: &Client<C>, error: &KafkaError) -> Option<(Code, String)> {
    let (code, words) = match (error.rdkafka_error_code()?, client.fatal_error()) {
        (Code::Fatal, Some((code, words))) => (code, words),
        (code, _) => (code, String::new()),
    };
    debug!(?code, "the client reports an error");
    (kind(code, &words) != ErrorKind::Unavailable).then_some((code, words))
}

/// Implements [`ClientContext`] for a type that is [`Linked`].
macro_rules! client_context {
    ($name:ty) => {
        impl rdkafka::ClientContext for $name {
            const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

            fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, text: &str) {
                $crate::link::log(self.link(), level, facility, text);
            }

            fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
                $crate::link::error(self.link(), &error, reason);
            }

            fn generate_oauth_token(
                &self,
                _: Option<&str>,
            ) -> Result<rdkafka::client::OAuthToken, Box<dyn std::error::Error>> {
                $crate::link::oauth_token(self.link())
            }
        }
    };
}
pub(crate) use client_context;
