//! Fills batches from a report, whichever of the three kinds it is.

use std::io::Read;

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::Note;

use crate::damage::{Damage, Fault};
use crate::definitions::Definitions;
use crate::detections::Detections;
use crate::events::Limits;
use crate::feed::{AssetFilter, BatchWriter};
use crate::join::Joined;
use crate::kind::Kind;
use crate::notes::Notes;
use crate::preface::Preface;
use crate::scan::Scan;
use crate::template_report::TemplateReport;
use crate::walk::{State, Walk};

/// Why [`ReportReader::fill`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The batch is full; the report continues.
    Full,
    /// The report has ended as it should. The batch may hold its last findings.
    Ended,
}

/// A place between two assets of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// How many assets have gone out by then.
    pub assets: u64,
    /// Number of their texts that came too late. It depends on the batches, so it cannot be found again by reading.
    pub late_asset_fields: u64,
}

/// Reads one report from its beginning, after [`read_preface`](crate::read_preface) has gone over it.
pub struct ReportReader<R: Read> {
    walk: ByKind<R>,
    notes: Notes,
    error: Option<String>,
    replaced: u64,
}

enum ByKind<R: Read> {
    Scan(Walk<R, Scan>),
    TemplateReport(Walk<R, TemplateReport>),
    Detections(Walk<R, Detections>),
}

impl<R: Read> ReportReader<R> {
    /// Reads a report of this kind from its beginning.
    pub fn new(kind: &Kind, source: R, limits: Limits, preface: &mut Preface) -> Self {
        let walk = match kind {
            Kind::Scan => ByKind::Scan(Walk::new::<BatchBuilder>(source, Scan::default(), limits)),
            Kind::TemplateReport => {
                let document = TemplateReport::new(preface.assets_end, preface.findings);
                ByKind::TemplateReport(Walk::new::<Joined<'_>>(source, document, limits))
            }
            _ => ByKind::Detections(Walk::new::<Joined<'_>>(source, Detections::default(), limits)),
        };
        let (notes, error) = (std::mem::take(&mut preface.notes), preface.error_beside.take());
        Self { walk, notes, error, replaced: preface.replaced }
    }

    /// Adds findings to an empty batch until it is full or the report ends. `definitions` is where
    /// `read_preface` put the glossary, or the knowledge base; a scan needs none.
    ///
    /// # Errors
    /// Where and why the report cannot be read on. What the batch holds by then is sound, but the report is
    /// not complete. There is no going on.
    pub fn fill(
        &mut self,
        batch: &mut BatchBuilder,
        definitions: Option<&mut Definitions>,
    ) -> Result<Progress, Damage> {
        let more = match &mut self.walk {
            ByKind::Scan(walk) => {
                walk.document.feed.begin_batch();
                walk.run(batch)?
            }
            ByKind::TemplateReport(walk) => {
                walk.document.feed.begin_batch();
                walk.document.join.begin_batch(batch);
                let more = walk.run(&mut Joined { batch, definitions })? && !walk.document.is_done;
                if !more {
                    end_template_report(walk)?;
                }
                more
            }
            ByKind::Detections(walk) => {
                walk.document.feed.begin_batch();
                walk.document.join.begin_batch(batch);
                walk.run(&mut Joined { batch, definitions })?
            }
        };
        Ok(if more { Progress::Full } else { Progress::Ended })
    }

    /// Where a later reader can go on after the batch that was filled last; none when it ends inside an asset.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        let mark = Mark { assets: self.assets(), late_asset_fields: self.state().notes.late_asset_fields };
        Some(mark).filter(|_| !self.feed().is_open)
    }

    /// Reads on to a mark that another reader of the same report gave; to be called before the first batch. All
    /// is read and noted as ever, but no asset goes out.
    ///
    /// # Errors
    /// As [`ReportReader::fill`], and when the report ends before the mark: it is not the same one.
    pub fn skip(&mut self, mark: Mark, mut definitions: Option<&mut Definitions>) -> Result<(), Damage> {
        self.feed_mut().pause_behind = Some(mark.assets);
        while self.assets() < mark.assets || self.feed().is_open {
            let mut unwanted = BatchBuilder::default();
            if self.fill(&mut unwanted, definitions.as_deref_mut())? == Progress::Ended {
                let fault =
                    Fault::Malformed(format!("the report previously had {} assets", mark.assets)).into();
                return Err(Damage { offset: self.position(), fault });
            }
        }
        self.state_mut().notes.late_asset_fields = mark.late_asset_fields;
        Ok(())
    }

    /// Returns only assets whose address `wanted` accepts; to be called before the first batch. The others are still
    /// read and counted.
    pub fn only(&mut self, wanted: impl Fn(&str) -> bool + Send + 'static) {
        self.feed_mut().wanted = Some(AssetFilter(Box::new(wanted)));
    }

    /// How many assets have begun to go out, or were left out.
    #[must_use]
    pub fn assets(&self) -> u64 {
        self.feed().assets
    }

    /// The first error in the report next to its assets, with its number and text; to be called at the report's end.
    /// A report without assets that has one is not complete.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match &self.walk {
            ByKind::Scan(walk) => walk.document.error.as_deref(),
            ByKind::TemplateReport(_) | ByKind::Detections(_) => self.error.as_deref(),
        }
    }

    /// What the operator should know of the report although nothing failed; to be asked at its end.
    #[must_use]
    pub fn notes(&mut self) -> Vec<Note> {
        let (replaced, notes) = match &mut self.walk {
            ByKind::Scan(walk) => (walk.replaced(), &mut walk.state.notes),
            ByKind::TemplateReport(walk) => (self.replaced, &mut walk.state.notes),
            ByKind::Detections(walk) => (walk.replaced(), &mut walk.state.notes),
        };
        notes.absorb(std::mem::take(&mut self.notes));
        notes.list(replaced)
    }
}

