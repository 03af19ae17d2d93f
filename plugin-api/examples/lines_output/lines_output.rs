//! The output `Lines`: one line per confirmed vulnerability, in a file that each report replaces.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::batch::{Batch, FindingView};
use scanbridge_plugin_api::model::{DefinitionField, FindingKind, ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, ErrorKind, Open, OpenedOutput, OptionSpec, Output,
    OutputCapabilities, PluginError, Receipt, Rendered, Replaces, Result, Resume, Verdict, Written,
    export_plugin, register_output,
};
use serde::{Deserialize, Serialize};

/// Lines go to a numbered part file, `.NAME.N.part`. `stored` renames it.
pub struct Lines {
    path: PathBuf,
    part: Option<File>,
    state: State,
}

/// The content of the receipt: what the current part is.
#[derive(Default, Serialize, Deserialize)]
struct State {
    /// It only grows, so a receipt can never name a part of another report.
    number: u64,
    length: u64,
    stage: Stage,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
enum Stage {
    /// The report has not ended.
    Open,
    /// `stored` publishes it.
    Sealed,
    /// `stored` removes it.
    #[default]
    Dropped,
}

impl Output for Lines {
    const NAME: &'static str = "Lines";
    const SUMMARY: &'static str = "one line of text per confirmed vulnerability";
    const OPTIONS: &'static [OptionSpec] =
        &[OptionSpec::path("path").required().help("Output file; each report replaces it.")];
    const CAPABILITIES: OutputCapabilities =
        OutputCapabilities::NONE.resume(Resume::Exact).replaces(Replaces::Report);
    const RENDERS: bool = true;

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        // The host has checked the options against the table: a required one is set.
        let path = open.options.path("path")?.unwrap_or_default();
        let mut lines = Self { path, part: None, state: State::default() };
        if let Some(receipt) = receipt {
            lines.state = receipt.json()?;
            match lines.state.stage {
                Stage::Open => lines.resume()?,
                // A crash came after the receipt was stored.
                Stage::Sealed | Stage::Dropped => lines.stored()?,
            }
        }
        Ok(lines.into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        let folder = self.folder();
        let verdict = if folder.is_dir() { Verdict::Ok } else { Verdict::Failed };
        Ok(CheckReport::default().step("directory", verdict, folder.display().to_string()))
    }

    fn begin(&mut self, _: &ReportStart, how: Begin) -> Result<()> {
        if how.continued {
            return Ok(()); // `open` has restored the part.
        }
        // The part of an unfinished report is removed by the next `stored`.
        let highest = self.parts()?.into_iter().max().unwrap_or_default().max(self.state.number);
        self.state = State { number: highest + 1, length: 0, stage: Stage::Open };
        let part = OpenOptions::new().write(true).create_new(true).open(self.part_path(highest + 1));
        self.part =
            Some(part.map_err(|error| self.failed(ErrorKind::CannotCreate, "create a part of", &error))?);
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let (mut text, mut written) = (String::new(), Written::default());
        for finding in batch.findings() {
            // Every finding is accounted for: what is not named here counts as written.
            if finding.kind() != FindingKind::Vulnerability {
                written.left_out.push(finding.row());
                continue;
            }
            text += &line(finding);
            text.push('\n');
        }
        if let Some(part) = &mut self.part {
            part.write_all(text.as_bytes()).map_err(|error| self.failed(ErrorKind::Io, "write", &error))?;
        }
        written.bytes = text.len() as u64;
        self.state.length += written.bytes;
        Ok(written)
    }

    /// For `scanbridge preview`: the same lines, and nothing happens.
    fn render(&self, _: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        let rendered = batch.findings().map(|finding| match finding.kind() {
            FindingKind::Vulnerability => Rendered::new(finding.row(), line(finding)),
            _ => Rendered::omitted(finding.row(), "not a confirmed vulnerability"),
        });
        Ok(rendered.collect())
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        self.state.stage = if end.deliver { Stage::Sealed } else { Stage::Dropped };
        Ok(Written::default())
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        if let Some(part) = &self.part {
            part.sync_data().map_err(|error| self.failed(ErrorKind::Io, "write", &error))?;
        }
        Ok(Receipt::of_json(&self.state)?.into())
    }

    /// The receipt is stored: publish. After a crash, `open` does the same with that receipt.
    fn stored(&mut self) -> Result<()> {
        self.part = None;
        let failed = |error: &std::io::Error| self.failed(ErrorKind::Io, "publish", error);
        let part = self.part_path(self.state.number);
        if self.state.stage == Stage::Sealed && part.exists() {
            fs::rename(&part, &self.path).map_err(|error| failed(&error))?;
            File::open(self.folder()).and_then(|folder| folder.sync_all()).map_err(|error| failed(&error))?;
        }
        // Only here may a part go: until now, the stored receipt could have named it.
        for number in self.parts()? {
            fs::remove_file(self.part_path(number)).map_err(|error| failed(&error))?;
        }
        self.state.stage = Stage::Dropped;
        Ok(())
    }
}

impl Lines {
    /// Truncates the part to its length in the receipt.
    fn resume(&mut self) -> Result<()> {
        let part = OpenOptions::new().append(true).open(self.part_path(self.state.number));
        let length = |part: &File| part.metadata().map_or(0, |data| data.len());
        let part = part.ok().filter(|part| length(part) >= self.state.length);
        let part = part.ok_or_else(|| {
            PluginError::config("cannot resume: a part of this output is missing")
                .with_hint("use --restart to start from the beginning")
        })?;
        part.set_len(self.state.length).map_err(|error| self.failed(ErrorKind::Io, "truncate", &error))?;
        self.part = Some(part);
        Ok(())
    }

    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn part_prefix(&self) -> String {
        format!(".{}.", self.path.file_name().unwrap_or_default().to_string_lossy())
    }

    fn part_path(&self, number: u64) -> PathBuf {
        self.path.with_file_name(format!("{}{number}.part", self.part_prefix()))
    }

    /// The numbers of all parts of this output.
    fn parts(&self) -> Result<Vec<u64>> {
        let prefix = self.part_prefix();
        let number = |name: &str| name.strip_prefix(&prefix)?.strip_suffix(".part")?.parse().ok();
        let entries = fs::read_dir(self.folder())
            .map_err(|error| self.failed(ErrorKind::Io, "find the parts of", &error))?;
        Ok(entries.flatten().filter_map(|entry| number(entry.file_name().to_str()?)).collect())
    }

    fn failed(&self, kind: ErrorKind, what: &str, error: &std::io::Error) -> PluginError {
        PluginError::of_file(kind, what, &self.path, error)
    }
}

fn line(finding: FindingView<'_>) -> String {
    let (address, definition) = (finding.asset().address(), finding.definition());
    let title = definition.get(DefinitionField::Title).replace(|c: char| c.is_control(), " ");
    format!("{address} {} {title}", definition.id())
}

register_output!(Lines);
export_plugin!();
