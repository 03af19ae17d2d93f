//! Pulls: each is a download of all pages, delivered as one report; repeated with `interval_minutes`.

use std::time::Instant;

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::{Note, ReportEnd, ReportStart};
use scanbridge_plugin_api::{CheckpointRequest, PluginError, Position, Result, Step, tracing};
use scanbridge_qualys_xml::Progress as Filled;
use serde::{Deserialize, Serialize};

use super::cached_pages::{CachedPages, InPage};
use super::knowledge_base::KnowledgeBase;
use super::page::OpenPage;
use super::page_requests::{PageRequests, Requested};
use super::share::ShareOfAssets;
use super::watermark::Watermark;
use crate::options::Detections as Wanted;
use crate::source::{SourceContext, Work, end_round, position, read_position};

/// Downloads the detections of one account.
pub(crate) struct Detections {
    wanted: Wanted,
    requests: PageRequests,
    /// Opened with the first page.
    knowledge_base: Option<KnowledgeBase>,
    watermark: Watermark,
    cache: CachedPages,
    pull: Pull,
    page: Option<OpenPage>,
    state: State,
    began: Instant,
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Start a pull, or resume an interrupted one.
    Begin,
    /// Deliver a page, or the next part of it.
    Pages,
    /// End the pull.
    End,
    /// Wait for the next round.
    Rest,
}

/// The progress of a pull; also the content of a position.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Pull {
    /// The report start was delivered.
    #[serde(default)]
    in_report: bool,
    /// Only assets processed since this time are requested; `None`: all.
    since: Option<String>,
    /// Time of the first page by the clock of Qualys; empty before that page.
    started: String,
    /// Lowest asset ID that is not delivered yet; `None` if all are delivered.
    first: Option<u64>,
    /// The position of that asset in a page that is partly delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<InPage>,
    assets: u64,
    bytes: u64,
    /// Number of skipped assets, and the first of their IDs.
    missing_assets: u64,
    missing: Vec<u64>,
    notes: Vec<Note>,
    /// The page size that was reached, for a pull of a share: another machine may continue it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page_size: Option<u32>,
    /// The pull was delivered completely.
    ended: bool,
}

impl Detections {
    pub(crate) fn open(wanted: &Wanted, context: &SourceContext, resume: Option<&Position>) -> Result<Self> {
        let watermark = Watermark::open(&context.services);
        let resumed = read_position::<Pull>(context, resume);
        let cache = CachedPages::open(&context.services)?;
        let (state, pull) = match resumed {
            Some(pull) if pull.ended => {
                // The end time of that pull is unknown: start the next round at once if there is an interval.
                let next = if context.settings.interval.is_some() { State::Begin } else { State::Rest };
                (next, Pull::default())
            }
            resumed => (State::Begin, resumed.unwrap_or_default()),
        };
        Ok(Self {
            wanted: wanted.clone(),
            requests: PageRequests::new(wanted, cache.clone(), context.share, pull.page_size),
            knowledge_base: None,
            watermark,
            cache,
            pull,
            page: None,
            state,
            began: Instant::now(),
        })
    }

    /// Starts a pull with its first page, or resumes an interrupted one.
    fn begin(&mut self, context: &mut SourceContext) -> Result<Step> {
        let continued = self.pull.in_report;
        let is_over = continued && self.pull.first.is_none();
        if continued {
            self.cache.resume(&self.pull.started);
        } else {
            self.cache.clear();
            self.requests.share.iter_mut().for_each(ShareOfAssets::begin);
            let since = match self.wanted.incremental {
                true => self.watermark.since(&context.fingerprint, self.wanted.overlap)?,
                false => None,
            };
            self.pull = Pull { since, first: Some(0), ..Pull::default() };
        }
        if !is_over {
            self.open_page(context)?;
        }
        self.pull.in_report = true;
        self.state = if self.page.is_some() { State::Pages } else { State::End };
        let url = context.client.at(&format!("api/{}/fo/asset/host/vm/detection/", self.wanted.version));
        let start = ReportStart::default()
            .with_kind("HOST_LIST_VM_DETECTION_OUTPUT")
            .with_title(match &self.pull.since {
                Some(since) => format!("Detections of assets processed since {since}"),
                None => "Detections".to_owned(),
            })
            .with_time(self.pull.started.clone())
            .with_path(url.to_string())
            .with_source(scanbridge_qualys_report::source())
            .with_hints(context.settings.reading.hints());
        Ok(if continued { Step::report_continued(start) } else { Step::report_start(start) })
    }

    /// Downloads the next page and the definitions of its QIDs.
    fn open_page(&mut self, context: &mut SourceContext) -> Result<()> {
        let first = self
            .pull
            .first
            .ok_or_else(|| PluginError::bug("plugin bug: a page was requested after the last one"))?;
        let within = self.pull.within.take();
        let requested = self.requests.page(first, within, self.pull.since.as_deref(), context)?;
        let Requested { fetched, missing } = requested;
        self.pull.missing_assets += missing.len() as u64;
        self.pull.missing.extend(&missing);
        self.pull.missing.truncate(MAX_SHOWN_MISSING);
        if self.pull.started.is_empty() {
            let listed = self.requests.share.as_ref().map(ShareOfAssets::time);
            let first = fetched.as_ref().map_or("", |fetched| &fetched.page.time);
            listed.filter(|time| !time.is_empty()).unwrap_or(first).clone_into(&mut self.pull.started);
            self.cache.begin(&self.pull.started);
        }
        let Some(fetched) = fetched else {
            self.pull.first = None;
            return Ok(());
        };
        if self.knowledge_base.is_none() {
            self.knowledge_base = Some(KnowledgeBase::open(&self.wanted, context)?);
        }
        let knowledge_base = self.knowledge_base.as_mut().expect("it was made above");
        knowledge_base.update(self.wanted.knowledge_base_update, context)?;
        knowledge_base.ensure(&fetched.page.qids, context)?;
        let done = self.pull.bytes;
        self.pull.bytes += fetched.source.length;
        let assets = self.pull.assets + fetched.page.assets.len() as u64;
        tracing::info!(assets, "downloaded a page of {} assets", fetched.page.assets.len());
        self.page = Some(OpenPage::begin(fetched, done, context, knowledge_base.definitions()));
        Ok(())
    }

