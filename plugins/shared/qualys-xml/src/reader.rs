//! Fills batches from a report of any of the three kinds.

use std::io::{Chain, Read};

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::Note;

use crate::batch_writer::{AssetFilter, BatchWriter};
use crate::damage::{Damage, Fault};
use crate::definitions::Definitions;
use crate::detections::Detections;
use crate::events::Limits;
use crate::join::Joined;
use crate::kind::Kind;
use crate::mark::{Mark, Unread};
use crate::notes::Notes;
use crate::preface::Preface;
use crate::scan::Scan;
use crate::template_report::TemplateReport;
use crate::walk::Walk;

/// Why [`ReportReader::fill`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The batch is full; the report continues.
    Full,
    /// The report is complete. The batch may contain its last findings.
    Ended,
}

/// Reads one report, after [`read_preface`](crate::read_preface).
pub struct ReportReader<R: Read> {
    walk: ByKind<R>,
    notes: Notes,
    error: Option<String>,
    /// Bytes replaced in parts of the report that the walk does not read. In a template report, the first pass counts all
    /// of them.
    replaced: u64,
    unread: Option<Unread>,
    /// The last batch ended with an asset.
    is_after_asset: bool,
}

enum ByKind<R: Read> {
    Scan(Walk<Source<R>, Scan>),
    TemplateReport(Walk<Source<R>, TemplateReport>),
    Detections(Walk<Source<R>, Detections>),
}

/// The source, after the start tags of the elements that are open at the position where the reader begins.
type Source<R> = Chain<&'static [u8], R>;

impl<R: Read> ReportReader<R> {
    /// Reads a report of this kind from its beginning.
    pub fn new(kind: &Kind, source: R, limits: Limits, preface: &mut Preface) -> Self {
        Self::after(b"", kind, source, limits, preface)
    }

    /// Resumes at a position that another reader of the same report returned. `source` begins at its
    /// [`Mark::offset`].
    pub fn resume(kind: &Kind, source: R, limits: Limits, preface: &mut Preface, mark: Mark) -> Self {
        let tags = Mark::tags(kind);
        let mut reader = Self::after(tags, kind, source, limits, preface);
        let state = match &mut reader.walk {
            ByKind::Scan(walk) => {
                walk.begin_at(tags, &mark);
                walk.document.error = mark.error;
                walk.document.scanned = mark.scanned;
                &mut walk.state
            }
            ByKind::TemplateReport(walk) => {
                walk.begin_at(tags, &mark);
                walk.document.findings = mark.findings;
                &mut walk.state
            }
            ByKind::Detections(walk) => {
                walk.begin_at(tags, &mark);
                &mut walk.state
            }
        };
        state.notes = mark.notes;
        reader.writer_mut().assets = mark.assets;
        if *kind != Kind::TemplateReport {
            reader.replaced = mark.replaced;
        }
        reader
    }

    fn after(tags: &'static [u8], kind: &Kind, source: R, limits: Limits, preface: &mut Preface) -> Self {
        let source = tags.chain(source);
        let walk = match kind {
            Kind::Scan => ByKind::Scan(Walk::new::<BatchBuilder>(source, Scan::default(), limits)),
            Kind::TemplateReport => {
                let assets_end = preface.unread.map(|unread| unread.position);
                let document =
                    TemplateReport::new(assets_end, preface.findings, std::mem::take(&mut preface.risks));
                ByKind::TemplateReport(Walk::new::<Joined<'_>>(source, document, limits))
            }
            _ => ByKind::Detections(Walk::new::<Joined<'_>>(source, Detections::default(), limits)),
        };
        Self {
            walk,
            notes: std::mem::take(&mut preface.notes),
            error: preface.error_next_to_assets.take(),
            replaced: preface.replaced,
            unread: preface.unread,
            is_after_asset: false,
        }
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
        self.is_after_asset = false;
        let more = match &mut self.walk {
            ByKind::Scan(walk) => {
                walk.document.writer.begin_batch();
                walk.run(batch)?
            }
            ByKind::TemplateReport(walk) => {
                walk.document.writer.begin_batch();
                let more = walk.run(&mut Joined { batch, definitions })? && !walk.document.is_done;
                if !more {
                    end_template_report(walk)?;
                }
                more
            }
            ByKind::Detections(walk) => {
                walk.document.writer.begin_batch();
                walk.run(&mut Joined { batch, definitions })?
            }
        };
        self.is_after_asset = more && !self.writer().is_open;
        Ok(if more { Progress::Full } else { Progress::Ended })
    }

    /// The position at which a later reader can resume after the last batch; none if the batch ended inside an asset or
    /// with the report.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        let (position, source, state, findings, error) = match &self.walk {
            _ if !self.is_after_asset => return None,
            ByKind::Scan(walk) => {
                (walk.position(), walk.source_position(), &walk.state, 0, walk.document.error.clone())
            }
            ByKind::TemplateReport(walk) => {
                (walk.position(), walk.source_position(), &walk.state, walk.document.findings, None)
            }
            ByKind::Detections(walk) => (walk.position(), walk.source_position(), &walk.state, 0, None),
        };
        let replaced = match &self.walk {
            ByKind::TemplateReport(_) => 0, // The first pass counts them.
            ByKind::Scan(_) | ByKind::Detections(_) => self.replaced + source.replaced,
        };
        Some(Mark {
            offset: source.offset,
            position,
            assets: self.assets(),
            findings,
            scanned: if let ByKind::Scan(walk) = &self.walk { walk.document.scanned } else { 0 },
            replaced,
            error,
            unread: self.unread,
            notes: state.notes.clone(),
        })
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

    /// Number of assets of a scan whose scan ended normally.
    #[must_use]
    pub fn scanned_assets(&self) -> u64 {
        match &self.walk {
            ByKind::Scan(walk) => walk.document.scanned,
            ByKind::TemplateReport(_) | ByKind::Detections(_) => self.assets(),
        }
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
            ByKind::Scan(walk) => (self.replaced + walk.replaced(), &mut walk.state.notes),
            ByKind::TemplateReport(walk) => (self.replaced, &mut walk.state.notes),
            ByKind::Detections(walk) => (self.replaced + walk.replaced(), &mut walk.state.notes),
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