/// What the walks have in common.
impl<R: Read> ReportReader<R> {
    fn feed(&self) -> &BatchWriter {
        match &self.walk {
            ByKind::Scan(walk) => &walk.document.feed,
            ByKind::TemplateReport(walk) => &walk.document.feed,
            ByKind::Detections(walk) => &walk.document.feed,
        }
    }

    fn feed_mut(&mut self) -> &mut BatchWriter {
        match &mut self.walk {
            ByKind::Scan(walk) => &mut walk.document.feed,
            ByKind::TemplateReport(walk) => &mut walk.document.feed,
            ByKind::Detections(walk) => &mut walk.document.feed,
        }
    }

    fn state(&self) -> &State {
        match &self.walk {
            ByKind::Scan(walk) => &walk.state,
            ByKind::TemplateReport(walk) => &walk.state,
            ByKind::Detections(walk) => &walk.state,
        }
    }

    fn state_mut(&mut self) -> &mut State {
        match &mut self.walk {
            ByKind::Scan(walk) => &mut walk.state,
            ByKind::TemplateReport(walk) => &mut walk.state,
            ByKind::Detections(walk) => &mut walk.state,
        }
    }

    fn position(&self) -> u64 {
        match &self.walk {
            ByKind::Scan(walk) => walk.position(),
            ByKind::TemplateReport(walk) => walk.position(),
            ByKind::Detections(walk) => walk.position(),
        }
    }
}

/// The first pass has read everything outside the assets, if both passes found the end of the assets at the same
/// position.
fn end_template_report<R: Read>(walk: &mut Walk<R, TemplateReport>) -> Result<(), Damage> {
    let offset = walk.position();
    match walk.document.assets_end {
        Some(end) if walk.document.is_done && offset != end => {
            let fault = Fault::Malformed("plugin bug: the list of assets ended twice".to_owned()).into();
            Err(Damage { offset, fault })
        }
        _ => {
            walk.document.compare_findings(&mut walk.state.notes);
            Ok(())
        }
    }
}