    fn deliver(&mut self, mut batch: BatchBuilder, context: &mut SourceContext) -> Result<Step> {
        if self.page.is_none() {
            self.open_page(context)?;
        }
        if self.page.is_none() {
            self.state = State::End; // The rest of the assets cannot be downloaded.
            return self.end_pull(context);
        }
        let (Some(page), Some(knowledge_base)) = (&mut self.page, &mut self.knowledge_base) else {
            return Err(PluginError::bug("plugin bug: deliver was called without an open page"));
        };
        match page.fill(&mut batch, knowledge_base.definitions()) {
            Ok(Filled::Full) => {
                let at = page.first_to_come().map(|(first, within)| {
                    let mut pull = Pull { first: Some(first), within: Some(within), ..self.pull.clone() };
                    pull.assets += page.assets();
                    // A later run counts the bytes of this page again.
                    pull.bytes = pull.bytes.saturating_sub(page.bytes);
                    pull.note(page.notes());
                    position(context, &pull)
                });
                Ok(Step::batch(batch.finish()).at(at))
            }
            Ok(Filled::Ended) => {
                self.end_page();
                // An empty batch is sent too, because it carries the position. A page has cost quota of the API, so that it
                // is not downloaded again after an interruption.
                let at = position(context, &self.pull);
                // Another machine that continues has no cached pages: at most one page is not stored, so that at most one is
                // downloaded again.
                let checkpoint =
                    if context.moves { CheckpointRequest::NowAndWait } else { CheckpointRequest::Now };
                Ok(Step::batch(batch.finish()).at(at).with_checkpoint(checkpoint))
            }
            Err(_) if context.services.is_cancelled() => Err(PluginError::cancelled()),
            Err(damage) => {
                self.end_page();
                let reason = format!("invalid page of detections: {damage}");
                let deliver = context.settings.reading.deliver_incomplete;
                self.end(ReportEnd::default().with_reason(reason).with_deliver(deliver), context)
            }
        }
    }

    fn end_page(&mut self) {
        let Some(mut page) = self.page.take() else { return };
        self.pull.note(page.notes());
        self.pull.assets += page.assets();
        self.pull.first = page.next;
        self.pull.page_size = self.requests.share.is_some().then(|| self.requests.usual_size());
        self.state = if page.next.is_some() { State::Pages } else { State::End };
    }

    fn end_pull(&mut self, context: &SourceContext) -> Result<Step> {
        tracing::info!(assets = self.pull.assets, "QualysGuard Report Processing Complete");
        if self.pull.assets == 0 && self.pull.since.is_none() {
            self.pull.notes.push(Note::new("the report contains no assets".to_owned(), 1));
        }
        let (count, missing) = (self.pull.missing_assets, &self.pull.missing);
        let reason = if count == 0 {
            String::new()
        } else {
            let shown: Vec<String> = missing.iter().map(u64::to_string).collect();
            let more = if count > shown.len() as u64 { " and more" } else { "" };
            format!("{count} assets could not be downloaded and were skipped: {}{more}", shown.join(", "))
        };
        // Each delivered asset is complete, and outputs never clear an asset that is missing from a report.
        self.end(
            ReportEnd::default().with_complete(count == 0).with_deliver(true).with_reason(reason),
            context,
        )
    }

    fn end(&mut self, end: ReportEnd, context: &SourceContext) -> Result<Step> {
        self.state = State::Rest;
        let mut pull = std::mem::take(&mut self.pull);
        (pull.ended, pull.first) = (true, None);
        // Only a complete pull without skipped assets moves the watermark.
        if end.complete && !pull.started.is_empty() {
            self.watermark.set(&context.fingerprint, &pull.started)?;
        }
        let notes = std::mem::take(&mut pull.notes);
        let end = end.with_notes(notes).with_bytes(pull.bytes);
        Ok(Step::report_end(end).at(position(context, &pull)))
    }
}

impl Pull {
    fn note(&mut self, notes: Vec<Note>) {
        for note in notes {
            match self.notes.iter_mut().find(|known| known.text == note.text) {
                Some(known) => known.count += note.count,
                None => self.notes.push(note),
            }
        }
        self.notes.truncate(MAX_NOTES);
    }
}

impl Work for Detections {
    fn next(&mut self, recycled: BatchBuilder, context: &mut SourceContext) -> Result<Step> {
        match self.state {
            State::Begin => self.begin(context),
            State::Pages => self.deliver(recycled, context),
            State::End => self.end_pull(context),
            State::Rest => {
                let state = &mut self.state;
                Ok(end_round(&context.settings, &mut self.began, || *state = State::Begin))
            }
        }
    }

    fn stored(&mut self, at: &Position, context: &mut SourceContext) -> Result<()> {
        match read_position::<Pull>(context, Some(at)) {
            Some(Pull { first: Some(first), .. }) => self.cache.remove_before(first),
            Some(_) if self.state == State::Rest => self.cache.clear(),
            _ => {}
        }
        Ok(())
    }
}

/// Maximum number of skipped assets named in the reason.
const MAX_SHOWN_MISSING: usize = 20;
/// Maximum number of different notes of all pages together; each page has far fewer.
const MAX_NOTES: usize = 50;
