//! Invented reports of any size, written as a stream: the memory needed grows with the number of definitions
//! alone. The same [`Shape`] and seed give the same bytes.

mod counts;
mod definition;
mod detections;
mod knowledge_base;
mod markup;
mod population;
pub(crate) mod random;
mod scan;
mod template;
mod words;

use std::io::{self, Write};

pub use counts::Counts;
pub use definition::{Definition, Kind};

use counts::Counted;
use population::Population;

/// What kind of report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `SCAN`: every finding carries its definition, about 5.3 kB in all.
    Scan,
    /// `ASSET_DATA_REPORT`: the definitions are in a glossary after the assets.
    Template,
    /// `HOST_LIST_VM_DETECTION_OUTPUT`: the definitions are in a separate file.
    Detections,
    /// `KNOWLEDGE_BASE_VULN_LIST_OUTPUT`: the definitions for the detections of the same seed and QIDs.
    KnowledgeBase,
}

/// How much is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Assets are added until the whole report has at least this many bytes.
    Bytes(u64),
    /// This many assets.
    Assets(u64),
}

/// What a report looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What kind of report is written.
    pub format: Format,
    /// How much is written; a knowledge base has no assets and ignores it.
    pub extent: Extent,
    /// Findings of one asset.
    pub findings_per_asset: usize,
    /// Different definitions, the few that tell facts about an asset among them.
    pub qids: usize,
    /// Another seed gives another report of the same shape.
    pub seed: u64,
}

impl Shape {
    /// Writes the report and returns its counts.
    ///
    /// # Errors
    /// Whatever `out` fails with.
    pub fn write(self, out: impl Write) -> io::Result<Counts> {
        let mut out = Counted::new(out);
        let mut population = Population::new(self);
        if self.format != Format::Scan {
            population.turn_services_into_information();
        }
        match self.format {
            Format::Scan => scan::write(&mut out, &mut population, self.extent)?,
            Format::Template => template::write(&mut out, &mut population, self.extent)?,
            Format::Detections => detections::write(&mut out, &mut population, self.extent)?,
            Format::KnowledgeBase => knowledge_base::write(&mut out, &population)?,
        }
        out.flush()?;
        Ok(population.into_counts(out.bytes()))
    }
}

impl Format {
    /// Length of the texts of definitions. A scan has findings of about 5.3 kB; elsewhere definitions have 2.1 kB and
    /// findings 1.3 kB, close to the largest template report that is public.
    fn text_percent(self) -> usize {
        match self {
            Self::Scan => 100,
            Self::Template | Self::Detections | Self::KnowledgeBase => 35,
        }
    }
}

impl Extent {
    /// Whether another asset is due after `assets` assets and `bytes` bytes, the coming tail of the report
    /// included.
    fn wants_more(self, assets: u64, bytes: u64) -> bool {
        match self {
            Self::Bytes(wanted) => bytes < wanted,
            Self::Assets(wanted) => assets < wanted,
        }
    }
}
