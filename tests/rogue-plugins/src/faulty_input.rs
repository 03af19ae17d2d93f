//! The input `Faulty`: files of lines `ADDRESS ID`, correct unless the option `fault` names a fault. For the tests of
//! the exam.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scanbridge_plugin_api::batch::{AssetRow, BatchBuilder, DefinitionRow, FindingRow, RawBatch2, RowIndex};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, Refusal, ReportDetail, ReportEnd, ReportSource,
    ReportStart, Severity,
};
use scanbridge_plugin_api::{
    CheckReport, ErrorKind, Input, InputCapabilities, Open, OpenedInput, OptionSpec, Outcome, PluginError,
    Position, ReadOnly, ReportChoice, ReportEntry, ReportMarks, ReportPage, ReportQuery, Rereads, Result,
    Resumes, Services, Step, Stored, Verdict, register_input,
};
use serde::{Deserialize, Serialize};

/// Each file `*.txt` of the folder is a report; its last line is `end`.
struct Faulty {
    fault: String,
    services: Services,
    /// Files that are still to be read, the next one last.
    files: Vec<PathBuf>,
    /// All files.
    all: Vec<PathBuf>,
    report: Option<Report>,
    resume: Option<Place>,
    resumed: bool,
    /// The chosen files, if there is a choice, and how many of them are done.
    chosen: Option<(ReportChoice, usize)>,
    /// Whether a refusal came since the last position.
    unmarked: bool,
}

struct Report {
    place: Place,
    /// Address and IDs of each asset.
    assets: Vec<(String, Vec<String>)>,
    complete: bool,
    begun: bool,
    /// The second half of an asset that is sent in pieces.
    later: Option<(String, Vec<String>)>,
}

/// The content of a position.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Place {
    path: PathBuf,
    revision: String,
    /// Number of assets that are read.
    assets: usize,
    ended: bool,
    /// Number of chosen files that are done.
    #[serde(default)]
    chosen: usize,
    /// Number of assets that an interrupted run has read.
    #[serde(skip)]
    before: usize,
}

register_input!(Faulty);

const FAULTS: &[&str] = &[
    "none",
    "never-complete",
    "complete-although-truncated",
    "asset-in-pieces",
    "position-inside-an-asset",
    "each-finding-twice",
    "loses-a-finding-on-resume",
    "resumes-late",
    "resumes-early",
    "invalid-kind",
    "invalid-severity",
    "invalid-address",
    "invalid-time",
    "no-id",
    "no-vendor",
    "deletes-in-next",
    "deletes-for-missed",
    "deletes-for-withdrawn",
    "counts-from-the-resume",
    "expects-removed-files",
    "never-returns",
    "long-position",
    "mixes-changed-files",
    "finishes-inside-a-report",
    "keeps-a-file-of-its-own",
    "marks-delivered-files",
    "ignores-named-reports",
    "drops-other-on-resume",
    "drops-details-on-resume",
    "other-ids-in-each-run",
    "writes-in-list",
    "lists-in-another-order",
    "delivers-what-was-not-chosen",
    "chosen-in-another-order",
    "choice-starts-again-on-resume",
    "discards-marks",
];

