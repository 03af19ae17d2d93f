//! The input plugin: finds the files and reads them one after the other.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::Refusal;
use scanbridge_plugin_api::{
    CheckReport, Ends, ErrorKind, Event, Input, InputCapabilities, LocalCheck, Open, OpenedInput, OptionSpec,
    PluginError, Position, ReadOnly, ReportChoice, ReportKey, ReportMarks, ReportPage, ReportQuery, Rereads,
    Result, Resumes, Services, Step, Stored, tracing,
};
use scanbridge_qualys_report::{FileSpool, OpenReport, ReportContext, refusal};
use scanbridge_qualys_xml::{Definitions, Kind, Mark};

use crate::delivered::Delivered;
use crate::done::OnDone;
use crate::fingerprint::FileKey;
use crate::folder_scanner::{FolderScanner, ScanContext};
use crate::options::{self, Settings};
use crate::paths::Candidate;
use crate::position::{Inside, ParsedPosition};
use crate::refused::Refused;
use crate::settle::{Ready, open_if_settled, open_settled};
use crate::source::Opener;
use crate::stored_files::{self, ChosenFiles, Next};
use crate::{knowledge_base, probe};

/// Reads Qualys reports that are stored as XML files.
pub struct QualysGuardFile {
    settings: Settings,
    /// The reports to read; `None` for all. Then the list of delivered files is neither used nor changed.
    wanted: Option<Vec<ReportKey>>,
    /// The files that an operator has chosen.
    chosen: Option<ChosenFiles>,
    /// Number of chosen files that an interrupted run has done.
    chosen_before: usize,
    services: Services,
    opener: Opener,
    /// Whether the run resumes an interrupted one.
    is_resumed: bool,
    /// Whether `next` was called.
    has_started: bool,
    /// The report that was in progress at that position, until it is resumed.
    resumed_report: Option<Inside>,
    /// The list of delivered files. Loaded at the first call that needs it, because a check may run at the same time
    /// as a run.
    delivered: Option<Delivered>,
    /// The files of a watched directory that were refused.
    refused: Refused,
    scanner: FolderScanner,
    report: Option<Current>,
    glossary: Definitions,
    /// The knowledge base, read before the first detections.
    knowledge_base: Option<Definitions>,
}

/// The current report.
struct Current {
    report: OpenReport,
    key: FileKey,
    /// Whether the next run finds the same bytes: false for a pipe.
    is_file: bool,
}

impl Input for QualysGuardFile {
    const NAME: &'static str = "QualysGuardFile";
    const SUMMARY: &'static str =
        "reads Qualys reports from files on disk: scans, template reports, detections";
    const OPTIONS: &'static [OptionSpec] = options::TABLE;
    const HAS_REPORTS: bool = true;
    const CAPABILITIES: InputCapabilities = InputCapabilities::NONE
        .resumes(Resumes::Position)
        .rereads(Rereads::Yes)
        .ends(Ends::No)
        .local_check(LocalCheck::Yes)
        .read_only(ReadOnly::Yes);

    /// Files that an interrupted run delivered are moved or deleted at the first `next`, not here.
    fn open(open: &Open<'_>, resume: Option<&Position>) -> Result<OpenedInput<Self>> {
        let services = open.services;
        let mut settings = Settings::read(open.options)?;
        let wanted = open.frame.reports.clone();
        if let Some(reports) = &wanted {
            settings.read_only(reports.iter().map(|report| report.path.as_str()));
        }
        let ends = if settings.poll.is_some() { Ends::No } else { Ends::Yes };
        let opener = Opener::new(services, settings.max_unpacked_bytes);
        let position = resume.map(ParsedPosition::read).transpose()?;
        let refused = Refused::open(services.state(), &(&settings.reading, &settings.ignored_kinds));
        let input = Self {
            settings,
            wanted,
            chosen: None,
            chosen_before: position.as_ref().map_or(0, |position| position.chosen),
            services: services.clone(),
            opener,
            is_resumed: position.is_some(),
            has_started: false,
            resumed_report: position.and_then(|position| position.report),
            delivered: None,
            refused,
            scanner: FolderScanner::new(),
            report: None,
            glossary: Definitions::new(Box::new(FileSpool::new(services))),
            knowledge_base: None,
        };
        let effect = pipe_effect(&input.settings.paths);
        let opened = OpenedInput::from(input).with_capabilities(Self::CAPABILITIES.ends(ends));
        Ok(match effect {
            Some(effect) => opened.with_effect(effect),
            None => opened,
        })
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(probe::check(&self.settings))
    }

