//! The output `DurableLines`: one line per confirmed vulnerability, in a file that each run replaces.

use scanbridge_durable_file::{ReportFile, Target, options as file};
use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{DefinitionField, FindingKind, ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, Open, OpenedOutput, OptionSpec, Output, OutputCapabilities,
    Receipt, Result, Written, export_plugin, register_output,
};

/// Lines of a report appear together, when it is complete.
pub struct DurableLines(ReportFile);

impl Output for DurableLines {
    const NAME: &'static str = "DurableLines";
    const SUMMARY: &'static str = "one line of text per confirmed vulnerability";
    const OPTIONS: &'static [OptionSpec] =
        &[file::PATH, file::IF_EXISTS, file::MODE, file::ROTATE_BYTES, file::ROTATE_SECS];
    const CAPABILITIES: OutputCapabilities = file::CAPABILITIES;

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let file = ReportFile::open(Target::read(open.options)?.for_run(open), receipt)?;
        let capabilities = file.capabilities();
        Ok(OpenedOutput::from(Self(file)).with_capabilities(capabilities))
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(self.0.check())
    }

    fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        self.0.begin(report, how.continued).map(drop)
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let mut written = Written::default();
        for finding in batch.findings() {
            if finding.kind() != FindingKind::Vulnerability {
                written.left_out.push(finding.row());
                continue;
            }
            let (address, definition) = (finding.asset().address(), finding.definition());
            let title = definition.get(DefinitionField::Title).replace(|c: char| c.is_control(), " ");
            let line = format!("{address} {} {title}\n", definition.id());
            self.0.record_boundary()?;
            self.0.write(line.as_bytes())?;
            written.bytes += line.len() as u64;
        }
        Ok(written)
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        self.0.end(end.deliver)?;
        Ok(Written::default())
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        self.0.commit(b"").map(Committed::from)
    }

    fn stored(&mut self) -> Result<()> {
        self.0.stored()
    }
}

register_output!(DurableLines);
export_plugin!();
