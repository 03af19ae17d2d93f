//! Runs a program and measures its cost.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use super::stage::StageError;

/// The cost of one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// CPU time of all threads in user and kernel mode, in seconds.
    pub cpu_secs: f64,
    /// Wall time in seconds.
    pub wall_secs: f64,
    /// Peak resident memory in bytes.
    pub peak_rss_bytes: u64,
}

/// A command line to measure.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its name in tables.
    pub name: &'static str,
    /// The executable and its arguments.
    pub command: Vec<OsString>,
    /// The file for its standard output.
    pub stdout: PathBuf,
}

impl Program {
    /// A program whose standard output is discarded.
    pub fn new<A: AsRef<OsStr>>(name: &'static str, command: impl IntoIterator<Item = A>) -> Self {
        let command = command.into_iter().map(|part| part.as_ref().to_owned()).collect();
        Self { name, command, stdout: PathBuf::from("/dev/null") }
    }

    /// Runs it once, as the only child of a new measuring process: the kernel reports the sum over *all* children of
    /// a process.
    ///
    /// # Errors
    /// Fails if the program cannot be started or fails.
    pub fn run(&self) -> Result<Measurement, StageError> {
        let this = std::env::current_exe().map_err(|error| StageError::new("this executable", error))?;
        let output = Command::new(this)
            .arg("measure")
            .arg(&self.stdout)
            .args(&self.command)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| StageError::new(self.name, error))?;
        if !output.status.success() {
            return Err(StageError::new(self.name, format!("it ended with {}", output.status)));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| StageError::new(self.name, error))
    }
}

/// Runs the programs in turn (A B C, A B C, …), so that other load on the machine affects all of them equally.
/// Returns the runs of each program. A first round fills the page cache and is not counted.
///
/// # Errors
/// Fails if a program fails.
pub(super) fn interleaved(programs: &[Program], rounds: usize) -> Result<Vec<Vec<Measurement>>, StageError> {
    for program in programs {
        program.run()?;
    }
    let mut runs = vec![Vec::with_capacity(rounds); programs.len()];
    for _ in 0..rounds {
        for (program, runs) in programs.iter().zip(&mut runs) {
            runs.push(program.run()?);
        }
    }
    Ok(runs)
}

/// The measuring process: runs the command as its only child.
///
/// # Errors
/// Fails if the command cannot be started or fails.
pub fn measure_child(command: &[OsString], stdout: &Path) -> Result<Measurement, StageError> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| StageError::new("measure", "no command"))?;
    let name = program.to_string_lossy().into_owned();
    let stdout = File::create(stdout).map_err(|error| StageError::new(stdout.display(), error))?;
    let started = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdout(stdout)
        .status()
        .map_err(|error| StageError::new(&name, error))?;
    let wall = started.elapsed();
    if !status.success() {
        return Err(StageError::new(name, format!("it ended with {status}")));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| StageError::new(&name, error))?;
    let cpu_micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Measurement {
        cpu_secs: Duration::from_micros(cpu_micros.unsigned_abs()).as_secs_f64(),
        wall_secs: wall.as_secs_f64(),
        // Linux reports KiB.
        peak_rss_bytes: usage.max_rss().unsigned_abs() * 1024,
    })
}
