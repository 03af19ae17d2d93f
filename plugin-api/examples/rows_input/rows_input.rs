//! The input `Rows`: files of a folder with one finding per line, as JSON.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Error, ErrorKind as IoError, Seek, SeekFrom};
use std::path::PathBuf;

use scanbridge_plugin_api::batch::{AssetRow, BatchBuilder, DefinitionRow, FindingRow};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, ReportEnd, ReportSource, ReportStart, Severity,
};
use scanbridge_plugin_api::{
    CheckReport, ErrorKind, Input, InputCapabilities, Open, OpenedInput, OptionSpec, PluginError, Position,
    Result, Resumes, Services, Step, Stored, Verdict, export_plugin, register_input,
};
use serde::{Deserialize, Serialize};

/// Each file `*.ndjson` of the folder is a report. Its last line is `{"end": true}`; lines of an asset are together.
pub struct Rows {
    folder: PathBuf,
    services: Services,
    /// Files that are still to be read, the next one last.
    files: Vec<PathBuf>,
    file: Option<OpenFile>,
    /// Where the first report continues.
    resume: Option<Place>,
}

struct OpenFile {
    reader: BufReader<File>,
    place: Place,
    /// A line that belongs to the next batch.
    line: Option<Line>,
    /// Whether the start of the report was returned.
    is_begun: bool,
}

/// The content of a position.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Place {
    path: PathBuf,
    /// Size and time of the file: a file that has changed is read from its beginning.
    revision: String,
    /// Number of bytes that are read completely.
    offset: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line {
    asset: String,
    id: String,
    title: String,
    /// 0 to 10.
    score: f64,
    /// `2026-01-31T12:00:00Z`.
    seen: String,
    end: bool,
    #[serde(skip)]
    bytes: u64,
}

impl Input for Rows {
    const NAME: &'static str = "Rows";
    const SUMMARY: &'static str = "one finding per line of JSON, from the files of a directory";
    const OPTIONS: &'static [OptionSpec] =
        &[OptionSpec::path("folder").required().help("Directory of the files `*.ndjson`.")];
    const CAPABILITIES: InputCapabilities = InputCapabilities::NONE.resumes(Resumes::Position);

    fn open(open: &Open<'_>, resume: Option<&Position>) -> Result<OpenedInput<Self>> {
        let folder = open.options.path("folder")?.unwrap_or_default();
        let resume = resume.map(|position| serde_json::from_slice::<Place>(&position.0)).transpose();
        let resume = resume.map_err(|_| {
            PluginError::config("cannot resume: the position of this input is corrupt")
                .with_hint("use --restart to start from the beginning")
        })?;
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .map_err(|error| failed(ErrorKind::NoInput, "read", &folder, &error))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "ndjson"))
            // Files are read in the order of their names, so those before the position are done.
            .filter(|path| resume.as_ref().is_none_or(|place| *path >= place.path))
            .collect();
        files.sort_by(|a, b| b.cmp(a));
        Ok(Self { folder, services: open.services.clone(), files, file: None, resume }.into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        let detail = format!("{} contains {} files", self.folder.display(), self.files.len());
        Ok(CheckReport::default().step("directory", Verdict::Ok, detail))
    }

    fn next(&mut self, batch: BatchBuilder) -> Result<Step> {
        loop {
            if self.services.is_cancelled() {
                return Err(PluginError::cancelled());
            }
            match &mut self.file {
                Some(file) if file.is_begun => return self.read(batch),
                Some(file) => {
                    file.is_begun = true;
                    let start = ReportStart::default()
                        .with_path(file.place.path.display().to_string())
                        .with_revision(file.place.revision.clone())
                        .with_source(ReportSource::new("Example", "Rows", "example"));
                    let continued = file.place.offset > 0;
                    return Ok(if continued {
                        Step::report_continued(start)
                    } else {
                        Step::report_start(start)
                    });
                }
                None => match self.files.pop() {
                    Some(path) => self.file = self.start(path)?,
                    None => return Ok(Step::finished()),
                },
            }
        }
    }

    /// The only place to remove a source: only of reports that every output has.
    fn stored(&mut self, stored: &Stored) -> Result<()> {
        for report in stored.reports.iter().filter(|report| report.outcome.is_settled()) {
            let path = PathBuf::from(&report.key.path);
            // A file that was replaced since is another report; one that is gone was removed by an earlier call.
            if revision(&path).is_ok_and(|revision| revision == report.key.revision) {
                fs::remove_file(&path).map_err(|error| failed(ErrorKind::Io, "remove", &path, &error))?;
            }
        }
        Ok(())
    }
}

