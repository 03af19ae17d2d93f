//! Peak memory of the host, which must not depend on the size of the report.

use std::io::Write;

use super::bound::{Bound, Limit};
use super::stage::{Report, Stage, StageError, shape};
use super::table;
use crate::generator::{Extent, Format, Shape};

impl Stage {
    /// Measures a scan of `gigabytes` GB, a scan whose findings have texts of their own, one asset with 1,000,000
    /// findings, and a template report with 20,000 definitions.
    ///
    /// # Errors
    /// Fails if a report cannot be written, or if the host fails or reports wrong counts.
    pub fn memory(&self, gigabytes: u64, out: &mut impl Write) -> Result<Vec<Bound>, StageError> {
        let scan = shape(Format::Scan, Extent::Bytes(gigabytes * 1_000_000_000), 1000);
        let glossary = shape(Format::Template, Extent::Bytes(150_000_000), 20_000);
        let large = self.report("large-scan", scan)?;
        let scan_bound = self.peak(format!("scan of {gigabytes} GB: peak RSS"), 32.0, &large, out);
        large.remove();
        let own_texts = Shape { own_texts: true, ..shape(Format::Scan, Extent::Bytes(300_000_000), 1000) };
        let own_texts = self.report("own-texts", own_texts)?;
        let title = "scan with texts of each finding: peak RSS".to_owned();
        let own_texts_bound = self.peak(title, 32.0, &own_texts, out);
        own_texts.remove();
        let one_asset =
            Shape { findings_per_asset: 1_000_000, ..shape(Format::Detections, Extent::Assets(1), 1000) };
        let one_asset = self.report("one-asset", one_asset)?;
        let title = "one asset with 1,000,000 findings: peak RSS".to_owned();
        let one_asset_bound = self.peak(title, 32.0, &one_asset, out);
        one_asset.remove();
        let many_definitions = self.report("wide-template", glossary)?;
        let glossary_bound =
            self.peak("template with 20,000 QIDs: peak RSS".to_owned(), 48.0, &many_definitions, out);
        many_definitions.remove();
        Ok(vec![scan_bound?, own_texts_bound?, one_asset_bound?, glossary_bound?])
    }

    fn peak(
        &self,
        what: String,
        max_mib: f64,
        report: &Report,
        out: &mut impl Write,
    ) -> Result<Bound, StageError> {
        let program = self.host(report, None)?;
        let runs = [vec![program.run()?]];
        report.check_summary()?;
        let title = format!("{what}, {} bytes", report.counts.bytes);
        writeln!(out, "{}", table::lines(&title, &[program], &runs))
            .map_err(|error| StageError::new("output", error))?;
        Ok(Bound {
            quantity: what,
            measured: table::peak_mib(&runs[0]),
            limit: Limit::AtMost(max_mib),
            unit: " MiB",
        })
    }
}
