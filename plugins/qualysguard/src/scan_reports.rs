//! Source `scan-reports`: the stored results of finished scans, each downloaded and delivered once. Only API
//! v1 provides them as XML.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::{Refusal, ReportStart};
use scanbridge_plugin_api::{ErrorKind, Event, PluginError, Position, Result, State, Step, tracing};
use scanbridge_qualys_xml::{Mark, StoredScan, clean, read_scans};
use serde::{Deserialize, Serialize};

use crate::api::{Answer, Call, Failure, unusable_list};
use crate::delivery::{Delivery, Fetched, Store};
use crate::fingerprint::fingerprint;
use crate::http::Keep;
use crate::options::ScanReports as Wanted;
use crate::source::{SourceContext, Work, concerns_one_report, end_round, position, read_position};

/// Downloads the scans of one account.
pub(crate) struct ScanReports {
    wanted: Wanted,
    state: State,
    store: Store,
    /// Scans of this round that are not downloaded yet; `None` before they are listed.
    queue: Option<VecDeque<StoredScan>>,
    delivery: Option<Delivery>,
    /// Reference of the scan that is being delivered.
    current: String,
    /// Scans that were refused; they are tried only once per run.
    refused: HashSet<String>,
    /// Scans whose response was missing or incomplete; they are retried after the others.
    postponed: HashSet<String>,
    resume: Option<(Fetched, Mark)>,
    began: Instant,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// Reference of the scan that contains this position.
    current: String,
    within: Option<(Fetched, Mark)>,
}

impl ScanReports {
    pub(crate) fn open(wanted: &Wanted, context: &SourceContext, resume: Option<&Position>) -> Result<Self> {
        let progress = read_position::<Progress>(context, resume).unwrap_or_default();
        Ok(Self {
            wanted: wanted.clone(),
            state: context.services.state(),
            store: Store::open(&context.services, progress.within.as_ref().map(|(fetched, _)| fetched))?,
            queue: None,
            delivery: None,
            current: progress.current,
            refused: HashSet::new(),
            postponed: HashSet::new(),
            resume: progress.within,
            began: Instant::now(),
        })
    }

    /// Lists the scans with a configured status that were not delivered yet, oldest first.
    fn list(&self, context: &mut SourceContext) -> Result<VecDeque<StoredScan>> {
        let mut call = Call::first_version("listing scans", self.wanted.list.clone(), &["SCAN_REPORT_LIST"]);
        if let Some(since) = &self.wanted.since {
            call = call.field("since_datetime", since);
        }
        let Answer::Data(body) = context.client.call(&call.fields(context.settings.extra.clone()))? else {
            return Err(PluginError::new(
                ErrorKind::Protocol,
                "listing scans failed: the response is not a list of scans",
            ));
        };
        let scans =
            read_scans(body.source.read(None)).map_err(|fault| unusable_list("the list of scans", fault))?;
        let all = scans.len();
        let is_fetched = |status: &str| self.wanted.statuses.iter().any(|it| it.eq_ignore_ascii_case(status));
        let empty = scans.iter().filter(|scan| scan.status.eq_ignore_ascii_case(NOTHING_FOUND));
        let empty = if is_fetched(NOTHING_FOUND) { 0 } else { empty.count() };
        let mut wanted = Vec::new();
        for scan in scans {
            if is_fetched(&scan.status) && self.is_wanted(&scan.reference)? {
                wanted.push(scan);
            }
        }
        let mut scans = wanted;
        scans.sort_by(|a, b| a.date.cmp(&b.date));
        tracing::info!("{all} scans listed, {} of them to download", scans.len());
        if empty > 0 {
            tracing::info!(
                "{empty} scans are listed as {NOTHING_FOUND}; add this status to `scan_statuses` to \
                 download them"
            );
        }
        for reference in &self.wanted.refs {
            if !scans.iter().any(|scan| scan.reference == *reference) && !self.is_delivered(reference)? {
                tracing::warn!("scan {reference} not found in the list of finished scans");
            }
        }
        Ok(scans.into())
    }

    fn is_wanted(&self, reference: &str) -> Result<bool> {
        let is_wanted = !reference.is_empty()
            && (self.wanted.refs.is_empty() || self.wanted.refs.iter().any(|wanted| wanted == reference))
            && !self.refused.contains(reference);
        Ok(is_wanted && !self.is_delivered(reference)?)
    }

    /// Whether this scan was delivered, in this run or an earlier one.
    fn is_delivered(&self, reference: &str) -> Result<bool> {
        Ok(self.state.get(&key_of(reference))?.is_some())
    }