    fn next(&mut self, recycled: BatchBuilder) -> Result<Step> {
        if let Some(current) = self.report.take() {
            return self.resume(current, recycled);
        }
        if let Some(chosen) = self.chosen.take() {
            let (chosen, step) = self.next_chosen(chosen)?;
            self.chosen = Some(chosen);
            return Ok(step);
        }
        loop {
            if self.services.is_cancelled() {
                return Err(PluginError::cancelled());
            }
            let Some(candidate) = self.candidate()? else {
                return Ok(self.settings.poll.map_or_else(Step::finished, Step::idle));
            };
            let file = candidate.file().map(Path::to_owned);
            match self.begin(candidate)? {
                Some(Step { event: Event::Refused(refusal), .. })
                    if !self.is_to_be_reported(file.as_deref(), &refusal)? => {}
                Some(step) => return Ok(step),
                None => {}
            }
        }
    }

    fn list_reports(&mut self, query: &ReportQuery) -> Result<ReportPage> {
        self.delivered()?;
        let Some(delivered) = &self.delivered else { return Err(PluginError::no_reports()) };
        query.page(stored_files::entries(&self.settings, delivered)?)
    }

    fn choose_reports(&mut self, choice: &ReportChoice) -> Result<()> {
        stored_files::files(&self.settings)?;
        self.chosen = Some(ChosenFiles::new(choice.clone(), self.chosen_before));
        Ok(())
    }

    fn mark_reports(&mut self, marks: &ReportMarks) -> Result<u64> {
        let settings = self.settings.clone();
        stored_files::mark(&settings, self.delivered()?, marks)
    }

    fn stored(&mut self, stored: &Stored) -> Result<()> {
        let services = self.services.clone();
        self.delivered()?.stored(&stored.reports, &services)
    }
}

impl QualysGuardFile {
    /// The files that earlier runs delivered.
    fn delivered(&mut self) -> Result<&mut Delivered> {
        if self.delivered.is_none() {
            let is_read_only = self.services.is_read_only();
            let on_done = if is_read_only { OnDone::Keep } else { self.settings.on_done.clone() };
            let delivered = Delivered::open(self.services.state(), on_done)?;
            self.delivered = Some(if self.wanted.is_some() { delivered.ignored() } else { delivered });
        }
        self.delivered.as_mut().ok_or_else(|| PluginError::bug("the list of delivered files is missing"))
    }

    fn candidate(&mut self) -> Result<Option<Candidate>> {
        let starts_over = !self.is_resumed && self.settings.poll.is_none() && self.wanted.is_none();
        // A run that starts from the beginning deletes the list, unless it watches: then the list prevents a second
        // delivery. Reports of earlier runs are confirmed before the first step.
        if !std::mem::replace(&mut self.has_started, true) && starts_over {
            self.delivered()?.clear()?;
        }
        self.delivered()?;
        let Some(delivered) = &mut self.delivered else { return Ok(None) };
        let (settings, services) = (&self.settings, &self.services);
        let (refused, resumed) = (&self.refused, self.is_resumed);
        let mut context = ScanContext { settings, services, delivered, refused, resumed };
        if let Some(inside) = &self.resumed_report {
            let path = inside.key().path();
            if !self.scanner.begin_with(&path, &mut context)? {
                tracing::warn!(path = %path.display(), "the file of the interrupted report no longer exists");
                self.resumed_report = None;
            }
        }
        self.scanner.next(&mut context)
    }

    /// The next chosen file, a refusal, or the end.
    fn next_chosen(&mut self, mut chosen: ChosenFiles) -> Result<(ChosenFiles, Step)> {
        let settings = self.settings.clone();
        let path = match chosen.next(&settings, self.delivered()?)? {
            Next::Step(step) => return Ok((chosen, *step)),
            Next::File(path) => path,
        };
        let name = path.display().to_string();
        // The operator has named the file: it is waited for, and a refusal of an earlier run does not count.
        let error = match open_settled(&self.opener, &path, self.settings.settle) {
            Ok(ready) => match self.settings.ignores(&ready.settled.kind) {
                Some(root) => PluginError::new(ErrorKind::NoInput, format!("{name} is of the kind {root}"))
                    .with_hint("option `ignore_kinds` skips files of this kind"),
                None => {
                    let step = match self.begin_report(&name, ready)? {
                        Step { event: Event::Refused(refusal), .. } => chosen.chosen.refuse(refusal),
                        step => step,
                    };
                    return Ok((chosen, step));
                }
            },
            Err(error) if affects_all_reports(&error) => return Err(error),
            Err(error) => error,
        };
        let step = chosen.chosen.refuse(refusal(&name, error, false));
        Ok((chosen, step))
    }

