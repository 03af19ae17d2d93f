//! One pull: a report of many pages, and the rounds of it.

use std::time::Instant;

use scanbridge_plugin_api::batch::{BatchBuilder, Schema};
use scanbridge_plugin_api::model::{Hints, Note, ReportEnd, ReportStart};
use scanbridge_plugin_api::{Next, PluginError, Position, Result, tracing};
use scanbridge_qualys_xml::Progress as Filled;
use serde::{Deserialize, Serialize};

use super::asking::PageRequests;
use super::cached_pages::CachedPages;
use super::knowledge_base::KnowledgeBase;
use super::page::OpenPage;
use super::watermark::Watermark;
use crate::options::Detections as Wanted;
use crate::source::{SourceContext, Work, end_round, position, read_position};

/// The detections of one account.
pub(crate) struct Detections {
    wanted: Wanted,
    asking: PageRequests,
    /// Read when the first page comes.
    knowledge_base: Option<KnowledgeBase>,
    watermark: Watermark,
    kept: CachedPages,
    pull: Pull,
    page: Option<OpenPage>,
    state: State,
    began: Instant,
}

/// What the next step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A pull, which may go on with an interrupted one.
    Begin,
    /// A page, or the next part of one.
    Pages,
    /// The end of the pull.
    End,
    /// Nothing, until the next round.
    Rest,
}

/// How far a pull is: also the position.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Pull {
    /// It has begun to be delivered.
    #[serde(default)]
    under_way: bool,
    /// Only assets that were processed since then are asked for.
    since: Option<String>,
    /// The time of its first page, by the clock of Qualys; empty before that.
    started: String,
    /// The number of the first asset that has not been delivered; none when all are.
    first: Option<u64>,
    assets: u64,
    bytes: u64,
    /// Assets that could not be fetched: how many, and the first of them.
    missing_assets: u64,
    missing: Vec<u64>,
    notes: Vec<Note>,
    /// It is delivered to its end.
    ended: bool,
}

impl Detections {
    pub(crate) fn open(wanted: &Wanted, around: &SourceContext, resume: Option<&Position>) -> Result<Self> {
        let watermark = Watermark::open(&around.services)?;
        let resumed = read_position::<Pull>(around, resume);
        let kept = CachedPages::open(&around.services)?;
        let (state, pull) = match resumed {
            Some(pull) if pull.ended => {
                pull.reach(&watermark, around)?;
                // Nobody knows how long ago that was: the next round begins, if there is to be one.
                let next = if around.settings.interval.is_some() { State::Begin } else { State::Rest };
                (next, Pull::default())
            }
            resumed => (State::Begin, resumed.unwrap_or_default()),
        };
        Ok(Self {
            wanted: wanted.clone(),
            asking: PageRequests::new(wanted, kept.clone()),
            knowledge_base: None,
            watermark,
            kept,
            pull,
            page: None,
            state,
            began: Instant::now(),
        })
    }

    /// Begins a pull with its first page, or goes on with an interrupted one.
    fn begin(&mut self, around: &mut SourceContext) -> Result<Next> {
        let continued = self.pull.under_way;
        let is_over = continued && self.pull.first.is_none();
        if !continued {
            self.kept.clear();
            let since = self
                .wanted
                .incremental
                .then(|| self.watermark.since(&around.fingerprint, self.wanted.overlap));
            self.pull = Pull { since: since.flatten(), first: Some(0), ..Pull::default() };
        }
        if !is_over {
            self.open_page(around)?;
        }
        self.pull.under_way = true;
        self.state = if is_over { State::End } else { State::Pages };
        let url = around.client.at(&format!("api/{}/fo/asset/host/vm/detection/", self.wanted.version));
        Ok(Next::ReportStart(Box::new(ReportStart {
            kind: "HOST_LIST_VM_DETECTION_OUTPUT".to_owned(),
            title: match &self.pull.since {
                Some(since) => format!("Detections of assets processed since {since}"),
                None => "Detections".to_owned(),
            },
            time: self.pull.started.clone(),
            path: url.to_string(),
            hints: Hints { add_host: around.settings.reading.add_host },
            continued,
            schema: Schema::default(),
            ..ReportStart::default()
        })))
    }

    /// Fetches the next page, with the definitions that it needs.
    fn open_page(&mut self, around: &mut SourceContext) -> Result<()> {
        let first = self.pull.first.ok_or_else(|| PluginError::bug("no next page"))?;
        let got = self.asking.page(first, self.pull.since.as_deref(), around)?;
        if self.knowledge_base.is_none() {
            self.knowledge_base = Some(KnowledgeBase::open(&self.wanted, around)?);
        }
        let knowledge_base = self.knowledge_base.as_mut().expect("it was made above");
        knowledge_base.update(self.wanted.knowledge_base_update, around)?;
        knowledge_base.ensure(&got.page.qids, around)?;
        if self.pull.started.is_empty() {
            self.pull.started.clone_from(&got.page.time);
        }
        self.pull.missing_assets += got.missing.len() as u64;
        self.pull.missing.extend(&got.missing);
        self.pull.missing.truncate(SHOWN_MISSING);
        let done = self.pull.bytes;
        self.pull.bytes += got.source.length;
        let assets = self.pull.assets + got.page.assets.len() as u64;
        tracing::info!(assets, "a page of {} assets", got.page.assets.len());
        let page = OpenPage::begin(got, done, around, knowledge_base.definitions());
        self.page = Some(page.map_err(|damage| {
            PluginError::bad_data(format!("cannot resume from a cached page of detections: {damage}"))
        })?);
        Ok(())
    }

