//! The results of the cases: as a table, as JSON, and compared with those of another build.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::case::{Case, Figure};
use crate::measuring::bound::{Bound, Limit};
use crate::measuring::stage::StageError;

/// The medians of the runs of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// The name of the case: shape, source and destination.
    pub case: String,
    /// Size of the report and of its knowledge base, decompressed.
    pub bytes: u64,
    /// Findings in the report.
    pub findings: u64,
    /// CPU time of the host.
    pub cpu_secs: f64,
    /// Wall time of the host.
    pub wall_secs: f64,
    /// CPU time of the host, in CPU times of the bare loop.
    pub cpu_ratio: f64,
    /// Wall time of the host, in wall times of the bare loop.
    pub wall_ratio: f64,
    /// Peak resident memory of the host, in MiB.
    pub peak_mib: f64,
    /// Wall time of the Python program, in wall times of the host.
    pub python_ratio: Option<f64>,
}

impl CaseResult {
    /// The names of the columns. `cores` is the processor time per wall time.
    pub(super) const TITLE: &'static str = "shape source destination                            MB   cpu s  wall s  cores \
         cpu/bare wall/bare  peak MiB  Python/host";

    /// The measured values with their figures of the table.
    fn figures(&self, case: &Case) -> Vec<(&'static str, f64, Figure, &'static str)> {
        let mut figures = vec![
            (CPU, self.cpu_ratio, case.cpu, "x"),
            ("wall time, host / bare loop", self.wall_ratio, case.wall, "x"),
            ("peak RSS", self.peak_mib, case.mib, " MiB"),
        ];
        let python = self.python_ratio.zip(case.python);
        figures.extend(python.map(|(measured, figure)| (PYTHON, measured, figure, "x")));
        figures
    }

    /// The measured values with the limits that hold today.
    pub(super) fn bounds(&self, case: &Case) -> Vec<Bound> {
        let bound = |(what, measured, figure, unit): (&str, f64, Figure, &'static str)| Bound {
            quantity: format!("{}: {what}", self.case),
            measured,
            limit: limit(what, figure.limit),
            unit,
        };
        self.figures(case).into_iter().map(bound).collect()
    }

    /// One line for each goal that is not reached.
    pub(super) fn unreached_goals(&self, case: &Case) -> Vec<String> {
        let goals = self.figures(case).into_iter().filter_map(|(what, measured, figure, unit)| {
            let goal = figure.goal?;
            let quantity = format!("{}: {what}", self.case);
            let bound = Bound { quantity, measured, limit: limit(what, goal), unit };
            (!bound.is_within_limit())
                .then(|| format!("{}: {measured:.2}{unit}, goal {goal}{unit}", bound.quantity))
        });
        goals.collect()
    }
}

/// The Python program is a minimum, everything else a maximum.
fn limit(what: &str, value: f64) -> Limit {
    if what == PYTHON { Limit::AtLeast(value) } else { Limit::AtMost(value) }
}

const CPU: &str = "CPU time, host / bare loop";
const PYTHON: &str = "wall time, Python / host";

impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.bytes as f64 / 1e6;
        write!(
            f,
            "{:<46} {:>7.1} {:>7.3} {:>7.3} {:>6.2} {:>8.2} {:>9.2} {:>9.1}",
            self.case,
            megabytes,
            self.cpu_secs,
            self.wall_secs,
            self.cpu_secs / self.wall_secs,
            self.cpu_ratio,
            self.wall_ratio,
            self.peak_mib
        )?;
        self.python_ratio.map_or(Ok(()), |ratio| write!(f, " {ratio:>12.1}"))
    }
}

/// Stores results as a JSON array.
pub(super) fn store<'a>(
    path: &Path,
    results: impl Iterator<Item = &'a CaseResult>,
) -> Result<(), StageError> {
    let results: Vec<&CaseResult> = results.collect();
    let text =
        serde_json::to_string_pretty(&results).map_err(|error| StageError::new(path.display(), error))?;
    fs::write(path, text + "\n").map_err(|error| StageError::new(path.display(), error))
}

