//! The plugin: reports in, one file of events out.

use scanbridge_durable_file::{ReportFile, Target};
use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    CheckReport, OptionSpec, Options, Output, Receipt, Result, Services, Written, register_output, tracing,
};

use crate::encoder::{Encoder, Sink, Tally};
use crate::options::{self, EventSettings};

/// Writes each finding as one event, and beside the findings one event for each open port and each operating
/// system. The file appears, or grows, when a report is complete; a report that is not delivered leaves no trace.
#[derive(Debug)]
pub struct ArcSightCef {
    encoder: Encoder,
    file: ReportFile,
    /// What was counted of the report under way.
    report: Tally,
}

impl Output for ArcSightCef {
    const NAME: &'static str = "ArcSightCEF";
    const SUMMARY: &'static str = "writes findings as ArcSight Common Event Format events to a file";
    const OPTIONS: &'static [OptionSpec] = options::TABLE;

    fn open(options: &Options, _services: &Services, receipt: Option<&Receipt>) -> Result<Self> {
        let settings = EventSettings::read(options)?;
        let file = ReportFile::open(Target::read(options)?, receipt)?;
        Ok(Self { encoder: Encoder::new(settings), file, report: Tally::default() })
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(self.file.check())
    }

    fn begin(&mut self, report: &ReportStart) -> Result<()> {
        self.encoder.begin(report);
        self.report = Tally::default();
        self.file.begin(report)?;
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let mut lines = Lines { file: &mut self.file, bytes: 0 };
        let tally = self.encoder.batch(batch, &mut lines)?;
        let written = Written { derived: tally.derived, bytes: lines.bytes, ..Written::default() };
        self.report.add(tally);
        Ok(written)
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        // A report that is not delivered is taken back whole; its last asset has nothing more to say.
        if !end.deliver {
            self.file.end(false)?;
            return Ok(Written::default());
        }
        let mut lines = Lines { file: &mut self.file, bytes: 0 };
        let tally = self.encoder.finish(&mut lines)?;
        let written = Written { derived: tally.derived, bytes: lines.bytes, ..Written::default() };
        self.file.end(true)?;
        self.report.add(tally);
        self.report.tell();
        Ok(written)
    }

    fn commit(&mut self) -> Result<Receipt> {
        self.file.commit(b"")
    }
}

register_output!(ArcSightCef);

/// The file as the encoder sees it, with a count.
struct Lines<'a> {
    file: &'a mut ReportFile,
    bytes: u64,
}

impl Sink for Lines<'_> {
    fn line(&mut self, line: &[u8]) -> Result<()> {
        // Before, not after: behind the last event a new piece would stay empty.
        self.file.record_boundary()?;
        self.file.write(line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.derived += other.derived;
        self.cut += other.cut;
        self.bad_addresses += other.bad_addresses;
    }

    /// Tells the operator what the events do not show in full.
    fn tell(self) {
        if self.cut > 0 {
            tracing::info!(events = self.cut, "texts were cut to the limits of the format");
        }
        if self.bad_addresses > 0 {
            tracing::warn!(assets = self.bad_addresses, "addresses that are none were left out");
        }
    }
}