    fn deliver(&mut self, mut batch: BatchBuilder, around: &mut SourceContext) -> Result<Next> {
        if self.page.is_none() {
            self.open_page(around)?;
        }
        let (Some(page), Some(knowledge_base)) = (&mut self.page, &mut self.knowledge_base) else {
            return Err(PluginError::bug("plugin bug: a page that does not exist was marked as delivered"));
        };
        match page.fill(&mut batch, knowledge_base.definitions()) {
            Ok(Filled::Full) => {
                let at = page.first_to_come().map(|first| {
                    let mut pull = Pull { first: Some(first), ..self.pull.clone() };
                    pull.assets += page.assets();
                    // A later run counts the page anew.
                    pull.bytes = pull.bytes.saturating_sub(page.bytes);
                    pull.note(page.notes());
                    position(around, &pull)
                });
                Ok(Next::Batch { batch: batch.finish(), position: at.unwrap_or_default() })
            }
            Ok(Filled::Ended) => {
                self.end_page();
                // Also where it is empty: the position is worth it.
                Ok(Next::Batch { batch: batch.finish(), position: position(around, &self.pull) })
            }
            Err(_) if around.services.is_cancelled() => Err(PluginError::cancelled()),
            Err(damage) => {
                self.end_page();
                let reason = format!("invalid page of detections: {damage}");
                let deliver = around.settings.reading.deliver_incomplete;
                Ok(self.end(ReportEnd { reason, deliver, ..ReportEnd::default() }, around))
            }
        }
    }

    fn end_page(&mut self) {
        let Some(mut page) = self.page.take() else { return };
        self.pull.note(page.notes());
        self.pull.assets += page.assets();
        self.pull.first = page.next;
        self.state = if page.next.is_some() { State::Pages } else { State::End };
    }

    fn end_pull(&mut self, around: &SourceContext) -> Next {
        tracing::info!(assets = self.pull.assets, "QualysGuard Report Processing Complete");
        if self.pull.assets == 0 && self.pull.since.is_none() {
            self.pull.notes.push(Note { text: "the report contains no assets".to_owned(), count: 1 });
        }
        let (count, missing) = (self.pull.missing_assets, &self.pull.missing);
        let reason = if count == 0 {
            String::new()
        } else {
            let shown: Vec<String> = missing.iter().map(u64::to_string).collect();
            let more = if count > shown.len() as u64 { " and more" } else { "" };
            format!("{count} assets could not be downloaded and were skipped: {}{more}", shown.join(", "))
        };
        // The other assets are whole, each of them; what is left out is never cleared anywhere.
        self.end(ReportEnd { complete: count == 0, deliver: true, reason, ..ReportEnd::default() }, around)
    }

    fn end(&mut self, end: ReportEnd, around: &SourceContext) -> Next {
        self.state = State::Rest;
        let mut pull = std::mem::take(&mut self.pull);
        (pull.ended, pull.first) = (true, None);
        if !end.complete && pull.missing_assets == 0 {
            // Damaged: not to be remembered as reached.
            pull.started.clear();
        }
        let notes = std::mem::take(&mut pull.notes);
        let end = ReportEnd { notes, bytes: pull.bytes, ..end };
        Next::ReportEnd { end, position: position(around, &pull) }
    }
}

impl Pull {
    fn note(&mut self, notes: Vec<Note>) {
        for note in notes {
            match self.notes.iter_mut().find(|said| said.text == note.text) {
                Some(said) => said.count += note.count,
                None => self.notes.push(note),
            }
        }
        self.notes.truncate(MOST_NOTES);
    }

    /// A pull without a gap is remembered: the next one need only ask for what changed since.
    fn reach(&self, watermark: &Watermark, around: &SourceContext) -> Result<()> {
        if self.ended && self.missing_assets == 0 && !self.started.is_empty() {
            watermark.reached(&around.fingerprint, &self.started)?;
        }
        Ok(())
    }
}

impl Work for Detections {
    fn next(&mut self, recycled: BatchBuilder, around: &mut SourceContext) -> Result<Next> {
        match self.state {
            State::Begin => self.begin(around),
            State::Pages => self.deliver(recycled, around),
            State::End => Ok(self.end_pull(around)),
            State::Rest => {
                let state = &mut self.state;
                Ok(end_round(&around.settings, &mut self.began, || *state = State::Begin))
            }
        }
    }

    fn committed(&mut self, at: &Position, around: &mut SourceContext) -> Result<()> {
        match read_position::<Pull>(around, Some(at)) {
            Some(pull) => {
                match pull.first {
                    Some(first) => self.kept.forget(first),
                    None if self.state == State::Rest => self.kept.clear(),
                    None => {}
                }
                pull.reach(&self.watermark, around)
            }
            None => Ok(()),
        }
    }
}

/// So many of the assets that are left out are named.
const SHOWN_MISSING: usize = 20;
/// Notes of all pages together; each page has far fewer.
const MOST_NOTES: usize = 50;
