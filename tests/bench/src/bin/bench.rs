//! Measures the host of a release build and holds the figures against the project's bounds.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use scanbridge_bench::measuring::{Bound, Instructions, Stage, StageError, measure_child};

/// Measure the host. Build everything first: cargo build --release --workspace.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
    /// Exit with 1 if a bound is missed.
    #[arg(long, global = true)]
    enforce: bool,
    /// The folder for generated reports, several GB large for a while.
    #[arg(long, global = true, default_value = "target/bench")]
    folder: PathBuf,
    /// The folder of the executables and plugins; that of this executable without it.
    #[arg(long, global = true)]
    executables: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// Processor and wall time against the bare event loop and Python, and peak memory on the way.
    Speed {
        /// Megabytes of each report.
        #[arg(long, default_value_t = 300)]
        mb: u64,
        /// Runs of each program.
        #[arg(long, default_value_t = 7)]
        rounds: usize,
    },
    /// Peak memory with a very large scan and with a very large glossary.
    Memory {
        /// Gigabytes of the scan.
        #[arg(long, default_value_t = 3)]
        gb: u64,
    },
    /// Kill the host at random moments, run it again, and compare what arrived.
    Crash {
        /// Megabytes of the report.
        #[arg(long, default_value_t = 50)]
        mb: u64,
        /// How often it is killed.
        #[arg(long, default_value_t = 200)]
        kills: usize,
        /// Another seed chooses other moments.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// What an output that is down and not required costs the others.
    DeadOutput {
        /// Megabytes of the report.
        #[arg(long, default_value_t = 100)]
        mb: u64,
        /// Runs with and without it.
        #[arg(long, default_value_t = 9)]
        rounds: usize,
    },
    /// What a delivery to a Defense Center costs: 50,000 findings on 2,000 assets.
    DefenseCenter,
    /// Instruction counts under callgrind against the stored ones.
    Instructions {
        /// Store what is counted instead.
        #[arg(long)]
        update: bool,
    },
    /// The measuring process of one run; for this program's own use.
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
    if let What::Measure { stdout, command } = &args.what {
        let measurement = measure_child(command, stdout)?;
        let text =
            serde_json::to_string(&measurement).map_err(|error| StageError::new("measurement", error))?;
        return printed(writeln!(out, "{text}")).map(|()| ExitCode::SUCCESS);
    }
    let stage = Stage::new(args.folder, args.executables.map_or_else(own_folder, Ok)?)?;
    let bounds = match args.what {
        What::Speed { mb, rounds } => stage.speed(mb, rounds, &mut out)?,
        What::Memory { gb } => stage.memory(gb, &mut out)?,
        What::Crash { mb, kills, seed } => stage.crash(mb, kills, seed, &mut out)?,
        What::DeadOutput { mb, rounds } => stage.dead_output(mb, rounds, &mut out)?,
        What::DefenseCenter => stage.defense_center(&mut out)?,
        What::Instructions { update } => instructions(&stage, update, &mut out)?,
        What::Measure { .. } => Vec::new(),
    };
    for bound in &bounds {
        printed(writeln!(out, "{bound}"))?;
    }
    let missed = args.enforce && !bounds.iter().all(Bound::is_kept);
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn instructions(stage: &Stage, update: bool, out: &mut impl Write) -> Result<Vec<Bound>, StageError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let counted = stage.instructions(out)?;
    if update {
        counted.store(&path)?;
        return Ok(Vec::new());
    }
    Ok(counted.against(&Instructions::read(&path)?))
}

fn own_folder() -> Result<PathBuf, StageError> {
    let executable = std::env::current_exe().map_err(|error| StageError::new("this executable", error))?;
    Ok(executable.parent().map(Path::to_path_buf).unwrap_or_default())
}

fn printed(result: io::Result<()>) -> Result<(), StageError> {
    result.map_err(|error| StageError::new("output", error))
}