fn read(path: &Path) -> Result<Vec<CaseResult>, StageError> {
    let text = fs::read_to_string(path).map_err(|error| StageError::new(path.display(), error))?;
    serde_json::from_str(&text).map_err(|error| StageError::new(path.display(), error))
}

/// Prints the ratios of two stored results for the cases that are in both.
///
/// # Errors
/// Fails if a file cannot be read or is not one of stored results, or if `out` cannot be written.
pub fn compare(before: &Path, after: &Path, out: &mut impl Write) -> Result<(), StageError> {
    let (before, after) = (read(before)?, read(after)?);
    let mut lines = format!("{:<46} {:^21} {:^21} {:^15}\n", "", "cpu/bare", "wall/bare", "peak MiB");
    for result in &after {
        if let Some(earlier) = before.iter().find(|earlier| earlier.case == result.case) {
            lines.push_str(&comparison(earlier, result));
        }
    }
    write!(out, "{lines}").map_err(|error| StageError::new("output", error))
}

fn comparison(before: &CaseResult, after: &CaseResult) -> String {
    let change = |before: f64, after: f64| {
        let percent = (after / before - 1.0) * 100.0;
        format!("{before:>5.2} → {after:>5.2} {percent:>+5.0} %")
    };
    format!(
        "{:<46} {} {} {:>5.1} → {:>5.1}\n",
        after.case,
        change(before.cpu_ratio, after.cpu_ratio),
        change(before.wall_ratio, after.wall_ratio),
        before.peak_mib,
        after.peak_mib
    )
}

#[cfg(test)]
mod tests {
    use super::super::case::CASES;
    use super::*;

    fn result(cpu_ratio: f64, python_ratio: Option<f64>) -> CaseResult {
        CaseResult {
            case: CASES[0].name(),
            bytes: 1_000_000,
            findings: 200,
            cpu_secs: 1.0,
            wall_secs: 1.0,
            cpu_ratio,
            wall_ratio: 0.1,
            peak_mib: 1.0,
            python_ratio,
        }
    }

    #[test]
    fn unreached_goals_are_named_with_their_values() {
        let case = CASES.iter().find(|case| case.python.is_some()).unwrap();
        let python = case.python.unwrap();
        assert_eq!(result(0.5, python.goal).unreached_goals(case), [""; 0]);
        assert_eq!(
            result(1.5, Some(python.limit)).unreached_goals(case),
            [
                "scan file cef-null: CPU time, host / bare loop: 1.50x, goal 1x",
                "scan file cef-null: wall time, Python / host: 9.00x, goal 15x",
            ]
        );
    }

    #[test]
    fn limits_are_a_minimum_only_for_python() {
        let case = CASES.iter().find(|case| case.python.is_some()).unwrap();
        let kept =
            |result: CaseResult| result.bounds(case).iter().map(Bound::is_within_limit).collect::<Vec<_>>();
        assert_eq!(kept(result(case.cpu.limit, Some(100.0))), [true; 4]);
        assert_eq!(kept(result(case.cpu.limit + 0.1, Some(1.0))), [false, true, true, false]);
    }

    #[test]
    fn stored_results_are_compared_by_case() {
        let folder = std::env::temp_dir().join(format!("bench-compare-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [before, after] = ["before.json", "after.json"].map(|name| folder.join(name));
        store(&before, [result(2.0, None)].iter()).unwrap();
        store(&after, [result(1.0, None), CaseResult { case: "new".to_owned(), ..result(1.0, None) }].iter())
            .unwrap();
        let mut out = Vec::new();
        compare(&before, &after, &mut out).unwrap();
        fs::remove_dir_all(folder).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("scan file cef-null") && text.contains(" 2.00 →  1.00   -50 %"), "{text}");
    }
}
