//! The output `Rogue`. Its option `act` selects the simulated fault.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, ErrorKind, LateAnswers, LateRow, Open, OpenedOutput,
    OptionSpec, Output, OutputCapabilities, Partial, PluginError, Receipt, Rejection, Result, Resume,
    Services, Written, register_output,
};

use crate::crash::crash;

struct Rogue {
    act: String,
    times: u64,
    seed: u64,
    password: String,
    log: Option<PathBuf>,
    services: Services,
    /// The lines written since the last commit.
    pending: Vec<String>,
    path: String,
    resume: Resume,
    /// The first finding of each batch since the last commit.
    first_rows: Vec<LateRow>,
}

register_output!(Rogue);

const ACTS: &[&str] = &[
    "behave",
    "late-rejections",
    "late-retry",
    "no-receipt",
    "fail-to-publish",
    "hang-in-open",
    "hang-in-begin",
    "hang-in-end",
    "hang-in-commit",
    "hang-in-stored",
    "hang-in-close",
    "exit-in-open",
    "exit-in-check",
    "exit-in-write",
    "exit-in-close",
    "exit-in-a-thread",
    "quick-exit-in-write",
    "segfault-in-write",
    "abort-in-write",
    "overflow-in-write",
    "segfault-in-a-thread",
    "panic-in-drop",
    "panic-in-open",
    "panic-in-check",
    "panic-in-begin",
    "panic-in-write",
    "panic-in-end",
    "panic-in-commit",
    "panic-in-close",
    "refuse-to-open",
    "unavailable",
    "displaced",
    "reject-all",
    "reject-unknown-row",
    "reject-and-skip",
    "reject-in-end",
    "fail-to-write",
    "fail-to-open",
    "retry-rows",
    "long-receipt",
    "leak-secret",
    "refuse-login",
    "hang",
    "wait-for-stop",
    "random",
    "unavailable-later",
    "gone-later",
    "gone-a-while",
    "unavailable-after-writing",
    "log-clean-assets",
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

    /// Never returns if this act is set.
    fn hang_if(&self, act: &str) {
        if self.act == act {
            std::thread::sleep(Duration::MAX);
        }
    }

    /// With `act: wait-for-stop`: waits until the run stops, and then ends as cancelled.
    fn wait_for_stop(&self) -> Result<()> {
        if self.act != "wait-for-stop" {
            return Ok(());
        }
        while !self.services.is_draining() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(PluginError::cancelled())
    }

    /// Panics if this act is set.
    fn panic_if(&self, act: &str) {
        assert!(self.act != act, "panic requested: {act}");
    }

    /// Whether this act is set and applies to this call. It applies to the first `times` calls, counted across instances
    /// and runs.
    fn is_due(&self, act: &str) -> Result<bool> {
        Ok(self.act == act && self.count("times")? < self.times)
    }

    fn fail(&self, act: &str) -> Result<()> {
        if self.is_due(act)? { Err(unavailable()) } else { Ok(()) }
    }

    /// After a failed write, `open` fails: always with `act: gone-later`, once with `act: gone-a-while`.
    fn fail_if_gone(&self) -> Result<()> {
        let writes = fs::read_to_string(self.services.state_folder()?.join("times")).unwrap_or_default();
        let is_gone =
            self.act.starts_with("gone-") && writes.parse::<u64>().is_ok_and(|writes| writes > self.times);
        if is_gone && (self.act == "gone-later" || self.count("opens")? == 0) {
            Err(unavailable())
        } else {
            Ok(())
        }
    }

    /// Increments a counter that all instances and runs share. Returns its value before.
    fn count(&self, counter: &str) -> Result<u64> {
        let counter = self.services.state_folder()?.join(counter);
        let count = fs::read_to_string(&counter).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        fs::write(&counter, (count + 1).to_string()).expect("the counter can be written");
        Ok(count)
    }

    /// With `act: random`, a pseudo-random number below `limit` in each of the first `times` calls. Otherwise 0, which
    /// means normal behavior.
    fn random(&self, limit: u64) -> Result<u64> {
        if self.act != "random" {
            return Ok(0);
        }
        let call = self.count("calls")?;
        let mut hasher = DefaultHasher::new();
        (self.seed, call).hash(&mut hasher);
        Ok(if call < self.times { hasher.finish() % limit } else { 0 })
    }

    /// With `act: random`, fails in one of four cases.
    fn fail_at_random(&self) -> Result<()> {
        if self.random(4)? == 1 { Err(unavailable()) } else { Ok(()) }
    }

    /// Appends committed lines to the log, if one is set. Returns the length of the log in bytes.
    fn append_to_log(&mut self, lines: &[String]) -> u64 {
        let Some(log) = &self.log else { return 0 };
        let mut file =
            fs::OpenOptions::new().create(true).append(true).open(log).expect("the log can be opened");
        lines.iter().for_each(|line| writeln!(file, "{line}").expect("the log can be written"));
        file.metadata().expect("the log has a length").len()
    }
}

