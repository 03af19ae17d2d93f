//! The commands that a Defense Center imports.

use scanbridge_durable_file::{ReportFile, StartMode};
use scanbridge_host_input_commands::{Block, CommandWriter, Settings};
use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::tracing::warn;
use scanbridge_plugin_api::{Begin, PluginError, Receipt, Rendered, Result, Services, Written};

/// Writes blocks of commands in sequence.
#[derive(Debug)]
pub(crate) struct Commands {
    writer: CommandWriter,
    services: Services,
    header: String,
    /// Whether a report is in progress.
    in_report: bool,
    /// Whether the last block ended its asset. A piece of the file may end only there.
    between_assets: bool,
    /// Bytes written to the file and not yet returned.
    bytes: u64,
}

impl Commands {
    pub(crate) fn new(settings: Settings, services: Services) -> Self {
        let writer = CommandWriter::new(settings);
        Self { writer, services, header: String::new(), in_report: false, between_assets: true, bytes: 0 }
    }

    /// Begins or resumes a report. Returns the bytes written.
    pub(crate) fn begin(&mut self, report: &ReportStart, how: Begin, file: &mut ReportFile) -> Result<u64> {
        self.writer.begin(report, how);
        self.header = self.writer.header();
        self.between_assets = true;
        self.in_report = true;
        if let StartMode::Continued(state) = file.begin(report, how.continued)? {
            self.writer.restore(&state).map_err(|error| file.bad_state(&error))?;
            return Ok(0);
        }
        // Each report names its source: an older file may name another one, the previous report may have been rolled
        // back, and a second SetSource does no harm.
        file.write_head(self.header.as_bytes())?;
        Ok(self.header.len() as u64)
    }

    pub(crate) fn write(&mut self, batch: Batch<'_>, file: &mut ReportFile) -> Result<Written> {
        let Self { writer, header, between_assets, bytes, .. } = self;
        let written = writer.batch(batch, &mut |block| put(block, file, header, between_assets, bytes))?;
        Ok(written.with_bytes(std::mem::take(bytes)))
    }

    pub(crate) fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Vec<Rendered> {
        self.writer.render(report, batch)
    }

    pub(crate) fn end(&mut self, end: &ReportEnd, file: &mut ReportFile) -> Result<Written> {
        self.in_report = false;
        let Self { writer, header, between_assets, bytes, .. } = self;
        let totals = writer.end(end, &mut |block| put(block, file, header, between_assets, bytes))?;
        for warning in &totals.warnings {
            warn!("{warning}");
        }
        if end.deliver {
            totals.counts.note(&self.services);
        }
        if totals.hosts_added > 0 && end.deliver {
            warn!(
                "{} assets will be created if the Defense Center does not know them (`add_host`); each \
                 uses one host license",
                totals.hosts_added
            );
        }
        Ok(Written::default().with_bytes(std::mem::take(bytes)))
    }

    /// Writes the last asset, which is complete. Returns the bytes written and the receipt.
    pub(crate) fn commit(&mut self, file: &mut ReportFile) -> Result<(u64, Receipt)> {
        if !self.in_report {
            return Ok((0, file.commit(b"")?));
        }
        let Self { writer, header, between_assets, bytes, .. } = self;
        writer.finish_asset(&mut |block| put(block, file, header, between_assets, bytes))?;
        Ok((std::mem::take(bytes), file.commit(&writer.snapshot())?))
    }
}

fn put(
    block: Block<'_>,
    file: &mut ReportFile,
    header: &str,
    between_assets: &mut bool,
    bytes: &mut u64,
) -> Result<(), PluginError> {
    if *between_assets && file.record_boundary()? {
        file.write_head(header.as_bytes())?;
        *bytes += header.len() as u64;
    }
    file.write(block.text.as_bytes())?;
    *bytes += block.text.len() as u64;
    *between_assets = block.ends_asset;
    Ok(())
}
