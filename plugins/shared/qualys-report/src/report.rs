//! One report in progress, from opening its source to its end.

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::{
    AddressRange, Hints, Note, Refusal, ReportEnd, ReportSource, ReportStart,
};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, Step};
use scanbridge_qualys_xml::tail::Ending;
use scanbridge_qualys_xml::{
    Damage, Definitions, Fault, Kind, Limits, Mark, Preface, Progress, Reply, ReportReader, line_at,
    read_preface, resume_preface,
};

use crate::settled::Settled;
use crate::source::{Source, SourceReader, Watch};

/// A report whose delivery has begun.
pub struct OpenReport {
    name: String,
    kind: Kind,
    source: Source,
    reader: ReportReader<SourceReader>,
    clean_assets: Vec<AddressRange>,
    deliver_incomplete: bool,
    /// Why the report is incomplete, as far as its preface shows. Its readable part is delivered, but never as complete.
    damaged: Option<String>,
    /// Number of assets that answered the scan, as the report declares it.
    assets_alive: Option<u64>,
    is_resumed: bool,
    /// The end of the report, which the next call returns.
    end: Option<ReportEnd>,
}

/// Settings for reading reports, common to all inputs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// Limits on texts.
    pub limits: Limits,
    /// Whether the readable part of a truncated or damaged report is delivered.
    pub deliver_incomplete: bool,
    /// The hint for outputs.
    pub add_host: Option<bool>,
}

/// The environment of a report.
pub struct ReportContext<'a> {
    /// Settings for reading it.
    pub settings: Reading,
    /// The host.
    pub services: &'a Services,
    /// Receives the glossary of a template report, or contains the knowledge base for detections.
    pub definitions: &'a mut Definitions,
}

impl OpenReport {
    /// Validates a source and begins to read it: at `mark`, a position that another reader of the same bytes returned,
    /// or at the beginning. It also begins there if the bytes before the position are not the end of an asset, because
    /// then it is a different report.
    ///
    /// # Errors
    /// The outer error ends the input; the inner one refuses only this report.
    pub fn begin(
        name: &str,
        settled: Settled,
        mark: Option<Mark>,
        context: &mut ReportContext<'_>,
    ) -> Result<Result<(Self, ReportStart), Refusal>> {
        if let Some(refusal) = refuse_kind(name, &settled).or_else(|| refuse_ending(name, &settled, context))
        {
            return Ok(Err(refusal));
        }
        let Settled { source, kind, .. } = settled;
        let limits = context.settings.limits;
        // A template report is read twice. Of the others, the preface reads only the first block, so a pass more shows
        // whether what may be incomplete is.
        let is_checked = context.settings.deliver_incomplete && kind != Kind::TemplateReport;
        let passes = if kind == Kind::TemplateReport || is_checked { 2 } else { 1 };
        let total = source.length * passes;
        let watch = |done| Some(Watch { services: context.services.clone(), done, total });

        let mark = mark.filter(|mark| source.has_mark(&kind, mark));
        let read_from = |offset| source.read_from(offset, watch(0));
        let (mut preface, damage) = match &mark {
            Some(mark) => resume_preface(&kind, read_from, limits, context.definitions, mark),
            None => read_preface(&kind, read_from(0), limits, context.definitions),
        };
        if context.services.is_cancelled() {
            return Err(PluginError::cancelled());
        }
        let unfinished = preface.unfinished().map(|reason| format!("{name} is incomplete: {reason}"));
        let damaged =
            damage.as_ref().map(|damage| sentence(name, &source, damage)).or_else(|| unfinished.clone());
        let damage = damage.filter(|_| !context.settings.deliver_incomplete);
        let refused = refuse_preface(name, &kind, &source, &preface, damage)
            .or_else(|| refuse_unfinished(name, unfinished, context.settings));
        if let Some(refusal) = refused {
            return Ok(Err(refusal));
        }
        let mut start = start_of(name, &kind, &preface, context.settings);
        let offset = mark.as_ref().map_or(0, |mark| mark.offset);
        let reopened = source.read_from(offset, watch(source.length * (passes - 1)));
        let is_resumed = mark.is_some();
        let reader = match mark {
            Some(mark) => ReportReader::resume(&kind, reopened, limits, &mut preface, mark),
            None => ReportReader::new(&kind, reopened, limits, &mut preface),
        };
        let is_incomplete = source.is_truncated
            || damaged.is_some()
            || reader.error().is_some()
            || is_checked && !is_readable(&kind, source.read_from(0, watch(0)), limits);
        if context.services.is_cancelled() {
            return Err(PluginError::cancelled());
        }
        // Outputs that replace what they have must know it before the first asset.
        start.hints = start.hints.with_flag("host-input.incomplete", is_incomplete.then_some(true));
        let report = Self {
            name: name.to_owned(),
            reader,
            kind,
            source,
            clean_assets: preface.clean_assets,
            assets_alive: preface.assets_alive,
            deliver_incomplete: context.settings.deliver_incomplete,
            damaged,
            is_resumed,
            end: None,
        };
        Ok(Ok((report, start)))
    }

