//! Sends message bodies, evaluates the replies, and records confirmed and refused assets.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use scanbridge_host_input_commands::Block;
use scanbridge_plugin_api::tracing::{info, warn};
use scanbridge_plugin_api::{PluginError, Result, Services};

use crate::dial::Target;
use crate::packer::{Body, Limits, Packer};
use crate::reply::{Evaluation, Refused, evaluate};
use crate::session::Session;
use crate::socket::LOG_EVERY;

/// The part of a report that the Defense Center has confirmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Confirmed {
    pub(crate) assets: u64,
    pub(crate) findings: u64,
    pub(crate) commands: u64,
}

/// Sends commands to the Defense Center.
pub(crate) struct Delivery {
    target: Target,
    services: Services,
    reply_timeout: Duration,
    limits: Limits,
    packer: Packer,
    line: Line,
}

/// The state that each message changes.
#[derive(Default)]
struct Line {
    session: Option<Session>,
    confirmed: Confirmed,
    /// Assets with refused commands since the last query.
    refused: Refused,
    /// Bytes sent since the last query.
    bytes: u64,
    /// The number of refusals of this report that were logged.
    warned: usize,
    /// The number of messages of this report that were repeated asset by asset without any asset being accepted.
    failed_repeats: u32,
    last_log: Option<Instant>,
}

/// The context for sending a message.
#[derive(Clone, Copy)]
struct SendContext<'a> {
    target: &'a Target,
    services: &'a Services,
    reply_timeout: Duration,
}

impl Delivery {
    pub(crate) fn new(target: Target, services: Services, reply_timeout: Duration, limits: Limits) -> Self {
        let packer = Packer::new(limits);
        Self { target, services, reply_timeout, limits, packer, line: Line::default() }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Begins a report, or resumes it after the confirmed part. Each message begins with `header`. Connects, and
    /// returns the sizes that a block should have at most, and that a line may have.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub(crate) fn begin(&mut self, confirmed: Confirmed, header: String) -> Result<(usize, usize)> {
        self.line.confirmed = confirmed;
        self.line.warned = 0;
        self.line.failed_repeats = 0;
        self.line.last_log = Some(Instant::now());
        let session = Session::open(&self.target, &self.services)?;
        let max_size = session.max_size();
        info!("connected to {}, maximum message size {max_size} bytes", self.target.center);
        self.line.session = Some(session);
        let bytes = self.limits.bytes.min(max_size);
        let line_bytes = max_size.saturating_sub(header.len());
        self.packer.begin(header, Limits { bytes, ..self.limits });
        Ok((self.packer.block_limit(), line_bytes))
    }

    /// Accepts a block of commands.
    ///
    /// # Errors
    /// Those of [`Session::exchange`], and an error when the Defense Center aborts a message.
    pub(crate) fn take(&mut self, block: Block<'_>) -> Result<()> {
        let Self { target, services, reply_timeout, packer, line, .. } = self;
        let context = SendContext { target, services, reply_timeout: *reply_timeout };
        packer.push(block, &mut |body| line.deliver(body, context))
    }

    /// Sends the buffered commands.
    ///
    /// # Errors
    /// As [`Delivery::take`].
    pub(crate) fn flush(&mut self) -> Result<()> {
        let Self { target, services, reply_timeout, packer, line, .. } = self;
        let context = SendContext { target, services, reply_timeout: *reply_timeout };
        packer.flush(&mut |body| line.deliver(body, context))
    }

    /// The confirmed part of the report.
    pub(crate) fn confirmed(&self) -> Confirmed {
        self.line.confirmed
    }

    /// The refusals since the previous call.
    pub(crate) fn take_refused(&mut self) -> Refused {
        std::mem::take(&mut self.line.refused)
    }

    /// The bytes sent since the previous call.
    pub(crate) fn take_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.line.bytes)
    }

    /// Closes the connection, if there is one. The Defense Center then applies all pending commands.
    pub(crate) fn disconnect(&mut self) {
        if let Some(session) = self.line.session.take() {
            session.close();
        }
    }
}

impl Line {
    /// Sends a message. If the reply does not show which asset was refused, repeats the message asset by asset. This
    /// is safe: each asset gets the same results again, and such a message contains only complete assets.
    fn deliver(&mut self, body: &Body, context: SendContext<'_>) -> Result<()> {
        let evaluation = self.send(body, context)?;
        match &evaluation.of_any {
            Some(reason) if body.shares.len() > 1 && self.failed_repeats < MAX_FAILED_REPEATS => {
                let count = body.shares.len();
                info!(
                    "{reason}; resending the {count} assets of the message one by one to find the \
                     affected one"
                );
                let mut none_accepted = true;
                for single in body.one_by_one() {
                    let evaluation = self.send(&single, context)?;
                    none_accepted &= evaluation != Evaluation::default();
                    self.account(evaluation, &single);
                }
                self.failed_repeats += u32::from(none_accepted);
            }
            _ => self.account(evaluation, body),
        }
        Ok(())
    }

    fn send(&mut self, body: &Body, context: SendContext<'_>) -> Result<Evaluation> {
        // Taken out, so that a connection is not used again after an error.
        let session = self.session.take();
        let mut session = session.ok_or_else(|| PluginError::bug("plugin bug: commands outside a report"))?;
        let reply = session.exchange(body, context.target, context.reply_timeout)?;
        self.bytes += body.text.len() as u64;
        let evaluation = evaluate(&context.target.center, &reply, body)?;
        self.session = Some(session);
        // One call of the host may send many messages.
        context.services.progress(self.bytes, None);
        self.log_progress();
        Ok(evaluation)
    }

    fn account(&mut self, evaluation: Evaluation, body: &Body) {
        let refused = evaluation.into_refused(body);
        for share in body.shares.iter().filter(|share| !refused.contains_key(&share.address)) {
            self.confirmed.assets += share.ended;
            self.confirmed.findings += share.findings;
            self.confirmed.commands += share.commands;
        }
        for (address, reason) in refused {
            self.refuse(address, reason);
        }
    }

    fn refuse(&mut self, address: IpAddr, reason: String) {
        self.warned += 1;
        match self.warned {
            ..MAX_WARNINGS => warn!("asset {address}: {reason}"),
            MAX_WARNINGS => warn!("asset {address}: {reason}; further assets are not logged one by one"),
            _ => {}
        }
        self.refused.entry(address).or_insert(reason);
    }

    /// Logs the progress at intervals.
    fn log_progress(&mut self) {
        if self.last_log.is_none_or(|last_log| last_log.elapsed() >= LOG_EVERY) {
            self.last_log = Some(Instant::now());
            let Confirmed { assets, findings, .. } = self.confirmed;
            info!("confirmed by the Defense Center so far: {assets} assets with {findings} findings");
        }
    }
}

/// After this number of refusals in a report, further ones are not logged.
const MAX_WARNINGS: usize = 100;

/// After this number of messages the Defense Center probably counts differently from this plugin. Further repeats
/// would only double its load.
const MAX_FAILED_REPEATS: u32 = 3;
