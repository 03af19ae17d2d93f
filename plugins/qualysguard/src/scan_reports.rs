//! Source `scan-reports`: the stored results of finished scans, each downloaded and delivered once. Only API
//! v1 provides them as XML.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::{Refusal, ReportStart};
use scanbridge_plugin_api::{
    ErrorKind, Event, PluginError, Position, ReportChoice, ReportEntry, Result, Services, Step, tracing,
};
use scanbridge_qualys_report::Chosen;
use scanbridge_qualys_xml::{Mark, StoredScan, clean, read_scans};
use serde::{Deserialize, Serialize};

use crate::api::{Answer, Call, Failure, unusable_list};
use crate::choice::{Journal, fault, utc};
use crate::delivery::{Delivery, Fetched, Store};
use crate::http::Keep;
use crate::options::ScanReports as Wanted;
use crate::source::{SourceContext, Work, concerns_one_report, end_round, position, read_position};

/// Downloads the scans of one account.
pub(crate) struct ScanReports {
    wanted: Wanted,
    journal: Journal,
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
    /// The scans that an operator has chosen; `None` for those of the list that were not delivered.
    chosen: Option<Chosen>,
    /// The list that chosen scans are looked up in.
    listed: Option<Vec<ReportEntry>>,
    /// Number of scans that this run has delivered.
    done: usize,
    began: Instant,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// Reference of the scan that contains this position.
    current: String,
    within: Option<(Fetched, Mark)>,
    /// Number of scans that are done: of the choice, or in this run.
    #[serde(default)]
    done: usize,
}

impl ScanReports {
    pub(crate) fn open(
        wanted: &Wanted,
        context: &SourceContext,
        resume: Option<&Position>,
        choice: Option<ReportChoice>,
    ) -> Result<Self> {
        let progress = read_position::<Progress>(context, resume).unwrap_or_default();
        Ok(Self {
            wanted: wanted.clone(),
            journal: journal(&context.services),
            store: Store::open(&context.services, progress.within.as_ref().map(|(fetched, _)| fetched))?,
            queue: None,
            delivery: None,
            current: progress.current,
            refused: HashSet::new(),
            postponed: HashSet::new(),
            resume: progress.within,
            chosen: choice.map(|choice| Chosen::new(choice, progress.done)),
            listed: None,
            done: progress.done,
            began: Instant::now(),
        })
    }

    /// Lists the scans with a configured status that were not delivered yet, oldest first.
    fn list(&self, context: &mut SourceContext) -> Result<VecDeque<StoredScan>> {
        let scans = list(&self.wanted, context)?;
        let all = scans.len();
        let is_fetched = |status: &str| is_fetched(&self.wanted, status);
        let empty = scans.iter().filter(|scan| scan.status.eq_ignore_ascii_case(NOTHING_FOUND));
        let empty = if is_fetched(NOTHING_FOUND) { 0 } else { empty.count() };
        let mut wanted = Vec::new();
        for scan in scans {
            if is_ours(context, &scan.reference)
                && is_fetched(&scan.status)
                && self.is_wanted(&scan.reference)?
            {
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
        for reference in self.wanted.refs.iter().filter(|reference| is_ours(context, reference)) {
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
        Ok(self.journal.delivered(reference)?.is_some())
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
                    self.journal.add(&current)?;
                } else {
                    self.refused.insert(current);
                }
                self.done += 1;
                if let Some(chosen) = &mut self.chosen {
                    chosen.deliver();
                }
                Some(position(context, &self.progress()))
            }
            _ => {
                // Another machine does not have the file: the report is one piece.
                let point = point.filter(|_| !context.moves);
                let within = point.map(|point| (delivery.fetched.clone(), point));
                let progress = Progress { within, ..self.progress() };
                progress.within.is_some().then(|| position(context, &progress))
            }
        };
        Ok(step.at(at))
    }

    /// The progress outside the content of a scan.
    fn progress(&self) -> Progress {
        let done = self.chosen.as_ref().map_or(self.done, Chosen::done);
        Progress { current: self.current.clone(), within: None, done }
    }

