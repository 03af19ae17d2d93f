//! The output `Rogue`: option `act` says what it does wrong.

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    CheckReport, ErrorKind, OptionSpec, Options, Output, PluginError, Receipt, Rejection, Result, Services,
    Written, register_output,
};

struct Rogue {
    act: String,
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
];

impl Rogue {
    fn act(&self, act: &str) {
        assert!(self.act != act, "told to {act}");
    }
}

impl Output for Rogue {
    const NAME: &'static str = "Rogue";
    const SUMMARY: &'static str = "an output that misbehaves on purpose";
    const OPTIONS: &'static [OptionSpec] =
        &[OptionSpec::choice("act", ACTS).default_text("behave").help("what it does wrong")];

    fn open(options: &Options, _: &Services, _: Option<&Receipt>) -> Result<Self> {
        let rogue = Self { act: options.text("act")?.unwrap_or_default().to_owned() };
        rogue.act("panic-in-open");
        if rogue.act == "refuse-to-open" {
            return Err(PluginError::config("refused to open").with_hint("ask it to behave"));
        }
        Ok(rogue)
    }

    fn check(&mut self) -> Result<CheckReport> {
        self.act("panic-in-check");
        Ok(CheckReport::default())
    }

    fn begin(&mut self, _: &ReportStart) -> Result<()> {
        self.act("panic-in-begin");
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        self.act("panic-in-write");
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
        Ok(Written { rejected, left_out, ..Written::default() })
    }

    fn end(&mut self, _: &ReportEnd) -> Result<Written> {
        self.act("panic-in-end");
        let late = Rejection { row: 0, reason: "too late to say".to_owned() };
        let rejected = if self.act == "reject-at-the-end" { vec![late] } else { Vec::new() };
        Ok(Written { rejected, ..Written::default() })
    }

    fn commit(&mut self) -> Result<Receipt> {
        self.act("panic-in-commit");
        Ok(Receipt::default())
    }

    fn close(self) -> Result<()> {
        self.act("panic-in-close");
        Ok(())
    }
}
