//! The output `Lines`: one line per confirmed vulnerability, in a file that each report replaces.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind as IoError, Write};
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{DefinitionField, FindingKind, ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, ErrorKind, Open, OpenedOutput, OptionSpec, Output,
    OutputCapabilities, PluginError, Receipt, Replaces, Result, Resume, Verdict, Written, export_plugin,
    register_output,
};
use serde_json::json;

/// Lines go to a numbered part file, `.NAME.N.part`. `stored` renames it.
pub struct Lines {
    path: PathBuf,
    /// The number of the current part. It only grows, so a receipt can never name a part of another report.
    number: u64,
    part: Option<File>,
    length: u64,
    stage: Stage,
}

/// What the receipt says about the current part.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// The report has not ended.
    Open,
    /// `stored` publishes it.
    Sealed,
    /// `stored` removes it.
    Dropped,
}

impl Output for Lines {
    const NAME: &'static str = "Lines";
    const SUMMARY: &'static str = "one line of text per confirmed vulnerability";
    const OPTIONS: &'static [OptionSpec] =
        &[OptionSpec::path("path").required().help("Output file; each report replaces it.")];
    const CAPABILITIES: OutputCapabilities =
        OutputCapabilities::NONE.resume(Resume::Exact).replaces(Replaces::Report);

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        // The host has checked the options against the table: a required one is set.
        let path = open.options.path("path")?.unwrap_or_default();
        let mut lines = Self { path, number: 0, part: None, length: 0, stage: Stage::Dropped };
        if let Some(receipt) = receipt {
            lines.restore(receipt)?;
        }
        Ok(lines.into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        let folder = self.folder();
        let (verdict, detail) =
            if folder.is_dir() { (Verdict::Ok, "exists") } else { (Verdict::Failed, "is missing") };
        Ok(CheckReport::default().step("directory", verdict, format!("{} {detail}", folder.display())))
    }

    fn begin(&mut self, _: &ReportStart, how: Begin) -> Result<()> {
        if how.continued {
            return Ok(()); // `open` has restored the part.
        }
        // What a part of an unfinished report contains is removed by the next `stored`.
        self.number = self.highest_number() + 1;
        let part = OpenOptions::new().write(true).create_new(true).open(self.part_path(self.number));
        let cannot_create = |error| {
            PluginError::new(
                ErrorKind::CannotCreate,
                format!("cannot create a part of {}: {error}", self.path.display()),
            )
        };
        self.part = Some(part.map_err(cannot_create)?);
        (self.length, self.stage) = (0, Stage::Open);
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
            let (address, definition) = (finding.asset().address(), finding.definition());
            let title = definition.get(DefinitionField::Title).replace(|c: char| c.is_control(), " ");
            text += &format!("{address} {} {title}\n", definition.id());
        }
        if let Some(part) = &mut self.part {
            part.write_all(text.as_bytes()).map_err(|error| self.io_error("write", &error))?;
        }
        written.bytes = text.len() as u64;
        self.length += written.bytes;
        Ok(written)
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        self.stage = if end.deliver { Stage::Sealed } else { Stage::Dropped };
        Ok(Written::default())
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        if let Some(part) = &self.part {
            part.sync_data().map_err(|error| self.io_error("write", &error))?;
        }
        let stage = ["open", "sealed", "dropped"][self.stage as usize];
        let receipt = json!({ "number": self.number, "length": self.length, "stage": stage });
        Ok(Receipt(receipt.to_string().into_bytes()).into())
    }

    /// The receipt is stored: publish. After a crash, `open` does the same with that receipt.
    fn stored(&mut self) -> Result<()> {
        self.part = None;
        let part = self.part_path(self.number);
        if self.stage == Stage::Sealed && part.exists() {
            fs::rename(&part, &self.path).map_err(|error| self.io_error("publish", &error))?;
            let synced = File::open(self.folder()).and_then(|folder| folder.sync_all());
            synced.map_err(|error| self.io_error("publish", &error))?;
        }
        // Only here may a part go: until now, the stored receipt could have named it.
        for part in self.parts().map_err(|error| self.io_error("list the parts of", &error))? {
            fs::remove_file(part.1).map_err(|error| self.io_error("clean up after", &error))?;
        }
        self.stage = Stage::Dropped;
        Ok(())
    }
}

impl Lines {
    /// Returns to the state of a receipt: completes a publication, or cuts the part to its committed length.
    fn restore(&mut self, receipt: &Receipt) -> Result<()> {
        let corrupt = || {
            PluginError::config("cannot resume: the receipt of this output is corrupt")
                .with_hint("use --restart to start from the beginning")
        };
        let values: serde_json::Value = serde_json::from_slice(&receipt.0).map_err(|_| corrupt())?;
        self.number = values["number"].as_u64().ok_or_else(corrupt)?;
        self.length = values["length"].as_u64().ok_or_else(corrupt)?;
        self.stage = match values["stage"].as_str() {
            Some("open") => Stage::Open,
            Some("sealed") => Stage::Sealed,
            Some("dropped") => Stage::Dropped,
            _ => return Err(corrupt()),
        };
        if self.stage != Stage::Open {
            return self.stored();
        }
        let part = OpenOptions::new().append(true).open(self.part_path(self.number));
        let part = part.map_err(|_| corrupt())?;
        if part.metadata().map_or(0, |data| data.len()) < self.length {
            return Err(corrupt());
        }
        part.set_len(self.length).map_err(|error| self.io_error("roll back", &error))?;
        self.part = Some(part);
        Ok(())
    }

    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn prefix(&self) -> String {
        format!(".{}.", self.path.file_name().unwrap_or_default().to_string_lossy())
    }

    fn part_path(&self, number: u64) -> PathBuf {
        self.folder().join(format!("{}{number}.part", self.prefix()))
    }

    /// The parts of this output, with their numbers.
    fn parts(&self) -> Result<Vec<(u64, PathBuf)>, Error> {
        let (folder, prefix) = (self.folder(), self.prefix());
        let number = |name: &str| name.strip_prefix(&prefix)?.strip_suffix(".part")?.parse().ok();
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == IoError::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let paths = entries.flatten().map(|entry| entry.path());
        Ok(paths.filter_map(|path| Some((number(path.file_name()?.to_str()?)?, path))).collect())
    }

    fn highest_number(&self) -> u64 {
        let parts = self.parts().unwrap_or_default();
        parts.into_iter().map(|(number, _)| number).max().unwrap_or_default().max(self.number)
    }

    fn io_error(&self, what: &str, error: &Error) -> PluginError {
        PluginError::new(ErrorKind::Io, format!("cannot {what} {}: {error}", self.path.display()))
    }
}

register_output!(Lines);
export_plugin!();
