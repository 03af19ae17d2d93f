//! Measures the host of a release build and compares the results with the limits of the project.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use scanbridge_bench::measuring::{
    Bound, Instructions, ShapesRequest, Stage, StageError, compare, measure_child,
};

/// Measure the host. Build everything first: cargo build --release --workspace.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Measurement,
    /// Exit with 1 if a result exceeds its limit.
    #[arg(long, global = true)]
    enforce: bool,
    /// Directory for generated reports; temporarily needs several GB.
    #[arg(long, global = true, default_value = "target/bench")]
    folder: PathBuf,
    /// Directory of the executables and plugins. Default: the directory of this executable.
    #[arg(long, global = true)]
    executables: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Measurement {
    /// CPU time and wall time compared with the bare event loop and Python, and peak memory, for every shape of report.
    Shapes {
        /// Size of each report, in MB. The reports with 1,000,000 findings or assets have them at 300.
        #[arg(long, default_value_t = 300)]
        mb: u64,
        /// Number of runs of each program.
        #[arg(long, default_value_t = 7)]
        rounds: usize,
        /// Only the cases with this text in their name, which consists of shape, source and destination. Repeatable.
        #[arg(long, value_name = "TEXT")]
        only: Vec<String>,
        /// Also write the results to this file, for `bench compare`.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Compare two files of results of `bench shapes --json`.
    Compare {
        /// The earlier results.
        before: PathBuf,
        /// The later results.
        after: PathBuf,
    },
    /// Compare what two builds of the host write, byte for byte, for every shape of report.
    Bytes {
        /// Directory of the executable and plugins of the other build.
        #[arg(long, value_name = "DIR")]
        against: PathBuf,
        /// Directory with reports. Repeatable. Default: `examples/reports`.
        #[arg(long, value_name = "DIR")]
        samples: Vec<PathBuf>,
    },
    /// Peak memory with a very large scan, and with every shape of report into three kinds of files.
    Memory {
        /// Size of the scan, in GB.
        #[arg(long, default_value_t = 3)]
        gb: u64,
    },
    /// Kill the host at random moments, restart it, and compare the delivered findings.
    Crash {
        /// Size of the report, in MB.
        #[arg(long, default_value_t = 50)]
        mb: u64,
        /// Number of kills.
        #[arg(long, default_value_t = 200)]
        kills: usize,
        /// Seed of the random moments.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Cost of an unavailable optional output for the other outputs.
    DeadOutput {
        /// Size of the report, in MB.
        #[arg(long, default_value_t = 100)]
        mb: u64,
        /// Number of runs with and without the unavailable output.
        #[arg(long, default_value_t = 9)]
        rounds: usize,
    },
    /// Cost of a delivery to a Defense Center: 50,000 findings on 2,000 assets.
    DefenseCenter,
    /// Cost of the service: a scrape during a large run; memory, reload and schedules of 50 pipelines.
    Service {
        /// Number of findings of the large run.
        #[arg(long, default_value_t = 1_000_000)]
        findings: u64,
        /// Minutes with 50 pipelines that run each minute.
        #[arg(long, default_value_t = 4.0)]
        minutes: f64,
    },
    /// Pages of the console with 50 pipelines and 10,000 runs in their history; open pages that follow a run.
    Console {
        /// Seconds with ten open pages.
        #[arg(long, default_value_t = 20.0)]
        seconds: f64,
    },
    /// Run pipelines again and again for a long time; the service must not grow.
    Soak {
        /// Number of pipelines.
        #[arg(long, default_value_t = 20)]
        pipelines: usize,
        /// Duration in minutes.
        #[arg(long, default_value_t = 1440.0)]
        minutes: f64,
        /// Start a run one second after the last one, instead of each minute: many runs in a short time.
        #[arg(long)]
        continuous: bool,
    },
    /// Instruction counts under callgrind, compared with the stored counts.
    Instructions {
        /// Store the measured counts.
        #[arg(long)]
        update: bool,
    },
    /// Measures one run; called by this program only.
    #[command(hide = true)]
    Measure {
        stdout: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode, StageError> {
    let mut out = io::stdout().lock();
    if let Measurement::Measure { stdout, command } = &args.command {
        let measurement = measure_child(command, stdout)?;
        let text =
            serde_json::to_string(&measurement).map_err(|error| StageError::new("measurement", error))?;
        return check_output(writeln!(out, "{text}")).map(|()| ExitCode::SUCCESS);
    }
    let stage = Stage::new(args.folder, args.executables.map_or_else(directory_of_this_executable, Ok)?)?;
    let bounds = match args.command {
        Measurement::Shapes { mb, rounds, only, json } => {
            stage.shapes(&ShapesRequest { megabytes: mb, rounds, only, json }, &mut out)?
        }
        Measurement::Compare { before, after } => {
            compare(&before, &after, &mut out)?;
            Vec::new()
        }
        Measurement::Bytes { against, samples } => {
            let examples = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/reports")];
            let samples = if samples.is_empty() { examples } else { samples };
            stage.bytes(&against, &samples, &mut out)?
        }
        Measurement::Memory { gb } => stage.memory(gb, &mut out)?,
        Measurement::Crash { mb, kills, seed } => stage.crash(mb, kills, seed, &mut out)?,
        Measurement::DeadOutput { mb, rounds } => stage.dead_output(mb, rounds, &mut out)?,
        Measurement::DefenseCenter => stage.defense_center(&mut out)?,
        Measurement::Service { findings, minutes } => {
            stage.service(findings, duration(minutes)?, &mut out)?
        }
        Measurement::Console { seconds } => stage.console(duration(seconds / 60.0)?, &mut out)?,
        Measurement::Soak { pipelines, minutes, continuous } => {
            stage.soak(pipelines, duration(minutes)?, continuous, &mut out)?
        }
        Measurement::Instructions { update } => instructions(&stage, update, &mut out)?,
        Measurement::Measure { .. } => Vec::new(),
    };
    for bound in &bounds {
        check_output(writeln!(out, "{bound}"))?;
    }
    let is_failed = args.enforce && !bounds.iter().all(Bound::is_within_limit);
    Ok(if is_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn duration(minutes: f64) -> Result<Duration, StageError> {
    Duration::try_from_secs_f64(minutes * 60.0).map_err(|error| StageError::new("--minutes", error))
}

fn instructions(stage: &Stage, update: bool, out: &mut impl Write) -> Result<Vec<Bound>, StageError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let counted = stage.instructions(out)?;
    if update {
        counted.store(&path)?;
        return Ok(Vec::new());
    }
    Ok(counted.compared_with(&Instructions::read(&path)?))
}

fn directory_of_this_executable() -> Result<PathBuf, StageError> {
    let executable = std::env::current_exe().map_err(|error| StageError::new("this executable", error))?;
    Ok(executable.parent().map(Path::to_path_buf).unwrap_or_default())
}

fn check_output(result: io::Result<()>) -> Result<(), StageError> {
    result.map_err(|error| StageError::new("output", error))
}
