//! Source `scan-reports`: the stored results of finished scans, each fetched and sent once. Only API v1 has them
//! as XML.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use scanbridge_delivery_journal::Journal;
use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::{Refusal, ReportStart};
use scanbridge_plugin_api::{ErrorKind, Next, PluginError, Position, Result, tracing};
use scanbridge_qualys_xml::{StoredScan, clean, read_scans};
use serde::{Deserialize, Serialize};

use crate::api::{Answer, Call, Failure, unusable_list};
use crate::delivery::{Delivery, Fetched, ResumePoint, Store};
use crate::http::Keep;
use crate::options::ScanReports as Wanted;
use crate::source::{SourceContext, Work, end_round, is_of_one_report, position, read_position};

/// The scans of one account.
pub(crate) struct ScanReports {
    wanted: Wanted,
    journal: Journal,
    store: Store,
    /// The scans of this round that are still to be fetched; none before they are listed.
    queue: Option<VecDeque<StoredScan>>,
    delivery: Option<Delivery>,
    /// The scan that is being delivered.
    current: String,
    /// Scans that were handed on to their end, and are not known to be delivered yet.
    ended: Vec<String>,
    /// Scans that could not be read: once a run is enough.
    refused: HashSet<String>,
    /// Scans whose answer did not come or was not whole: the others come first.
    postponed: HashSet<String>,
    resume: Option<(Fetched, ResumePoint)>,
    began: Instant,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// The scans that are delivered by then.
    ended: Vec<String>,
    /// The scan within which it is.
    current: String,
    within: Option<(Fetched, ResumePoint)>,
}

impl ScanReports {
    pub(crate) fn open(wanted: &Wanted, around: &SourceContext, resume: Option<&Position>) -> Result<Self> {
        let mut journal = Journal::open(around.services.state_folder()?)?;
        let progress = read_position::<Progress>(around, resume).unwrap_or_default();
        journal.record(progress.ended)?;
        Ok(Self {
            wanted: wanted.clone(),
            journal,
            store: Store::open(&around.services, progress.within.as_ref().map(|(fetched, _)| fetched))?,
            queue: None,
            delivery: None,
            current: progress.current,
            ended: Vec::new(),
            refused: HashSet::new(),
            postponed: HashSet::new(),
            resume: progress.within,
            began: Instant::now(),
        })
    }

    /// The scans that are finished and were not sent, oldest first.
    fn list(&self, around: &mut SourceContext) -> Result<VecDeque<StoredScan>> {
        let mut call = Call::first_version("listing scans", self.wanted.list.clone(), &["SCAN_REPORT_LIST"]);
        if let Some(since) = &self.wanted.since {
            call = call.field("since_datetime", since);
        }
        let Answer::Data(body) = around.client.call(&call.fields(around.settings.extra.clone()))? else {
            return Err(PluginError::new(
                ErrorKind::Protocol,
                "listing scans failed: the response is not a \
                 list of scans",
            ));
        };
        let mut scans =
            read_scans(body.source.read(None)).map_err(|fault| unusable_list("the list of scans", fault))?;
        let all = scans.len();
        let is_fetched = |status: &str| self.wanted.statuses.iter().any(|it| it.eq_ignore_ascii_case(status));
        let empty = scans.iter().filter(|scan| scan.status.eq_ignore_ascii_case(NOTHING_FOUND));
        let empty = if is_fetched(NOTHING_FOUND) { 0 } else { empty.count() };
        scans.retain(|scan| is_fetched(&scan.status) && self.is_wanted(&scan.reference));
        scans.sort_by(|a, b| a.date.cmp(&b.date));
        tracing::info!("{all} scans listed, {} of them finished and not yet sent", scans.len());
        if empty > 0 {
            tracing::info!(
                "{empty} scans are listed as {NOTHING_FOUND}; add this status to `scan_statuses` to \
                 download them"
            );
        }
        for reference in &self.wanted.refs {
            if !scans.iter().any(|scan| scan.reference == *reference) && !self.journal.contains(reference) {
                tracing::warn!("scan {reference} not found in the list of finished scans");
            }
        }
        Ok(scans.into())
    }

    fn is_wanted(&self, reference: &str) -> bool {
        !reference.is_empty()
            && (self.wanted.refs.is_empty() || self.wanted.refs.iter().any(|wanted| wanted == reference))
            && !self.journal.contains(reference)
            && !self.ended.iter().any(|ended| ended == reference)
            && !self.refused.contains(reference)
    }

