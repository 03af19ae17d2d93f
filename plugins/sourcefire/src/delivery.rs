//! Sends bodies, judges the answers, and keeps book of what was confirmed and what was refused.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use scanbridge_host_input_commands::Block;
use scanbridge_plugin_api::tracing::{info, warn};
use scanbridge_plugin_api::{PluginError, Result, Services};

use crate::dial::Target;
use crate::packer::{Body, Limits, Packer};
use crate::reply::{Judgment, Refused, judge};
use crate::session::Session;
use crate::socket::TELL_EVERY;

/// What the center has confirmed of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Confirmed {
    pub(crate) assets: u64,
    pub(crate) findings: u64,
    pub(crate) commands: u64,
}

/// The way of commands to the center.
pub(crate) struct Delivery {
    target: Target,
    services: Services,
    reply_timeout: Duration,
    limits: Limits,
    packer: Packer,
    line: Line,
}

/// What changes with every message.
#[derive(Default)]
struct Line {
    session: Option<Session>,
    confirmed: Confirmed,
    /// Assets about which commands were refused since the last query.
    refused: Refused,
    /// Bytes sent since the last query.
    bytes: u64,
    /// How many refusals of this report were logged.
    warned: usize,
    /// How many messages of this report were sent again asset by asset, and still none of the assets was taken.
    in_vain: u32,
    told: Option<Instant>,
}

/// What a message takes on its way.
#[derive(Clone, Copy)]
struct SendContext<'a> {
    target: &'a Target,
    services: &'a Services,
    reply_timeout: Duration,
}

impl Delivery {
    pub(crate) fn new(
        target: Target,
        services: Services,
        reply_timeout: Duration,
        limits: Limits,
        header: String,
    ) -> Self {
        let packer = Packer::new(header, limits);
        Self { target, services, reply_timeout, limits, packer, line: Line::default() }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// A report begins, or goes on where so much is confirmed. Connects, and gives how large a block may be.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub(crate) fn begin(&mut self, confirmed: Confirmed) -> Result<usize> {
        self.line.confirmed = confirmed;
        self.line.warned = 0;
        self.line.in_vain = 0;
        self.line.told = Some(Instant::now());
        let session = Session::open(&self.target, &self.services)?;
        let max_size = session.max_size();
        info!("connected to {}, maximum message size {max_size} bytes", self.target.center);
        self.line.session = Some(session);
        let bytes = self.limits.bytes.min(max_size);
        self.packer.begin(Limits { bytes, most_bytes: max_size, ..self.limits });
        Ok(self.packer.room())
    }

    /// Takes a block of commands.
    ///
    /// # Errors
    /// Those of [`Session::exchange`], and when the center gives a message up.
    pub(crate) fn take(&mut self, block: Block<'_>) -> Result<()> {
        let Self { target, services, reply_timeout, packer, line, .. } = self;
        let way = SendContext { target, services, reply_timeout: *reply_timeout };
        let left_out = packer.push(block, &mut |body| line.deliver(body, way))?;
        if left_out > 0 {
            line.refuse(
                block.address,
                format!("{left_out} commands of this asset exceed the maximum message size"),
            );
        }
        Ok(())
    }

    /// Sends what waits for more.
    ///
    /// # Errors
    /// As [`Delivery::take`].
    pub(crate) fn flush(&mut self) -> Result<()> {
        let Self { target, services, reply_timeout, packer, line, .. } = self;
        let way = SendContext { target, services, reply_timeout: *reply_timeout };
        packer.flush(&mut |body| line.deliver(body, way))
    }

    /// What was confirmed of the report.
    pub(crate) fn confirmed(&self) -> Confirmed {
        self.line.confirmed
    }

    /// The refusals since the last time this was asked.
    pub(crate) fn take_refused(&mut self) -> Refused {
        std::mem::take(&mut self.line.refused)
    }

    /// The bytes since the last time this was asked.
    pub(crate) fn take_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.line.bytes)
    }

    /// Ends the connection, if there is one. The center then brings about whatever still waits for an update.
    pub(crate) fn hang_up(&mut self) {
        if let Some(session) = self.line.session.take() {
            session.close();
        }
    }
}

impl Line {
    /// Sends a message, and again asset by asset when its answer leaves open which asset was refused. That does no
    /// harm: each is replaced, or added to, by what it is already, for none is cut in such a message.
    fn deliver(&mut self, body: &Body, way: SendContext<'_>) -> Result<()> {
        let judgment = self.send(body, way)?;
        match &judgment.of_any {
            Some(reason) if body.shares.len() > 1 && self.in_vain < MOST_IN_VAIN => {
                let count = body.shares.len();
                info!(
                    "{reason}; resending the {count} assets of the message one by one to find the \
                     affected one"
                );
                let mut is_in_vain = true;
                for single in body.one_by_one() {
                    let judgment = self.send(&single, way)?;
                    is_in_vain &= judgment != Judgment::default();
                    self.account(judgment, &single);
                }
                self.in_vain += u32::from(is_in_vain);
            }
            _ => self.account(judgment, body),
        }
        Ok(())
    }

    fn send(&mut self, body: &Body, way: SendContext<'_>) -> Result<Judgment> {
        // It is taken out, so that a connection on which something went wrong is never used again.
        let session = self.session.take();
        let mut session = session.ok_or_else(|| PluginError::bug("plugin bug: commands outside a report"))?;
        let answer = session.exchange(body, way.target, way.reply_timeout)?;
        self.bytes += body.text.len() as u64;
        let judgment = judge(&way.target.center, &answer, body)?;
        self.session = Some(session);
        // One call of the host may take many messages.
        way.services.progress(self.bytes, 0);
        self.tell();
        Ok(judgment)
    }

    fn account(&mut self, judgment: Judgment, body: &Body) {
        let refused = judgment.into_refused(body);
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
            ..MOST_WARNINGS => warn!("asset {address}: {reason}"),
            MOST_WARNINGS => warn!("asset {address}: {reason}; further assets are not logged one by one"),
            _ => {}
        }
        self.refused.entry(address).or_insert(reason);
    }

    /// Says now and then how far it is.
    fn tell(&mut self) {
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            let Confirmed { assets, findings, .. } = self.confirmed;
            info!("confirmed by the Defense Center so far: {assets} assets with {findings} findings");
        }
    }
}

/// After this number of refusals in a report, further ones are not logged.
const MOST_WARNINGS: usize = 100;

/// After this number of messages the Defense Center probably counts differently from us, and asking again would
/// double its load.
const MOST_IN_VAIN: u32 = 3;
