//! Prints results as a table.

use std::io::Write;

use super::bound::median;
use super::run::{Measurement, Program};
use super::stage::StageError;

/// Prints [`lines`].
///
/// # Errors
/// Fails if the output cannot be written.
pub(super) fn print(
    out: &mut impl Write,
    title: &str,
    programs: &[Program],
    runs: &[Vec<Measurement>],
) -> Result<(), StageError> {
    writeln!(out, "{}", lines(title, programs, runs)).map_err(|error| StageError::new("output", error))
}

/// The medians of each program's runs, one line per program. `cores` is the processor time per wall time.
fn lines(title: &str, programs: &[Program], runs: &[Vec<Measurement>]) -> String {
    let mut text =
        format!("{title}\n{:<12} {:>9} {:>9} {:>9} {:>13}\n", "", "cpu s", "wall s", "cores", "peak RSS MiB");
    for (program, runs) in programs.iter().zip(runs) {
        text.push_str(&format!(
            "{:<12} {:>9.3} {:>9.3} {:>9.2} {:>13.1}\n",
            program.name,
            median(runs.iter().map(|run| run.cpu_secs)),
            median(runs.iter().map(|run| run.wall_secs)),
            median(runs.iter().map(|run| run.cpu_secs / run.wall_secs)),
            peak_mib(runs),
        ));
    }
    text
}

/// The highest peak memory of all runs, in MiB.
pub(super) fn peak_mib(runs: &[Measurement]) -> f64 {
    runs.iter().map(|run| run.peak_rss_bytes).max().unwrap_or(0) as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_processor_time_per_wall_time() {
        let run = |cpu_secs, wall_secs| Measurement { cpu_secs, wall_secs, peak_rss_bytes: 3 << 20 };
        let program = Program::new("host", ["true"]);
        let text = lines("scan", &[program], &[vec![run(3.0, 2.0), run(1.0, 2.0), run(2.0, 1.0)]]);
        let cells: Vec<&str> = text.lines().last().unwrap_or_default().split_whitespace().collect();
        assert_eq!(cells, ["host", "2.000", "2.000", "1.50", "3.0"]);
    }
}
