//! The output `FaultyFiles`: a file for each report, correct unless the option `fault` names a fault. For the tests of the
//! exam.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, ErrorKind, Open, OpenedOutput, OptionSpec, Output,
    OutputCapabilities, PluginError, Receipt, Replaces, Result, Resume, Verdict, Written, register_output,
};
use serde::{Deserialize, Serialize};

/// Records of a report go to a part, `stored` gives it its name.
struct FaultyFiles {
    fault: String,
    folder: PathBuf,
    state: State,
    part: Option<File>,
    /// Whether it was opened with a receipt.
    resumed: bool,
}

/// The content of the receipt.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    number: u64,
    length: u64,
    ended: bool,
    deliver: bool,
    /// The name of the file.
    name: String,
}

register_output!(FaultyFiles);

const FAULTS: &[&str] = &["none", "appends-to-the-last-file", "publishes-what-it-has-in-memory"];

impl Output for FaultyFiles {
    const NAME: &'static str = "FaultyFiles";
    const SUMMARY: &'static str = "a file for each report, with one fault on request";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::choice("fault", FAULTS).default_text("none").help("The fault."),
        OptionSpec::path("folder").required().help("The directory of the files."),
    ];
    const CAPABILITIES: OutputCapabilities =
        OutputCapabilities::NONE.resume(Resume::Exact).replaces(Replaces::Report);

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let fault = open.options.text("fault")?.unwrap_or_default().to_owned();
        let folder = open.options.path("folder")?.unwrap_or_default();
        let mut output =
            Self { fault, folder, state: State::default(), part: None, resumed: receipt.is_some() };
        let Some(receipt) = receipt else { return Ok(output.into()) };
        let corrupt = || PluginError::config("the receipt is corrupt").with_hint("start from the beginning");
        output.state = receipt.json()?;
        if output.state.ended {
            output.publish()?;
        } else {
            let part = OpenOptions::new().append(true).open(output.part_path()).map_err(|_| corrupt())?;
            if part.metadata().map_or(0, |data| data.len()) < output.state.length {
                return Err(corrupt());
            }
            part.set_len(output.state.length).map_err(io)?;
            output.part = Some(part);
        }
        Ok(output.into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(CheckReport::default().step("directory", Verdict::Ok, "can be written"))
    }

    fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        if how.continued {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).map_err(io)?;
        let name = report.id.replace('/', "-") + ".txt";
        // The next report after the one that the receipt names.
        let keeps_name =
            self.fault == "appends-to-the-last-file" && self.state.ended && std::mem::take(&mut self.resumed);
        let name = if keeps_name { self.state.name.clone() } else { name };
        self.state = State { number: self.state.number + 1, name, ..State::default() };
        self.part = Some(File::create(self.part_path()).map_err(io)?);
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let mut text = String::new();
        for finding in batch.findings() {
            let port = finding.port().unwrap_or_default();
            text += &format!("{} {} {port}\n", finding.asset().address(), finding.definition().id());
        }
        if let Some(part) = &mut self.part {
            part.write_all(text.as_bytes()).map_err(io)?;
        }
        self.state.length += text.len() as u64;
        let mut written = Written::default();
        written.bytes = text.len() as u64;
        Ok(written)
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        (self.state.ended, self.state.deliver) = (true, end.deliver);
        Ok(Written::default())
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        if let Some(part) = &self.part {
            part.sync_data().map_err(io)?;
        }
        Ok(Receipt::of_json(&self.state)?.into())
    }

    fn stored(&mut self) -> Result<()> {
        self.publish()
    }

    fn close(self) -> Result<()> {
        Ok(())
    }
}

impl FaultyFiles {
    fn part_path(&self) -> PathBuf {
        self.folder.join(format!(".{}.part", self.state.number))
    }

    /// Gives the part its name. A second call finds no part.
    fn publish(&mut self) -> Result<()> {
        let is_open = self.part.take().is_some();
        if self.fault == "publishes-what-it-has-in-memory" && !is_open {
            return Ok(());
        }
        let (part, path) = (self.part_path(), self.folder.join(&self.state.name));
        if !part.exists() {
            return Ok(());
        }
        if !self.state.deliver {
            return fs::remove_file(part).map_err(io);
        }
        if self.fault == "appends-to-the-last-file" && path.exists() {
            let text = fs::read(&part).map_err(io)?;
            let mut file = OpenOptions::new().append(true).open(path).map_err(io)?;
            file.write_all(&text).and_then(|()| fs::remove_file(part)).map_err(io)
        } else {
            fs::rename(part, path).map_err(io)
        }
    }
}

fn io(error: std::io::Error) -> PluginError {
    PluginError::new(ErrorKind::Io, format!("the files cannot be written: {error}"))
}
