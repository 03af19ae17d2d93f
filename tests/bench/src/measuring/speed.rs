//! CPU time and wall time, compared with the bare event loop and with Python.

use std::io::Write;

use super::bound::{Bound, Limit, median};
use super::run::{Measurement, Program, interleaved};
use super::stage::{Report, Stage, StageError, shape};
use super::table;
use crate::generator::{Extent, Format};

/// Number of definitions in each report.
const QIDS: usize = 1000;

impl Stage {
    /// Measures the three report formats at `megabytes` MB each and prints the medians to `out`.
    ///
    /// # Errors
    /// Fails if a report cannot be written, or if a program fails or reports wrong counts.
    pub fn speed(
        &self,
        megabytes: u64,
        rounds: usize,
        out: &mut impl Write,
    ) -> Result<Vec<Bound>, StageError> {
        let extent = Extent::Bytes(megabytes * 1_000_000);
        let mut bounds = self.scan_speed(extent, rounds, out)?;

        let template = self.report("template", shape(Format::Template, extent, QIDS))?;
        bounds.push(self.report_speed("template", &template, None, rounds, out)?);
        template.remove();

        let detections = self.report("detections", shape(Format::Detections, extent, QIDS))?;
        let knowledge_base = self.report("knowledge-base", shape(Format::KnowledgeBase, extent, QIDS))?;
        bounds.push(self.report_speed("detections", &detections, Some(&knowledge_base), rounds, out)?);
        detections.remove();
        knowledge_base.remove();
        Ok(bounds)
    }

    fn scan_speed(
        &self,
        extent: Extent,
        rounds: usize,
        out: &mut impl Write,
    ) -> Result<Vec<Bound>, StageError> {
        let report = self.report("scan", shape(Format::Scan, extent, QIDS))?;
        let programs = [self.bare_loop(&[&report]), self.host(&report, None)?, Self::python(&report)];
        let runs = interleaved(&programs, rounds)?;
        report.check_summary()?;
        print(out, "scan → CEF", &report, &programs, &runs)?;
        report.remove();
        let [bare, host, python] = &runs[..] else { unreachable!("one list of runs per program") };
        Ok(vec![
            ratio("scan: processor time, host / bare loop", host, bare, cpu, Limit::AtMost(2.2)),
            ratio("scan: wall time, host / bare loop", host, bare, wall, Limit::AtMost(1.6)),
            ratio("scan: wall time, Python / host", python, host, wall, Limit::AtLeast(9.0)),
            Bound {
                quantity: format!("scan of {} MB: peak RSS", report.counts.bytes / 1_000_000),
                measured: table::peak_mib(host),
                limit: Limit::AtMost(32.0),
                unit: " MiB",
            },
        ])
    }

    fn report_speed(
        &self,
        name: &str,
        report: &Report,
        knowledge_base: Option<&Report>,
        rounds: usize,
        out: &mut impl Write,
    ) -> Result<Bound, StageError> {
        let files: Vec<&Report> = [Some(report), knowledge_base].into_iter().flatten().collect();
        let programs = [self.bare_loop(&files), self.host(report, knowledge_base)?];
        let runs = interleaved(&programs, rounds)?;
        report.check_summary()?;
        print(out, &format!("{name} → CEF"), report, &programs, &runs)?;
        let what = format!("{name}: processor time, host / bare loop");
        Ok(ratio(&what, &runs[1], &runs[0], cpu, Limit::AtMost(3.5)))
    }
}

/// The median of the ratios of all rounds: a load that slows a round affects both programs.
fn ratio(
    what: &str,
    numerators: &[Measurement],
    denominators: &[Measurement],
    figure: fn(&Measurement) -> f64,
    limit: Limit,
) -> Bound {
    let measured = median(
        numerators
            .iter()
            .zip(denominators)
            .map(|(numerator, denominator)| figure(numerator) / figure(denominator)),
    );
    Bound { quantity: what.to_owned(), measured, limit, unit: "x" }
}

fn cpu(run: &Measurement) -> f64 {
    run.cpu_secs
}

fn wall(run: &Measurement) -> f64 {
    run.wall_secs
}

fn print(
    out: &mut impl Write,
    title: &str,
    report: &Report,
    programs: &[Program],
    runs: &[Vec<Measurement>],
) -> Result<(), StageError> {
    let title =
        format!("{title}, {} bytes, {} findings", report.counts.bytes, report.counts.findings.total());
    table::print(out, &title, programs, runs)
}
