//! The output `RogueKeeper`: keeps the checkpoint of its pipeline in a directory, next to the findings. It has a fault at
//! any point of a commit, or lies about what it has stored.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::keeper::{PairChanges, Pairs, Share};
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, ErrorKind, KeepsCheckpoint, LateRow, Open, OpenedOutput,
    OptionSpec, Output, OutputCapabilities, PluginError, Purpose, Receipt, Rejection, Result, Services,
    Written, register_output,
};
use serde::{Deserialize, Serialize};

struct RogueKeeper {
    store: PathBuf,
    /// The fault, and the point at which it happens.
    act: String,
    at: String,
    /// The call of this point, from 1, counted over all instances.
    call: u64,
    lie: String,
    rejects: bool,
    services: Services,
    /// The lines written since the last commit.
    lines: Vec<String>,
    path: String,
}

register_output!(RogueKeeper);

/// What one transaction replaces.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    pairs: Pairs,
    lines: Vec<String>,
}

const POINTS: &[&str] =
    &["never", "open", "load", "begin", "write", "end", "before-commit", "after-commit", "close"];

impl RogueKeeper {
    fn read(&self) -> Stored {
        fs::read(self.store.join("stored"))
            .map(|json| serde_json::from_slice(&json).expect("the store is valid"))
            .unwrap_or_default()
    }

    fn write_store(&self, stored: &Stored) {
        let new = self.store.join("new");
        fs::write(&new, serde_json::to_vec(stored).expect("plain data")).expect("the store can be written");
        fs::rename(&new, self.store.join("stored")).expect("the store can be replaced");
    }

    /// The fault of this point, if it is due.
    fn reach(&self, point: &str) -> Result<()> {
        if self.at != point || count(&self.store.join("calls")) != self.call {
            return Ok(());
        }
        match self.act.as_str() {
            "unavailable" => Err(PluginError::unavailable("the store is unavailable")),
            "displaced" => Err(displaced()),
            "auth" => Err(PluginError::new(ErrorKind::Auth, "the login was refused")),
            "abort" => std::process::abort(),
            "panic" => panic!("panic requested"),
            _ => Ok(()),
        }
    }
}

/// Increments a counter, and returns it.
fn count(path: &Path) -> u64 {
    let count = fs::read_to_string(path).ok().and_then(|text| text.parse().ok()).unwrap_or(0) + 1;
    fs::write(path, count.to_string()).expect("the counter can be written");
    count
}

fn displaced() -> PluginError {
    PluginError::new(ErrorKind::Displaced, "another instance has taken over")
}

