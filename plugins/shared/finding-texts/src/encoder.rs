//! Encodes findings in one of the formats.

use scanbridge_cef_events::{Encoder as CefEncoder, EventSettings, Tally};
use scanbridge_json_records::{LineFormat, LineOptions, Lines};
use scanbridge_plugin_api::batch::{Batch, FindingView};
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{ConnectorIdentity, Options, Rejection, Rendered, Result};

use crate::TextFormat;
use crate::options::{ASSETS, DEFAULTS, DERIVE};
use crate::sink::{Events, Findings, TextSink};

/// Encodes the findings of one report at a time.
#[derive(Debug)]
pub struct TextEncoder {
    kind: Kind,
    line: Vec<u8>,
}

#[derive(Debug)]
enum Kind {
    Lines {
        lines: Box<Lines>,
        /// Whether each asset has a line, too.
        assets: bool,
    },
    Cef {
        encoder: Box<CefEncoder>,
        /// Counters of the current report.
        report: Tally,
    },
}

/// The maximum size of a CEF event; its texts are truncated to it.
#[derive(Debug, Clone, Copy)]
pub struct LineLimit {
    /// In bytes.
    pub bytes: usize,
    /// What sets it, for messages: an option in backticks.
    pub name: &'static str,
}

/// What became of the findings of a batch, except those with one text each.
#[derive(Debug, Default)]
pub struct Encoded {
    /// Rows of findings that the format does not have: information and services in OCSF.
    pub left_out: Vec<u32>,
    /// Findings that cannot be written in this format, with the reasons.
    pub rejected: Vec<Rejection>,
    /// The number of texts that are about no finding.
    pub derived: u64,
}

impl TextEncoder {
    /// Reads the options of the format; see [`crate::options`]. Without the options `derive` and `assets` in the table of the
    /// plugin, each finding has one text, and there are no others. `started` is the time of the run in UTC
    /// (`2026-01-31T12:00:00Z`).
    ///
    /// # Errors
    /// An option of the format, or the identity of the connector, is invalid.
    pub fn new(
        format: TextFormat,
        options: &Options,
        connector: &ConnectorIdentity,
        started: &str,
        limit: LineLimit,
    ) -> Result<Self> {
        let format = match format {
            TextFormat::Json => LineFormat::Scanbridge,
            TextFormat::Ocsf => LineFormat::Ocsf,
            TextFormat::Ecs => LineFormat::Ecs,
            TextFormat::Cef => {
                let mut settings = EventSettings::read(options, connector, &DEFAULTS)?;
                settings.limit = limit.name;
                if options.has(DERIVE.name) {
                    settings = settings.with_events_of_assets(options)?;
                }
                let encoder = Box::new(CefEncoder::new(settings, limit.bytes));
                return Ok(Self::of(Kind::Cef { encoder, report: Tally::default() }));
            }
        };
        let line_options = LineOptions::read(format, options)?;
        let lines = Box::new(Lines::new(line_options, started.to_owned(), connector.clone()));
        let has_assets = format == LineFormat::Scanbridge && options.has(ASSETS.name);
        let assets = has_assets && options.flag(ASSETS.name)?;
        Ok(Self::of(Kind::Lines { lines, assets }))
    }

    fn of(kind: Kind) -> Self {
        Self { kind, line: Vec::new() }
    }

    /// An encoder with the same settings, for another report. It neither merges nor sorts texts.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::of(match &self.kind {
            Kind::Lines { lines, assets } => Kind::Lines { lines: Box::new(lines.fresh()), assets: *assets },
            Kind::Cef { encoder, .. } => {
                Kind::Cef { encoder: Box::new(encoder.fresh()), report: Tally::default() }
            }
        })
    }

    /// Begins a report. Texts of the one before that were not passed on are dropped.
    pub fn begin(&mut self, start: &ReportStart) {
        match &mut self.kind {
            Kind::Lines { lines, .. } => lines.begin(start),
            Kind::Cef { encoder, report } => {
                encoder.begin(start);
                *report = Tally::default();
            }
        }
    }

    /// Passes the text of each finding to `take`, in order, without a line feed; for plugins without texts of assets.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn findings<'b>(
        &mut self,
        batch: Batch<'b>,
        take: impl FnMut(FindingView<'b>, &[u8]) -> Result<()>,
    ) -> Result<Encoded> {
        self.batch(batch, &mut Findings { batch, take })
    }

    /// Passes the texts of a batch to the sink. Texts that need all findings of an asset follow when the next one begins,
    /// or with [`Self::finish`].
    ///
    /// # Errors
    /// Those of the sink.
    pub fn batch(&mut self, batch: Batch<'_>, sink: &mut impl TextSink) -> Result<Encoded> {
        let mut encoded = Encoded::default();
        match &mut self.kind {
            Kind::Lines { lines, assets } => {
                lines.begin_batch();
                if *assets {
                    for asset in batch.assets().filter(|asset| !asset.is_continued()) {
                        sink.asset(asset);
                        self.line.clear();
                        lines.asset(&mut self.line, asset);
                        encoded.derived += 1;
                        sink.text(None, self.line.trim_ascii_end())?;
                    }
                }
                let mut asset = None;
                for finding in batch.findings() {
                    if !lines.accepts(finding.kind()) {
                        encoded.left_out.push(finding.row());
                        continue;
                    }
                    if asset.replace(finding.asset().row()) != Some(finding.asset().row()) {
                        sink.asset(finding.asset());
                    }
                    self.line.clear();
                    lines.finding(&mut self.line, finding);
                    sink.text(Some(finding.row()), self.line.trim_ascii_end())?;
                }
            }
            Kind::Cef { encoder, report } => {
                let tally = encoder.batch(batch, &mut Events { sink, finding: None })?;
                report.add(tally);
                encoded.derived = tally.derived;
                encoded.rejected = encoder.take_rejected();
            }
        }
        Ok(encoded)
    }

    /// Whether [`Self::finish`] may pass texts on.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(&self.kind, Kind::Cef { encoder, .. } if encoder.is_pending())
    }

    /// Passes on what the last asset still needs: it is complete at the end of a report and at each commit. Returns the
    /// number of texts that are about no finding.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn finish(&mut self, sink: &mut impl TextSink) -> Result<u64> {
        let Kind::Cef { encoder, report } = &mut self.kind else { return Ok(0) };
        let tally = encoder.finish(&mut Events { sink, finding: None })?;
        report.add(tally);
        Ok(tally.derived)
    }

    /// Drops texts that were not passed on: the report is not delivered.
    pub fn abandon(&mut self) {
        if let Kind::Cef { encoder, .. } = &mut self.kind {
            encoder.abandon();
        }
    }

    /// Logs at the end of a report what is missing or changed in its texts.
    pub fn log(&self) {
        if let Kind::Cef { encoder, report } = &self.kind {
            encoder.log(*report);
        }
    }

    /// The texts of the findings of a batch, by an encoder of its own, to show them. Those of an asset are shown with one of
    /// its findings.
    ///
    /// # Errors
    /// A plugin bug.
    pub fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        match &self.kind {
            Kind::Cef { encoder, .. } => encoder.render(report, batch, |_, _| {}),
            Kind::Lines { lines, assets } => Ok(lines.render(*assets, report, batch)),
        }
    }
}