    /// Starts the next scan of the queue; `None` if the queue is empty.
    fn begin(&mut self, context: &mut SourceContext) -> Result<Option<Step>> {
        while let Some(scan) = self.queue.as_mut().and_then(VecDeque::pop_front) {
            let reference = scan.reference.clone();
            let refusal = match self.fetch(&reference, context) {
                Ok(Ok((delivery, start))) => {
                    tracing::info!("QualysGuard Report Processing Complete");
                    self.delivery = Some(delivery);
                    self.current = reference;
                    return Ok(Some(Step::report_start(start)));
                }
                Ok(Err(refusal)) => refusal,
                // A failure of one scan must not keep the others from being delivered, in this and in later
                // runs.
                Err(failure) if concerns_one_report(failure.error.kind) => {
                    let path = address_of(&self.wanted, &reference);
                    Refusal::new(path, failure.error)
                }
                Err(failure) if failure.smaller_may_help && self.postpone(&scan) => {
                    tracing::warn!("scan {reference} is retried after the others: {}", failure.error);
                    continue;
                }
                Err(failure) => return Err(failure.into()),
            };
            self.refused.insert(reference);
            return Ok(Some(Step::refused(refusal)));
        }
        Ok(None)
    }

    /// Downloads a scan. The inner error concerns only this scan.
    fn fetch(
        &self,
        reference: &str,
        context: &mut SourceContext,
    ) -> Result<Result<(Delivery, ReportStart), Refusal>, Failure> {
        let path = self.store.path(reference);
        let call = Call::first_version("downloading the scan", self.wanted.report.clone(), &["SCAN"])
            .field("ref", reference)
            .keep(Keep::At(path.clone()));
        let body = match context.client.call(&call)? {
            Answer::Data(body) => body,
            Answer::Done(reply) | Answer::NotReady(reply) => {
                let message = format!("cannot download scan {reference}: {reply}");
                return Err(PluginError::new(ErrorKind::Rejected, message).into());
            }
        };
        let fetched = Fetched::new(address_of(&self.wanted, reference), reference, &path, &body);
        Delivery::begin(fetched, body, &context.settings, &context.services).map_err(|error| {
            let is_cut = error.kind == ErrorKind::Unavailable;
            Failure { smaller_may_help: is_cut, ..error.into() }
        })
    }

    /// Moves a scan to the end of the queue, once. False if the scan was postponed before, or if
    /// [`MAX_POSTPONED`] is reached.
    fn postpone(&mut self, scan: &StoredScan) -> bool {
        let is_first = self.postponed.len() < MAX_POSTPONED && self.postponed.insert(scan.reference.clone());
        if is_first && let Some(queue) = &mut self.queue {
            queue.push_back(scan.clone());
        }
        is_first
    }

    fn deliver(&mut self, recycled: BatchBuilder, context: &SourceContext) -> Result<Step> {
        let Some(delivery) = &mut self.delivery else {
            return Err(PluginError::bug("plugin bug: deliver was called without an open scan"));
        };
        let (step, point) = delivery.next(recycled, &context.services)?;
        let at = match &step.event {
            Event::ReportEnd(end) => {
                self.delivery = None;
                let current = std::mem::take(&mut self.current);
                if end.deliver {
                    self.state.put(&key_of(&current), current.as_bytes())?;
                } else {
                    self.refused.insert(current);
                }
                Some(position(context, &Progress::default()))
            }
            _ => {
                let within = point.map(|point| (delivery.fetched.clone(), point));
                let progress = Progress { current: self.current.clone(), within };
                progress.within.is_some().then(|| position(context, &progress))
            }
        };
        Ok(step.at(at))
    }
}

impl Work for ScanReports {
    fn next(&mut self, recycled: BatchBuilder, context: &mut SourceContext) -> Result<Step> {
        if self.delivery.is_some() {
            return self.deliver(recycled, context);
        }
        if let Some((fetched, point)) = self.resume.take() {
            let resumed =
                Delivery::resume(&self.store, &fetched, point, &context.settings, &context.services)?;
            if let Some((delivery, start)) = resumed {
                self.delivery = Some(delivery);
                return Ok(Step::report_continued(start));
            }
        }
        if self.queue.is_none() {
            self.queue = Some(self.list(context)?);
        }
        if let Some(next) = self.begin(context)? {
            return Ok(next);
        }
        Ok(end_round(&context.settings, &mut self.began, || {
            self.queue = None;
            self.postponed.clear();
        }))
    }

    fn stored(&mut self, _: &Position, _: &mut SourceContext) -> Result<()> {
        if self.delivery.is_none() {
            self.store.clear(None);
        }
        Ok(())
    }
}

/// The key of a delivered scan. References may be longer than keys, so it contains a hash.
fn key_of(reference: &str) -> String {
    format!("scan:{}", fingerprint(&reference))
}

/// The URL of a scan, for messages.
fn address_of(wanted: &Wanted, reference: &str) -> String {
    let mut url = wanted.report.clone();
    url.set_query(None);
    format!("{url}?ref={}", clean(reference))
}

/// The status of a finished scan without vulnerabilities.
const NOTHING_FOUND: &str = "NOVULNSFOUND";
/// Number of scans that may be postponed per round. More failures mean that the service is unavailable.
const MAX_POSTPONED: usize = 3;
