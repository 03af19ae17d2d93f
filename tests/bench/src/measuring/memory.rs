//! Peak memory of the host, which must not depend on the size of the report.

use std::io::Write;

use super::bound::{Bound, Limit};
use super::shapes::{Destination, FULL_MB, ReportFiles, ReportShape, SHAPES, Source, max_mib};
use super::stage::{Stage, StageError};
use super::table;

/// Runs, of which the median counts: the allocator makes peaks differ by up to 3 MiB.
const RUNS: usize = 3;

/// The limits are those of a CEF file. An output that can resume keeps what it has received since its last commit, which `/dev/null` does not show.
const FILES: &[Destination] = &[Destination::CefFile, Destination::Json, Destination::Commands];

/// A case that fails: the receipt of host input commands contains the addresses of assets without findings to send, and
/// with so many between others it exceeds the 64 KiB that a receipt may have.
const FAILING: (&str, Destination) = ("detections-small-assets", Destination::Commands);

impl Stage {
    /// Measures a scan of `gigabytes` GB to `/dev/null`, and every shape of report into three kinds of files.
    ///
    /// # Errors
    /// Fails if a report cannot be written, or if the host fails or reports wrong counts.
    pub fn memory(&self, gigabytes: u64, out: &mut impl Write) -> Result<Vec<Bound>, StageError> {
        let scan = ReportShape::named("scan")?;
        let mut bounds = self.peaks(scan, 1000 * gigabytes, &[Destination::CefNull], out)?;
        for shape in SHAPES {
            bounds.extend(self.peaks(shape, FULL_MB, FILES, out)?);
        }
        Ok(bounds)
    }

    fn peaks(
        &self,
        shape: &ReportShape,
        megabytes: u64,
        destinations: &[Destination],
        out: &mut impl Write,
    ) -> Result<Vec<Bound>, StageError> {
        let files = shape.write(self, megabytes)?;
        let destinations = destinations.iter().filter(|destination| (shape.name, **destination) != FAILING);
        let peaks = destinations.map(|destination| self.peak(shape, &files, *destination, out)).collect();
        files.remove();
        peaks
    }

    fn peak(
        &self,
        shape: &ReportShape,
        files: &ReportFiles,
        destination: Destination,
        out: &mut impl Write,
    ) -> Result<Bound, StageError> {
        let source = Source::File.open(self, files)?;
        let opened = destination.open(self)?;
        let program = self.host_between(&source.input, &opened.output, &files.report)?;
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(self.run_host(&program)?);
            files.report.check_summary()?;
            opened.accept_run(&files.report.counts)?;
        }
        runs.sort_by_key(|run| run.peak_rss_bytes);
        let runs = [vec![runs.swap_remove(RUNS / 2)]];
        let megabytes = files.report.counts.bytes / 1_000_000;
        let quantity = format!("{} of {megabytes} MB, {}: peak RSS", shape.name, destination.name());
        table::print(out, &quantity, &[program], &runs)?;
        let measured = table::peak_mib(&runs[0]);
        let limit = match destination {
            Destination::CefNull => Destination::CefNull,
            _ => Destination::CefFile,
        };
        Ok(Bound { quantity, measured, limit: Limit::AtMost(max_mib(shape.name, limit)?), unit: " MiB" })
    }
}
