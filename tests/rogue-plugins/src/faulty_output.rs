//! The output `Faulty`: a table of records in a file, correct unless the option `fault` names a fault. For the tests of
//! the exam.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use scanbridge_plugin_api::batch::{Batch, FindingView};
use scanbridge_plugin_api::model::{DefinitionField, FindingKind, ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, ErrorKind, Open, OpenedOutput, OptionSpec, Output,
    OutputCapabilities, Partial, PluginError, Purpose, Receipt, Rejection, Rendered, Replaces, Result,
    Resume, Services, Verdict, Written, register_output,
};
use serde::{Deserialize, Serialize};

/// Records of a report go to a numbered part. `stored` merges them into the table: they replace those of their assets.
struct Faulty {
    fault: String,
    path: PathBuf,
    password: String,
    services: Services,
    state: State,
    /// The length of the part when this instance was opened.
    before: u64,
    part: Option<File>,
    /// Address and definition of the last finding.
    last: String,
    /// Whether the next call of `write` repeats rows.
    retries: bool,
    /// Lines that are still to be written.
    later: String,
}

/// The content of the receipt.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    number: u64,
    length: u64,
    ended: bool,
    deliver: bool,
    complete: bool,
    partial: bool,
}

register_output!(Faulty);

const FAULTS: &[&str] = &[
    "none",
    "writes-in-open",
    "creates-the-file-in-check",
    "keeps-a-report-that-is-begun-again",
    "constant-receipt",
    "shared-state",
    "keeps-an-incomplete-report",
    "clears-on-an-incomplete-report",
    "prints",
    "false-byte-count",
    "deaf",
    "exit-in-close",
    "publishes-in-end",
    "truncates-although-continued",
    "repeats-although-exact",
    "counts-from-the-resume",
    "drops-rows",
    "drops-findings-without-a-port",
    "drops-long-titles",
    "secret-in-an-error",
    "silent-in-close",
    "splits-at-own-columns",
    "ignores-the-selection",
    "writes-in-render",
    "renders-every-other",
    "renders-nothing-without-a-reason",
    "merges-findings-of-a-definition",
    "drops-retried-rows",
    "loses-the-last-batch-when-reopened",
    // The last two are correct.
    "alive-in-close",
    "uses-a-thread-local",
];

/// For the fault `shared-state`: lines that wait for the next call of any instance.
static SHARED: Mutex<String> = Mutex::new(String::new());

