//! One run of one program, and what it cost.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use super::stage::StageError;

/// What one run cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Seconds of processor time of all threads, in the program and in the kernel for it.
    pub cpu_secs: f64,
    /// Seconds by the clock on the wall.
    pub wall_secs: f64,
    /// The most memory that was resident at one time, in bytes.
    pub peak_rss_bytes: u64,
}

/// A command line whose cost is measured.
#[derive(Debug, Clone)]
pub struct Program {
    /// What stands for it in tables.
    pub name: &'static str,
    /// The executable and its arguments.
    pub command: Vec<OsString>,
    /// Where its standard output goes.
    pub stdout: PathBuf,
}

impl Program {
    /// A program whose standard output is of no interest.
    pub fn new<A: AsRef<OsStr>>(name: &'static str, command: impl IntoIterator<Item = A>) -> Self {
        let command = command.into_iter().map(|part| part.as_ref().to_owned()).collect();
        Self { name, command, stdout: PathBuf::from("/dev/null") }
    }

    /// Runs it once under a measuring process of its own: the kernel sums what *all* children of a process
    /// have used, so each measurement needs a parent that never had another child.
    ///
    /// # Errors
    /// When it cannot be started or fails.
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

/// Runs the programs in turn (A B C, A B C, …), so that whatever else the machine does hits all of them alike,
/// and gives the runs of each. One round before the first warms the page cache and is not counted.
///
/// # Errors
/// When a program fails.
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

/// The body of the measuring process: runs the command as its only child.
///
/// # Errors
/// When the command cannot be started or fails.
pub fn measure_child(command: &[OsString], stdout: &Path) -> Result<Measurement, StageError> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| StageError::new("measure", "no command"))?;
    let name = program.to_string_lossy().into_owned();
    let stdout = File::create(stdout).map_err(|error| StageError::new(stdout.display(), error))?;
    let begun = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdout(stdout)
        .status()
        .map_err(|error| StageError::new(&name, error))?;
    let wall = begun.elapsed();
    if !status.success() {
        return Err(StageError::new(name, format!("it ended with {status}")));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| StageError::new(&name, error))?;
    let cpu_micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Measurement {
        cpu_secs: Duration::from_micros(cpu_micros.unsigned_abs()).as_secs_f64(),
        wall_secs: wall.as_secs_f64(),
        // Linux counts in KiB.
        peak_rss_bytes: usage.max_rss().unsigned_abs() * 1024,
    })
}
