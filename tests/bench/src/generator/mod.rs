//! Generates reports of any size, written as a stream: memory grows only with the number of definitions. The same
//! [`Shape`] and seed give the same bytes.

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

use counts::CountingWriter;
use population::Population;

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `SCAN`: every finding contains its definition and has about 5.3 kB in total.
    Scan,
    /// As [`Format::Scan`], but each diagnosis and each result (except facts about an asset) has at least 200 kB.
    LongScan,
    /// `ASSET_DATA_REPORT`: the definitions are in a glossary after the assets.
    Template,
    /// `HOST_LIST_VM_DETECTION_OUTPUT`: the definitions are in a separate file.
    Detections,
    /// `KNOWLEDGE_BASE_VULN_LIST_OUTPUT`: the definitions for the detections of the same seed and QIDs.
    KnowledgeBase,
}

/// The size of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Assets are added until the complete report has at least this many bytes.
    Bytes(u64),
    /// This number of assets.
    Assets(u64),
}

/// The parameters of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The format.
    pub format: Format,
    /// The size. A knowledge base has no assets and ignores it.
    pub extent: Extent,
    /// Findings per asset. The first four report facts about the asset, if there are more than four.
    pub findings_per_asset: usize,
    /// Number of different definitions, including those that report facts about an asset.
    pub qids: usize,
    /// Whether each finding has a definition of its own: in a scan texts that no other finding has, in detections a QID
    /// that no other finding has. Other formats ignore it.
    pub own_texts: bool,
    /// Seed of the random numbers: another seed gives another report of the same shape.
    pub seed: u64,
}

impl Shape {
    /// Writes the report and returns its counts.
    ///
    /// # Errors
    /// Errors of `out`.
    pub fn write(self, out: impl Write) -> io::Result<Counts> {
        let mut out = CountingWriter::new(out);
        let mut population = Population::new(self);
        if !matches!(self.format, Format::Scan | Format::LongScan) {
            population.replace_services_by_information();
        }
        match self.format {
            Format::Scan | Format::LongScan => {
                scan::write(&mut out, &mut population, self.extent, self.own_texts)?;
            }
            Format::Template => template::write(&mut out, &mut population, self.extent)?,
            Format::Detections => {
                detections::write(&mut out, &mut population, self.extent, self.own_texts)?;
            }
            Format::KnowledgeBase => knowledge_base::write(&mut out, &population)?,
        }
        out.flush()?;
        Ok(population.into_counts(out.bytes()))
    }
}

impl Format {
    /// Length of the texts of definitions, in percent. A finding of a scan has about 5.3 kB. In the other formats a
    /// definition has 2.1 kB and a finding 1.3 kB, close to the largest public template report.
    fn text_percent(self) -> usize {
        match self {
            Self::Scan | Self::LongScan => 100,
            Self::Template | Self::Detections | Self::KnowledgeBase => 35,
        }
    }

    /// Minimum length of diagnoses and results, in bytes.
    fn min_text_bytes(self) -> usize {
        if self == Self::LongScan { 200_000 } else { 0 }
    }
}

impl Extent {
    /// Whether a report with `assets` assets and `bytes` bytes, including its end, needs another asset.
    fn needs_more(self, assets: u64, bytes: u64) -> bool {
        match self {
            Self::Bytes(minimum) => bytes < minimum,
            Self::Assets(count) => assets < count,
        }
    }
}
