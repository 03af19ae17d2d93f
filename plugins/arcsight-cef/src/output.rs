//! The plugin: reports in, one file of events out.

use scanbridge_durable_file::ReportFile;
use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    CheckReport, OptionSpec, Options, Output, Receipt, Result, Services, Written, register_output,
};

use crate::encoder::{Encoder, Sink};
use crate::options::{self, EventSettings};

/// Writes each finding as one event, and beside the findings one event for each open port and each operating
/// system. The file appears, or grows, when a report is complete; a report that is not delivered leaves no trace.
#[derive(Debug)]
pub struct ArcSightCef {
    encoder: Encoder,
    file: ReportFile,
}

impl Output for ArcSightCef {
    const NAME: &'static str = "ArcSightCEF";
    const SUMMARY: &'static str = "writes findings as ArcSight Common Event Format events to a file";
    const OPTIONS: &'static [OptionSpec] = options::TABLE;

    // A file that an interrupted run left unfinished is written anew, so there is nothing to go back to.
    fn open(options: &Options, _services: &Services, _receipt: Option<&Receipt>) -> Result<Self> {
        let settings = EventSettings::read(options)?;
        Ok(Self { encoder: Encoder::new(settings), file: ReportFile::open(options::target(options)?)? })
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(self.file.check())
    }

    fn begin(&mut self, report: &ReportStart) -> Result<()> {
        self.encoder.begin(report);
        self.file.begin(report)?;
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let mut lines = Lines { file: &mut self.file, bytes: 0 };
        let derived = self.encoder.batch(batch, &mut lines)?;
        Ok(Written { derived, bytes: lines.bytes, ..Written::default() })
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        let mut lines = Lines { file: &mut self.file, bytes: 0 };
        // A report that is not delivered is taken back whole; its last asset has nothing more to say.
        let derived = if end.deliver { self.encoder.finish(&mut lines)? } else { 0 };
        let bytes = lines.bytes;
        self.file.end(end.deliver)?;
        Ok(Written { derived, bytes, ..Written::default() })
    }

    fn commit(&mut self) -> Result<Receipt> {
        let length = self.file.sync()?;
        Ok(Receipt(length.to_le_bytes().to_vec()))
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
        self.file.write(line)?;
        self.bytes += line.len() as u64;
        self.file.record_boundary()?;
        Ok(())
    }
}
