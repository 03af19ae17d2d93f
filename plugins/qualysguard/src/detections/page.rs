//! Delivers one page to the host.

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::Note;
use scanbridge_qualys_report::{SourceReader, Watch};
use scanbridge_qualys_xml::{
    Damage, Definitions, Kind, MORE_PAGES, Mark, Progress, ReportReader, read_preface,
};

use super::page_requests::FetchedPage;
use crate::source::SourceContext;

/// A page that is being delivered.
pub(super) struct OpenPage {
    reader: ReportReader<SourceReader>,
    assets: Vec<u64>,
    pub(super) next: Option<u64>,
    /// Size of the page, in bytes.
    pub(super) bytes: u64,
    /// Number of assets that an interrupted run delivered, and the warnings for them.
    delivered: u64,
    reported: Vec<Note>,
}

impl OpenPage {
    /// Opens a page that was checked to be complete. `done` is the number of bytes of all previous pages.
    ///
    /// # Errors
    /// The assets that were already delivered cannot be skipped.
    pub(super) fn begin(
        fetched: FetchedPage,
        done: u64,
        context: &SourceContext,
        definitions: &mut Definitions,
    ) -> Result<Self, Damage> {
        let (settings, source) = (&context.settings, fetched.source);
        let limits = settings.reading.limits;
        // Damage is not expected here: the page was checked to be complete.
        let (mut preface, _) = read_preface(&Kind::Detections, source.read(None), limits, definitions);
        let watch = Watch { services: context.services.clone(), done, total: 0 };
        let mut reader = ReportReader::new(&Kind::Detections, source.read(Some(watch)), limits, &mut preface);
        if let Some(wanted) = settings.addresses.filter() {
            reader.only(wanted);
        }
        let (delivered, bytes) = (fetched.delivered, source.length);
        if delivered > 0 {
            reader.skip(Mark { assets: delivered, ..Mark::default() }, Some(definitions))?;
        }
        let reported = if delivered > 0 { reader.notes() } else { Vec::new() };
        Ok(Self { reader, assets: fetched.page.assets, next: fetched.next, bytes, delivered, reported })
    }

    /// Fills a batch.
    pub(super) fn fill(
        &mut self,
        batch: &mut BatchBuilder,
        definitions: &mut Definitions,
    ) -> Result<Progress, Damage> {
        self.reader.fill(batch, Some(definitions))
    }

    /// The lowest asset ID that is not delivered yet, where a later run can resume. `None` inside an asset,
    /// or if the IDs are not ascending.
    pub(super) fn first_to_come(&self) -> Option<u64> {
        let delivered = usize::try_from(self.reader.mark()?.assets).ok()?;
        let (delivered, remaining) = self.assets.split_at_checked(delivered)?;
        let last = delivered.last()?;
        remaining.iter().all(|id| id > last).then_some(*last).and_then(|last| last.checked_add(1))
    }

    /// Number of assets delivered in this run.
    pub(super) fn assets(&self) -> u64 {
        self.reader.assets().saturating_sub(self.delivered)
    }

    /// Warnings about the part of the page that this run has read. The note about further pages is omitted,
    /// because they are downloaded.
    pub(super) fn notes(&mut self) -> Vec<Note> {
        let mut notes = self.reader.notes();
        for note in &mut notes {
            let reported = self.reported.iter().find(|reported| reported.text == note.text);
            note.count -= reported.map_or(0, |reported| reported.count.min(note.count));
        }
        notes.retain(|note| note.count > 0 && note.text != MORE_PAGES);
        notes
    }
}
