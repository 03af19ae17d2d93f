//! The shapes of reports that are measured.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::generator::{Extent, Format, Shape};
use crate::measuring::stage::{Report, Stage, StageError};

/// A kind of report whose cost differs from that of the others.
#[derive(Debug, Clone, Copy)]
pub(in crate::measuring) struct ReportShape {
    /// Its name on the command line and in results.
    pub(in crate::measuring) name: &'static str,
    format: Format,
    amount: Amount,
    qids: usize,
    own_texts: bool,
    /// Whether it is read together with a knowledge base of its QIDs.
    has_knowledge_base: bool,
}

/// What grows with the size of a report.
#[derive(Debug, Clone, Copy)]
enum Amount {
    /// The number of assets with 30 findings, until the file has the size. A glossary comes in addition.
    Bytes,
    /// The number of assets with one finding, until the file has the size.
    SmallAssets,
    /// The number of assets with one finding: this many at [`FULL_MB`].
    SmallAssetsOf(u64),
    /// The number of findings of a single asset: this many at [`FULL_MB`].
    OneAsset(usize),
}

/// The size at which the counts in [`Amount`] are reached, in MB.
pub(in crate::measuring) const FULL_MB: u64 = 300;

/// A scan of 30 findings for each asset, whose texts are shared.
const SCAN: ReportShape = ReportShape {
    name: "scan",
    format: Format::Scan,
    amount: Amount::Bytes,
    qids: 1000,
    own_texts: false,
    has_knowledge_base: false,
};

/// All shapes.
pub(in crate::measuring) const SHAPES: &[ReportShape] = &[
    SCAN,
    ReportShape { name: "scan-own-texts", own_texts: true, ..SCAN },
    ReportShape { name: "scan-long-texts", format: Format::LongScan, qids: 40, ..SCAN },
    ReportShape { name: "scan-small-assets", amount: Amount::SmallAssets, ..SCAN },
    ReportShape {
        name: "scan-one-asset-own-texts",
        amount: Amount::OneAsset(20_000),
        own_texts: true,
        ..SCAN
    },
    ReportShape { name: "template-100-qids", format: Format::Template, qids: 100, ..SCAN },
    ReportShape { name: "template-20000-qids", format: Format::Template, qids: 20_000, ..SCAN },
    ReportShape {
        name: "detections",
        format: Format::Detections,
        qids: 20_000,
        has_knowledge_base: true,
        ..SCAN
    },
    ReportShape {
        name: "detections-one-asset",
        format: Format::Detections,
        amount: Amount::OneAsset(1_000_000),
        has_knowledge_base: true,
        ..SCAN
    },
    ReportShape {
        name: "detections-one-asset-own-qids",
        format: Format::Detections,
        amount: Amount::OneAsset(300_000),
        own_texts: true,
        ..SCAN
    },
    ReportShape {
        name: "detections-small-assets",
        format: Format::Detections,
        amount: Amount::SmallAssetsOf(1_000_000),
        has_knowledge_base: true,
        ..SCAN
    },
];

/// A report, and the knowledge base that it is read with.
#[derive(Debug)]
pub(in crate::measuring) struct ReportFiles {
    pub(in crate::measuring) report: Report,
    pub(in crate::measuring) knowledge_base: Option<Report>,
}

