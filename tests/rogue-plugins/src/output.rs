//! The output `Rogue`: option `act` says what it does wrong.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    CheckReport, ErrorKind, OptionSpec, Options, Output, PluginError, Receipt, Rejection, Result, Services,
    Written, register_output,
};

struct Rogue {
    act: String,
    times: u64,
    log: Option<PathBuf>,
    services: Services,
    /// What was written since the last commit.
    pending: Vec<String>,
    path: String,
}

register_output!(Rogue);

const ACTS: &[&str] = &[
    "behave",
    "panic-in-open",
    "panic-in-check",
    "panic-in-begin",
    "panic-in-write",
    "panic-in-end",
    "panic-in-commit",
    "panic-in-close",
    "refuse-to-open",
    "unavailable",
    "reject-all",
    "reject-what-is-not-there",
    "reject-and-leave-out",
    "reject-at-the-end",
    "fail-to-write",
    "fail-to-open",
    "retry-rows",
    "hang",
];

impl Rogue {
    fn act(&self, act: &str) {
        assert!(self.act != act, "told to {act}");
    }

    /// Fails the first so many times, counted across instances and runs.
    fn fail(&self, act: &str) -> Result<()> {
        if self.act != act {
            return Ok(());
        }
        let counter = self.services.state_folder()?.join("failures");
        let failed = fs::read_to_string(&counter).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        if failed >= self.times {
            return Ok(());
        }
        fs::write(&counter, (failed + 1).to_string()).expect("the counter is written");
        Err(PluginError::new(ErrorKind::Unavailable, "nobody answers now"))
    }

    /// Appends lines to the log, if there is one: only what is committed or ended stands there.
    fn tell(&mut self, lines: &[String]) {
        let Some(log) = &self.log else { return };
        let mut file = fs::OpenOptions::new().create(true).append(true).open(log).expect("the log opens");
        lines.iter().for_each(|line| writeln!(file, "{line}").expect("the log is written"));
    }
}

impl Output for Rogue {
    const NAME: &'static str = "Rogue";
    const SUMMARY: &'static str = "an output that misbehaves on purpose";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::choice("act", ACTS).default_text("behave").help("what it does wrong"),
        OptionSpec::integer("times", 0, 1_000_000).default_integer(2).help("how often it fails"),
        OptionSpec::path("log").help("where it tells what it delivered"),
    ];

    fn open(options: &Options, services: &Services, _: Option<&Receipt>) -> Result<Self> {
        let rogue = Self {
            act: options.text("act")?.unwrap_or_default().to_owned(),
            times: options.integer("times")?.unwrap_or_default(),
            log: options.path("log")?,
            services: services.clone(),
            pending: Vec::new(),
            path: String::new(),
        };
        rogue.act("panic-in-open");
        rogue.fail("fail-to-open")?;
        if rogue.act == "refuse-to-open" {
            return Err(PluginError::config("refused to open").with_hint("ask it to behave"));
        }
        Ok(rogue)
    }

    fn check(&mut self) -> Result<CheckReport> {
        self.act("panic-in-check");
        Ok(CheckReport::default())
    }

    fn begin(&mut self, report: &ReportStart) -> Result<()> {
        self.act("panic-in-begin");
        self.path.clone_from(&report.path);
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        self.act("panic-in-write");
        self.fail("fail-to-write")?;
        if self.act == "hang" {
            std::thread::sleep(Duration::MAX);
        }
        let mut retry = Vec::new();
        if self.act == "retry-rows" {
            // Every row is asked for twice.
            retry.extend(batch.findings().map(|finding| finding.row()).filter(|row| {
                let address = batch.finding(*row).map_or("", |finding| finding.asset().address());
                let name = format!("{address}-{row}");
                let seen = self.services.state_folder().expect("a folder").join(name);
                !seen.exists() && fs::write(seen, "").is_ok()
            }));
        }
        let taken = batch.findings().filter(|finding| !retry.contains(&finding.row()));
        self.pending.extend(taken.map(|finding| finding.asset().address().to_owned()));
        let rejection = |row| Rejection { row, reason: "nothing is good enough".to_owned() };
        let rejected = match self.act.as_str() {
            "unavailable" => return Err(PluginError::new(ErrorKind::Unavailable, "nobody answers")),
            "reject-all" | "reject-and-leave-out" => {
                batch.findings().map(|finding| rejection(finding.row())).collect()
            }
            "reject-what-is-not-there" => vec![rejection(u32::MAX)],
            _ => Vec::new(),
        };
        let left_out = match self.act.as_str() {
            "reject-and-leave-out" => batch.findings().map(|finding| finding.row()).collect(),
            _ => Vec::new(),
        };
        Ok(Written { rejected, left_out, retry, ..Written::default() })
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        self.act("panic-in-end");
        self.pending.push(format!("end {} complete={}", self.path, end.complete));
        let late = Rejection { row: 0, reason: "too late to say".to_owned() };
        let rejected = if self.act == "reject-at-the-end" { vec![late] } else { Vec::new() };
        Ok(Written { rejected, ..Written::default() })
    }

    fn commit(&mut self) -> Result<Receipt> {
        self.act("panic-in-commit");
        let lines = std::mem::take(&mut self.pending);
        self.tell(&lines);
        Ok(Receipt(b"committed".to_vec()))
    }

    fn close(self) -> Result<()> {
        self.act("panic-in-close");
        Ok(())
    }
}
