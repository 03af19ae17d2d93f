//! The output plugin: writes the lines of each report to a file.

use jiff::Timestamp;
use scanbridge_durable_file::{ReportFile, Target, options as file};
use scanbridge_json_records::{LEAVE_OUT, Lines, NOT_VULNERABILITIES};
use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::tracing::Level;
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, Open, OpenedOutput, OptionSpec, Output, OutputCapabilities,
    Receipt, Rendered, Result, Services, Written, register_output,
};

use crate::options::{ASSETS, FORMAT, line_options};

/// Output `JSON`. The lines of a report become visible when the report is complete, except on standard
/// output.
#[derive(Debug)]
pub struct Json {
    file: ReportFile,
    lines: Lines,
    assets: bool,
    buffer: Vec<u8>,
    services: Services,
    /// The columns that are left out, until the summary has them.
    left_out: Option<String>,
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
        FORMAT,
        ASSETS,
        LEAVE_OUT,
    ];

    const CAPABILITIES: OutputCapabilities = file::CAPABILITIES;
    const RENDERS: bool = true;

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let target = Target::read(open.options)?.for_run(open);
        let capabilities = target.capabilities();
        let options = line_options(open.options)?;
        let started = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let json = Self {
            assets: open.options.flag("assets")?,
            left_out: options.left_out_names(),
            lines: Lines::new(options, started, open.frame.connector.clone()),
            file: ReportFile::open(target, receipt)?,
            buffer: Vec::new(),
            services: open.services.clone(),
        };
        Ok(OpenedOutput::from(json).with_capabilities(capabilities))
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(self.file.check())
    }

    fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        if let Some(names) = self.left_out.take() {
            self.services.note(Level::INFO, &format!("columns left out (`leave_out`): {names}"), 1);
        }
        self.lines.begin(report);
        self.file.begin(report, how.continued).map(|_| ())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let mut written = Written::default();
        self.lines.begin_batch();
        if self.assets {
            for asset in batch.assets().filter(|asset| !asset.is_continued()) {
                self.lines.asset(&mut self.buffer, asset);
                written.derived += 1;
                written.bytes += put(&mut self.file, &mut self.buffer)?;
            }
        }
        for finding in batch.findings() {
            if !self.lines.accepts(finding.kind()) {
                written.left_out.push(finding.row());
                continue;
            }
            self.lines.finding(&mut self.buffer, finding);
            written.bytes += put(&mut self.file, &mut self.buffer)?;
        }
        if !written.left_out.is_empty() {
            self.services.note(Level::INFO, NOT_VULNERABILITIES, written.left_out.len() as u64);
        }
        Ok(written)
    }

    fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        Ok(self.lines.render(self.assets, report, batch))
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