    /// Whether the report begins at the position given to [`OpenReport::begin`].
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Delivers only assets whose address `accepts` allows; to be called before the first batch.
    pub fn only(&mut self, accepts: impl Fn(&str) -> bool + Send + 'static) {
        self.reader.only(accepts);
    }

    /// The position at which a later reader can resume after the last batch; none if the batch ended inside an asset or
    /// with the report.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        self.reader.mark()
    }

    /// The next batch, or the end, without a position: the input knows what a position is. `definitions` is
    /// what [`OpenReport::begin`] had, or none for detections without a knowledge base.
    ///
    /// # Errors
    /// When the run is cancelled.
    pub fn next(
        &mut self,
        mut batch: BatchBuilder,
        definitions: Option<&mut Definitions>,
        services: &Services,
    ) -> Result<Step> {
        if let Some(end) = self.end.take() {
            return Ok(Step::report_end(end));
        }
        let end = match self.reader.fill(&mut batch, definitions) {
            Ok(Progress::Full) => return Ok(Step::batch(batch.finish())),
            Ok(Progress::Ended) => self.complete(),
            Err(_) if services.is_cancelled() => return Err(PluginError::cancelled()),
            Err(damage) => {
                let reason = sentence(&self.name, &self.source, &damage);
                self.incomplete(reason)
            }
        };
        if batch.is_empty() || !end.deliver {
            return Ok(Step::report_end(end));
        }
        self.end = Some(end);
        Ok(Step::batch(batch.finish()))
    }

    /// The kind determines which definitions the report uses: its glossary or the knowledge base.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    fn complete(&mut self) -> ReportEnd {
        if self.source.is_truncated {
            // The XML is complete, but the checksum of the gzip file is missing.
            let reason = format!("{}: truncated gzip file", self.name);
            return self.incomplete(reason);
        }
        if let Some(reason) = self.damaged.take() {
            return self.incomplete(reason);
        }
        let assets = self.reader.assets();
        let mut notes = Vec::new();
        if let Some(error) = self.reader.error().map(str::to_owned) {
            if !all_assets_are_down(&self.kind, &error) || self.reader.scanned_assets() > 0 {
                // A failed scan does not show that its targets have no findings.
                let contains = if assets == 0 { "no assets but" } else { "an error next to its assets:" };
                let reason = format!("{} contains {contains} {error}", self.name);
                let deliver = assets > 0 && self.deliver_incomplete;
                return self.incomplete(reason).with_deliver(deliver);
            }
            self.clean_assets.clear();
            notes.push(Note::new(format!("the report contains {error}"), 1));
        }
        notes.extend(self.reader.notes());
        if assets == 0 {
            notes.push(Note::new("the report contains no assets".to_owned(), 1));
        }
        if let Some(alive) = self.assets_alive.filter(|alive| *alive > assets) {
            let text = format!("the header declares {alive} assets alive, but the report contains {assets}");
            notes.push(Note::new(text, 1));
        }
        let clean_assets = std::mem::take(&mut self.clean_assets);
        ReportEnd::default()
            .with_complete(true)
            .with_deliver(true)
            .with_reason(String::new())
            .with_clean_assets(clean_assets)
            .with_notes(notes)
            .with_bytes(self.source.length)
    }

    fn incomplete(&mut self, reason: String) -> ReportEnd {
        ReportEnd::default()
            .with_complete(false)
            .with_deliver(self.deliver_incomplete)
            .with_reason(reason)
            .with_clean_assets(Vec::new())
            .with_notes(self.reader.notes())
            .with_bytes(self.source.length)
    }
}

/// The scanner that reports of Qualys are from.
#[must_use]
pub fn source() -> ReportSource {
    // The results of earlier releases are stored under this name.
    ReportSource::new("Qualys", "Qualys", "qid").with_name("QualysGuard")
}

impl Reading {
    /// The hints to the outputs.
    #[must_use]
    pub fn hints(&self) -> Hints {
        Hints::default().with_flag("host-input.add_host", self.add_host)
    }
}

/// A refusal of the report `name`.
#[must_use]
pub fn refusal(name: &str, error: PluginError, incomplete: bool) -> Refusal {
    Refusal::new(name.to_owned(), error).with_incomplete(incomplete)
}

