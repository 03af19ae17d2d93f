//! Makes calls: logs in, waits as it is told, and says what each answer means.

use std::io::Read;
use std::time::Duration;

use reqwest::header::LOCATION;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, tracing};
use scanbridge_qualys_xml::{Kind, ListFault, Reply, clean};
use url::Url;

use super::call::{Call, form};
use super::limits::{Limits, WaitBudget};
use super::login::{self, Login};
use super::verdict::{ResponseAction, Seen, judge, kind_root};
use crate::http::{Body, Exchange, HttpError, Request, Response, Runtime, seconds};
use crate::options::{Account, Network};

/// One account at one platform.
pub(crate) struct Client {
    account: Account,
    pub(crate) network: Network,
    services: Services,
    exchange: Exchange,
    login: Login,
    limits: Limits,
    // Last, for the connection runs on it.
    runtime: Runtime,
}

/// What a call led to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Data of one of the kinds that were expected.
    Data(Body),
    /// It was done.
    Done(Reply),
    /// A report that cannot be fetched, yet or at all.
    NotReady(Reply),
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: PluginError,
    /// Whether asking for less might help.
    pub(crate) of_size: bool,
    /// The platform does not have the call.
    pub(crate) is_gone: bool,
}

impl From<Failure> for PluginError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        Self { error, of_size: false, is_gone: false }
    }
}