impl Output for RogueKeeper {
    const NAME: &'static str = "RogueKeeper";
    const SUMMARY: &'static str = "an output that keeps the checkpoint, with faults on purpose";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::path("store").required().help("Directory of the findings and the checkpoint."),
        OptionSpec::choice("act", &["behave", "unavailable", "displaced", "auth", "abort", "panic"])
            .default_text("behave")
            .resume_safe()
            .help("Simulated fault."),
        OptionSpec::choice("at", POINTS)
            .default_text("never")
            .resume_safe()
            .help("The point at which the fault happens."),
        OptionSpec::integer("call", 1, 1_000)
            .default_integer(1)
            .resume_safe()
            .help("The call of this point, counted over all runs."),
        OptionSpec::choice("lie", &["no", "other-pairs", "garbage", "late-rows", "slots", "wake", "commits"])
            .default_text("no")
            .resume_safe()
            .help("Fault of the answers."),
        OptionSpec::flag("keeps").default_flag(true).help("Whether the instance keeps the checkpoint."),
        OptionSpec::flag("rejects").default_flag(false).help("Whether each first finding is rejected."),
        OptionSpec::integer("share", 0, 9).default_integer(0).help("Number of the share."),
        OptionSpec::integer("shares", 1, 9).default_integer(1).help("Number of shares."),
        OptionSpec::path("wait_for").help("File for which `open` waits."),
    ];
    const CAPABILITIES: OutputCapabilities = OutputCapabilities::NONE.keeps_checkpoint(KeepsCheckpoint::Yes);
    const KEEPS_CHECKPOINT: bool = true;

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let (options, services) = (open.options, open.services);
        assert!(receipt.is_none(), "the output has no receipts");
        let text = |name| options.text(name).map(|text| text.unwrap_or_default().to_owned());
        let keeper = Self {
            store: options.path("store")?.unwrap_or_default(),
            act: text("act")?,
            at: text("at")?,
            call: options.integer("call")?.unwrap_or(1),
            lie: text("lie")?,
            rejects: options.flag("rejects")?,
            services: services.clone(),
            lines: Vec::new(),
            path: String::new(),
        };
        let keeps = options.flag("keeps")?;
        let capabilities = if keeps { Self::CAPABILITIES } else { OutputCapabilities::NONE };
        let share =
            Share::new(options.integer("share")?.unwrap_or(0), options.integer("shares")?.unwrap_or(1));
        if open.purpose() == Purpose::Run {
            fs::create_dir_all(&keeper.store).expect("the directory can be created");
            keeper.reach("open")?;
            if let Some(file) = options.path("wait_for")? {
                services.phase("waiting for a file");
                while !file.exists() {
                    services.alive();
                    if services.is_draining() {
                        return Err(PluginError::cancelled());
                    }
                    services.sleep(Duration::from_millis(100))?;
                }
            }
        }
        let opened = OpenedOutput::from(keeper).with_capabilities(capabilities);
        Ok(if keeps { opened.with_share(share) } else { opened })
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(CheckReport::default())
    }

    fn load(&mut self) -> Result<Pairs> {
        self.reach("load")?;
        let mut pairs = self.read().pairs;
        match self.lie.as_str() {
            "other-pairs" => drop(pairs.remove("about")),
            "garbage" => drop(pairs.insert("about".to_owned(), b"\xff\xff".to_vec())),
            "slots" => {
                let about = r#"{"format":1,"slots":9,"pipeline":"rogue","commit":1}"#;
                pairs.insert("about".to_owned(), about.as_bytes().to_vec());
            }
            _ => {}
        }
        Ok(pairs)
    }

    fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        self.reach("begin")?;
        self.path.clone_from(&report.path);
        let inside = self.read().lines.last().is_some_and(|line| !line.starts_with("end "));
        assert_eq!(how.continued, inside, "a report is continued if findings of it are stored");
        assert!(!how.has_gap, "nothing of it is missed");
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        self.reach("write")?;
        let mut rejected = Vec::new();
        for finding in batch.findings() {
            let address = finding.asset().address();
            if self.rejects && finding.port().is_none_or(|port| port == 1) {
                rejected.push(Rejection::new(finding.row(), "rejected by the keeper"));
            } else {
                self.lines.push(
                    finding.port().map_or_else(|| address.to_owned(), |port| format!("{address} {port}")),
                );
            }
        }
        if self.lie == "wake" {
            self.services.wake();
        }
        Ok(Written::default().with_rejected(rejected))
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        self.reach("end")?;
        self.lines.push(format!("end {} complete={}", self.path, end.complete));
        Ok(Written::default())
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        if self.lie != "commits" {
            return Err(PluginError::bug("`commit` was called instead of `commit_with`"));
        }
        let mut stored = self.read();
        stored.lines.append(&mut self.lines);
        self.write_store(&stored);
        Ok(Committed::default())
    }

    fn commit_with(&mut self, _: CommitPoint, changes: &PairChanges) -> Result<Committed> {
        if changes.is_empty() {
            return Err(displaced());
        }
        self.reach("before-commit")?;
        let mut stored = self.read();
        for (name, value) in changes {
            match value {
                Some(value) => drop(stored.pairs.insert(name.clone(), value.clone())),
                None => drop(stored.pairs.remove(name)),
            }
        }
        stored.lines.append(&mut self.lines);
        self.write_store(&stored);
        self.reach("after-commit")?;
        let mut committed = Committed::default();
        if self.lie == "late-rows" {
            committed = committed.with_late_retry(vec![LateRow::new(1, 0)]);
        }
        Ok(committed)
    }

    fn stored(&mut self) -> Result<()> {
        Err(PluginError::bug("`stored` was called"))
    }

    fn close(self) -> Result<()> {
        self.reach("close")
    }
}
