//! Prints results as a table.

use super::bound::median;
use super::run::{Measurement, Program};

/// The medians of each program's runs, one line per program.
pub(super) fn lines(title: &str, programs: &[Program], runs: &[Vec<Measurement>]) -> String {
    let mut text = format!("{title}\n{:<12} {:>9} {:>9} {:>13}\n", "", "cpu s", "wall s", "peak RSS MiB");
    for (program, runs) in programs.iter().zip(runs) {
        text.push_str(&format!(
            "{:<12} {:>9.3} {:>9.3} {:>13.1}\n",
            program.name,
            median(runs.iter().map(|run| run.cpu_secs)),
            median(runs.iter().map(|run| run.wall_secs)),
            peak_mib(runs),
        ));
    }
    text
}

/// The highest peak memory of all runs, in MiB.
pub(super) fn peak_mib(runs: &[Measurement]) -> f64 {
    runs.iter().map(|run| run.peak_rss_bytes).max().unwrap_or(0) as f64 / f64::from(1 << 20)
}
