//! The output plugin: writes the lines of each report to a file.

use scanbridge_durable_file::{ReportFile, Target, options as file};
use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, Open, OpenedOutput, OptionSpec, Output, OutputCapabilities,
    Receipt, Result, Written, register_output,
};

use crate::lines::Lines;

/// Output `JSON`. The lines of a report become visible when the report is complete, except on standard
/// output.
#[derive(Debug)]
pub struct Json {
    file: ReportFile,
    lines: Lines,
    assets: bool,
    buffer: Vec<u8>,
}

impl Output for Json {
    const NAME: &'static str = "JSON";
    const SUMMARY: &'static str = "writes one JSON object per line, with all fields of a finding";
    const OPTIONS: &'static [OptionSpec] = &[
        file::PATH,
        file::IF_EXISTS,
        file::MODE,
        file::ROTATE_BYTES,
        file::ROTATE_SECS,
        OptionSpec::flag("assets")
            .default_flag(false)
            .help("Also write one line per asset, with or without findings."),
    ];

    const CAPABILITIES: OutputCapabilities = file::CAPABILITIES;

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let target = Target::read(open.options)?.for_purpose(open.purpose());
        let capabilities = target.capabilities();
        let (file, assets) = (ReportFile::open(target, receipt)?, open.options.flag("assets")?);
        let json = Self { file, lines: Lines::default(), assets, buffer: Vec::new() };
        Ok(OpenedOutput::from(json).with_capabilities(capabilities))
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(self.file.check())
    }

    fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        self.lines.begin(report);
        self.file.begin(report, how.continued).map(|_| ())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let mut written = Written::default();
        if self.assets {
            for asset in batch.assets().filter(|asset| !asset.is_continued()) {
                self.lines.asset(&mut self.buffer, batch.schema(), asset);
                written.derived += 1;
                written.bytes += put(&mut self.file, &mut self.buffer)?;
            }
        }
        for finding in batch.findings() {
            self.lines.finding(&mut self.buffer, batch.schema(), finding);
            written.bytes += put(&mut self.file, &mut self.buffer)?;
        }
        Ok(written)
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        self.file.end(end.deliver)?;
        Ok(Written::default())
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        self.file.commit(b"").map(Committed::from)
    }

    fn stored(&mut self) -> Result<()> {
        self.file.stored()
    }
}

/// Writes the line in the buffer, clears the buffer and returns the length of the line.
fn put(file: &mut ReportFile, line: &mut Vec<u8>) -> Result<u64> {
    file.record_boundary()?;
    file.write(line)?;
    let length = line.len() as u64;
    line.clear();
    Ok(length)
}

register_output!(Json);