impl Rows {
    /// Opens a file, where the position is; `None` if the position says that it was read completely, or if `stored` has
    /// removed it: after a crash, the host may call `stored` before the first `next`.
    fn start(&mut self, path: PathBuf) -> Result<Option<OpenFile>> {
        let unreadable = |error: Error| failed(ErrorKind::NoInput, "read", &path, &error);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == IoError::NotFound => return Ok(None),
            file => file.map_err(unreadable)?,
        };
        let mut place =
            Place { revision: revision(&path).map_err(unreadable)?, path: path.clone(), offset: 0 };
        if let Some(resume) =
            self.resume.take_if(|resume| resume.path == path && resume.revision == place.revision)
        {
            if resume.offset == u64::MAX {
                return Ok(None);
            }
            place.offset = resume.offset;
        }
        file.seek(SeekFrom::Start(place.offset)).map_err(unreadable)?;
        Ok(Some(OpenFile { reader: BufReader::new(file), place, line: None, is_begun: false }))
    }

    /// A batch, or the end of the report.
    fn read(&mut self, mut batch: BatchBuilder) -> Result<Step> {
        let Some(file) = &mut self.file else { return Ok(Step::finished()) };
        let (mut current, mut row) = (String::new(), None);
        loop {
            let line = match file.line.take() {
                Some(line) => line,
                None => file.next_line()?,
            };
            let is_new_asset = line.asset != current;
            // A position may be only between two assets, so a batch ends there.
            if !batch.is_empty() && (line.end || line.bytes == 0 || is_new_asset && batch.is_full()) {
                file.line = Some(line);
                return Ok(Step::batch(batch.finish()).at(file.place.position()));
            }
            file.place.offset += line.bytes;
            if line.end || line.bytes == 0 {
                let complete = line.end;
                let reason = if complete { "" } else { "the file has no last line `{\"end\": true}`" };
                file.place.offset = u64::MAX;
                let end =
                    ReportEnd::default().with_complete(complete).with_deliver(complete).with_reason(reason);
                let step = Step::report_end(end).at(file.place.position());
                self.file = None;
                return Ok(step);
            }
            let asset = match row.filter(|_| !is_new_asset) {
                Some(row) => row,
                None => {
                    let mut asset = AssetRow::default();
                    asset.set(AssetField::Address, &line.asset);
                    batch.push_asset(&asset, false)
                }
            };
            (current, row) = (line.asset.clone(), Some(asset));
            line.push(&mut batch, asset);
        }
    }
}

impl OpenFile {
    /// The next line; one of 0 bytes at the end of the file, and for a last line that is incomplete.
    fn next_line(&mut self) -> Result<Line> {
        let mut text = String::new();
        let path = &self.place.path;
        let bytes =
            self.reader.read_line(&mut text).map_err(|error| failed(ErrorKind::Io, "read", path, &error))?;
        if !text.ends_with('\n') {
            return Ok(Line::default());
        }
        let line: Line = serde_json::from_str(&text).map_err(|error| {
            PluginError::bad_data(format!(
                "{}: invalid line after byte {}: {error}",
                path.display(),
                self.place.offset
            ))
        })?;
        Ok(Line { bytes: bytes as u64, ..line })
    }
}

impl Line {
    fn push(&self, batch: &mut BatchBuilder, asset: scanbridge_plugin_api::batch::RowIndex) {
        let mut definition = DefinitionRow::default();
        definition.set(DefinitionField::Id, &self.id);
        definition.set(DefinitionField::Title, &self.title);
        let definition = batch.push_definition(&definition);
        let mut finding = FindingRow::default();
        finding.set_kind(FindingKind::Vulnerability);
        finding.set_severity(Severity::of_scale(self.score, 0.0, 10.0));
        finding.set(FindingField::LastFound, &self.seen);
        batch.push_finding(asset, definition, &finding);
    }
}

impl Place {
    fn position(&self) -> Position {
        Position(serde_json::to_vec(self).unwrap_or_default())
    }
}

fn revision(path: &PathBuf) -> Result<String, Error> {
    let data = fs::metadata(path)?;
    let since = data.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{}-{}", data.len(), since.as_nanos()))
}

fn failed(kind: ErrorKind, what: &str, path: &std::path::Path, error: &Error) -> PluginError {
    PluginError::new(kind, format!("cannot {what} {}: {error}", path.display()))
}

register_input!(Rows);
export_plugin!();
