//! The plugin: passes each call to the selected format.

use scanbridge_durable_file::{ReportFile, options as file};
use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, Open, OpenedOutput, OptionSpec, Output, OutputCapabilities,
    Receipt, Rendered, Result, Written,
};

use crate::commands::Commands;
use crate::options::{Checked, FormatOptions, OPTIONS};
use crate::table::Table;

/// Output `CSV`. The file of a report, or a piece of it, appears only when the report is delivered. An interrupted
/// report is resumed at its last commit.
#[derive(Debug)]
pub struct CsvOutput {
    file: ReportFile,
    format: Format,
    /// Bytes written in calls that do not return a number of bytes.
    unreported: u64,
}

#[derive(Debug)]
enum Format {
    Table(Box<Table>),
    HostInput(Box<Commands>),
}

impl Output for CsvOutput {
    const NAME: &'static str = "CSV";
    const SUMMARY: &'static str = "writes a CSV table with one row per finding, or Defense Center import \
         commands";
    const OPTIONS: &'static [OptionSpec] = OPTIONS;

    const CAPABILITIES: OutputCapabilities = file::CAPABILITIES;
    const RENDERS: bool = true;

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let Checked { target, format } = Checked::read(open.options)?;
        let target = target.for_run(open);
        let capabilities = target.capabilities();
        let format = match format {
            FormatOptions::Table(table) => {
                let connector = open.frame.connector.clone();
                Format::Table(Box::new(Table::new(table, connector, target.rotate.is_on())))
            }
            FormatOptions::HostInput(settings) => {
                Format::HostInput(Box::new(Commands::new(settings, open.services.clone())))
            }
        };
        let csv = Self { file: ReportFile::open(target, receipt)?, format, unreported: 0 };
        Ok(OpenedOutput::from(csv).with_capabilities(capabilities))
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(self.file.check())
    }

    fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        self.unreported += match &mut self.format {
            Format::Table(table) => table.begin(report, how, &mut self.file)?,
            Format::HostInput(commands) => commands.begin(report, how, &mut self.file)?,
        };
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let mut written = match &mut self.format {
            Format::Table(table) => Written::default().with_bytes(table.write(batch, &mut self.file)?),
            Format::HostInput(commands) => commands.write(batch, &mut self.file)?,
        };
        // The head of a file counts with the first record.
        if written.bytes > 0 {
            written.bytes += std::mem::take(&mut self.unreported);
        }
        Ok(written)
    }

    fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        match &self.format {
            Format::Table(table) => table.render(report, batch),
            Format::HostInput(commands) => Ok(commands.render(report, batch)),
        }
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        let mut written = match &mut self.format {
            Format::Table(_) => Written::default(),
            Format::HostInput(commands) => commands.end(end, &mut self.file)?,
        };
        written.bytes += std::mem::take(&mut self.unreported);
        if !self.file.end(end.deliver)? && end.deliver {
            written.bytes = 0; // Only the head of a file.
        }
        Ok(written)
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        let receipt = match &mut self.format {
            Format::Table(table) => table.commit(&mut self.file)?,
            Format::HostInput(commands) => {
                let (bytes, receipt) = commands.commit(&mut self.file)?;
                self.unreported += bytes;
                receipt
            }
        };
        Ok(receipt.into())
    }

    fn stored(&mut self) -> Result<()> {
        self.file.stored()
    }
}