    /// Whether to report a refusal. In a watched directory a temporary failure (a full disk, a file server that does
    /// not respond) is reported once, and the next scan retries. A refused file is reported again only when it changes.
    fn is_to_be_reported(&mut self, file: Option<&Path>, refusal: &Refusal) -> Result<bool> {
        let Some(path) = file.filter(|_| self.settings.poll.is_some() && !refusal.known) else {
            return Ok(true);
        };
        match refusal.error.kind {
            ErrorKind::Io => return Ok(self.scanner.retry_later(path, &refusal.error)),
            ErrorKind::BadData | ErrorKind::NoInput => {
                FileKey::of(path).map_or(Ok(()), |key| self.refused.add(&key))?;
            }
            _ => {}
        }
        Ok(true)
    }

    fn begin(&mut self, candidate: Candidate) -> Result<Option<Step>> {
        let (name, ready) = match candidate {
            Candidate::Missing(path, error) => {
                let is_missing = matches!(fs::exists(&path), Ok(false));
                return Ok(Some(Step::refused(refusal(&path, error, false).with_missing(is_missing))));
            }
            Candidate::Empty(path, error) => {
                return Ok(Some(Step::refused(refusal(&path, error, false).with_missing(true))));
            }
            Candidate::StandardInput => {
                let name = "standard input".to_owned();
                let opened = self.opener.standard_input();
                (name.clone(), opened.and_then(|opened| Ready::now(opened, Path::new("-"), &name)).map(Some))
            }
            Candidate::File(path) if self.settings.poll.is_some() && self.refused.contains(&path)? => {
                let error =
                    PluginError::bad_data("refused or ignored by an earlier run, and not changed since");
                let refusal = refusal(&path.display().to_string(), error, false);
                return Ok(Some(Step::refused(refusal.with_known(true))));
            }
            Candidate::File(path) => (path.display().to_string(), self.open_file(&path)),
        };
        match ready {
            Ok(None) => Ok(None),
            Ok(Some(ready)) if self.is_ignored(&name, &ready)? => Ok(None),
            Ok(Some(ready)) => self.begin_ready(&name, ready),
            Err(error) if affects_all_reports(&error) => Err(error),
            Err(error) => Ok(Some(Step::refused(refusal(&name, error, false)))),
        }
    }