thread_local! {
    /// As `SHARED`, for `uses-a-thread-local`: each instance has its own thread.
    static OWN: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Output for Faulty {
    const NAME: &'static str = "Faulty";
    const SUMMARY: &'static str = "a table of records in a file, with one fault on request";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::choice("fault", FAULTS).default_text("none").help("The fault."),
        OptionSpec::path("path").required().help("The file of the table."),
        OptionSpec::text("password").secret().help("A secret that `secret-in-an-error` shows."),
    ];
    const CAPABILITIES: OutputCapabilities =
        OutputCapabilities::NONE.resume(Resume::Exact).replaces(Replaces::Asset).partial(Partial::Adds);
    const RENDERS: bool = true;

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let options = open.options;
        let mut output = Self {
            fault: options.text("fault")?.unwrap_or_default().to_owned(),
            path: options.path("path")?.unwrap_or_default(),
            password: options
                .secret("password")?
                .map(|secret| secret.expose().to_owned())
                .unwrap_or_default(),
            services: open.services.clone(),
            state: State::default(),
            before: 0,
            part: None,
            last: String::new(),
            retries: false,
            later: String::new(),
        };
        if output.is("writes-in-open") && open.purpose() == Purpose::Check {
            fs::write(output.path.with_extension("tried"), "").map_err(io)?;
        }
        if let Some(receipt) = receipt {
            output.restore(receipt)?;
        }
        Ok(output.into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        if self.is("creates-the-file-in-check") {
            File::create(&self.path).map_err(io)?;
        }
        Ok(CheckReport::default().step("table", Verdict::Ok, "can be written"))
    }

    fn begin(&mut self, _: &ReportStart, how: Begin) -> Result<()> {
        if how.continued && !self.is("truncates-although-continued") {
            return Ok(());
        }
        if self.is("keeps-a-report-that-is-begun-again") && self.part.is_some() {
            return Ok(());
        }
        let number = self.parts().into_iter().map(|(number, _)| number).max().unwrap_or_default();
        self.state = State {
            number: if how.continued { self.state.number } else { number.max(self.state.number) + 1 },
            partial: how.partial,
            ..State::default()
        };
        self.before = 0;
        self.part = Some(File::create(self.part_path(self.state.number)).map_err(io)?);
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "one of the faults")]
    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        if self.is("deaf") {
            std::thread::sleep(Duration::from_secs(3));
        }
        if self.is("prints") {
            println!("a batch of {} findings", batch.finding_count());
        }
        let (mut text, mut written) = (String::new(), Written::default());
        if self.is("drops-retried-rows") {
            self.retries = !self.retries && batch.finding_count() > 4;
            if self.retries {
                return Ok(written.with_retry(batch.findings().map(|finding| finding.row()).collect()));
            }
            if batch.finding_count() > 4 {
                return Ok(written);
            }
        }
        let findings: Vec<FindingView<'_>> = if self.is("ignores-the-selection") {
            (0..).map_while(|row| batch.finding(row)).collect()
        } else {
            batch.findings().collect()
        };
        for (index, finding) in findings.into_iter().enumerate() {
            if finding.kind() == FindingKind::Service {
                written.left_out.push(finding.row());
                continue;
            }
            let definition = finding.definition();
            if definition.id().ends_with("7") && self.is("drops-rows") {
                let reason = "an ID that ends with 7".to_owned();
                written.rejected.push(Rejection::new(finding.row(), reason));
                continue;
            }
            if index % 2 == 1 && self.is("drops-rows") {
                continue;
            }
            let is_long = definition.get(DefinitionField::Title).len() > 1000;
            if finding.port().is_none() && self.is("drops-findings-without-a-port")
                || is_long && self.is("drops-long-titles")
            {
                continue;
            }
            let key = format!("{} {}", finding.asset().address(), definition.id());
            if std::mem::replace(&mut self.last, key) == self.last
                && self.is("merges-findings-of-a-definition")
            {
                continue;
            }
            let title = definition.get(DefinitionField::Title).replace(|c: char| c.is_control(), " ");
            text += &format!("{} {} {title}", finding.asset().address(), definition.id());
            if let Some(note) = batch.column("exam:note").filter(|_| self.is("splits-at-own-columns")) {
                text += finding.cell(note).text();
            }
            text.push('\n');
        }
        written.bytes = text.len() as u64 + u64::from(self.is("false-byte-count"));
        if self.is("loses-the-last-batch-when-reopened") && self.before > 0 {
            text = std::mem::replace(&mut self.later, text);
        }
        self.append(text)?;
        Ok(written)
    }

    fn render(&self, _: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        if self.is("writes-in-render") {
            fs::write(self.path.with_extension("rendered"), "").map_err(io)?;
        }
        let every = if self.is("renders-every-other") { 2 } else { 1 };
        let rendered = batch.findings().step_by(every).map(|finding| {
            let (address, id) = (finding.asset().address(), finding.definition().id());
            match finding.kind() {
                FindingKind::Service if self.is("renders-nothing-without-a-reason") => {
                    Rendered::omitted(finding.row(), "")
                }
                FindingKind::Service => Rendered::omitted(finding.row(), "services are not written"),
                _ => Rendered::new(finding.row(), format!("{address} {id}")),
            }
        });
        Ok(rendered.collect())
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        self.append(String::new())?;
        self.state.ended = true;
        self.state.deliver = end.deliver || self.is("keeps-an-incomplete-report");
        self.state.complete = end.complete;
        if self.is("publishes-in-end") {
            self.merge()?;
        }
        Ok(Written::default())
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        if self.is("uses-a-thread-local") {
            self.append(String::new())?;
        }
        if let Some(part) = &self.part {
            part.sync_data().map_err(io)?;
        }
        let receipt = if self.is("constant-receipt") {
            State { number: 1, ..State::default() }
        } else if self.is("counts-from-the-resume") && !self.state.ended {
            State { length: self.state.length.saturating_sub(self.before), ..self.state.clone() }
        } else {
            self.state.clone()
        };
        Ok(Receipt(serde_json::to_vec(&receipt).unwrap_or_default()).into())
    }

    fn stored(&mut self) -> Result<()> {
        self.merge()?;
        for (_, part) in self.parts() {
            fs::remove_file(part).map_err(io)?;
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "one of the faults")]
    fn close(self) -> Result<()> {
        if self.is("exit-in-close") {
            std::process::exit(0);
        }
        if self.is("silent-in-close") || self.is("alive-in-close") {
            self.work_for_long();
        }
        Ok(())
    }
}