impl Input for Faulty {
    const NAME: &'static str = "Faulty";
    const SUMMARY: &'static str = "lines of a directory's files, with one fault on request";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::choice("fault", FAULTS).default_text("none").help("The fault."),
        OptionSpec::path("folder").required().help("The directory of the files."),
    ];
    const HAS_REPORTS: bool = true;
    const CAPABILITIES: InputCapabilities =
        InputCapabilities::NONE.resumes(Resumes::Position).rereads(Rereads::Yes).read_only(ReadOnly::Yes);

    fn open(open: &Open<'_>, resume: Option<&Position>) -> Result<OpenedInput<Self>> {
        let folder = open.options.path("folder")?.unwrap_or_default();
        let corrupt =
            |_| PluginError::config("the position is corrupt").with_hint("start from the beginning");
        let resume: Option<Place> =
            resume.map(|place| serde_json::from_slice(&place.0)).transpose().map_err(corrupt)?;
        let entries = fs::read_dir(folder).map_err(io)?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
            .collect();
        files.sort_by(|a, b| b.cmp(a));
        let all = files.clone();
        files.retain(|path| resume.as_ref().is_none_or(|place| *path >= place.path));
        let fault = open.options.text("fault")?.unwrap_or_default().to_owned();
        if let Some(reports) = open.frame.reports.as_ref().filter(|_| fault != "ignores-named-reports") {
            files.retain(|path| reports.iter().any(|key| Path::new(&key.path) == path));
        }
        let services = open.services.clone();
        let (report, chosen, unmarked) = (None, None, false);
        Ok(Self { fault, services, files, all, report, resume, resumed: false, chosen, unmarked }.into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(CheckReport::default().step("directory", Verdict::Ok, format!("{} files", self.files.len())))
    }

    fn next(&mut self, batch: BatchBuilder) -> Result<Step> {
        if self.services.is_cancelled() && !self.is("never-returns") {
            return Err(PluginError::cancelled());
        }
        if self.is("never-returns") {
            std::thread::sleep(Duration::MAX);
        }
        while self.report.is_none() {
            let path = match self.next_file()? {
                Next::File(path) => path,
                Next::Step(step) => return Ok(*step),
            };
            self.report = self.load(path)?;
        }
        let fault = self.fault.clone();
        let is = |name: &str| fault == name;
        let Some(report) = &mut self.report else { return Ok(Step::finished()) };
        if !std::mem::replace(&mut report.begun, true) {
            let vendor = if is("no-vendor") { "" } else { "Example" };
            let continued = report.place.assets > 0;
            let mut start = ReportStart::default()
                .with_details(vec![ReportDetail::new("option", "value")])
                .with_path(report.place.path.display().to_string())
                .with_revision(report.place.revision.clone())
                .with_source(ReportSource::new(vendor, "Faulty", "faulty"));
            if continued && is("drops-details-on-resume") {
                start.details.clear();
            }
            if is("other-ids-in-each-run") {
                start.id = format!("{:?}", std::time::SystemTime::now());
            }
            return Ok(if continued { Step::report_continued(start) } else { Step::report_start(start) });
        }
        if is("finishes-inside-a-report") && report.place.assets > 0 {
            return Ok(Step::finished());
        }
        if report.place.assets == report.assets.len() && report.later.is_none() {
            return self.end();
        }
        let step = report.batch(batch, &fault, self.resumed);
        self.resumed = false;
        Ok(step)
    }

    fn list_reports(&mut self, query: &ReportQuery) -> Result<ReportPage> {
        if self.is("writes-in-list") {
            fs::write(self.own_file(Path::new("list"))?, "").map_err(io)?;
        }
        let mut entries = Vec::new();
        for (number, path) in self.all.iter().enumerate() {
            let id = path.display().to_string();
            let is_delivered = self.services.state().get(&key_of(&id))?.is_some();
            let made = format!("2026-01-{:02}T12:00:00Z", number + 1);
            entries.push(ReportEntry::new(id, "a file").with_made(made).with_delivered(is_delivered));
        }
        let mut page = query.page(entries)?;
        if self.is("lists-in-another-order") {
            page.entries.reverse();
        }
        Ok(page)
    }

    fn choose_reports(&mut self, choice: &ReportChoice) -> Result<()> {
        let mut choice = choice.clone();
        if self.is("chosen-in-another-order") {
            choice.ids.sort();
        }
        let done = self.resume.as_ref().map_or(0, |place| place.chosen);
        let done = if self.is("choice-starts-again-on-resume") { 0 } else { done };
        self.chosen = Some((choice, done));
        Ok(())
    }

    fn mark_reports(&mut self, marks: &ReportMarks) -> Result<u64> {
        let (state, mut changed) = (self.services.state(), 0);
        for key in marks.ids.iter().map(|id| key_of(id)) {
            if state.get(&key)?.is_some() == marks.delivered {
                continue;
            }
            changed += 1;
            match marks.delivered {
                _ if self.is("discards-marks") => {}
                true => state.put(&key, b"")?,
                false => state.delete(&key)?,
            }
        }
        Ok(changed)
    }

    fn stored(&mut self, stored: &Stored) -> Result<()> {
        for report in &stored.reports {
            let path = Path::new(&report.key.path);
            let is_due = report.outcome.is_settled()
                || report.outcome == Outcome::Missed && self.is("deletes-for-missed")
                || report.outcome == Outcome::Withdrawn && self.is("deletes-for-withdrawn");
            if !is_due || revision(path).ok().as_ref() != Some(&report.key.revision) {
                continue;
            }
            if self.is("marks-delivered-files") {
                fs::write(path.with_extension("done"), "").map_err(io)?;
            } else {
                fs::remove_file(path).map_err(io)?;
            }
        }
        Ok(())
    }
}

