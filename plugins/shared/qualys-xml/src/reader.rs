//! Fills batches from a report, whichever of the three kinds it is.

use std::io::Read;

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::Note;

use crate::damage::{Damage, Fault};
use crate::definitions::Definitions;
use crate::detections::Detections;
use crate::events::Limits;
use crate::join::Joined;
use crate::kind::Kind;
use crate::notes::Notes;
use crate::preface::Preface;
use crate::scan::Scan;
use crate::template_report::TemplateReport;
use crate::walk::Walk;

/// Why [`ReportReader::fill`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The batch is full; the report goes on.
    Full,
    /// The report has ended as it should. The batch may hold its last findings.
    Ended,
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

    /// How many assets have begun to go out.
    #[must_use]
    pub fn assets(&self) -> u64 {
        match &self.walk {
            ByKind::Scan(walk) => walk.document.feed.assets,
            ByKind::TemplateReport(walk) => walk.document.feed.assets,
            ByKind::Detections(walk) => walk.document.feed.assets,
        }
    }

    /// The first error that stands in the report beside its assets, with its number and text; to be asked at the
    /// report's end. A report of no assets that has one is not complete.
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

/// The first pass has read all that stands outside the assets, if both passes found them to end at the same place.
fn end_template_report<R: Read>(walk: &mut Walk<R, TemplateReport>) -> Result<(), Damage> {
    let offset = walk.position();
    match walk.document.assets_end {
        Some(end) if walk.document.is_done && offset != end => {
            let fault = Fault::Malformed("the list of assets has two ends".to_owned()).into();
            Err(Damage { offset, fault })
        }
        _ => {
            walk.document.compare_findings(&mut walk.state.notes);
            Ok(())
        }
    }
}
