//! Source `scan-reports`: the stored results of finished scans, each fetched and sent once. Only API v1 has them
//! as XML.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use scanbridge_delivery_journal::Journal;
use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::{ErrorKind, Next, PluginError, Position, Result, tracing};
use serde::{Deserialize, Serialize};

use crate::api::{Answer, Call, Scan, read_scans};
use crate::delivery::{Delivery, Fetched, Place, Store};
use crate::http::Keep;
use crate::options::ScanReports as Wanted;
use crate::source::{Around, Work, position, read_position, round_ended};

/// The scans of one account.
pub(crate) struct ScanReports {
    wanted: Wanted,
    journal: Journal,
    store: Store,
    /// The scans of this round that are still to be fetched; none before they are listed.
    queue: Option<VecDeque<Scan>>,
    delivery: Option<Delivery>,
    /// The scan that is being delivered.
    current: String,
    /// Scans that were handed on to their end, and are not known to be delivered yet.
    ended: Vec<String>,
    /// Scans that could not be read: once a run is enough.
    refused: HashSet<String>,
    resume: Option<(Fetched, Place)>,
    began: Instant,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// The scans that are delivered by then.
    ended: Vec<String>,
    /// The scan within which it is.
    current: String,
    within: Option<(Fetched, Place)>,
}

impl ScanReports {
    pub(crate) fn open(wanted: &Wanted, around: &Around, resume: Option<&Position>) -> Result<Self> {
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
            resume: progress.within,
            began: Instant::now(),
        })
    }

    /// The scans that are finished and were not sent, oldest first.
    fn list(&self, around: &mut Around) -> Result<VecDeque<Scan>> {
        let mut call = Call::first_version("listing scans", self.wanted.list.clone(), &["SCAN_REPORT_LIST"]);
        if let Some(since) = &self.wanted.since {
            call = call.field("since_datetime", since);
        }
        let Answer::Data(body) = around.client.call(&call.fields(around.settings.extra.clone()))? else {
            return Err(PluginError::new(ErrorKind::Protocol, "listing scans failed: the answer is no list"));
        };
        let mut scans = read_scans(body.source.read(None)).ok_or_else(|| {
            PluginError::new(ErrorKind::Unavailable, "the list of scans is cut")
                .with_hint("it is fetched again")
        })?;
        let all = scans.len();
        scans.retain(|scan| scan.status.eq_ignore_ascii_case("FINISHED") && self.is_wanted(&scan.reference));
        scans.sort_by(|a, b| a.date.cmp(&b.date));
        tracing::info!("{all} scans are listed, {} of them are finished and were not sent", scans.len());
        for reference in &self.wanted.refs {
            if !scans.iter().any(|scan| scan.reference == *reference) && !self.journal.contains(reference) {
                tracing::warn!("scan {reference} is not in the list of finished scans");
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

    fn begin(&mut self, scan: &Scan, around: &mut Around) -> Result<Next> {
        let path = self.store.path(&scan.reference);
        let call = Call::first_version("fetching the scan", self.wanted.report.clone(), &["SCAN"])
            .field("ref", &scan.reference)
            .keep(Keep::At(path.clone()));
        let body = match around.client.call(&call)? {
            Answer::Data(body) => body,
            Answer::Done(reply) | Answer::NotReady(reply) => {
                let message = format!("scan {} cannot be fetched: {reply}", scan.reference);
                return Err(PluginError::new(ErrorKind::Rejected, message));
            }
        };
        let address = format!("{}?ref={}", call.shown(), scan.reference);
        let fetched = Fetched::new(address, &scan.reference, &path, &body);
        self.current.clone_from(&scan.reference);
        match Delivery::begin(fetched, body, &around.settings, &around.services)? {
            Ok((delivery, start)) => {
                tracing::info!("QualysGuard Report Processing Complete");
                self.delivery = Some(delivery);
                Ok(Next::ReportStart(Box::new(start)))
            }
            Err(refusal) => {
                self.refused.insert(scan.reference.clone());
                Ok(Next::Refused(refusal))
            }
        }
    }

    fn deliver(&mut self, recycled: BatchBuilder, around: &Around) -> Result<Next> {
        let Some(delivery) = &mut self.delivery else {
            return Err(PluginError::bug("a scan is delivered that is not there"));
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
    fn next(&mut self, recycled: BatchBuilder, around: &mut Around) -> Result<Next> {
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
        match self.queue.as_mut().and_then(VecDeque::pop_front) {
            Some(scan) => self.begin(&scan, around),
            None => {
                let queue = &mut self.queue;
                Ok(round_ended(&around.settings, &mut self.began, || *queue = None))
            }
        }
    }

    fn committed(&mut self, at: &Position, around: &mut Around) -> Result<()> {
        let Some(progress) = read_position::<Progress>(around, Some(at)) else { return Ok(()) };
        self.journal.record(progress.ended.iter().cloned())?;
        self.ended.retain(|ended| !progress.ended.contains(ended));
        if self.delivery.is_none() {
            self.store.clear(None);
        }
        Ok(())
    }
}