impl Faulty {
    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// The next file: of the choice, if there is one.
    fn next_file(&mut self) -> Result<Next> {
        let Some((choice, done)) = &mut self.chosen else {
            return Ok(self.files.pop().map_or_else(|| Next::Step(Step::finished().into()), Next::File));
        };
        if std::mem::take(&mut self.unmarked) {
            let place = Place { chosen: *done, ended: true, ..Place::default() };
            return Ok(Next::Step(Step::mark(place.position(&self.fault)).into()));
        }
        let Some(id) = choice.ids.get(*done).cloned() else {
            let surplus = self.files.pop().filter(|_| self.fault == "delivers-what-was-not-chosen");
            return Ok(surplus.map_or_else(|| Next::Step(Step::finished().into()), Next::File));
        };
        *done += 1;
        let is_unknown = !self.all.iter().any(|path| *path == Path::new(&id));
        let is_delivered = !choice.again && self.services.state().get(&key_of(&id))?.is_some();
        if is_unknown || is_delivered {
            self.unmarked = true;
            let error = PluginError::new(ErrorKind::NoInput, "unknown, or delivered before");
            return Ok(Next::Step(Step::refused(Refusal::new(id, error)).into()));
        }
        Ok(Next::File(id.into()))
    }

    fn load(&mut self, path: PathBuf) -> Result<Option<Report>> {
        let text = match fs::read_to_string(&path) {
            // `stored` has removed it.
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && !self.is("expects-removed-files") =>
            {
                return Ok(None);
            }
            text => text.map_err(io)?,
        };
        // Inside a report, it is not done yet.
        let chosen = self.chosen.as_ref().map_or(0, |(_, done)| done.saturating_sub(1));
        let mut place = Place { revision: revision(&path).map_err(io)?, path, chosen, ..Place::default() };
        if self.is("marks-delivered-files") && place.path.with_extension("done").exists() {
            return Ok(None);
        }
        if self.is("keeps-a-file-of-its-own") && self.own_file(&place.path)?.exists() {
            return Ok(None);
        }
        let mixes = self.is("mixes-changed-files");
        let is_same =
            |resume: &mut Place| resume.path == place.path && (mixes || resume.revision == place.revision);
        if let Some(resume) = self.resume.take_if(is_same) {
            if resume.ended {
                return Ok(None);
            }
            place.assets = resume.assets;
            place.before = resume.assets;
            self.resumed = resume.assets > 0;
        }
        let complete = text.ends_with("end\n") || self.is("complete-although-truncated");
        let mut assets: Vec<(String, Vec<String>)> = Vec::new();
        for (address, id) in text.lines().filter_map(|line| line.split_once(' ')) {
            match assets.last_mut() {
                Some((last, ids)) if last == address => ids.push(id.to_owned()),
                _ => assets.push((address.to_owned(), vec![id.to_owned()])),
            }
        }
        if self.is("resumes-late") && self.resumed {
            place.assets = (place.assets + 1).min(assets.len());
        }
        if self.is("resumes-early") && self.resumed {
            place.assets -= 1;
        }
        Ok(Some(Report { place, assets, complete, begun: false, later: None }))
    }

    /// The file that says that a source was read.
    fn own_file(&self, source: &Path) -> Result<PathBuf> {
        Ok(self.services.state_folder()?.join(source.file_name().unwrap_or_default()))
    }

    fn end(&mut self) -> Result<Step> {
        let Some(report) = self.report.take() else { return Ok(Step::finished()) };
        if self.is("deletes-in-next") {
            fs::remove_file(&report.place.path).map_err(io)?;
        }
        if self.is("keeps-a-file-of-its-own") {
            fs::write(self.own_file(&report.place.path)?, "").map_err(io)?;
        }
        let complete = report.complete && !self.is("never-complete");
        let reason = if complete { "" } else { "the last line is missing" };
        let end = ReportEnd::default().with_complete(complete).with_deliver(complete).with_reason(reason);
        if let Some((_, done)) = &self.chosen {
            let id = report.place.path.display().to_string();
            self.services.state().put(&key_of(&id), b"")?;
            let place = Place { ended: true, chosen: *done, ..report.place };
            return Ok(Step::report_end(end).at(place.position(&self.fault)));
        }
        let place = Place { ended: true, ..report.place };
        Ok(Step::report_end(end).at(place.position(&self.fault)))
    }
}

