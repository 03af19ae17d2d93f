//! The plugin: a report's assets become commands, and the Defense Center confirms them message by message.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;

use scanbridge_host_input_commands::{
    AddressSet, Block, CommandWriter, Totals, address_of, refuse_encrypted,
};
use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::tracing::{info, warn};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, ErrorKind, LocalCheck, Open, OpenedOutput, OptionSpec,
    Output, OutputCapabilities, Partial, PluginError, Purpose, Receipt, Rejection, Rendered, Replaces,
    Result, Resume, Services, Written,
};
use scanbridge_tls_identity::{Certificate, PeerExpiry};

use crate::check;
use crate::delivery::Delivery;
use crate::options::{Checked, OPTIONS};
use crate::receipt::{Progress, unreadable};
use crate::reply::Refused;

/// Output `Sourcefire`. It connects when a report begins and disconnects when the report ends.
pub struct SourcefireOutput {
    writer: CommandWriter,
    delivery: Delivery,
    services: Services,
    client: Certificate,
    /// The domain named in the commands.
    domain: Option<String>,
    /// The position of the report in the receipt, until the report is resumed or another one begins.
    resumed: Progress,
    in_report: bool,
    purpose: Purpose,
    /// Assets with refused commands whose findings could not be named, because the current batch contained none of
    /// them.
    refused: AddressSet,
}

impl Output for SourcefireOutput {
    const NAME: &'static str = "Sourcefire";
    const SUMMARY: &'static str = "imports findings into a Sourcefire or Cisco Defense Center (host input)";
    const OPTIONS: &'static [OptionSpec] = OPTIONS;

    const CAPABILITIES: OutputCapabilities = OutputCapabilities::NONE
        .resume(Resume::Repeats)
        .replaces(Replaces::Asset)
        .partial(Partial::Adds)
        .local_check(LocalCheck::Yes);
    const RENDERS: bool = true;

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let (options, services) = (open.options, open.services);
        refuse_encrypted(&open.frame.encrypted)?;
        let resumed = receipt.map(Progress::read).transpose()?.unwrap_or_default();
        let Checked { target, settings, limits, identity, reply_timeout } =
            Checked::read(options, services.fips())?;
        if open.purpose() == Purpose::Run {
            identity.watch_expiry(services);
            target.tls.measure_peer(&PeerExpiry::new(services));
        }
        let domain = settings.domain.as_ref().map(ToString::to_string);
        let writer = CommandWriter::new(settings);
        let delivery = Delivery::new(target, services.clone(), reply_timeout, limits);
        Ok(Self {
            writer,
            delivery,
            services: services.clone(),
            client: identity.certificate().clone(),
            domain,
            refused: resumed.refused.clone(),
            resumed,
            in_report: false,
            purpose: open.purpose(),
        }
        .into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        if self.purpose == Purpose::Check {
            return Ok(check::local(&self.client, self.domain.as_deref()));
        }
        Ok(check::probe(self.delivery.target(), &self.client, self.domain.as_deref(), &self.services))
    }

    fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        let mut resumed = std::mem::take(&mut self.resumed);
        if !how.continued {
            resumed = Progress::default();
        }
        self.writer.begin(report, how);
        let (block_bytes, line_bytes) = self.delivery.begin(resumed.confirmed, self.writer.header())?;
        self.writer.limit_blocks(block_bytes, line_bytes);
        if !resumed.writer.is_empty() {
            self.writer.restore(&resumed.writer).map_err(|_| unreadable())?;
        }
        self.in_report = true;
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let Self { writer, delivery, .. } = self;
        let mut written = writer.batch(batch, &mut |block: Block<'_>| delivery.take(block))?;
        // Findings can be reported as refused only while their batch is available.
        delivery.flush()?;
        let refused = delivery.take_refused();
        written.bytes = delivery.take_bytes();
        self.name_findings(batch, &refused, &mut written);
        Ok(written)
    }

    fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        Ok(self.writer.render(report, batch))
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        let Self { writer, delivery, .. } = self;
        let totals = writer.end(end, &mut |block: Block<'_>| delivery.take(block))?;
        delivery.flush()?;
        delivery.disconnect();
        let bytes = delivery.take_bytes();
        self.store_refused();
        self.in_report = false;
        self.log_totals(end, &totals);
        Ok(Written::default().with_bytes(bytes))
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        let refused = self.refused.clone();
        if !self.in_report {
            // A report that is to be resumed but has not begun is still at its old position.
            return Ok(Progress { refused, ..self.resumed.clone() }.receipt().into());
        }
        let Self { writer, delivery, .. } = self;
        writer.finish_asset(&mut |block: Block<'_>| delivery.take(block))?;
        delivery.flush()?;
        self.store_refused();
        let (confirmed, refused) = (self.delivery.confirmed(), self.refused.clone());
        Ok(Progress { confirmed, refused, writer: self.writer.snapshot() }.receipt().into())
    }

    /// Fails if an asset was refused whose findings could not be named. Everything else is delivered, but the run
    /// must not end with success.
    fn close(mut self) -> Result<()> {
        self.delivery.disconnect();
        if self.refused.is_empty() { Ok(()) } else { Err(rejected(&self.refused)) }
    }
}

impl SourcefireOutput {
    /// Rejects the findings of refused assets that are completely in this batch; the others are recorded.
    fn name_findings(&mut self, batch: Batch<'_>, refused: &Refused, written: &mut Written) {
        if refused.is_empty() {
            return;
        }
        let (mut reasons, mut complete, mut split) = (HashMap::new(), HashSet::new(), HashSet::new());
        for asset in batch.assets() {
            let Some(address) = address_of(&asset) else { continue };
            let Some(reason) = refused.get(&address) else { continue };
            reasons.insert(asset.row(), reason);
            if asset.is_continued() {
                split.insert(address)
            } else {
                complete.insert(address)
            };
        }
        let reported: HashSet<u32> = written.rejected.iter().map(|rejection| rejection.row).collect();
        let reported: HashSet<u32> = reported.into_iter().chain(written.left_out.iter().copied()).collect();
        for finding in batch.findings().filter(|finding| !reported.contains(&finding.row())) {
            if let Some(reason) = reasons.get(&finding.asset().row()) {
                written.rejected.push(Rejection::new(finding.row(), (*reason).clone()));
            }
        }
        let named = |address: &IpAddr| complete.contains(address) && !split.contains(address);
        refused.keys().filter(|address| !named(address)).for_each(|address| {
            self.refused.insert(*address);
        });
    }

    fn store_refused(&mut self) {
        for address in self.delivery.take_refused().into_keys() {
            self.refused.insert(address);
        }
    }

    fn log_totals(&self, end: &ReportEnd, totals: &Totals) {
        for warning in &totals.warnings {
            warn!("{warning}");
        }
        if end.deliver {
            totals.counts.note(&self.services);
        }
        let confirmed = self.delivery.confirmed();
        info!(
            "{} confirmed {} assets with {} findings ({} commands); {} of these assets have no findings \
             any more",
            self.delivery.target().center,
            confirmed.assets,
            confirmed.findings,
            confirmed.commands,
            totals.cleared
        );
        if totals.hosts_added > 0 {
            warn!(
                "{} assets will be created if the Defense Center does not know them (`add_host`); each \
                 uses one host license; without free licenses the Defense Center drops new assets \
                 silently",
                totals.hosts_added
            );
        } else if confirmed.findings > 0 {
            info!(
                "findings of assets unknown to the Defense Center may not appear; set `add_host: yes` to \
                 create them"
            );
        }
        if !end.deliver && confirmed.assets > 0 {
            warn!(
                "the report was not delivered completely; {} assets already sent stay up to date on the \
                 Defense Center",
                confirmed.assets
            );
        }
    }
}

impl fmt::Debug for SourcefireOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourcefireOutput")
            .field("center", &self.delivery.target().center)
            .finish_non_exhaustive()
    }
}

/// The error when everything except these assets was accepted.
fn rejected(refused: &AddressSet) -> PluginError {
    let shown: Vec<_> = refused.iter().take(SHOWN_ASSETS).map(|address| address.to_string()).collect();
    let more = refused.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    PluginError::new(
        ErrorKind::Rejected,
        format!("the Defense Center rejected commands for the assets {}{more}", shown.join(", ")),
    )
    .with_hint("see the log for the reason of each asset; all other assets were imported")
}

/// Maximum number of assets in a message.
const SHOWN_ASSETS: usize = 20;
