//! The API client: logs in, makes calls, waits for rate and concurrency limits.

use std::io::Read;
use std::time::Duration;

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{AGE, DATE, HeaderMap, LOCATION};
use scanbridge_http_route::{HttpError, Runtime};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, tracing};
use scanbridge_qualys_xml::{Kind, ListFault, Reply, clean};
use url::Url;

use super::call::{Call, form};
use super::classify::{ResponseAction, Seen, classify, kind_root};
use super::html_page::HtmlPage;
use super::limits::{Limits, WaitBudget};
use super::login::{self, Login};
use crate::http::{Body, Exchange, Request, Response, seconds};
use crate::options::{Account, Network};

/// A client for one account on one platform.
pub(crate) struct Client {
    account: Account,
    pub(crate) network: Network,
    services: Services,
    exchange: Exchange,
    login: Login,
    limits: Limits,
    /// How far the clock of this machine is ahead of that of Qualys, by the last response with a date.
    clock_ahead: Option<SignedDuration>,
    // Dropped last, because the connections run on it.
    runtime: Runtime,
}

/// A response with what it contains.
struct Received {
    response: Response,
    kind: Kind,
    /// Present if it is a short reply or contains an error.
    reply: Option<Reply>,
    /// Present if it is an HTML page.
    page: Option<HtmlPage>,
}

/// The result of a successful call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Data with one of the expected root elements.
    Data(Body),
    /// The action is done; the short reply.
    Done(Reply),
    /// The report is not ready, or does not exist (code 7001).
    NotReady(Reply),
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: PluginError,
    /// True if a smaller request may succeed.
    pub(crate) smaller_may_help: bool,
    /// True if the platform does not offer the call.
    pub(crate) is_not_offered: bool,
    /// True if Qualys refuses a parameter of the call: it is unknown, or its value or combination with others is invalid.
    pub(crate) refuses_parameter: bool,
}

impl From<Failure> for PluginError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        Self { error, smaller_may_help: false, is_not_offered: false, refuses_parameter: false }
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        let smaller_may_help = error.smaller_may_help();
        Self { smaller_may_help, ..PluginError::from(error).into() }
    }
}

impl Client {
    pub(crate) fn new(account: &Account, network: &Network, services: &Services) -> Result<Self> {
        Ok(Self {
            account: account.clone(),
            network: network.clone(),
            services: services.clone(),
            exchange: Exchange::new(network, services),
            login: Login::new(account),
            limits: Limits::default(),
            clock_ahead: None,
            runtime: Runtime::new(services)?,
        })
    }

    /// Sets how many clients use the limits of the account together.
    pub(crate) fn with_slots(mut self, slots: u32) -> Self {
        self.limits.set_slots(slots);
        self
    }

    /// A URL below the API URL.
    pub(crate) fn at(&self, path: &str) -> Url {
        login::at(&self.network.url, path)
    }

    /// Calls left and calls allowed in this period, according to the last response that reports them.
    pub(crate) fn calls_left(&self) -> Option<(u64, u64)> {
        self.limits.left
    }

    /// How far the clock of this machine is ahead of that of Qualys.
    pub(crate) fn clock_ahead(&self) -> Option<SignedDuration> {
        self.clock_ahead
    }

    /// Makes a call. Logs in first if needed, and waits for limits up to `max_wait_minutes`.
    pub(crate) fn call(&mut self, call: &Call) -> Result<Answer, Failure> {
        let mut budget = WaitBudget::new(if call.waits { self.network.max_wait } else { Duration::ZERO });
        let mut is_renewed = false;
        loop {
            if self.login.is_missing(call) {
                self.log_in(&mut budget)?;
            }
            let received = self.exchange(call, &mut budget)?;
            let ended = matches!(received.response.status, 401) && !call.first_version && !is_renewed;
            if ended && self.login.discard() {
                // The session or token has expired; renew it once.
                is_renewed = true;
                continue;
            }
            match self.classify(call, &received) {
                ResponseAction::Data => return Ok(Answer::Data(received.response.body)),
                ResponseAction::Done => return Ok(Answer::Done(received.reply.unwrap_or_default())),
                ResponseAction::NotReady => return Ok(Answer::NotReady(received.reply.unwrap_or_default())),
                action => self.wait_or_fail(call, action, received, &mut budget)?,
            }
        }
    }

    fn log_in(&mut self, budget: &mut WaitBudget) -> Result<(), Failure> {
        let call = self.login.call(&self.account, &self.network)?;
        loop {
            let received = self.exchange(&call, budget)?;
            match self.classify(&call, &received) {
                ResponseAction::Done | ResponseAction::NotReady => {
                    return Ok(self.login.take_cookies(&received.response.headers)?);
                }
                ResponseAction::Data => {
                    let mut token = Vec::new();
                    let source = received.response.body.source.read(None);
                    let read = source.take(MAX_TOKEN_BYTES).read_to_end(&mut token);
                    read.map_err(|error| {
                        PluginError::new(ErrorKind::Io, format!("cannot read the token response: {error}"))
                    })?;
                    return Ok(self.login.take_token(&token)?);
                }
                action => self.wait_or_fail(&call, action, received, budget)?,
            }
        }
    }

