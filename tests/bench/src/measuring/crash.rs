//! Kills the host at random moments and checks whether findings are lost or duplicated.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use scanbridge_doubles::syslog_sink::{Connection, Framing, SinkBehavior, SyslogSink};

use super::bound::{Bound, Limit};
use super::stage::{Stage, StageError, shape};
use crate::generator::random::Random;
use crate::generator::{Extent, Format};

/// Files that must be identical to those of an uninterrupted run.
const FILES: [&str; 3] = ["findings.csv", "findings.cef", "findings.ndjson"];

/// How far syslog may be ahead of the checkpoint when the host is killed, in checkpoints. It may have sent one batch
/// since its last commit, and committed two while the slowest output still writes an earlier batch. There is a
/// checkpoint after every batch, and one batch is in the queue of each output.
const MAX_CHECKPOINTS_AHEAD: usize = 3;

/// The result of an uninterrupted run.
struct Reference {
    files: Vec<Vec<u8>>,
    /// Each event with the number of its occurrences in the file.
    events: HashMap<Vec<u8>, usize>,
    /// Maximum number of events between two checkpoints.
    max_between_checkpoints: usize,
    time: Duration,
}

/// Counters of all rounds.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    rounds: usize,
    wrong_files: usize,
    lost: usize,
    repeated: usize,
    /// Maximum number of repeated events that was allowed in a round.
    allowed: usize,
    too_many: usize,
}

impl Stage {
    /// Kills the host `kills` times with SIGKILL at moments chosen by `seed` and restarts it until the delivery is
    /// complete. Each file must have every record once, syslog every event at least once.
    ///
    /// # Errors
    /// Fails if the report cannot be written, or if the uninterrupted run fails.
    pub fn crash(
        &self,
        megabytes: u64,
        kills: usize,
        seed: u64,
        out: &mut impl Write,
    ) -> Result<Vec<Bound>, StageError> {
        let report = self.report("crash", shape(Format::Scan, Extent::Bytes(megabytes * 1_000_000), 1000))?;
        let reference = self.uninterrupted(&report.path)?;
        let mut tally = Tally::default();
        let mut random = Random::new(seed);
        while tally.kills < kills {
            self.round(&report.path, &reference, &mut random, &mut tally)?;
        }
        report.remove();
        let events: usize = reference.events.values().sum();
        writeln!(
            out,
            "{megabytes} MB, {} kills in {} rounds (seed {seed}): {} events, {} resent; at most {} between two \
             checkpoints",
            tally.kills, tally.rounds, events, tally.repeated, reference.max_between_checkpoints
        )
        .map_err(|error| StageError::new("output", error))?;
        let bound = |what: &str, measured: usize| Bound {
            quantity: format!("crash: {what}"),
            measured: measured as f64,
            limit: Limit::AtMost(0.0),
            unit: "",
        };
        Ok(vec![
            bound("files that differ from an uninterrupted run", tally.wrong_files),
            bound("events that syslog did not get", tally.lost),
            bound("events that syslog got more often than allowed", tally.too_many),
        ])
    }

    fn uninterrupted(&self, report: &Path) -> Result<Reference, StageError> {
        let round = Round::new(&self.folder.join("crash-reference"), report)?;
        let started = Instant::now();
        let status = round.host(&self.executables)?.wait().map_err(|error| StageError::new("host", error))?;
        let time = started.elapsed();
        if !status.success() {
            return Err(StageError::new("uninterrupted run", format!("it ended with {status}")));
        }
        let files = round.files()?;
        let lines = files[1].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut events = HashMap::new();
        lines.for_each(|line| *events.entry(line.to_vec()).or_default() += 1);
        // Each commit ends a connection, so the events of one connection are those between two checkpoints.
        let count = |connection: &Connection| connection.bytes.iter().filter(|byte| **byte == b'\n').count();
        let max_between_checkpoints = round.sink.connections().iter().map(count).max().unwrap_or_default();
        round.remove();
        Ok(Reference { files, events, max_between_checkpoints, time })
    }