impl From<HttpError> for Failure {
    fn from(trouble: HttpError) -> Self {
        Self { of_size: trouble.is_of_size(), error: trouble.into(), is_gone: false }
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
            runtime: Runtime::new(services)?,
        })
    }

    /// An address below that of the API.
    pub(crate) fn at(&self, path: &str) -> Url {
        login::at(&self.network.url, path)
    }

    /// Calls left and calls allowed, as the last answer said.
    pub(crate) fn calls_left(&self) -> Option<(u64, u64)> {
        self.limits.left
    }

    /// Makes a call, and waits as long as Qualys wants and the settings allow.
    pub(crate) fn call(&mut self, call: &Call) -> Result<Answer, Failure> {
        let mut patience = WaitBudget::new(if call.waits { self.network.max_wait } else { Duration::ZERO });
        let mut is_renewed = false;
        loop {
            if self.login.is_missing(call) {
                self.log_in(&mut patience)?;
            }
            let (response, kind, reply) = self.exchange(call, &mut patience)?;
            let ended = matches!(response.status, 401) && !call.first_version && !is_renewed;
            if ended && self.login.forget() {
                // A session or token ends after some time; the login itself is good.
                is_renewed = true;
                continue;
            }
            match self.judge(call, &response, &kind, reply.as_ref()) {
                ResponseAction::Data => return Ok(Answer::Data(response.body)),
                ResponseAction::Done => return Ok(Answer::Done(reply.unwrap_or_default())),
                ResponseAction::NotReady => return Ok(Answer::NotReady(reply.unwrap_or_default())),
                verdict => self.wait_or_fail(call, verdict, reply.as_ref(), &mut patience)?,
            }
        }
    }

    fn log_in(&mut self, patience: &mut WaitBudget) -> Result<(), Failure> {
        let call = self.login.call(&self.account, &self.network)?;
        loop {
            let (response, kind, reply) = self.exchange(&call, patience)?;
            match self.judge(&call, &response, &kind, reply.as_ref()) {
                ResponseAction::Done | ResponseAction::NotReady => {
                    return Ok(self.login.take_cookies(&response.headers)?);
                }
                ResponseAction::Data => {
                    let mut token = Vec::new();
                    let read = response.body.source.read(None).take(MOST_TOKEN).read_to_end(&mut token);
                    read.map_err(|error| PluginError::new(ErrorKind::Io, error.to_string()))?;
                    return Ok(self.login.take_token(&token)?);
                }
                verdict => self.wait_or_fail(&call, verdict, reply.as_ref(), patience)?,
            }
        }
    }

    fn exchange(
        &mut self,
        call: &Call,
        patience: &mut WaitBudget,
    ) -> Result<(Response, Kind, Option<Reply>), Failure> {
        if let Some(due) = self.limits.due() {
            patience.wait(due, "Qualys API rate limit reached", &self.services)?;
        }
        let request = self.request(call);
        let response = self.runtime.run(self.exchange.call(&request, &call.keep))??;
        tracing::debug!(status = response.status, bytes = response.body.source.length, "{}", call.what);
        self.limits.note(&response.headers);
        let unreadable = |error: std::io::Error| {
            PluginError::new(ErrorKind::Io, format!("{} failed: invalid response: {error}", call.what))
        };
        let kind = response.body.source.kind().map_err(unreadable)?;
        // Reports are read by others; what is small may be an error in a report's clothes.
        let is_short = response.body.source.length <= SHORT && kind_root(&kind).is_some();
        let reply = (is_short || matches!(kind, Kind::Reply(_)))
            .then(|| Reply::read(response.body.source.read(None)))
            .filter(|reply| matches!(kind, Kind::Reply(_)) || !reply.is_success());
        Ok((response, kind, reply))
    }

    fn request(&self, call: &Call) -> Request {
        let mut url = call.url.clone();
        if !call.post && !call.fields.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.fields);
        }
        let form = call.post.then(|| form(&call.fields));
        Request { url, form, headers: self.login.headers(call) }
    }

    fn judge(&self, call: &Call, response: &Response, kind: &Kind, reply: Option<&Reply>) -> ResponseAction {
        let location = response.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.map(|to| clean(to.split(['?', '#']).next().unwrap_or_default()));
        let to_wait = seconds(&response.headers, "x-ratelimit-towait-sec");
        // `Retry-After` may also give a date, which is not looked at.
        let wait = to_wait.max(seconds(&response.headers, "retry-after")).filter(|wait| !wait.is_zero());
        judge(
            call,
            &Seen { status: response.status, kind, reply, wait, location: location.as_deref() },
            &self.account,
        )
    }

    fn wait_or_fail(
        &mut self,
        call: &Call,
        verdict: ResponseAction,
        reply: Option<&Reply>,
        patience: &mut WaitBudget,
    ) -> Result<(), Failure> {
        let said = reply.map(|reply| format!(" ({reply})")).unwrap_or_default();
        let (wait, why) = match verdict {
            ResponseAction::Failed(error, of_size) => return Err(Failure { error, of_size, is_gone: false }),
            ResponseAction::Gone(error) => return Err(Failure { error, of_size: false, is_gone: true }),
            ResponseAction::Rate(wait) => (wait, "Qualys API rate limit reached"),
            ResponseAction::Later(wait) => (wait, "Qualys asked to retry later"),
            _ => (None, "Qualys concurrency limit reached (calls or reports in progress)"),
        };
        let wait = match wait {
            Some(wait) => patience.requested_wait(wait),
            None => patience.busy(self.network.busy_wait),
        };
        Ok(patience.wait(wait, &format!("{}: {why}{said}", call.what), &self.services)?)
    }

    /// Ends a session, if there is one.
    pub(crate) fn log_out(&mut self) {
        if !self.login.has_session() {
            return;
        }
        let call = login::logout(&self.network);
        let request = self.request(&call);
        self.runtime.run_briefly(FAREWELL, async {
            let _ = self.exchange.call(&request, &call.keep).await;
        });
        self.login.forget();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.log_out();
    }
}

/// A list that nothing can be concluded from.
pub(crate) fn unusable_list(what: &str, fault: ListFault) -> PluginError {
    let message = format!("{what} {fault}");
    match fault {
        ListFault::Cut => PluginError::new(ErrorKind::Unavailable, message).with_hint("downloading it again"),
        ListFault::TooLong => PluginError::bad_data(message).with_hint("request less data per call"),
    }
}

/// Answers up to this size are looked at for an error.
const SHORT: u64 = 64 << 10;
const MOST_TOKEN: u64 = 64 << 10;
/// How long the end may take.
const FAREWELL: Duration = Duration::from_secs(3);