/// Whether this is the error of a scan in which no asset was alive. Such a scan is complete.
fn all_assets_are_down(kind: &Kind, error: &str) -> bool {
    let rest = error.strip_prefix("error 3509").filter(|_| *kind == Kind::Scan);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

fn start_of(name: &str, kind: &Kind, preface: &Preface, settings: Reading) -> ReportStart {
    let source =
        source().with_scanner(preface.scanner.clone()).with_product_version(preface.scanner_version.clone());
    ReportStart::default()
        .with_id(preface.id.clone())
        .with_kind(kind.root().unwrap_or_default().to_owned())
        .with_title(preface.title.clone())
        .with_time(preface.time.clone())
        .with_path(name.to_owned())
        .with_source(source)
        .with_hints(settings.hints())
        .with_status(preface.status.clone())
        .with_signature_version(preface.signature_version.clone())
        .with_assets_alive(preface.assets_alive)
        .with_assets_total(preface.assets_total)
        .with_duration_secs(preface.duration_secs)
        .with_details(preface.details.clone())
        .with_revision(String::new())
}

/// Whether a report can be read to its end, and contains no error next to its assets. Delivers nothing.
fn is_readable(kind: &Kind, source: SourceReader, limits: Limits) -> bool {
    let mut reader = ReportReader::new(kind, source, limits, &mut Preface::default());
    reader.only(|_| false);
    loop {
        match reader.fill(&mut BatchBuilder::default(), None) {
            Ok(Progress::Full) => {}
            Ok(Progress::Ended) => return reader.error().is_none(),
            Err(_) => return false,
        }
    }
}

/// Refuses files that are not reports, with their format. For an API response, the message contains its error.
fn refuse_kind(name: &str, settled: &Settled) -> Option<Refusal> {
    if settled.kind.is_report() {
        return None;
    }
    let (what, hint) = settled.kind.describe();
    let message = match &settled.kind {
        Kind::Reply(_) => format!("{name} {what}: {}", Reply::read(settled.source.read(None))),
        _ => format!("{name} {what}"),
    };
    let kind = if settled.kind == Kind::Empty { ErrorKind::NoInput } else { ErrorKind::BadData };
    Some(refusal(name, PluginError::new(kind, message).with_hint(hint), false))
}

/// Refuses a truncated report by its last bytes, before any of it is delivered.
fn refuse_ending(name: &str, settled: &Settled, context: &ReportContext<'_>) -> Option<Refusal> {
    if context.settings.deliver_incomplete {
        return None;
    }
    let root = settled.kind.root().unwrap_or_default();
    let (message, hint) = match settled.ending {
        Ending::Closed | Ending::Unclear => return None,
        Ending::Truncated if settled.source.is_truncated => (
            format!("{name} is truncated: unexpected end of the gzip file"),
            "download the report again; `deliver_incomplete: yes` would deliver the readable part",
        ),
        Ending::Truncated => (
            format!("{name} is truncated: </{root}> is missing"),
            "download the report again; `deliver_incomplete: yes` would deliver the readable part",
        ),
        Ending::Junk => (
            format!("{name} has unexpected data after </{root}>"),
            "two files may have been written to one file; download the report again",
        ),
    };
    Some(refusal(name, PluginError::bad_data(message).with_hint(hint), true))
}

/// Refuses a report with damage before the first asset, or with an error instead of assets.
fn refuse_preface(
    name: &str,
    kind: &Kind,
    source: &Source,
    preface: &Preface,
    damage: Option<Damage>,
) -> Option<Refusal> {
    if let Some(damage) = damage {
        let message = sentence(name, source, &damage);
        return Some(refusal(name, PluginError::new(kind_of(&damage), message), true));
    }
    let error = preface.error.as_ref().filter(|error| !all_assets_are_down(kind, error))?;
    let error = PluginError::bad_data(format!("{name} contains no assets but {error}"));
    Some(refusal(name, error.with_hint("download the report again"), false))
}

/// Refuses a scan that was not finished, unless the operator wants its part.
fn refuse_unfinished(name: &str, reason: Option<String>, settings: Reading) -> Option<Refusal> {
    let reason = reason.filter(|_| !settings.deliver_incomplete)?;
    let hint = "repeat the scan; `deliver_incomplete: yes` delivers what there is, and outputs clear nothing";
    Some(refusal(name, PluginError::bad_data(reason).with_hint(hint), true))
}

/// File, line, and problem.
#[must_use]
pub fn sentence(name: &str, source: &Source, damage: &Damage) -> String {
    match line_at(source.read(None), damage.offset) {
        Ok(line) => format!("{name}, line {line}: {damage}"),
        Err(_) => format!("{name}: {damage}"),
    }
}

fn kind_of(damage: &Damage) -> ErrorKind {
    match *damage.fault {
        Fault::Read(_) | Fault::Spool(_) => ErrorKind::Io,
        _ => ErrorKind::BadData,
    }
}
