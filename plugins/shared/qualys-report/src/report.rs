//! One report in progress: from its complete source to its end.

use scanbridge_plugin_api::batch::{BatchBuilder, Schema};
use scanbridge_plugin_api::model::{Hints, Note, Refusal, ReportEnd, ReportSource, ReportStart};
use scanbridge_plugin_api::{ErrorKind, Next, PluginError, Position, Result, Services};
use scanbridge_qualys_xml::tail::Ending;
use scanbridge_qualys_xml::{
    Damage, Definitions, Fault, Kind, Limits, Mark, Preface, Progress, Reply, ReportReader, line_at,
    read_preface,
};

use crate::settled::Settled;
use crate::source::{Source, SourceReader, Watch};

/// A report that has begun to be delivered.
pub struct OpenReport {
    name: String,
    kind: Kind,
    source: Source,
    reader: ReportReader<SourceReader>,
    clean_assets: Vec<String>,
    deliver_incomplete: bool,
    /// What `read_preface` found damaged; the report is delivered as far as it can be, and never as complete.
    damaged: Option<String>,
    /// Where the first batch begins, if not at the beginning.
    skip: Option<Mark>,
    /// The report is read, and ends with this at the next call.
    end: Option<ReportEnd>,
}

/// How reports are read: settings that the inputs have in common.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// What bounds their texts.
    pub limits: Limits,
    /// Whether what can be read of a cut or damaged one is delivered.
    pub deliver_incomplete: bool,
    /// The hint to the outputs.
    pub add_host: Option<bool>,
}

/// What a report needs beside itself.
pub struct ReportContext<'a> {
    /// How it is read.
    pub settings: Reading,
    /// The host.
    pub services: &'a Services,
    /// Takes the glossary of a template report; holds the knowledge base for detections.
    pub definitions: &'a mut Definitions,
}

impl OpenReport {
    /// Judges a source and begins to read it.
    ///
    /// # Errors
    /// The outer one ends the input; the inner one is about this report alone.
    pub fn begin(
        name: &str,
        settled: Settled,
        around: &mut ReportContext<'_>,
    ) -> Result<Result<(Self, ReportStart), Refusal>> {
        if let Some(refusal) = refuse_kind(name, &settled).or_else(|| refuse_ending(name, &settled, around)) {
            return Ok(Err(refusal));
        }
        let Settled { source, kind, .. } = settled;
        let limits = around.settings.limits;
        // A template report is gone through twice; of the others only the first block is.
        let passes = if kind == Kind::TemplateReport { 2 } else { 1 };
        let total = source.length * passes;
        let watch = |done| Some(Watch { services: around.services.clone(), done, total });

        let (mut preface, damage) = read_preface(&kind, source.read(watch(0)), limits, around.definitions);
        if around.services.is_cancelled() {
            return Err(PluginError::cancelled());
        }
        let damaged = damage.as_ref().map(|damage| sentence(name, &source, damage));
        let damage = damage.filter(|_| !around.settings.deliver_incomplete);
        if let Some(refusal) = refuse_preface(name, &source, &preface, damage) {
            return Ok(Err(refusal));
        }
        let start = start_of(name, &kind, &preface, around.settings);
        let again = source.read(watch(source.length * (passes - 1)));
        let report = Self {
            name: name.to_owned(),
            reader: ReportReader::new(&kind, again, limits, &mut preface),
            kind,
            source,
            clean_assets: preface.clean_assets,
            deliver_incomplete: around.settings.deliver_incomplete,
            damaged,
            skip: None,
            end: None,
        };
        Ok(Ok((report, start)))
    }

    /// Resumes after what another reader of the same bytes has delivered; to be called before the first batch.
    pub fn resume_at(&mut self, mark: Mark) {
        self.skip = Some(mark);
    }

    /// Lets only assets of some addresses out; to be called before the first batch.
    pub fn only(&mut self, wanted: impl Fn(&str) -> bool + Send + 'static) {
        self.reader.only(wanted);
    }

