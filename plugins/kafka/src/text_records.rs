//! Findings as texts: CEF events, or lines of JSON.

use scanbridge_cef_events::{
    ConnectorFields, ConnectorStyle, Encoder as CefEncoder, EventSettings, ExtraFields, Outcome, Sink,
};
use scanbridge_json_records::{LineFormat, LineOptions, Lines};
use scanbridge_plugin_api::batch::{Batch, FindingView};
use scanbridge_plugin_api::model::{ReportStart, Severity};
use scanbridge_plugin_api::{ConnectorIdentity, Options, Rejection, Result};

use crate::format::Format;

/// Encodes the findings of one report at a time.
#[derive(Debug)]
pub(crate) struct TextEncoder {
    kind: Kind,
    line: Vec<u8>,
}

#[derive(Debug)]
enum Kind {
    Lines(Box<Lines>),
    Cef { encoder: Box<CefEncoder>, settings: Box<EventSettings>, budget: usize },
}

/// Findings of a batch without a record.
#[derive(Debug, Default)]
pub(crate) struct Omitted {
    pub(crate) left_out: Vec<u32>,
    pub(crate) rejected: Vec<Rejection>,
}

/// Maximum size of a CEF event, in bytes.
const MAX_EVENT: usize = 60 << 10;

impl TextEncoder {
    /// `started` is the time of the run in UTC. `None` for `batch`, which is not a text.
    pub(crate) fn new(
        format: Format,
        options: &Options,
        connector: &ConnectorIdentity,
        started: &str,
    ) -> Result<Option<Self>> {
        let lines = |format| -> Result<Kind> {
            let options = LineOptions::read(format, options)?;
            Ok(Kind::Lines(Box::new(Lines::new(options, started.to_owned(), connector.clone()))))
        };
        let kind = match format {
            Format::Batch => return Ok(None),
            Format::Json => lines(LineFormat::Scanbridge)?,
            Format::Ocsf => lines(LineFormat::Ocsf)?,
            Format::Ecs => lines(LineFormat::Ecs)?,
            Format::Cef => {
                let settings = Box::new(event_settings(connector)?);
                let encoder = Box::new(CefEncoder::new((*settings).clone(), MAX_EVENT));
                Kind::Cef { encoder, settings, budget: MAX_EVENT }
            }
        };
        Ok(Some(Self { kind, line: Vec::new() }))
    }

    /// An encoder with the same settings, for another report.
    pub(crate) fn fresh(&self) -> Self {
        let kind = match &self.kind {
            Kind::Lines(lines) => Kind::Lines(Box::new(lines.fresh())),
            Kind::Cef { settings, budget, .. } => Kind::Cef {
                encoder: Box::new(CefEncoder::new((**settings).clone(), *budget)),
                settings: settings.clone(),
                budget: *budget,
            },
        };
        Self { kind, line: Vec::new() }
    }

    pub(crate) fn begin(&mut self, report: &ReportStart) {
        match &mut self.kind {
            Kind::Lines(lines) => lines.begin(report),
            Kind::Cef { encoder, .. } => encoder.begin(report),
        }
    }

    /// Passes the text of each finding to `take`, in order, without a line feed.
    ///
    /// # Errors
    /// Those of `take`.
    pub(crate) fn batch<'b>(
        &mut self,
        batch: Batch<'b>,
        mut take: impl FnMut(FindingView<'b>, &[u8]) -> Result<()>,
    ) -> Result<Omitted> {
        let mut omitted = Omitted::default();
        match &mut self.kind {
            Kind::Lines(lines) => {
                lines.begin_batch();
                for finding in batch.findings() {
                    if !lines.accepts(finding.kind()) {
                        omitted.left_out.push(finding.row());
                        continue;
                    }
                    self.line.clear();
                    lines.finding(&mut self.line, finding);
                    take(finding, self.line.trim_ascii_end())?;
                }
            }
            Kind::Cef { encoder, .. } => {
                let mut events = Events { batch, row: 0, take };
                encoder.batch(batch, &mut events)?;
                omitted.rejected = encoder.take_rejected();
            }
        }
        Ok(omitted)
    }
}

/// Events as most parsers of CEF read them, without those that belong to an asset and to no finding.
fn event_settings(connector: &ConnectorIdentity) -> Result<EventSettings> {
    Ok(EventSettings {
        connector: ConnectorFields::new(ConnectorStyle::AdditionalData, connector, false)?,
        derive: false,
        dotted_keys: false,
        class_id_separator: ":",
        title_as_name: true,
        extra: ExtraFields::ALL,
        ..EventSettings::default()
    })
}

struct Events<'b, F> {
    batch: Batch<'b>,
    row: u32,
    take: F,
}

impl<'b, F: FnMut(FindingView<'b>, &[u8]) -> Result<()>> Sink for Events<'b, F> {
    fn finding(&mut self, row: u32) {
        self.row = row;
    }

    fn event(&mut self, line: &[u8], _: Option<Severity>) -> Result<Outcome> {
        if let Some(finding) = self.batch.finding(self.row) {
            (self.take)(finding, line.strip_suffix(b"\n").unwrap_or(line))?;
        }
        Ok(Outcome::Accepted)
    }
}
