//! The input plugin: which files there are, and in which order things happen to them.

use std::collections::VecDeque;
use std::path::Path;

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::{
    CheckReport, Input, Next, OptionSpec, Options, PluginError, Position, Result, Services, Verdict,
    show_size, tracing,
};
use scanbridge_qualys_report::{FileSpool, OpenReport, Settled, Surroundings, Watch, refusal, sentence};
use scanbridge_qualys_xml::{Definitions, Kind, index_knowledge_base};

use crate::options::{self, Settings};
use crate::paths::{Candidate, look_up};
use crate::settle::open_settled;
use crate::source::Opener;

/// Reads Qualys reports that are stored as XML files.
pub struct QualysGuardFile {
    settings: Settings,
    services: Services,
    opener: Opener,
    /// What is still to be read; looked up at the first call of `next`.
    queue: Option<VecDeque<Candidate>>,
    report: Option<OpenReport>,
    glossary: Definitions,
    /// Read when the first detections come.
    knowledge_base: Option<Definitions>,
}

impl Input for QualysGuardFile {
    const NAME: &'static str = "QualysGuardFile";
    const SUMMARY: &'static str = "reads Qualys reports from XML files: scans, template reports, detections";
    const OPTIONS: &'static [OptionSpec] = options::TABLE;

    /// `resume` is not used yet: an interrupted run reads its files again from the beginning.
    fn open(options: &Options, services: &Services, _resume: Option<&Position>) -> Result<Self> {
        let settings = Settings::read(options)?;
        let opener = Opener { services: services.clone(), max_unpacked_bytes: settings.max_unpacked_bytes };
        Ok(Self {
            settings,
            services: services.clone(),
            opener,
            queue: None,
            report: None,
            glossary: Definitions::new(Box::new(FileSpool::new(services))),
            knowledge_base: None,
        })
    }

    fn check(&mut self) -> Result<CheckReport> {
        let mut report = CheckReport::default();
        for candidate in look_up(&self.settings.paths, &self.settings.patterns) {
            report = match candidate {
                Candidate::StandardInput => {
                    report.step("standard input", Verdict::Ok, "is read when it runs")
                }
                Candidate::Missing(path, error) => report.step(path, Verdict::Failed, error.message),
                Candidate::File(path) => {
                    let (verdict, detail) = probe(&path, Kind::is_report);
                    report.step(path.display().to_string(), verdict, detail)
                }
            };
        }
        if let Some(path) = &self.settings.knowledge_base {
            let (verdict, detail) = probe(path, |kind| *kind == Kind::KnowledgeBase);
            report = report.step("knowledge_base", verdict, detail);
        }
        Ok(report)
    }

    fn next(&mut self, recycled: BatchBuilder) -> Result<Next> {
        if let Some(report) = &mut self.report {
            let definitions = match report.kind() {
                Kind::Detections => self.knowledge_base.as_mut(),
                _ => Some(&mut self.glossary),
            };
            let next = report.next(recycled, definitions, &self.services)?;
            if matches!(next, Next::ReportEnd { .. }) {
                self.report = None;
            }
            return Ok(next);
        }
        if self.services.is_cancelled() {
            return Err(PluginError::cancelled());
        }
        let settings = &self.settings;
        let queue = self.queue.get_or_insert_with(|| look_up(&settings.paths, &settings.patterns).into());
        match queue.pop_front() {
            None => Ok(Next::Finished),
            Some(candidate) => self.begin(candidate),
        }
    }
}

impl QualysGuardFile {
    fn begin(&mut self, candidate: Candidate) -> Result<Next> {
        let (name, settled) = match candidate {
            Candidate::Missing(path, error) => return Ok(Next::Refused(refusal(&path, error, false))),
            Candidate::StandardInput => {
                let name = "standard input".to_owned();
                let settled = self.opener.standard_input().and_then(|source| Settled::now(source, &name));
                (name, settled)
            }
            Candidate::File(path) => {
                let settled = open_settled(&self.opener, &path, self.settings.settle);
                (path.display().to_string(), settled)
            }
        };
        match settled {
            Ok(settled) => self.begin_settled(&name, settled),
            Err(error) if concerns_all(&error) => Err(error),
            Err(error) => Ok(Next::Refused(refusal(&name, error, false))),
        }
    }

    fn begin_settled(&mut self, name: &str, settled: Settled) -> Result<Next> {
        if settled.kind == Kind::Detections {
            self.read_knowledge_base()?;
        }
        self.glossary.clear().map_err(|error| PluginError::bug(format!("the glossary: {error}")))?;
        let mut around = Surroundings {
            settings: self.settings.reading,
            services: &self.services,
            definitions: &mut self.glossary,
        };
        match OpenReport::begin(name, settled, &mut around)? {
            Ok((report, start)) => {
                self.report = Some(report);
                Ok(Next::ReportStart(Box::new(start)))
            }
            Err(refusal) => Ok(Next::Refused(refusal)),
        }
    }

    /// Detections without titles, because a named file cannot be read, are not what the operator asked for:
    /// that ends the input.
    fn read_knowledge_base(&mut self) -> Result<()> {
        let Some(path) = self.settings.knowledge_base.as_deref() else { return Ok(()) };
        if self.knowledge_base.is_some() {
            return Ok(());
        }
        let shown = path.display();
        let settled = open_settled(&self.opener, path, self.settings.settle)?;
        if settled.kind != Kind::KnowledgeBase {
            let (what, _) = settled.kind.describe();
            return Err(PluginError::bad_data(format!("knowledge_base: {shown} {what}"))
                .with_hint("name a KNOWLEDGE_BASE_VULN_LIST_OUTPUT file, fetched with details=All"));
        }
        let total = settled.source.length;
        let watch = Watch { services: self.services.clone(), done: 0, total };
        let mut definitions = Definitions::new(Box::new(FileSpool::new(&self.services)));
        let notes = index_knowledge_base(
            settled.source.read(Some(watch)),
            self.settings.reading.limits,
            &mut definitions,
        );
        match notes {
            Ok(notes) => {
                for note in notes {
                    tracing::warn!(path = %shown, count = note.count, "knowledge base: {}", note.text);
                }
                tracing::debug!(path = %shown, definitions = definitions.len(), "knowledge base read");
            }
            Err(_) if self.services.is_cancelled() => return Err(PluginError::cancelled()),
            Err(damage) => {
                let sentence = sentence(&shown.to_string(), &settled.source, &damage);
                return Err(PluginError::bad_data(format!("knowledge_base: {sentence}"))
                    .with_hint("fetch the knowledge base again"));
            }
        }
        self.knowledge_base = Some(definitions);
        Ok(())
    }
}

/// What a file is and how large, as far as its first bytes tell: nothing is unpacked.
fn probe(path: &Path, wanted: impl Fn(&Kind) -> bool) -> (Verdict, String) {
    match Opener::peek(path) {
        Err(error) => (Verdict::Failed, error.message),
        Ok((kind, length)) => {
            let (what, hint) = kind.describe();
            if wanted(&kind) {
                (Verdict::Ok, format!("{what}, {}", show_size(length)))
            } else {
                (Verdict::Failed, [what.as_str(), hint].join("; "))
            }
        }
    }
}

/// Whether no other report could be read either.
fn concerns_all(error: &PluginError) -> bool {
    use scanbridge_plugin_api::ErrorKind::{Bug, Cancelled, CannotCreate, Config};
    matches!(error.kind, Bug | Cancelled | CannotCreate | Config)
}