impl ReportShape {
    /// The shape with this name.
    pub(in crate::measuring) fn named(name: &str) -> Result<&'static Self, StageError> {
        let found = SHAPES.iter().find(|shape| shape.name == name);
        found.ok_or_else(|| StageError::new(name, "no shape has this name"))
    }

    /// The parameters of a report of about this size. The counts of [`Amount`] grow with it.
    fn parameters(&self, megabytes: u64, qids: usize) -> Shape {
        let bytes = |count: u64| Extent::Bytes(count * 1_000_000);
        let glossary_mb =
            if self.format == Format::Template { qids as u64 * DEFINITION_BYTES / 1_000_000 } else { 0 };
        let (extent, findings_per_asset) = match self.amount {
            Amount::Bytes => (bytes(megabytes + glossary_mb), 30),
            Amount::SmallAssets => (bytes(megabytes), 1),
            Amount::SmallAssetsOf(assets) => (Extent::Assets(assets * megabytes / FULL_MB), 1),
            Amount::OneAsset(findings) => {
                (Extent::Assets(1), (findings * megabytes as usize / FULL_MB as usize).max(MIN_FINDINGS))
            }
        };
        Shape { format: self.format, extent, findings_per_asset, qids, own_texts: self.own_texts, seed: 1 }
    }

    /// Writes a report of about this size to the directory of the measurements.
    pub(in crate::measuring) fn write(
        &self,
        stage: &Stage,
        megabytes: u64,
    ) -> Result<ReportFiles, StageError> {
        self.write_parameters(stage, self.parameters(megabytes, self.qids))
    }

    /// Writes a report of a few MB, with the property that the shape is about: more definitions than the host keeps in
    /// memory, texts that are longer than a buffer, or more than one batch.
    pub(in crate::measuring) fn write_small(&self, stage: &Stage) -> Result<ReportFiles, StageError> {
        let megabytes = match self.amount {
            Amount::Bytes | Amount::SmallAssets => 4,
            Amount::OneAsset(_) => 2,
            Amount::SmallAssetsOf(_) => 1,
        };
        self.write_parameters(stage, self.parameters(megabytes, self.qids.min(SMALL_QIDS)))
    }

    fn write_parameters(&self, stage: &Stage, shape: Shape) -> Result<ReportFiles, StageError> {
        let report = stage.report(self.name, shape)?;
        let knowledge_base = Shape { format: Format::KnowledgeBase, ..shape };
        let knowledge_base = self
            .has_knowledge_base
            .then(|| stage.report(&format!("{}-knowledge-base", self.name), knowledge_base))
            .transpose()?;
        Ok(ReportFiles { report, knowledge_base })
    }
}

impl ReportFiles {
    /// The report and the knowledge base.
    pub(in crate::measuring) fn all(&self) -> Vec<&Path> {
        [Some(&self.report), self.knowledge_base.as_ref()]
            .into_iter()
            .flatten()
            .map(|file| file.path.as_path())
            .collect()
    }

    /// Writes a copy that is compressed with gzip next to each file.
    pub(in crate::measuring) fn compress(&self) -> Result<(), StageError> {
        for path in self.all() {
            let compressed = gzip_path(path);
            compress(path, &compressed).map_err(|error| StageError::new(compressed.display(), error))?;
        }
        Ok(())
    }

    /// Removes the files and their compressed copies.
    pub(in crate::measuring) fn remove(&self) {
        for path in self.all() {
            // A failure leaves a file that does not affect later measurements.
            let _ = std::fs::remove_file(path);
            let _ = std::fs::remove_file(gzip_path(path));
        }
    }
}

/// The path of the compressed copy of a file.
pub(super) fn gzip_path(path: &Path) -> PathBuf {
    path.with_added_extension("gz")
}

fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let mut encoder = GzEncoder::new(File::create(to)?, Compression::default());
    io::copy(&mut BufReader::with_capacity(1 << 20, File::open(from)?), &mut encoder)?;
    encoder.finish().map(|_| ())
}

/// The size of a definition in a glossary, about.
const DEFINITION_BYTES: u64 = 2400;

/// Findings of a single asset: more than one batch in a scan.
const MIN_FINDINGS: usize = 600;

/// Definitions of a small report: 4 MB, twice of what the host keeps in memory.
const SMALL_QIDS: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_reached_at_full_size() {
        let one_asset = ReportShape::named("detections-one-asset").unwrap().parameters(FULL_MB, 1000);
        assert_eq!((one_asset.extent, one_asset.findings_per_asset), (Extent::Assets(1), 1_000_000));
        let small_assets = ReportShape::named("detections-small-assets").unwrap().parameters(FULL_MB, 1000);
        assert_eq!((small_assets.extent, small_assets.findings_per_asset), (Extent::Assets(1_000_000), 1));
    }

    #[test]
    fn template_has_assets_at_any_size() {
        let shape = ReportShape::named("template-20000-qids").unwrap().parameters(1, 20_000);
        let counts = Shape { seed: 2, ..shape }.write(io::sink()).unwrap();
        assert!(counts.assets > 10, "{counts:?}");
    }
}
