//! One page on its way to the host.

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::Note;
use scanbridge_qualys_report::{SourceReader, Watch};
use scanbridge_qualys_xml::{Damage, Definitions, Kind, MORE_PAGES, Progress, ReportReader, read_preface};

use super::asking::Got;
use crate::source::Around;

/// A page that is being delivered.
pub(super) struct OpenPage {
    reader: ReportReader<SourceReader>,
    assets: Vec<u64>,
    pub(super) next: Option<u64>,
}

impl OpenPage {
    /// Begins to read a page that was found to be whole. `done` is how many bytes came before it.
    pub(super) fn begin(got: Got, done: u64, around: &Around, definitions: &mut Definitions) -> Self {
        let (settings, source) = (&around.settings, got.body.source);
        let limits = settings.reading.limits;
        // The head was read with the page.
        let (mut preface, _) = read_preface(&Kind::Detections, source.read(None), limits, definitions);
        let watch = Watch { services: around.services.clone(), done, total: 0 };
        let mut reader = ReportReader::new(&Kind::Detections, source.read(Some(watch)), limits, &mut preface);
        if let Some(wanted) = settings.addresses.filter() {
            reader.only(wanted);
        }
        Self { reader, assets: got.page.assets, next: got.next }
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
        to_come.iter().all(|id| id > last).then_some(last + 1)
    }

    /// How many assets have gone out.
    pub(super) fn assets(&self) -> u64 {
        self.reader.assets()
    }

    /// What is worth knowing of it. That there are more pages is not: they are fetched.
    pub(super) fn notes(&mut self) -> Vec<Note> {
        self.reader.notes().into_iter().filter(|note| note.text != MORE_PAGES).collect()
    }
}