impl Faulty {
    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// Works longer than a call may without a sign of progress.
    fn work_for_long(&self) {
        for tenth in 0..100 {
            if self.services.is_draining() {
                return;
            }
            if self.is("alive-in-close") {
                match tenth % 3 {
                    0 => self.services.alive(),
                    1 => self.services.progress(tenth, Some(100)),
                    _ => self.services.phase("waiting for the disk"),
                }
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Appends lines to the part.
    fn append(&mut self, mut text: String) -> Result<()> {
        if self.is("shared-state") {
            let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::swap(&mut *shared, &mut text);
        }
        if self.is("uses-a-thread-local") {
            OWN.with_borrow_mut(|own| std::mem::swap(own, &mut text));
        }
        self.state.length += text.len() as u64;
        match &mut self.part {
            Some(part) => part.write_all(text.as_bytes()).map_err(io),
            None => Ok(()),
        }
    }

    fn restore(&mut self, receipt: &Receipt) -> Result<()> {
        let password = if self.is("secret-in-an-error") { self.password.as_str() } else { "" };
        let corrupt = || {
            PluginError::config(format!("the receipt is corrupt {password}"))
                .with_hint("start from the beginning")
        };
        self.state = serde_json::from_slice(&receipt.0).map_err(|_| corrupt())?;
        if self.state.ended {
            return self.stored();
        }
        let part = OpenOptions::new().append(true).open(self.part_path(self.state.number));
        let part = part.map_err(|_| corrupt())?;
        if part.metadata().map_or(0, |data| data.len()) < self.state.length {
            return Err(corrupt());
        }
        if !self.is("repeats-although-exact") {
            part.set_len(self.state.length).map_err(io)?;
        }
        self.before = self.state.length;
        self.part = Some(part);
        Ok(())
    }

    /// Merges the part into the table. A second call finds no part, or merges the same again.
    fn merge(&mut self) -> Result<()> {
        self.part = None;
        let part = fs::read_to_string(self.part_path(self.state.number));
        let Ok(part) = part.map(|mut text| {
            text.truncate(usize::try_from(self.state.length).unwrap_or_default().min(text.len()));
            text
        }) else {
            return Ok(());
        };
        if !self.state.deliver {
            return Ok(());
        }
        let old = fs::read_to_string(&self.path).unwrap_or_default();
        let asset = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let assets: BTreeSet<String> = part.lines().map(asset).collect();
        let clears = self.is("clears-on-an-incomplete-report") && !self.state.complete;
        let stays = |line: &&str| {
            if self.state.partial {
                !part.lines().any(|new| new == *line)
            } else {
                !clears && !assets.contains(&asset(line))
            }
        };
        let mut table: String = old.lines().filter(stays).map(|line| format!("{line}\n")).collect();
        table += &part;
        let new = self.path.with_file_name(".new");
        fs::write(&new, table).and_then(|()| fs::rename(new, &self.path)).map_err(io)
    }

    fn part_path(&self, number: u64) -> PathBuf {
        self.path.with_file_name(format!(".{number}.part"))
    }

    fn parts(&self) -> Vec<(u64, PathBuf)> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let number =
            |path: &Path| path.file_name()?.to_str()?.strip_prefix('.')?.strip_suffix(".part")?.parse().ok();
        paths.filter_map(|path| Some((number(&path)?, path))).collect()
    }
}

fn io(error: std::io::Error) -> PluginError {
    PluginError::new(ErrorKind::Io, format!("the table cannot be written: {error}"))
}