    /// One delivery, with as many kills as occur until it is complete.
    fn round(
        &self,
        report: &Path,
        reference: &Reference,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<(), StageError> {
        let round = Round::new(&self.folder.join("crash-round"), report)?;
        let mut kills = 0;
        loop {
            let mut host = round.host(&self.executables)?;
            let micros = usize::try_from(reference.time.as_micros()).unwrap_or(usize::MAX / 2);
            sleep(Duration::from_micros(random.below((micros + micros / 10).min(u32::MAX as usize)) as u64));
            let ended = host.try_wait().map_err(|error| StageError::new("host", error))?;
            if let Some(status) = ended {
                if status.success() {
                    break;
                }
                return Err(StageError::new("host", format!("it ended with {status} after {kills} kills")));
            }
            // Both fail only if the host has just ended; the next run shows that.
            let _ = host.kill();
            let _ = host.wait();
            kills += 1;
            if round.has_finished(&self.executables)? {
                break; // The host was killed after the end of its run.
            }
        }
        tally.kills += kills;
        tally.rounds += 1;
        tally.wrong_files +=
            round.files()?.iter().zip(&reference.files).filter(|(found, expected)| found != expected).count();
        tally.count_events(&round.sink.messages(), reference, kills);
        round.remove();
        Ok(())
    }
}

impl Tally {
    fn count_events(&mut self, messages: &[Vec<u8>], reference: &Reference, kills: usize) {
        let mut received: HashMap<&[u8], usize> = HashMap::new();
        messages.iter().for_each(|message| *received.entry(message).or_default() += 1);
        let mut repeated = 0;
        for (event, expected) in &reference.events {
            let count = received.get(event.as_slice()).copied().unwrap_or_default();
            self.lost += expected.saturating_sub(count);
            repeated += count.saturating_sub(*expected);
        }
        let allowed = kills * MAX_CHECKPOINTS_AHEAD * reference.max_between_checkpoints;
        self.repeated += repeated;
        self.allowed = self.allowed.max(allowed);
        self.too_many += repeated.saturating_sub(allowed);
    }
}

/// The exit code of `state export` if nothing is saved.
const NO_STATE: i32 = 66;

/// A directory with its own pipeline, and a receiver.
struct Round {
    folder: PathBuf,
    sink: SyslogSink,
}

impl Round {
    fn new(folder: &Path, report: &Path) -> Result<Self, StageError> {
        let failed = |error| StageError::new(folder.display(), error);
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(failed)?;
        }
        fs::create_dir_all(folder).map_err(failed)?;
        let sink = SyslogSink::tcp(Framing::Newline, SinkBehavior::default());
        let text = format!(
            "version: 1\n\
             checkpoint: {{ bytes: 1 KiB }}\n\
             inputs:\n  - {{ id: reports, plugin: QualysGuardFile, with: {{ path: {report:?} }} }}\n\
             outputs:\n\
             \x20 - {{ id: sheet, plugin: CSV, queue: {{ bytes: 64 KiB }}, with: {{ path: {:?} }} }}\n\
             \x20 - {{ id: siem, plugin: ArcSightCEF, queue: {{ bytes: 64 KiB }}, with: {{ path: {:?} }} }}\n\
             \x20 - {{ id: lines, plugin: JSON, queue: {{ bytes: 64 KiB }}, with: {{ path: {:?} }} }}\n\
             \x20 - {{ id: syslog, plugin: ArcSightCEF, queue: {{ bytes: 64 KiB }}, with: {{ transport: tcp, \
             address: '{}', syslog_header: none, max_message_bytes: 1 MiB, confirm_grace_ms: 1 }} }}\n",
            folder.join(FILES[0]),
            folder.join(FILES[1]),
            folder.join(FILES[2]),
            sink.address(),
        );
        fs::write(folder.join("pipeline.yaml"), text).map_err(failed)?;
        Ok(Self { folder: folder.to_owned(), sink })
    }

    fn host(&self, executables: &Path) -> Result<Child, StageError> {
        Command::new(executables.join("scanbridge"))
            .arg("run")
            .arg(self.folder.join("pipeline.yaml"))
            .args(["--quiet", "--quiet", "--no-progress", "--state-dir"])
            .arg(self.folder.join("state"))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| StageError::new("host", error))
    }

    /// Whether the last run in the ledger has finished, so that there is nothing to resume.
    fn has_finished(&self, executables: &Path) -> Result<bool, StageError> {
        let output = Command::new(executables.join("scanbridge"))
            .args(["state", "export"])
            .arg(self.folder.join("pipeline.yaml"))
            .arg("--state-dir")
            .arg(self.folder.join("state"))
            .output()
            .map_err(|error| StageError::new("state export", error))?;
        if output.status.code() == Some(NO_STATE) {
            return Ok(false); // It was killed before it had a ledger.
        }
        let state: serde_json::Value =
            serde_json::from_slice(&output.stdout).map_err(|error| StageError::new("state export", error))?;
        let last = state["runs"].as_array().and_then(|runs| runs.last()).map(|run| run["state"].clone());
        Ok(last.is_some_and(|state| state == "finished"))
    }

    fn files(&self) -> Result<Vec<Vec<u8>>, StageError> {
        FILES
            .iter()
            .map(|name| {
                let path = self.folder.join(name);
                fs::read(&path).map_err(|error| StageError::new(path.display(), error))
            })
            .collect()
    }

    fn remove(self) {
        // A failure leaves a directory that does not affect later rounds.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
