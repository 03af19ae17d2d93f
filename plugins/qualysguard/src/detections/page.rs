//! Delivers one page to the host.

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::Note;
use scanbridge_qualys_report::{SourceReader, Watch};
use scanbridge_qualys_xml::{Damage, Definitions, Kind, MORE_PAGES, Progress, ReportReader, read_preface};

use super::cached_pages::InPage;
use super::page_requests::FetchedPage;
use crate::source::SourceContext;

/// A page that is being delivered.
pub(super) struct OpenPage {
    reader: ReportReader<SourceReader>,
    /// The asset ID that the page was requested from.
    first: u64,
    /// The IDs of the assets that this run delivers.
    assets: Vec<u64>,
    pub(super) next: Option<u64>,
    /// Size of the page, in bytes.
    pub(super) bytes: u64,
    /// Number of assets that an interrupted run delivered.
    delivered: u64,
}

impl OpenPage {
    /// Opens a page that was checked to be complete. `done` is the number of bytes of all previous pages.
    pub(super) fn begin(
        fetched: FetchedPage,
        done: u64,
        context: &SourceContext,
        definitions: &mut Definitions,
    ) -> Self {
        let (settings, source) = (&context.settings, fetched.source);
        let (limits, kind) = (settings.reading.limits, &Kind::Detections);
        // Damage is not expected here: the page was checked to be complete.
        let (mut preface, _) = read_preface(kind, source.read(None), limits, definitions);
        let watch = Some(Watch { services: context.services.clone(), done, total: 0 });
        let delivered = fetched.mark.as_ref().map_or(0, |mark| mark.assets);
        let mut reader = match fetched.mark {
            Some(mark) => {
                let rest = source.read_from(mark.offset, watch);
                ReportReader::resume(kind, rest, limits, &mut preface, mark)
            }
            None => ReportReader::new(kind, source.read(watch), limits, &mut preface),
        };
        if let Some(wanted) = settings.addresses.filter() {
            reader.only(wanted);
        }
        let FetchedPage { first, next, page, .. } = fetched;
        Self { reader, first, assets: page.assets, next, bytes: source.length, delivered }
    }

    /// Fills a batch.
    pub(super) fn fill(
        &mut self,
        batch: &mut BatchBuilder,
        definitions: &mut Definitions,
    ) -> Result<Progress, Damage> {
        self.reader.fill(batch, Some(definitions))
    }

    /// The lowest asset ID that is not delivered yet, and its position in this page, where a later run can resume. `None`
    /// inside an asset, or if the IDs are not ascending.
    pub(super) fn first_to_come(&self) -> Option<(u64, InPage)> {
        // The notes of this part are in the progress of the pull.
        let mark = self.reader.mark()?.without_notes();
        let delivered = usize::try_from(mark.assets.checked_sub(self.delivered)?).ok()?;
        let (delivered, remaining) = self.assets.split_at_checked(delivered)?;
        let last = delivered.last()?;
        let first = remaining.iter().all(|id| id > last).then_some(*last)?.checked_add(1)?;
        Some((first, InPage { first: self.first, bytes: self.bytes, mark }))
    }

    /// Number of assets delivered in this run.
    pub(super) fn assets(&self) -> u64 {
        self.reader.assets().saturating_sub(self.delivered)
    }

    /// Warnings about the part of the page that this run has read. The note about further pages is omitted,
    /// because they are downloaded.
    pub(super) fn notes(&mut self) -> Vec<Note> {
        let mut notes = self.reader.notes();
        notes.retain(|note| note.text != MORE_PAGES);
        notes
    }
}
