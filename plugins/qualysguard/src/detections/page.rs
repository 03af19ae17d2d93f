//! One page on its way to the host.

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::Note;
use scanbridge_qualys_report::{SourceReader, Watch};
use scanbridge_qualys_xml::{
    Damage, Definitions, Kind, MORE_PAGES, Mark, Progress, ReportReader, read_preface,
};

use super::asking::Got;
use crate::source::SourceContext;

/// A page that is being delivered.
pub(super) struct OpenPage {
    reader: ReportReader<SourceReader>,
    assets: Vec<u64>,
    pub(super) next: Option<u64>,
    /// How large it is.
    pub(super) bytes: u64,
    /// Of an interrupted run: how many assets it had delivered, and what it had noted by then.
    delivered: u64,
    noted: Vec<Note>,
}

impl OpenPage {
    /// Begins to read a page that was found to be whole. `done` is how many bytes came before it.
    ///
    /// # Errors
    /// When the assets that were delivered before cannot be passed over.
    pub(super) fn begin(
        got: Got,
        done: u64,
        around: &SourceContext,
        definitions: &mut Definitions,
    ) -> Result<Self, Damage> {
        let (settings, source) = (&around.settings, got.source);
        let limits = settings.reading.limits;
        // The head was read with the page.
        let (mut preface, _) = read_preface(&Kind::Detections, source.read(None), limits, definitions);
        let watch = Watch { services: around.services.clone(), done, total: 0 };
        let mut reader = ReportReader::new(&Kind::Detections, source.read(Some(watch)), limits, &mut preface);
        if let Some(wanted) = settings.addresses.filter() {
            reader.only(wanted);
        }
        let (delivered, bytes) = (got.delivered, source.length);
        if delivered > 0 {
            reader.skip(Mark { assets: delivered, ..Mark::default() }, Some(definitions))?;
        }
        let noted = if delivered > 0 { reader.notes() } else { Vec::new() };
        Ok(Self { reader, assets: got.page.assets, next: got.next, bytes, delivered, noted })
    }

    /// Fills a batch.
    pub(super) fn fill(
        &mut self,
        batch: &mut BatchBuilder,
        definitions: &mut Definitions,
    ) -> Result<Progress, Damage> {
        self.reader.fill(batch, Some(definitions))
    }

    /// The first asset that is still to come, where a later run could ask for; none inside an asset, or where
    /// numbers do not ascend.
    pub(super) fn first_to_come(&self) -> Option<u64> {
        let gone = usize::try_from(self.reader.mark()?.assets).ok()?;
        let (gone, to_come) = self.assets.split_at_checked(gone)?;
        let last = gone.last()?;
        to_come.iter().all(|id| id > last).then_some(*last).and_then(|last| last.checked_add(1))
    }

    /// How many assets have gone out in this run.
    pub(super) fn assets(&self) -> u64 {
        self.reader.assets().saturating_sub(self.delivered)
    }

    /// What is worth knowing of it, as far as this run has read it. That there are more pages is not: they are
    /// fetched.
    pub(super) fn notes(&mut self) -> Vec<Note> {
        let mut notes = self.reader.notes();
        for note in &mut notes {
            let noted = self.noted.iter().find(|noted| noted.text == note.text);
            note.count -= noted.map_or(0, |noted| noted.count.min(note.count));
        }
        notes.retain(|note| note.count > 0 && note.text != MORE_PAGES);
        notes
    }
}