    /// Begins with the next scan of the queue. None: there is none.
    fn begin(&mut self, around: &mut SourceContext) -> Result<Option<Next>> {
        while let Some(scan) = self.queue.as_mut().and_then(VecDeque::pop_front) {
            let reference = scan.reference.clone();
            let refusal = match self.fetch(&reference, around) {
                Ok(Ok((delivery, start))) => {
                    tracing::info!("QualysGuard Report Processing Complete");
                    self.delivery = Some(delivery);
                    self.current = reference;
                    return Ok(Some(Next::ReportStart(Box::new(start))));
                }
                Ok(Err(refusal)) => refusal,
                // What is wrong with one scan is no reason to leave out the others, in this run and all later ones.
                Err(failure) if is_of_one_report(failure.error.kind) => {
                    let path = address_of(&self.wanted, &reference);
                    Refusal { path, error: failure.error, incomplete: false }
                }
                Err(failure) if failure.of_size && self.postpone(&scan) => {
                    tracing::warn!("scan {reference} is retried after the others: {}", failure.error);
                    continue;
                }
                Err(failure) => return Err(failure.into()),
            };
            self.refused.insert(reference);
            return Ok(Some(Next::Refused(refusal)));
        }
        Ok(None)
    }

    /// The inner error is about this scan alone.
    fn fetch(
        &self,
        reference: &str,
        around: &mut SourceContext,
    ) -> Result<Result<(Delivery, ReportStart), Refusal>, Failure> {
        let path = self.store.path(reference);
        let call = Call::first_version("downloading the scan", self.wanted.report.clone(), &["SCAN"])
            .field("ref", reference)
            .keep(Keep::At(path.clone()));
        let body = match around.client.call(&call)? {
            Answer::Data(body) => body,
            Answer::Done(reply) | Answer::NotReady(reply) => {
                let message = format!("cannot download scan {reference}: {reply}");
                return Err(PluginError::new(ErrorKind::Rejected, message).into());
            }
        };
        let fetched = Fetched::new(address_of(&self.wanted, reference), reference, &path, &body);
        Delivery::begin(fetched, body, &around.settings, &around.services).map_err(|error| {
            let is_cut = error.kind == ErrorKind::Unavailable;
            Failure { of_size: is_cut, ..error.into() }
        })
    }

    /// Puts a scan behind the others, once. False: then it is no fault of the scan.
    fn postpone(&mut self, scan: &StoredScan) -> bool {
        let is_first = self.postponed.len() < MOST_POSTPONED && self.postponed.insert(scan.reference.clone());
        if is_first && let Some(queue) = &mut self.queue {
            queue.push_back(scan.clone());
        }
        is_first
    }

    fn deliver(&mut self, recycled: BatchBuilder, around: &SourceContext) -> Result<Next> {
        let Some(delivery) = &mut self.delivery else {
            return Err(PluginError::bug("plugin bug: a scan that does not exist was marked as delivered"));
        };
        let (next, place) = delivery.next(recycled, &around.services)?;
        Ok(match next {
            Next::Batch { batch, .. } => {
                let within = place.map(|place| (delivery.fetched.clone(), place));
                let progress = Progress { ended: self.ended.clone(), current: self.current.clone(), within };
                let at = progress.within.is_some().then(|| position(around, &progress));
                Next::Batch { batch, position: at.unwrap_or_default() }
            }
            Next::ReportEnd { end, .. } => {
                self.delivery = None;
                let current = std::mem::take(&mut self.current);
                if end.deliver {
                    self.ended.push(current);
                } else {
                    self.refused.insert(current);
                }
                let progress = Progress { ended: self.ended.clone(), ..Progress::default() };
                Next::ReportEnd { end, position: position(around, &progress) }
            }
            other => other,
        })
    }
}

impl Work for ScanReports {
    fn next(&mut self, recycled: BatchBuilder, around: &mut SourceContext) -> Result<Next> {
        if self.delivery.is_some() {
            return self.deliver(recycled, around);
        }
        if let Some((fetched, place)) = self.resume.take() {
            let resumed = Delivery::resume(&self.store, &fetched, place, &around.settings, &around.services)?;
            if let Some((delivery, start)) = resumed {
                self.delivery = Some(delivery);
                return Ok(Next::ReportStart(Box::new(start)));
            }
        }
        if self.queue.is_none() {
            self.queue = Some(self.list(around)?);
        }
        if let Some(next) = self.begin(around)? {
            return Ok(next);
        }
        Ok(end_round(&around.settings, &mut self.began, || {
            self.queue = None;
            self.postponed.clear();
        }))
    }

    fn committed(&mut self, at: &Position, around: &mut SourceContext) -> Result<()> {
        let Some(progress) = read_position::<Progress>(around, Some(at)) else { return Ok(()) };
        self.journal.record(progress.ended.iter().cloned())?;
        self.ended.retain(|ended| !progress.ended.contains(ended));
        if self.delivery.is_none() {
            self.store.clear(None);
        }
        Ok(())
    }
}

/// Where a scan is fetched, for messages.
fn address_of(wanted: &Wanted, reference: &str) -> String {
    let mut url = wanted.report.clone();
    url.set_query(None);
    format!("{url}?ref={}", clean(reference))
}

/// The status of a scan that came to its end without a vulnerability.
const NOTHING_FOUND: &str = "NOVULNSFOUND";
/// When so many scans in a row cannot be had, it is no fault of theirs.
const MOST_POSTPONED: usize = 3;
