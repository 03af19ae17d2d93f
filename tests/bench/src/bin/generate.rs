//! Writes a generated report to standard output or to a file, and its counts as JSON to standard error.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use scanbridge_bench::generator::{Extent, Format, Shape};

/// Generate a report of any size.
#[derive(Parser)]
struct Args {
    /// Report format.
    report: Report,
    /// Minimum size of the file, in MB (10^6 bytes).
    #[arg(long, conflicts_with = "assets")]
    mb: Option<u64>,
    /// Number of assets.
    #[arg(long)]
    assets: Option<u64>,
    /// Findings per asset.
    #[arg(long, default_value_t = 30)]
    per_asset: usize,
    /// Number of different definitions.
    #[arg(long, default_value_t = 1000)]
    qids: usize,
    /// Give each finding a definition of its own: texts in a scan, a QID in detections.
    #[arg(long)]
    own_texts: bool,
    /// Seed: another seed gives another report of the same shape.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Output file. Default: standard output.
    #[arg(long)]
    out: Option<PathBuf>,
    /// File for the counts. Default: standard error.
    #[arg(long)]
    counts: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Report {
    Scan,
    /// A scan with texts of 200 kB.
    LongScan,
    Template,
    Detections,
    KnowledgeBase,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "generate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let shape = Shape {
        format: args.report.into(),
        extent: args.assets.map_or(Extent::Bytes(args.mb.unwrap_or(10) * 1_000_000), Extent::Assets),
        findings_per_asset: args.per_asset,
        qids: args.qids,
        own_texts: args.own_texts,
        seed: args.seed,
    };
    let counts = match &args.out {
        Some(path) => shape.write(BufWriter::with_capacity(1 << 20, File::create(path)?))?,
        None => shape.write(BufWriter::with_capacity(1 << 20, io::stdout().lock()))?,
    };
    let text = serde_json::to_string(&counts)?;
    match &args.counts {
        Some(path) => std::fs::write(path, text)?,
        None => writeln!(io::stderr(), "{text}")?,
    }
    Ok(())
}

impl From<Report> for Format {
    fn from(report: Report) -> Self {
        match report {
            Report::Scan => Self::Scan,
            Report::LongScan => Self::LongScan,
            Report::Template => Self::Template,
            Report::Detections => Self::Detections,
            Report::KnowledgeBase => Self::KnowledgeBase,
        }
    }
}