    /// Opens a file. In a watched directory, a file that is still being written is postponed, and other files are
    /// read first.
    fn open_file(&mut self, path: &Path) -> Result<Option<Ready>> {
        let settle = self.settings.settle;
        if self.settings.poll.is_none() {
            return open_settled(&self.opener, path, settle).map(Some);
        }
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            let message = format!("cannot watch {}: not a regular file", path.display());
            return Err(PluginError::new(ErrorKind::NoInput, message));
        }
        let ready = open_if_settled(&self.opener, path, settle, self.scanner.unchanged_since(path))?;
        if ready.is_some() {
            self.scanner.is_ready(path);
        } else {
            tracing::debug!(path = %path.display(), "the file is still incomplete");
            self.scanner.postpone(path);
        }
        Ok(ready)
    }

    /// Whether files of this kind are skipped (`ignore_kinds`). The file is counted and named; in a watched directory
    /// once until it changes.
    fn is_ignored(&mut self, name: &str, ready: &Ready) -> Result<bool> {
        let Some(root) = self.settings.ignores(&ready.settled.kind) else { return Ok(false) };
        tracing::info!(path = name, kind = root, "ignored: files of this kind are in `ignore_kinds`");
        self.services.note(
            tracing::Level::INFO,
            &format!("files of the kind {root} ignored (`ignore_kinds`)"),
            1,
        );
        if self.settings.poll.is_some() {
            self.refused.add(&ready.key)?;
        }
        Ok(true)
    }

    /// Begins a report, unless its bytes were delivered before: for data from a pipe this is only known now.
    fn begin_ready(&mut self, name: &str, ready: Ready) -> Result<Option<Step>> {
        let Ready { settled, key, is_file } = ready;
        if let Some(wanted) = &self.wanted {
            if !wanted.iter().any(|report| report.revision == key.revision()) {
                let message = format!("{name} has changed since its report was delivered");
                let error = PluginError::new(ErrorKind::NoInput, message)
                    .with_hint("run the pipeline again to deliver the changed report");
                return Ok(Some(Step::refused(refusal(name, error, false))));
            }
        } else if self.delivered()?.finish_if_delivered(&key)? {
            tracing::info!(path = name, "already delivered before the interruption; skipped");
            return Ok(None);
        }
        self.begin_report(name, Ready { settled, key, is_file }).map(Some)
    }

    fn begin_report(&mut self, name: &str, ready: Ready) -> Result<Step> {
        let Ready { settled, key, is_file } = ready;
        if settled.kind == Kind::Detections && self.knowledge_base.is_none() {
            self.knowledge_base = knowledge_base::read(&self.settings, &self.opener, &self.services)?;
        }
        self.glossary.clear().map_err(|error| PluginError::bug(format!("glossary: {error}")))?;
        let mark = self.resume_mark(&key);
        let mut context = ReportContext {
            settings: self.settings.reading,
            services: &self.services,
            definitions: &mut self.glossary,
        };
        let (report, mut start) = match OpenReport::begin(name, settled, mark, &mut context)? {
            Ok(begun) => begun,
            Err(refusal) => return Ok(Step::refused(refusal)),
        };
        key.revision().clone_into(&mut start.revision);
        let is_resumed = report.is_resumed();
        if self.resumed_report.take_if(|inside| inside.key().path() == key.path()).is_some() && !is_resumed {
            let path = key.path();
            tracing::warn!(path = %path.display(), "the file has changed; it is read from the beginning");
        }
        self.report = Some(Current { report, key, is_file });
        Ok(if is_resumed { Step::report_continued(start) } else { Step::report_start(start) })
    }

    fn chosen_done(&self) -> usize {
        self.chosen.as_ref().map_or(0, |chosen| chosen.chosen.done())
    }

    /// The position at which to resume this file, if it was in progress and has not changed.
    fn resume_mark(&self, key: &FileKey) -> Option<Mark> {
        self.resumed_report.as_ref().filter(|inside| inside.key() == *key).map(|inside| inside.mark.clone())
    }

    fn resume(&mut self, mut current: Current, recycled: BatchBuilder) -> Result<Step> {
        let definitions = match current.report.kind() {
            Kind::Detections => self.knowledge_base.as_mut(),
            _ => Some(&mut self.glossary),
        };
        let step = current.report.next(recycled, definitions, &self.services)?;
        let position = match &step.event {
            Event::ReportEnd(end) => {
                if (end.complete || end.deliver) && self.wanted.is_none() {
                    self.delivered()?.ended(&current.key, end.complete)?;
                } else if self.settings.poll.is_some() {
                    self.refused.add(&current.key)?;
                }
                if let Some(chosen) = &mut self.chosen {
                    chosen.chosen.deliver();
                }
                Some(ParsedPosition { report: None, chosen: self.chosen_done() }.write())
            }
            _ => {
                let mark = current.report.mark().filter(|_| current.is_file);
                let inside = mark.map(|mark| Inside::new(&current.key, mark));
                self.report = Some(current);
                let chosen = self.chosen_done();
                inside.map(|inside| ParsedPosition { report: Some(inside), chosen }.write())
            }
        };
        Ok(step.at(position))
    }
}

/// What is read from a named pipe is gone. Standard input is connected on purpose.
fn pipe_effect(paths: &[String]) -> Option<PluginError> {
    let is_pipe = |path: &&String| fs::metadata(path).is_ok_and(|data| data.file_type().is_fifo());
    let path = paths.iter().find(is_pipe)?;
    let error = PluginError::config(format!("{path} is a pipe: reading removes its content"));
    Some(error.with_option("path").with_hint("set `path` to a copy of the report"))
}

/// Whether the error would also affect every other report.
fn affects_all_reports(error: &PluginError) -> bool {
    use scanbridge_plugin_api::ErrorKind::{Bug, Cancelled, CannotCreate, Config};
    matches!(error.kind, Bug | Cancelled | CannotCreate | Config)
}