    /// Where a later reading can go on after the last batch; none when that ended inside an asset.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        self.reader.mark()
    }

    /// The next batch, or the end, with an empty position: what a position is, the input knows. `definitions` is
    /// what [`OpenReport::begin`] had, or none for detections without a knowledge base.
    ///
    /// # Errors
    /// When the host wants to stop.
    pub fn next(
        &mut self,
        mut batch: BatchBuilder,
        mut definitions: Option<&mut Definitions>,
        services: &Services,
    ) -> Result<Next> {
        let position = Position::default();
        if let Some(end) = self.end.take() {
            return Ok(Next::ReportEnd { end, position });
        }
        let skipped = match self.skip.take() {
            Some(mark) => self.reader.skip(mark, definitions.as_deref_mut()),
            None => Ok(()),
        };
        let end = match skipped.and_then(|()| self.reader.fill(&mut batch, definitions)) {
            Ok(Progress::Full) => return Ok(Next::Batch { batch: batch.finish(), position }),
            Ok(Progress::Ended) => self.complete(),
            Err(_) if services.is_cancelled() => return Err(PluginError::cancelled()),
            Err(damage) => {
                let reason = sentence(&self.name, &self.source, &damage);
                self.incomplete(reason)
            }
        };
        if batch.is_empty() || !end.deliver {
            return Ok(Next::ReportEnd { end, position });
        }
        self.end = Some(end);
        Ok(Next::Batch { batch: batch.finish(), position })
    }

    /// Whether the report has a definition store of its own, or shares the knowledge base.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    fn complete(&mut self) -> ReportEnd {
        if self.source.is_cut {
            // All of the XML was there, but what gzip checks it by was not.
            let reason = format!("{}: truncated gzip file", self.name);
            return self.incomplete(reason);
        }
        if let Some(reason) = self.damaged.take() {
            return self.incomplete(reason);
        }
        if self.reader.assets() == 0
            && let Some(error) = self.reader.error()
        {
            // A failed scan proves nothing about its targets, least of all that they have no findings.
            let reason = format!("{} contains no assets but {error}", self.name);
            return ReportEnd { deliver: false, ..self.incomplete(reason) };
        }
        let mut notes = self.reader.notes();
        if self.reader.assets() == 0 {
            notes.push(Note { text: "the report contains no assets".to_owned(), count: 1 });
        }
        let clean_assets = std::mem::take(&mut self.clean_assets);
        ReportEnd {
            complete: true,
            deliver: true,
            reason: String::new(),
            clean_assets,
            notes,
            bytes: self.source.length,
        }
    }

    fn incomplete(&mut self, reason: String) -> ReportEnd {
        ReportEnd {
            complete: false,
            deliver: self.deliver_incomplete,
            reason,
            clean_assets: Vec::new(),
            notes: self.reader.notes(),
            bytes: self.source.length,
        }
    }
}

/// The scanner that reports of Qualys are from.
#[must_use]
pub fn source() -> ReportSource {
    // The results of earlier releases are stored under this name.
    ReportSource { name: "QualysGuard".to_owned(), ..ReportSource::new("Qualys", "Qualys", "qid") }
}

impl Reading {
    /// The hints to the outputs.
    #[must_use]
    pub fn hints(&self) -> Hints {
        Hints::default().with_flag("host-input.add_host", self.add_host)
    }
}

/// A refusal of this report.
#[must_use]
pub fn refusal(name: &str, error: PluginError, incomplete: bool) -> Refusal {
    Refusal { path: name.to_owned(), error, incomplete }
}

fn start_of(name: &str, kind: &Kind, preface: &Preface, settings: Reading) -> ReportStart {
    ReportStart {
        id: preface.id.clone(),
        kind: kind.root().unwrap_or_default().to_owned(),
        title: preface.title.clone(),
        time: preface.time.clone(),
        path: name.to_owned(),
        source: source(),
        hints: settings.hints(),
        continued: false,
        partial: false,
        schema: Schema::default(),
    }
}

/// Anything that is not a report is named; of an API response, its message is shown.
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

/// A report without its end is known by its last bytes, before anything of it is delivered.
fn refuse_ending(name: &str, settled: &Settled, around: &ReportContext<'_>) -> Option<Refusal> {
    if around.settings.deliver_incomplete {
        return None;
    }
    let root = settled.kind.root().unwrap_or_default();
    let (message, hint) = match settled.ending {
        Ending::Closed | Ending::Unclear => return None,
        Ending::Cut if settled.source.is_cut => (
            format!("{name} is truncated: unexpected end of the gzip file"),
            "download the report again; `deliver_incomplete: yes` would deliver the readable part",
        ),
        Ending::Cut => (
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

/// Damage before the first asset, or an error instead of all assets.
fn refuse_preface(name: &str, source: &Source, preface: &Preface, damage: Option<Damage>) -> Option<Refusal> {
    if let Some(damage) = damage {
        let message = sentence(name, source, &damage);
        return Some(refusal(name, PluginError::new(kind_of(&damage), message), true));
    }
    let error = preface.error.as_ref()?;
    let error = PluginError::bad_data(format!("{name} contains no assets but {error}"));
    Some(refusal(name, error.with_hint("download the report again"), false))
}

/// File, line, and what is wrong there.
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
