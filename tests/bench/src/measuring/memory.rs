//! Peak memory of the host, which must not depend on the size of the report.

use std::fs;
use std::io::Write;

use super::bound::{Bound, Limit};
use super::stage::{Report, Stage, StageError, shape};
use super::table;
use crate::generator::{Extent, Format, Shape};

/// Peak memory of a scan of any shape and size, in MiB.
const SCAN_MIB: f64 = 32.0;
/// Peak memory with 20,000 QIDs in a glossary, in MiB.
const GLOSSARY_MIB: f64 = 48.0;

/// Runs, of which the median counts: the allocator makes peaks differ by up to 3 MiB.
const RUNS: usize = 3;

/// Outputs, each with its name.
const OUTPUTS: [(&str, &str); 4] = [
    ("CEF", "{ id: siem, plugin: ArcSightCEF, with: { path: /dev/null } }"),
    ("CEF file", "{ id: siem, plugin: ArcSightCEF, with: { path: FILE } }"),
    ("JSON file", "{ id: lines, plugin: JSON, with: { path: FILE } }"),
    ("commands", "{ id: commands, plugin: CSV, with: { path: FILE, format: host-input, source: Scanner } }"),
];

impl Stage {
    /// Measures a scan of `gigabytes` GB; scans whose findings have texts of their own, on many assets, on one and with
    /// one finding for each asset; one asset with 1,000,000 findings, and one whose findings have QIDs of their own; and
    /// a template report with 20,000 definitions.
    ///
    /// # Errors
    /// Fails if a report cannot be written, or if the host fails or reports wrong counts.
    pub fn memory(&self, gigabytes: u64, out: &mut impl Write) -> Result<Vec<Bound>, StageError> {
        let megabytes = |count: u64| Extent::Bytes(count * 1_000_000);
        let scan = |extent| shape(Format::Scan, extent, 1000);
        let own = |shape| Shape { own_texts: true, ..shape };
        let with_findings = |findings_per_asset, shape| Shape { findings_per_asset, ..shape };
        let one_asset = shape(Format::Detections, Extent::Assets(1), 1000);
        let measurements = [
            (format!("scan of {gigabytes} GB"), scan(megabytes(1000 * gigabytes)), SCAN_MIB),
            ("scan with texts of each finding".to_owned(), own(scan(megabytes(300))), SCAN_MIB),
            (
                "scan with texts of each finding, one asset".to_owned(),
                own(with_findings(20_000, scan(Extent::Assets(1)))),
                SCAN_MIB,
            ),
            (
                "scan with one finding for each asset".to_owned(),
                with_findings(1, scan(megabytes(150))),
                SCAN_MIB,
            ),
            ("one asset with 1,000,000 findings".to_owned(), with_findings(1_000_000, one_asset), SCAN_MIB),
            ("one asset with 300,000 QIDs".to_owned(), own(with_findings(300_000, one_asset)), SCAN_MIB),
            (
                "template with 20,000 QIDs".to_owned(),
                shape(Format::Template, megabytes(150), 20_000),
                GLOSSARY_MIB,
            ),
        ];
        let mut bounds = Vec::with_capacity(measurements.len());
        for (index, (title, shape, max_mib)) in measurements.into_iter().enumerate() {
            let report = self.report("memory", shape)?;
            // The largest report goes nowhere. The others go to files: an output that can resume keeps what it has
            // received since its last commit.
            let outputs = if index == 0 { &OUTPUTS[..1] } else { &OUTPUTS[1..] };
            let measured: Result<Vec<Bound>, _> = outputs
                .iter()
                .map(|(name, output)| {
                    self.peak(format!("{title}, {name}: peak RSS"), output, max_mib, &report, out)
                })
                .collect();
            report.remove();
            bounds.extend(measured?);
        }
        Ok(bounds)
    }

    fn peak(
        &self,
        what: String,
        output: &str,
        max_mib: f64,
        report: &Report,
        out: &mut impl Write,
    ) -> Result<Bound, StageError> {
        let file = report.path.with_extension("out");
        let program = self.host_into(&output.replace("FILE", &file.display().to_string()), report, None)?;
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let _ = fs::remove_dir_all(self.state());
            let run = program.run();
            let _ = fs::remove_file(&file);
            runs.push(run?);
            report.check_summary()?;
        }
        runs.sort_by_key(|run| run.peak_rss_bytes);
        let runs = [vec![runs.swap_remove(RUNS / 2)]];
        let title = format!("{what}, {} bytes", report.counts.bytes);
        table::print(out, &title, &[program], &runs)?;
        Ok(Bound {
            quantity: what,
            measured: table::peak_mib(&runs[0]),
            limit: Limit::AtMost(max_mib),
            unit: " MiB",
        })
    }
}
