//! The input `Rows`: files of a folder with one finding per line, as JSON.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Error, ErrorKind as IoError, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::batch::{
    AssetRow, BatchBuilder, ColumnType, DefinitionRow, FindingRow, OwnColumn, RowIndex, Schema,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, ReportEnd, ReportSource, ReportStart, Severity,
};
use scanbridge_plugin_api::{
    CheckReport, ErrorKind, Input, InputCapabilities, Open, OpenedInput, OptionSpec, Outcome, PluginError,
    Position, ReadOnly, ReportKey, Rereads, Result, Resumes, Services, Step, Stored, Verdict, export_plugin,
    register_input,
};
use serde::{Deserialize, Serialize};

/// Each file `*.ndjson` of the folder is a report. Its last line is `{"end": true}`; lines of an asset are together.
pub struct Rows {
    services: Services,
    epss: OwnColumn<FindingField>,
    /// The only reports to read, if the host names some.
    reports: Option<Vec<ReportKey>>,
    /// Files that are still to be looked at, the next one last.
    files: Vec<PathBuf>,
    file: Option<OpenFile>,
    /// Where the first report continues.
    resume: Option<Place>,
}

struct OpenFile {
    reader: BufReader<File>,
    place: Place,
}

/// The content of a position.
#[derive(Serialize, Deserialize)]
struct Place {
    path: PathBuf,
    /// Size and time of the file: a file that has changed is another report.
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
    /// 0 to 1.
    epss: Option<f64>,
    /// `2026-01-31T12:00:00Z`.
    seen: String,
    end: bool,
}

impl Input for Rows {
    const NAME: &'static str = "Rows";
    const SUMMARY: &'static str = "one finding per line of JSON, from the files of a directory";
    const OPTIONS: &'static [OptionSpec] =
        &[OptionSpec::path("folder").required().help("Directory of the files `*.ndjson`.")];
    const CAPABILITIES: InputCapabilities =
        InputCapabilities::NONE.resumes(Resumes::Position).rereads(Rereads::Yes).read_only(ReadOnly::Yes);

    fn open(open: &Open<'_>, resume: Option<&Position>) -> Result<OpenedInput<Self>> {
        let folder = open.options.path("folder")?.unwrap_or_default();
        let resume = resume.map(Position::json).transpose()?;
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .map_err(|error| PluginError::of_file(ErrorKind::NoInput, "read", &folder, &error))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "ndjson"))
            .collect();
        files.sort_by(|a, b| b.cmp(a));
        let mut schema = Schema::default();
        let epss = schema.add_column("example:epss", ColumnType::Decimal, "EPSS score")?;
        let (services, reports) = (open.services.clone(), open.frame.reports.clone());
        Ok(OpenedInput::from(Self { services, epss, reports, files, file: None, resume }).with_schema(schema))
    }

    fn check(&mut self) -> Result<CheckReport> {
        let files = format!("contains {} files", self.files.len());
        Ok(CheckReport::default().step("directory", Verdict::Ok, files))
    }

    fn next(&mut self, batch: BatchBuilder) -> Result<Step> {
        if self.services.is_cancelled() {
            return Err(PluginError::cancelled());
        }
        if self.file.is_some() {
            return self.read(batch);
        }
        while let Some(path) = self.files.pop() {
            let Some(file) = self.start(path)? else { continue };
            let start = ReportStart::default()
                .with_path(file.place.path.display().to_string())
                .with_revision(file.place.revision.clone())
                .with_source(ReportSource::new("Example", "Rows", "example"));
            let continued = file.place.offset > 0;
            self.file = Some(file);
            return Ok(if continued { Step::report_continued(start) } else { Step::report_start(start) });
        }
        Ok(Step::finished())
    }

    /// The only place to remove a source: only of reports that every output has.
    fn stored(&mut self, stored: &Stored) -> Result<()> {
        for report in stored.reports.iter().filter(|report| report.outcome == Outcome::Delivered) {
            let path = Path::new(&report.key.path);
            // A file that was replaced since is another report; one that is gone was removed by an earlier call.
            if revision(path).is_ok_and(|revision| revision == report.key.revision) {
                fs::remove_file(path)
                    .map_err(|error| PluginError::of_file(ErrorKind::Io, "remove", path, &error))?;
            }
            if !path.exists() {
                self.services.state().delete(&key(path))?;
            }
        }
        Ok(())
    }
}