impl Output for Rogue {
    const NAME: &'static str = "Rogue";
    const SUMMARY: &'static str = "an output that violates the plugin contract on purpose";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::choice("act", ACTS).default_text("behave").help("Simulated fault."),
        OptionSpec::integer("times", 0, 1_000_000)
            .default_integer(2)
            .help("Number of calls to which the fault applies."),
        OptionSpec::text("password").secret().help("Secret that `leak-secret` reveals."),
        OptionSpec::integer("seed", 0, i64::MAX).default_integer(0).help("Seed of the random faults."),
        OptionSpec::path("log").help("Log file of the delivered findings."),
        OptionSpec::choice("resume", &["none", "repeats", "exact"])
            .default_text("exact")
            .help("Declared capability. With `none`, the log also has a line for each begin."),
    ];

    const CAPABILITIES: OutputCapabilities =
        OutputCapabilities::NONE.resume(Resume::Exact).partial(Partial::Adds).late_answers(LateAnswers::Rows);

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let (options, services) = (open.options, open.services);
        let rogue = Self {
            act: options.text("act")?.unwrap_or_default().to_owned(),
            times: options.integer("times")?.unwrap_or_default(),
            seed: options.integer("seed")?.unwrap_or_default(),
            password: options
                .secret("password")?
                .map(|secret| secret.expose().to_owned())
                .unwrap_or_default(),
            log: options.path("log")?,
            services: services.clone(),
            pending: Vec::new(),
            path: String::new(),
            resume: Resume::from(options.text("resume")?.unwrap_or_default().to_owned()),
            first_rows: Vec::new(),
        };
        rogue.hang_if("hang-in-open");
        rogue.exit("exit-in-open");
        rogue.panic_if("panic-in-open");
        rogue.fail("fail-to-open")?;
        rogue.fail_if_gone()?;
        rogue.fail_at_random()?;
        if let (Some(log), Some(receipt)) = (&rogue.log, receipt) {
            let length = receipt.0.as_slice().try_into().map_or(0, u64::from_le_bytes);
            let log =
                fs::OpenOptions::new().create(true).append(true).open(log).expect("the log can be opened");
            log.set_len(length).expect("the log can be truncated");
        }
        if rogue.act == "refuse-to-open" {
            return Err(PluginError::config("refused to open").with_hint("set `act: behave`"));
        }
        let capabilities = Self::CAPABILITIES.resume(rogue.resume);
        Ok(OpenedOutput::from(rogue).with_capabilities(capabilities))
    }

    fn check(&mut self) -> Result<CheckReport> {
        self.exit("exit-in-check");
        self.panic_if("panic-in-check");
        self.fail_at_random()?;
        Ok(CheckReport::default())
    }

    fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        self.panic_if("panic-in-begin");
        self.hang_if("hang-in-begin");
        if self.resume == Resume::None {
            let line = format!("begin {} continued={} gap={}", report.path, how.continued, how.has_gap);
            self.append_to_log(&[line]);
        }
        self.fail_at_random()?;
        self.path.clone_from(&report.path);
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        self.services.counter("writes", "calls of write").add(1);
        self.services.gauge("last_rows", "findings in the last call").set(batch.findings().count() as f64);
        self.exit("exit-in-write");
        if self.act == "quick-exit-in-write" {
            quick_exit();
        }
        if self.act == "exit-in-a-thread" {
            let _ = std::thread::spawn(exit).join();
        }
        crash(&self.act);
        if self.act == "refuse-login" {
            self.count("logins")?;
            return Err(PluginError::new(ErrorKind::Auth, "the login was refused"));
        }
        if self.act == "leak-secret" {
            scanbridge_plugin_api::tracing::info!("the password is {}", self.password);
            return Err(PluginError::new(ErrorKind::Auth, format!("login with {} failed", self.password))
                .with_hint(format!("is {} right?", self.password)));
        }
        self.panic_if("panic-in-write");
        self.fail("fail-to-write")?;
        if self.act == "unavailable-later" && !self.is_due("unavailable-later")? {
            return Err(unavailable());
        }
        if self.act.starts_with("gone-") && self.count("times")? >= self.times {
            return Err(unavailable());
        }
        if self.is_due("hang")? {
            std::thread::sleep(Duration::MAX);
        }
        self.wait_for_stop()?;
        self.first_rows
            .extend(batch.findings().next().map(|first| LateRow::new(batch.number(), first.row())));
        let mut retry = Vec::new();
        let fault = self.random(6)?;
        if fault == 1 {
            return Err(unavailable());
        }
        if fault == 2 {
            retry.extend(
                batch
                    .findings()
                    .map(|finding| finding.row())
                    .filter(|row| u64::from(*row) % 2 == self.seed % 2),
            );
        }
        if self.act == "retry-rows" {
            // Requests a retry of each row once.
            retry.extend(batch.findings().map(|finding| finding.row()).filter(|row| {
                let address = batch.finding(*row).map_or("", |finding| finding.asset().address());
                let name = format!("{address}-{row}");
                let seen =
                    self.services.state_folder().expect("the host provides a state directory").join(name);
                !seen.exists() && fs::write(seen, "").is_ok()
            }));
        }
        let accepted = batch.findings().filter(|finding| !retry.contains(&finding.row()));
        let rejected_row =
            if fault == 3 { batch.findings().map(|finding| finding.row()).next() } else { None };
        let accepted = accepted.filter(|finding| Some(finding.row()) != rejected_row);
        let accepted: Vec<String> = accepted
            .map(|finding| {
                let address = finding.asset().address();
                finding.port().map_or_else(|| address.to_owned(), |port| format!("{address} {port}"))
            })
            .collect();
        for line in &accepted {
            self.services.state().put(&format!("written:{line}"), b"")?;
        }
        self.pending.extend(accepted);
        if fault == 4 || self.act == "unavailable-after-writing" {
            // The findings were accepted, but the host does not know.
            return Err(unavailable());
        }
        let rejection = |row| Rejection::new(row, "rejected by the rogue output".to_owned());
        let rejected = match self.act.as_str() {
            "unavailable" => return Err(unavailable()),
            "displaced" if self.is_due("displaced")? => {
                return Err(PluginError::new(ErrorKind::Displaced, "another instance has taken over"));
            }
            "reject-all" | "reject-and-skip" => {
                batch.findings().map(|finding| rejection(finding.row())).collect()
            }
            "random" => rejected_row.map(rejection).into_iter().collect(),
            "reject-unknown-row" => vec![rejection(u32::MAX)],
            _ => Vec::new(),
        };
        let left_out = match self.act.as_str() {
            "reject-and-skip" => batch.findings().map(|finding| finding.row()).collect(),
            _ => Vec::new(),
        };
        Ok(Written::default().with_rejected(rejected).with_left_out(left_out).with_retry(retry))
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        self.panic_if("panic-in-end");
        self.hang_if("hang-in-end");
        self.fail_at_random()?;
        if end.deliver {
            self.pending.push(format!("end {} complete={}", self.path, end.complete));
            if self.act == "log-clean-assets" {
                self.pending.extend(end.clean_assets.iter().map(|range| format!("clean {range}")));
            }
        }
        let late = Rejection::new(0, "rejected at the end of the report".to_owned());
        let rejected = if self.act == "reject-in-end" { vec![late] } else { Vec::new() };
        Ok(Written::default().with_rejected(rejected))
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        self.panic_if("panic-in-commit");
        self.hang_if("hang-in-commit");
        self.fail_at_random()?;
        if self.act == "no-receipt" {
            return Ok(Committed::default());
        }
        if self.act == "long-receipt" {
            return Ok(Receipt(vec![1; 200 << 10]).into());
        }
        let lines = std::mem::take(&mut self.pending);
        let late = std::mem::take(&mut self.first_rows);
        let receipt = Receipt(self.append_to_log(&lines).to_le_bytes().to_vec());
        let mut committed = Committed::from(receipt);
        match self.act.as_str() {
            "late-rejections" => {
                let reason = "rejected by the rogue output after the commit".to_owned();
                committed.late_rejected = late.into_iter().map(|row| (row, reason.clone())).collect();
            }
            // Each row is requested once.
            "late-retry" if self.is_due("late-retry")? => committed.late_retry = late,
            _ => {}
        }
        Ok(committed)
    }

    fn stored(&mut self) -> Result<()> {
        self.hang_if("hang-in-stored");
        self.fail("fail-to-publish")?;
        if self.act == "fail-to-publish" {
            self.append_to_log(&["published".to_owned()]);
        }
        Ok(())
    }

    fn close(self) -> Result<()> {
        self.hang_if("hang-in-close");
        self.exit("exit-in-close");
        self.panic_if("panic-in-close");
        Ok(())
    }
}

fn unavailable() -> PluginError {
    PluginError::new(ErrorKind::Unavailable, "the rogue output is unavailable")
}