    fn exchange(&mut self, call: &Call, budget: &mut WaitBudget) -> Result<Received, Failure> {
        if let Some(due) = self.limits.due(call.url.path()) {
            budget.wait(due, "Qualys API rate limit reached", &self.services)?;
        }
        let request = self.request(call);
        let response = self.runtime.run(self.exchange.call(&request, &call.keep))??;
        tracing::debug!(status = response.status, bytes = response.body.source.length, "{}", call.what);
        self.limits.update(call.url.path(), &response.headers, &self.services);
        self.clock_ahead = clock_ahead(&response.headers, Timestamp::now()).or(self.clock_ahead);
        let unreadable = |error: std::io::Error| {
            PluginError::new(
                ErrorKind::Io,
                format!("{} failed: cannot read the stored response: {error}", call.what),
            )
        };
        let source = &response.body.source;
        let kind = source.kind().map_err(unreadable)?;
        // A short response may be an error with the root element of a report; larger ones are parsed by the
        // report reader.
        let is_short = source.length <= SHORT_REPLY_BYTES && kind_root(&kind).is_some();
        let reply = (is_short || matches!(kind, Kind::Reply(_)))
            .then(|| Reply::read(source.read(None)))
            .filter(|reply| matches!(kind, Kind::Reply(_)) || !reply.is_success());
        let is_html = matches!(kind, Kind::Foreign("an HTML page"));
        let page = is_html.then(|| HtmlPage::read(source.read(None)));
        Ok(Received { response, kind, reply, page })
    }

    fn request(&self, call: &Call) -> Request {
        let mut url = call.url.clone();
        if !call.post && !call.fields.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.fields);
        }
        let form = call.post.then(|| form(&call.fields));
        Request { url, form, headers: self.login.headers(call) }
    }

    fn classify(&self, call: &Call, received: &Received) -> ResponseAction {
        let Received { response, kind, reply, page } = received;
        let location = response.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.map(|to| clean(to.split(['?', '#']).next().unwrap_or_default()));
        let to_wait = seconds(&response.headers, "x-ratelimit-towait-sec");
        // `Retry-After` with a date instead of seconds is ignored.
        let wait = to_wait.max(seconds(&response.headers, "retry-after")).filter(|wait| !wait.is_zero());
        classify(
            call,
            &Seen {
                status: response.status,
                kind,
                reply: reply.as_ref(),
                page: page.as_ref(),
                wait,
                location: location.as_deref(),
            },
            &self.account,
        )
    }

    fn wait_or_fail(
        &mut self,
        call: &Call,
        action: ResponseAction,
        received: Received,
        budget: &mut WaitBudget,
    ) -> Result<(), Failure> {
        let code = received.reply.as_ref().and_then(|reply| reply.code);
        let refuses_parameter = matches!(code, Some(1901 | 1905 | 1907));
        let details = received.reply.map(|reply| format!(" ({reply})")).unwrap_or_default();
        let (wait, why) = match action {
            ResponseAction::Failed(error, smaller_may_help) => {
                return Err(Failure { smaller_may_help, refuses_parameter, ..error.into() });
            }
            ResponseAction::NotOffered(error) => {
                return Err(Failure { is_not_offered: true, ..error.into() });
            }
            ResponseAction::Repeat(error) => {
                tracing::info!("{error}; repeating the call once");
                return Ok(budget.repeat(received.page, error, &self.services)?);
            }
            ResponseAction::Rate(wait) => (wait, "Qualys API rate limit reached"),
            ResponseAction::Later(wait) => (wait, "Qualys asked to retry later"),
            _ => (None, "Qualys concurrency limit reached (calls or reports in progress)"),
        };
        let wait = match wait {
            Some(wait) => budget.requested_wait(wait),
            None => budget.busy(self.network.busy_wait),
        };
        Ok(budget.wait(wait, &format!("{}: {why}{details}", call.what), &self.services)?)
    }

    /// Logs out if there is a session. Errors are ignored, because the session expires anyway.
    pub(crate) fn log_out(&mut self) {
        if !self.login.has_session() {
            return;
        }
        let call = login::logout(&self.network);
        let request = self.request(&call);
        self.runtime.run_briefly(LOGOUT_TIMEOUT, async {
            let _ = self.exchange.call(&request, &call.keep).await;
        });
        self.login.discard();
    }
}

/// How far `now` is ahead of the time of a response. `None` without a date, and for a response from a cache.
fn clock_ahead(headers: &HeaderMap, now: Timestamp) -> Option<SignedDuration> {
    let date = headers.get(DATE).filter(|_| !headers.contains_key(AGE))?.to_str().ok()?;
    let date = rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(now.duration_since(date))
}

impl Drop for Client {
    fn drop(&mut self) {
        self.log_out();
    }
}

/// The error for a list that is truncated or too long.
pub(crate) fn unusable_list(what: &str, fault: ListFault) -> PluginError {
    let message = format!("{what} {fault}");
    match fault {
        ListFault::Truncated => {
            PluginError::new(ErrorKind::Unavailable, message).with_hint("the next attempt downloads it again")
        }
        ListFault::TooLong => PluginError::bad_data(message).with_hint("request less data per call"),
    }
}

/// Responses up to this size, in bytes, are searched for an error reply.
const SHORT_REPLY_BYTES: u64 = 64 << 10;
const MAX_TOKEN_BYTES: u64 = 64 << 10;
/// Timeout of the logout, which must not delay the end of a run.
const LOGOUT_TIMEOUT: Duration = Duration::from_secs(3);