impl Rows {
    /// Opens a file, where the position is; `None` if it is not to be read.
    fn start(&mut self, path: PathBuf) -> Result<Option<OpenFile>> {
        let unreadable = |error: Error| PluginError::of_file(ErrorKind::NoInput, "read", &path, &error);
        let mut file = match File::open(&path) {
            // After a crash, the host may call `stored` before the first `next`.
            Err(error) if error.kind() == IoError::NotFound => return Ok(None),
            file => file.map_err(unreadable)?,
        };
        let revision = revision(&path).map_err(unreadable)?;
        let is_wanted = match &self.reports {
            Some(reports) => {
                reports.iter().any(|key| Path::new(&key.path) == path && key.revision == revision)
            }
            None => self.services.state().get(&key(&path))?.as_deref() != Some(revision.as_bytes()),
        };
        if !is_wanted {
            return Ok(None);
        }
        let resume = self.resume.take_if(|place| place.path == path && place.revision == revision);
        let offset = resume.map_or(0, |place| place.offset);
        file.seek(SeekFrom::Start(offset)).map_err(unreadable)?;
        Ok(Some(OpenFile { reader: BufReader::new(file), place: Place { path, revision, offset } }))
    }

    /// A batch, or the end of the report.
    fn read(&mut self, mut batch: BatchBuilder) -> Result<Step> {
        let Some(file) = &mut self.file else { return Ok(Step::finished()) };
        let mut asset: Option<(String, RowIndex)> = None;
        loop {
            let (line, bytes) = file.next_line()?;
            let is_end = line.end || bytes == 0;
            asset = asset.filter(|(address, _)| *address == line.asset);
            // A position may be only between two assets, so a batch ends there.
            if !batch.is_empty() && (is_end || asset.is_none() && batch.is_full()) {
                file.go_back(bytes)?;
                return Ok(Step::batch(batch.finish()).at(Position::of_json(&file.place)?));
            }
            file.place.offset += bytes;
            if is_end {
                // Stored together with the position of this step: the file is not read again.
                self.services.state().put(&key(&file.place.path), file.place.revision.as_bytes())?;
                let end = ReportEnd::default().with_complete(line.end).with_deliver(line.end);
                let reason = if line.end { "" } else { "the file has no last line `{\"end\": true}`" };
                let step = Step::report_end(end.with_reason(reason)).at(Position::of_json(&file.place)?);
                self.file = None;
                return Ok(step);
            }
            let (_, row) = asset.get_or_insert_with(|| {
                let mut asset = AssetRow::default();
                asset.set(AssetField::Address, &line.asset);
                (line.asset.clone(), batch.push_asset(&asset, false))
            });
            line.push(&mut batch, *row, self.epss);
        }
    }
}

impl OpenFile {
    /// The next line and its length; 0 bytes at the end of the file, and for a last line that is incomplete.
    fn next_line(&mut self) -> Result<(Line, u64)> {
        let (mut text, path) = (String::new(), &self.place.path);
        let read = self.reader.read_line(&mut text);
        read.map_err(|error| PluginError::of_file(ErrorKind::Io, "read", path, &error))?;
        if !text.ends_with('\n') {
            return Ok((Line::default(), 0));
        }
        let line = serde_json::from_str(&text).map_err(|error| {
            let offset = self.place.offset;
            PluginError::bad_data(format!("{}: invalid line after byte {offset}: {error}", path.display()))
        })?;
        Ok((line, text.len() as u64))
    }

    /// The next line is this one again.
    fn go_back(&mut self, bytes: u64) -> Result<()> {
        let moved = self.reader.seek_relative(-bytes.cast_signed());
        moved.map_err(|error| PluginError::of_file(ErrorKind::Io, "read", &self.place.path, &error))
    }
}

impl Line {
    fn push(&self, batch: &mut BatchBuilder, asset: RowIndex, epss: OwnColumn<FindingField>) {
        let mut definition = DefinitionRow::default();
        definition.set(DefinitionField::Id, &self.id);
        definition.set(DefinitionField::Title, &self.title);
        let definition = batch.push_definition(&definition);
        let mut finding = FindingRow::default();
        finding.set_kind(FindingKind::Vulnerability);
        finding.set_severity(Severity::of_scale(self.score, 0.0, 10.0));
        finding.set(FindingField::LastFound, &self.seen);
        finding.set_own(epss, &self.epss.map(|score| score.to_string()).unwrap_or_default());
        batch.push_finding(asset, definition, &finding);
    }
}

/// The key whose value is the revision of the file that was read to its end.
fn key(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn revision(path: &Path) -> Result<String, Error> {
    let data = fs::metadata(path)?;
    let since = data.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{}-{}", data.len(), since.as_nanos()))
}

register_input!(Rows);
export_plugin!();
