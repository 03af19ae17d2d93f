//! Findings as texts, for destinations that take one record for each finding: lines of JSON, or CEF events.

use scanbridge_cef_events::{
    ConnectorFields, ConnectorStyle, Encoder as CefEncoder, EventSettings, ExtraFields, Outcome, Sink,
};
use scanbridge_json_records::{LineFormat, LineOptions, Lines};
use scanbridge_plugin_api::batch::{Batch, FindingView};
use scanbridge_plugin_api::model::{ReportStart, Severity};
use scanbridge_plugin_api::{ConnectorIdentity, Options, Rejection, Result};

/// The format of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// All columns, as the plugin JSON writes them.
    Json,
    /// A finding of the Open Cybersecurity Schema Framework.
    Ocsf,
    /// A document of the Elastic Common Schema.
    Ecs,
    /// An event of the Common Event Format.
    Cef,
}

impl TextFormat {
    /// All formats.
    pub const ALL: &[Self] = &[Self::Json, Self::Ocsf, Self::Ecs, Self::Cef];

    /// The word of options.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ocsf => "ocsf",
            Self::Ecs => "ecs",
            Self::Cef => "cef",
        }
    }

    /// The format with this word; `None` if there is none.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.word() == word)
    }
}

/// Encodes the findings of one report at a time.
#[derive(Debug)]
pub struct TextEncoder {
    kind: Kind,
    line: Vec<u8>,
}

#[derive(Debug)]
enum Kind {
    Lines(Box<Lines>),
    Cef { encoder: Box<CefEncoder>, settings: Box<EventSettings>, budget: usize },
}

/// Findings of a batch without a text.
#[derive(Debug, Default)]
pub struct Omitted {
    /// Rows of findings that the format does not have: information and services in OCSF.
    pub left_out: Vec<u32>,
    /// Findings that cannot be written in this format, with the reasons.
    pub rejected: Vec<Rejection>,
}

impl TextEncoder {
    /// `started` is the time of the run in UTC (`2026-01-31T12:00:00Z`); `max_line` the maximum size of a CEF event, in bytes.
    ///
    /// # Errors
    /// An option of the format, or the identity of the connector, is invalid.
    pub fn new(
        format: TextFormat,
        options: &Options,
        connector: &ConnectorIdentity,
        started: &str,
        max_line: usize,
    ) -> Result<Self> {
        let lines = |format| -> Result<Kind> {
            Ok(Kind::Lines(Box::new(Lines::new(
                LineOptions::read(format, options)?,
                started.to_owned(),
                connector.clone(),
            ))))
        };
        let kind = match format {
            TextFormat::Json => lines(LineFormat::Scanbridge)?,
            TextFormat::Ocsf => lines(LineFormat::Ocsf)?,
            TextFormat::Ecs => lines(LineFormat::Ecs)?,
            TextFormat::Cef => {
                let settings = Box::new(event_settings(connector)?);
                let encoder = Box::new(CefEncoder::new((*settings).clone(), max_line));
                Kind::Cef { encoder, settings, budget: max_line }
            }
        };
        Ok(Self { kind, line: Vec::new() })
    }

    /// An encoder with the same settings, for another report.
    #[must_use]
    pub fn fresh(&self) -> Self {
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

    /// Begins a report.
    pub fn begin(&mut self, report: &ReportStart) {
        match &mut self.kind {
            Kind::Lines(lines) => lines.begin(report),
            Kind::Cef { encoder, .. } => encoder.begin(report),
        }
    }

    /// Passes the text of each finding to `take`, in order, without a line feed.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn batch<'b>(
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
