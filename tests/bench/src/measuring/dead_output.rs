//! The cost of an unavailable optional output for the other outputs.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use super::bound::{Bound, Limit, median};
use super::run::{Program, interleaved};
use super::stage::{Report, Stage, StageError, shape};
use super::table;
use crate::generator::{Extent, Format};

/// How much larger the report for the receiver that never reads is: such a receiver costs half a second once, which is
/// much of a short run.
const LONGER: u64 = 8;
/// Maximum number of runs with that report.
const LONG_ROUNDS: usize = 3;

impl Stage {
    /// Measures a run to CSV and CEF files with and without an additional receiver: one that refuses connections, until
    /// the run ends; and one that accepts connections and never reads, until the files are published.
    ///
    /// # Errors
    /// Fails if the report cannot be written, or if the host fails for another reason than the unavailable receiver.
    pub fn dead_output(
        &self,
        megabytes: u64,
        rounds: usize,
        out: &mut impl Write,
    ) -> Result<Vec<Bound>, StageError> {
        let report = self.scan(megabytes)?;
        let address = listen()?.1; // Closed at once, so it refuses connections.
        let programs = [
            self.until_the_end("alone", &report, None)?,
            self.until_the_end("with an unreachable receiver", &report, Some(address))?,
        ];
        let refuses = compared("connection refused", &programs, rounds, out)?;
        report.remove();

        let report = self.scan(megabytes * LONGER)?;
        // The system completes the connections, and nothing is ever read from them.
        let (_listener, address) = listen()?;
        let programs = [
            self.until_published("alone", &report, None)?,
            self.until_published("with a receiver that never reads", &report, Some(address))?,
        ];
        let never_reads = compared("never reads", &programs, rounds.min(LONG_ROUNDS), out)?;
        report.remove();
        Ok(vec![refuses, never_reads])
    }

    fn scan(&self, megabytes: u64) -> Result<Report, StageError> {
        self.report("dead-output", shape(Format::Scan, Extent::Bytes(megabytes * 1_000_000), 1000))
    }

    /// A complete run. The shell turns the expected exit code into success.
    fn until_the_end(
        &self,
        name: &'static str,
        report: &Report,
        receiver: Option<SocketAddr>,
    ) -> Result<Program, StageError> {
        let exit_code = if receiver.is_some() { 69 } else { 0 };
        let run = self.run_to_files(report, receiver)?;
        Ok(Program::new(name, ["sh", "-c", &format!("{run}; test $? -eq {exit_code}")]))
    }

    /// A run until both files are published; then it is killed.
    fn until_published(
        &self,
        name: &'static str,
        report: &Report,
        receiver: Option<SocketAddr>,
    ) -> Result<Program, StageError> {
        let run = self.run_to_files(report, receiver)?;
        let [sheet, siem] = self.files().map(|file| format!("-e '{}'", file.display()));
        let command = format!(
            "{run} & host=$!; until test {sheet} -a {siem}; do kill -0 $host 2>&- || break; sleep 0.02; done; \
             kill -KILL $host 2>&-; wait; test {sheet} -a {siem}"
        );
        Ok(Program::new(name, ["sh", "-c", &command]))
    }

    /// The command of a run without earlier state, to two files and maybe a receiver.
    fn run_to_files(&self, report: &Report, receiver: Option<SocketAddr>) -> Result<String, StageError> {
        let name = if receiver.is_some() { "dead-output-receiver.yaml" } else { "dead-output.yaml" };
        let pipeline = self.folder.join(name);
        let state = self.folder.join("state");
        let [sheet, siem] = self.files();
        let unavailable = receiver.map(|address| {
            format!(
                "  - {{ id: unavailable, plugin: ArcSightCEF, required: no, with: {{ transport: tcp, address: '{address}' \
                 }} }}\n"
            )
        });
        let text = format!(
            "version: 1\n\
             inputs:\n  - {{ id: reports, plugin: QualysGuardFile, with: {{ path: {:?} }} }}\n\
             outputs:\n  - {{ id: sheet, plugin: CSV, with: {{ path: {sheet:?} }} }}\n\
             \x20 - {{ id: siem, plugin: ArcSightCEF, with: {{ path: {siem:?} }} }}\n{}",
            report.path,
            unavailable.unwrap_or_default(),
        );
        fs::write(&pipeline, text).map_err(|error| StageError::new(pipeline.display(), error))?;
        Ok(format!(
            "rm -rf '{}' '{}' '{}'; '{}' run '{}' --quiet --quiet --no-progress --state-dir '{}'",
            state.display(),
            sheet.display(),
            siem.display(),
            self.executables.join("scanbridge").display(),
            pipeline.display(),
            state.display(),
        ))
    }

    fn files(&self) -> [PathBuf; 2] {
        ["dead-output.csv", "dead-output.cef"].map(|name| self.folder.join(name))
    }
}

/// Runs both programs in turn and compares their wall times.
fn compared(
    receiver: &str,
    programs: &[Program; 2],
    rounds: usize,
    out: &mut impl Write,
) -> Result<Bound, StageError> {
    let runs = interleaved(programs, rounds)?;
    table::print(out, &format!("CSV and CEF files; {receiver}"), programs, &runs)?;
    let wall = |program: usize| median(runs[program].iter().map(|run| run.wall_secs));
    Ok(Bound {
        quantity: format!("dead optional output ({receiver}): wall time, with / without"),
        measured: wall(1) / wall(0),
        limit: Limit::AtMost(1.05),
        unit: "x",
    })
}

/// A listener that accepts nothing, and its address.
fn listen() -> Result<(TcpListener, SocketAddr), StageError> {
    let listener = TcpListener::bind("127.0.0.1:0");
    let bound = listener.and_then(|listener| listener.local_addr().map(|address| (listener, address)));
    bound.map_err(|error| StageError::new("loopback", error))
}
