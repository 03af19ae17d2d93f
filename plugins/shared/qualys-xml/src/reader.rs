//! Fills batches from a report of any of the three kinds.

use std::io::Read;

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::Note;

use crate::batch_writer::{AssetFilter, BatchWriter};
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
use crate::walk::{State, Walk};

/// Why [`ReportReader::fill`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The batch is full; the report continues.
    Full,
    /// The report is complete. The batch may contain its last findings.
    Ended,
}

/// A position between two assets of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Number of assets before the position.
    pub assets: u64,
    /// Number of their texts that were read too late. It depends on the batches, so a later reader cannot count it
    /// again.
    pub late_asset_fields: u64,
}

/// Reads one report from its beginning, after [`read_preface`](crate::read_preface).
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
        let (notes, error) = (std::mem::take(&mut preface.notes), preface.error_next_to_assets.take());
        Self { walk, notes, error, replaced: preface.replaced }
    }

    /// Adds findings to an empty batch until it is full or the report ends. `definitions` contains the glossary from
    /// `read_preface`, or the knowledge base; a scan needs none.
    ///
    /// # Errors
    /// The position and reason of the damage. The content of the batch is valid, but the report is incomplete, and
    /// the reader cannot continue.
    pub fn fill(
        &mut self,
        batch: &mut BatchBuilder,
        definitions: Option<&mut Definitions>,
    ) -> Result<Progress, Damage> {
        let more = match &mut self.walk {
            ByKind::Scan(walk) => {
                walk.document.writer.begin_batch();
                walk.run(batch)?
            }
            ByKind::TemplateReport(walk) => {
                walk.document.writer.begin_batch();
                walk.document.join.begin_batch(batch);
                let more = walk.run(&mut Joined { batch, definitions })? && !walk.document.is_done;
                if !more {
                    end_template_report(walk)?;
                }
                more
            }
            ByKind::Detections(walk) => {
                walk.document.writer.begin_batch();
                walk.document.join.begin_batch(batch);
                walk.run(&mut Joined { batch, definitions })?
            }
        };
        Ok(if more { Progress::Full } else { Progress::Ended })
    }

    /// The position at which a later reader can resume after the last batch; none if the batch ended inside an asset.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        let mark = Mark { assets: self.assets(), late_asset_fields: self.state().notes.late_asset_fields };
        Some(mark).filter(|_| !self.writer().is_open)
    }

    /// Skips to a position that another reader of the same report returned; to be called before the first batch. All
    /// notes are collected, but no asset is delivered.
    ///
    /// # Errors
    /// As [`ReportReader::fill`], and when the report ends before the position, because then it is a different report.
    pub fn skip(&mut self, mark: Mark, mut definitions: Option<&mut Definitions>) -> Result<(), Damage> {
        self.writer_mut().pause_after = Some(mark.assets);
        while self.assets() < mark.assets || self.writer().is_open {
            let mut discarded = BatchBuilder::default();
            if self.fill(&mut discarded, definitions.as_deref_mut())? == Progress::Ended {
                let fault =
                    Fault::Malformed(format!("the report previously had {} assets", mark.assets)).into();
                return Err(Damage { offset: self.position(), fault });
            }
        }
        self.state_mut().notes.late_asset_fields = mark.late_asset_fields;
        Ok(())
    }

    /// Returns only assets whose address `accepts` allows; to be called before the first batch. The others are still
    /// read and counted.
    pub fn only(&mut self, accepts: impl Fn(&str) -> bool + Send + 'static) {
        self.writer_mut().filter = Some(AssetFilter(Box::new(accepts)));
    }

    /// Number of assets delivered or filtered out.
    #[must_use]
    pub fn assets(&self) -> u64 {
        self.writer().assets
    }

    /// The first error next to the assets, with its number and text; to be called at the end of the report. A report
    /// with an error and without assets is not complete.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match &self.walk {
            ByKind::Scan(walk) => walk.document.error.as_deref(),
            ByKind::TemplateReport(_) | ByKind::Detections(_) => self.error.as_deref(),
        }
    }

    /// Warnings about the report for the operator; to be called at its end.
    #[must_use]
    pub fn notes(&mut self) -> Vec<Note> {
        let (replaced, notes) = match &mut self.walk {
            ByKind::Scan(walk) => (walk.replaced(), &mut walk.state.notes),
            ByKind::TemplateReport(walk) => (self.replaced, &mut walk.state.notes),
            ByKind::Detections(walk) => (walk.replaced(), &mut walk.state.notes),
        };
        notes.merge(std::mem::take(&mut self.notes));
        notes.list(replaced)
    }
}

/// Access to the common parts of the walks.
impl<R: Read> ReportReader<R> {
    fn writer(&self) -> &BatchWriter {
        match &self.walk {
            ByKind::Scan(walk) => &walk.document.writer,
            ByKind::TemplateReport(walk) => &walk.document.writer,
            ByKind::Detections(walk) => &walk.document.writer,
        }
    }

    fn writer_mut(&mut self) -> &mut BatchWriter {
        match &mut self.walk {
            ByKind::Scan(walk) => &mut walk.document.writer,
            ByKind::TemplateReport(walk) => &mut walk.document.writer,
            ByKind::Detections(walk) => &mut walk.document.writer,
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

/// Checks that both passes found the end of the assets at the same position. The first pass has read everything
/// outside the assets.
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
