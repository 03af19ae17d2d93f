//! The output `Rogue`: option `act` says what it does wrong.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{FindingField, ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    CheckReport, ErrorKind, OptionSpec, Options, Output, PluginError, Receipt, Rejection, Result, Services,
    Written, register_output,
};

struct Rogue {
    act: String,
    times: u64,
    seed: u64,
    log: Option<PathBuf>,
    services: Services,
    /// What was written since the last commit.
    pending: Vec<String>,
    path: String,
}

register_output!(Rogue);

const ACTS: &[&str] = &[
    "behave",
    "exit-in-open",
    "exit-in-check",
    "exit-in-write",
    "exit-in-close",
    "exit-in-a-thread",
    "quick-exit-in-write",
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
    "moody",
    "tire",
];

/// Ends the process with success, as a C library may do on an error.
#[expect(clippy::disallowed_methods, reason = "this is what the host has to notice")]
fn exit() -> ! {
    std::process::exit(0)
}

/// The same without the functions that are registered for `exit`.
#[expect(unsafe_code, reason = "a function of the C standard")]
fn quick_exit() -> ! {
    unsafe extern "C" {
        fn quick_exit(code: std::ffi::c_int) -> !;
    }
    // SAFETY: it needs nothing.
    unsafe { quick_exit(0) }
}

impl Rogue {
    fn exit(&self, act: &str) {
        if self.act == act {
            exit();
        }
    }

    fn act(&self, act: &str) {
        assert!(self.act != act, "told to {act}");
    }

    /// Whether this act is due: the first so many times, counted across instances and runs.
    fn is_due(&self, act: &str) -> Result<bool> {
        Ok(self.act == act && self.count("times")? < self.times)
    }

    fn fail(&self, act: &str) -> Result<()> {
        if self.is_due(act)? { Err(away()) } else { Ok(()) }
    }

    /// Counts across instances and runs.
    fn count(&self, what: &str) -> Result<u64> {
        let counter = self.services.state_folder()?.join(what);
        let count = fs::read_to_string(&counter).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        fs::write(&counter, (count + 1).to_string()).expect("the counter is written");
        Ok(count)
    }

    /// A moody output throws a die at each call: a number below `sides`, and 0 when it has been moody long enough.
    fn mood(&self, sides: u64) -> Result<u64> {
        if self.act != "moody" {
            return Ok(0);
        }
        let call = self.count("calls")?;
        let mut hasher = DefaultHasher::new();
        (self.seed, call).hash(&mut hasher);
        Ok(if call < self.times { hasher.finish() % sides } else { 0 })
    }

    /// Is away in one of its moods.
    fn may_be_away(&self) -> Result<()> {
        if self.mood(4)? == 1 { Err(away()) } else { Ok(()) }
    }

    /// Appends lines to the log, if there is one: only what is committed or ended stands there. Gives its length.
    fn tell(&mut self, lines: &[String]) -> u64 {
        let Some(log) = &self.log else { return 0 };
        let mut file = fs::OpenOptions::new().create(true).append(true).open(log).expect("the log opens");
        lines.iter().for_each(|line| writeln!(file, "{line}").expect("the log is written"));
        file.metadata().expect("the log has a length").len()
    }
}

impl Output for Rogue {
    const NAME: &'static str = "Rogue";
    const SUMMARY: &'static str = "an output that misbehaves on purpose";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::choice("act", ACTS).default_text("behave").help("what it does wrong"),
        OptionSpec::integer("times", 0, 1_000_000).default_integer(2).help("how often it fails"),
        OptionSpec::integer("seed", 0, i64::MAX).default_integer(0).help("what its moods come from"),
        OptionSpec::path("log").help("where it tells what it delivered"),
    ];

    fn open(options: &Options, services: &Services, receipt: Option<&Receipt>) -> Result<Self> {
        let rogue = Self {
            act: options.text("act")?.unwrap_or_default().to_owned(),
            times: options.integer("times")?.unwrap_or_default(),
            seed: options.integer("seed")?.unwrap_or_default(),
            log: options.path("log")?,
            services: services.clone(),
            pending: Vec::new(),
            path: String::new(),
        };
        rogue.exit("exit-in-open");
        rogue.act("panic-in-open");
        rogue.fail("fail-to-open")?;
        rogue.may_be_away()?;
        if let (Some(log), Some(receipt)) = (&rogue.log, receipt) {
            let length = receipt.0.as_slice().try_into().map_or(0, u64::from_le_bytes);
            let log = fs::OpenOptions::new().create(true).append(true).open(log).expect("the log opens");
            log.set_len(length).expect("the log is cut back");
        }
        if rogue.act == "refuse-to-open" {
            return Err(PluginError::config("refused to open").with_hint("ask it to behave"));
        }
        Ok(rogue)
    }

    fn check(&mut self) -> Result<CheckReport> {
        self.exit("exit-in-check");
        self.act("panic-in-check");
        self.may_be_away()?;
        Ok(CheckReport::default())
    }

    fn begin(&mut self, report: &ReportStart) -> Result<()> {
        self.act("panic-in-begin");
        self.may_be_away()?;
        self.path.clone_from(&report.path);
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        self.exit("exit-in-write");
        if self.act == "quick-exit-in-write" {
            quick_exit();
        }
        if self.act == "exit-in-a-thread" {
            let _ = std::thread::spawn(exit).join();
        }
        self.act("panic-in-write");
        self.fail("fail-to-write")?;
        if self.act == "tire" && !self.is_due("tire")? {
            return Err(away());
        }
        if self.is_due("hang")? {
            std::thread::sleep(Duration::MAX);
        }
        let mut retry = Vec::new();
        let mood = self.mood(6)?;
        if mood == 1 {
            return Err(away());
        }
        if mood == 2 {
            retry.extend(
                batch
                    .findings()
                    .map(|finding| finding.row())
                    .filter(|row| u64::from(*row) % 2 == self.seed % 2),
            );
        }
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
        let refused = if mood == 3 { batch.findings().map(|finding| finding.row()).next() } else { None };
        let taken = taken.filter(|finding| Some(finding.row()) != refused);
        self.pending.extend(taken.map(|finding| {
            let (address, port) = (finding.asset().address(), finding.get(FindingField::Port));
            if port.is_empty() { address.to_owned() } else { format!("{address} {port}") }
        }));
        if mood == 4 {
            return Err(away()); // It took them, and cannot say so.
        }
        let rejection = |row| Rejection { row, reason: "nothing is good enough".to_owned() };
        let rejected = match self.act.as_str() {
            "unavailable" => return Err(away()),
            "reject-all" | "reject-and-leave-out" => {
                batch.findings().map(|finding| rejection(finding.row())).collect()
            }
            "moody" => refused.map(rejection).into_iter().collect(),
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
        self.may_be_away()?;
        if end.deliver {
            self.pending.push(format!("end {} complete={}", self.path, end.complete));
        }
        let late = Rejection { row: 0, reason: "too late to say".to_owned() };
        let rejected = if self.act == "reject-at-the-end" { vec![late] } else { Vec::new() };
        Ok(Written { rejected, ..Written::default() })
    }

    fn commit(&mut self) -> Result<Receipt> {
        self.act("panic-in-commit");
        self.may_be_away()?;
        let lines = std::mem::take(&mut self.pending);
        Ok(Receipt(self.tell(&lines).to_le_bytes().to_vec()))
    }

    fn close(self) -> Result<()> {
        self.exit("exit-in-close");
        self.act("panic-in-close");
        Ok(())
    }
}

fn away() -> PluginError {
    PluginError::new(ErrorKind::Unavailable, "nobody answers")
}