    /// The next chosen scan, or the end.
    fn next_chosen(&mut self, mut chosen: Chosen, context: &mut SourceContext) -> Result<(Chosen, Step)> {
        if chosen.needs_mark() {
            let progress = Progress { done: chosen.done(), ..Progress::default() };
            return Ok((chosen, Step::mark(position(context, &progress))));
        }
        let Some(id) = chosen.current().map(str::to_owned) else { return Ok((chosen, Step::finished())) };
        if self.listed.is_none() {
            self.listed = Some(entries(&self.wanted, context)?);
        }
        let entry = self.listed.iter().flatten().find(|entry| entry.id == id);
        if let Some(fault) = fault(&chosen, entry, &self.journal)? {
            let step = chosen.refuse(Refusal::new(clean(&id), fault));
            return Ok((chosen, step));
        }
        match self.fetch(&id, context) {
            Ok(Ok((delivery, start))) => {
                tracing::info!("QualysGuard Report Processing Complete");
                self.delivery = Some(delivery);
                self.current = id;
                Ok((chosen, Step::report_start(start)))
            }
            Ok(Err(refusal)) => {
                let step = chosen.refuse(refusal);
                Ok((chosen, step))
            }
            Err(failure) if concerns_one_report(failure.error.kind) => {
                let step = chosen.refuse(Refusal::new(address_of(&self.wanted, &id), failure.error));
                Ok((chosen, step))
            }
            Err(failure) => Err(failure.into()),
        }
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
        if let Some(chosen) = self.chosen.take() {
            let (chosen, step) = self.next_chosen(chosen, context)?;
            self.chosen = Some(chosen);
            return Ok(step);
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

/// The delivered scans.
pub(crate) fn journal(services: &Services) -> Journal {
    Journal::new(services.state(), "scan:")
}

/// The stored scans, as Qualys lists them.
fn list(wanted: &Wanted, context: &mut SourceContext) -> Result<Vec<StoredScan>> {
    let mut call = Call::first_version("listing scans", wanted.list.clone(), &["SCAN_REPORT_LIST"]);
    if let Some(since) = &wanted.since {
        call = call.field("since_datetime", since);
    }
    let Answer::Data(body) = context.client.call(&call.fields(context.settings.extra.clone()))? else {
        return Err(PluginError::new(
            ErrorKind::Protocol,
            "listing scans failed: the response is not a list of scans",
        ));
    };
    read_scans(body.source.read(None)).map_err(|fault| unusable_list("the list of scans", fault))
}

/// The stored scans that the options select, for an operator who chooses. Changes nothing.
pub(crate) fn entries(wanted: &Wanted, context: &mut SourceContext) -> Result<Vec<ReportEntry>> {
    let journal = journal(&context.services);
    let is_selected = |scan: &StoredScan| {
        !scan.reference.is_empty() && (wanted.refs.is_empty() || wanted.refs.contains(&scan.reference))
    };
    let mut entries = Vec::new();
    for scan in list(wanted, context)?.into_iter().filter(is_selected) {
        let is_delivered = journal.delivered(&scan.reference)?.is_some();
        let made = utc(&scan.date);
        let date = if made.is_empty() { scan.date } else { String::new() };
        let entry = ReportEntry::new(scan.reference, scan.title)
            .with_kind("SCAN")
            .with_made(made)
            .with_ready(is_fetched(wanted, &scan.status))
            .with_source_state(scan.status)
            .with_delivered(is_delivered);
        let entry = entry.with_detail("date", date).with_detail("target", scan.target);
        entries.push(entry.with_detail("option_profile", scan.option_profile));
    }
    Ok(entries)
}

/// Whether a scan belongs to the share of this instance: its checksum decides.
fn is_ours(context: &SourceContext, reference: &str) -> bool {
    let mut crc = flate2::Crc::new();
    crc.update(reference.as_bytes());
    context.share.contains(u64::from(crc.sum()))
}

fn is_fetched(wanted: &Wanted, status: &str) -> bool {
    wanted.statuses.iter().any(|wanted| wanted.eq_ignore_ascii_case(status))
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