/// What follows.
enum Next {
    File(PathBuf),
    Step(Box<Step>),
}

/// The key of a delivered file.
fn key_of(id: &str) -> String {
    format!("file:{}", Path::new(id).file_name().unwrap_or_default().display())
}

impl Report {
    /// The next assets, until the batch is full.
    fn batch(&mut self, mut batch: BatchBuilder, fault: &str, resumed: bool) -> Step {
        if let Some((address, ids)) = self.later.take() {
            let continued = fault == "position-inside-an-asset";
            push(&mut batch, &address, &ids, continued, fault);
        }
        let resumes = self.place.before > 0;
        let fault = if fault == "drops-other-on-resume" && !resumes { "none" } else { fault };
        while !batch.is_full() && self.place.assets < self.assets.len() {
            let (address, mut ids) = self.assets[self.place.assets].clone();
            let is_first = batch.is_empty();
            self.place.assets += 1;
            if fault == "loses-a-finding-on-resume" && resumed && is_first {
                ids.pop();
            }
            let is_split = matches!(fault, "asset-in-pieces" | "position-inside-an-asset");
            if is_split && ids.len() > 1 {
                self.later = Some((address.clone(), ids.split_off(1)));
            }
            push(&mut batch, &address, &ids, false, fault);
            if fault == "position-inside-an-asset" && self.later.is_some() {
                break;
            }
            if self.later.is_some() && batch.is_full() {
                break;
            }
            if let Some((address, ids)) = self.later.take() {
                // Another asset comes in between, if there is one.
                if let Some((other, other_ids)) = self.assets.get(self.place.assets).cloned() {
                    push(&mut batch, &other, &other_ids, false, fault);
                    self.place.assets += 1;
                }
                push(&mut batch, &address, &ids, false, fault);
            }
        }
        let mut raw = batch.finish();
        if matches!(fault, "invalid-kind" | "invalid-severity") {
            spoil(&mut raw, fault == "invalid-kind");
        }
        Step::batch(raw).at(self.place.position(fault))
    }
}

impl Place {
    fn position(&self, fault: &str) -> Position {
        let mut place = self.clone();
        if fault == "counts-from-the-resume" && !self.ended {
            place.assets -= self.before;
        }
        let mut bytes = serde_json::to_vec(&place).unwrap_or_default();
        if fault == "long-position" {
            bytes.resize(200 << 10, b' ');
        }
        Position(bytes)
    }
}

fn push(batch: &mut BatchBuilder, address: &str, ids: &[String], continued: bool, fault: &str) {
    let mut asset = AssetRow::default();
    asset.set(AssetField::Address, if fault == "invalid-address" { "10.0.0.999" } else { address });
    if fault != "drops-other-on-resume" {
        asset.append_item(AssetField::Other, "owner\tteam 1");
    }
    let asset: RowIndex = batch.push_asset(&asset, continued);
    for id in ids {
        let mut definition = DefinitionRow::default();
        definition.set(DefinitionField::Id, if fault == "no-id" { "" } else { id });
        let definition = batch.push_definition(&definition);
        let mut finding = FindingRow::default();
        finding.set_kind(FindingKind::Vulnerability);
        finding.set_severity(Severity::new(3));
        finding.set(
            FindingField::LastFound,
            if fault == "invalid-time" { "yesterday" } else { "2026-01-31T12:00:00Z" },
        );
        finding.set(FindingField::Result, &"answer ".repeat(20));
        batch.push_finding(asset, definition, &finding);
        if fault == "each-finding-twice" {
            batch.push_finding(asset, definition, &finding);
        }
    }
}

/// Kind 7, or else severity 9, in the first finding, as a plugin without types could send them.
fn spoil(batch: &mut RawBatch2, kind: bool) {
    const CODES: usize = 2;
    batch.findings[CODES] = if kind { 7 } else { 1 | 9 << 8 };
}

fn revision(path: &Path) -> std::io::Result<String> {
    let data = fs::metadata(path)?;
    let since = data.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{}-{}", data.len(), since.as_nanos()))
}

fn io(error: std::io::Error) -> PluginError {
    PluginError::new(ErrorKind::Io, format!("the files cannot be read: {error}"))
}
