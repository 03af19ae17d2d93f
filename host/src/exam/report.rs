//! The checks of the exam and their results.

use std::fmt::Write as _;

use scanbridge_plugin_api::PluginKind;
use serde_json::{Value, json};

use crate::telemetry::without_controls;

/// Identifies a check: `G1`, `O2`, `I4`.
pub(super) type CheckId = &'static str;

/// The checks of every plugin, with the promise that each examines.
pub(super) const GENERAL: [(CheckId, &str); 8] = [
    ("G1", "identity, root and description are valid, and each default is a value of its option"),
    (
        "G2",
        "opening for `check`, `probe` or `list`, and reading for `preview`, changes no file and sends nothing",
    ),
    ("G3", "nothing is printed, and no secret appears in an error, log line, receipt or position"),
    ("G4", "no call ends the process"),
    ("G5", "each call returns, and within 2 s after a stop request"),
    ("G6", "wrong options and damaged receipts or positions are `Config` errors with a hint"),
    ("G7", "two instances in one process do not see each other"),
    ("G8", "opening and closing 50 times leaves no thread, open file or memory"),
];

/// The checks of outputs.
pub(super) const OUTPUT: [(CheckId, &str); 9] = [
    ("O1", "each finding is written, rejected or left out, and `bytes` is what was delivered"),
    ("O2", "after SIGKILL at any call the next run delivers what `resume` promises"),
    ("O3", "the same after an error, when the host opens the output again"),
    ("O4", "a report without `deliver` leaves nothing, and an incomplete one clears nothing"),
    ("O5", "nothing of a report is visible before `stored`, everything after it"),
    ("O6", "a report that is begun again or skipped is withdrawn, a partial one is added"),
    ("O7", "a receipt changes when data was written, has at most 64 KiB and names no other directory"),
    ("O8", "hostile texts are delivered, also with columns of the input's own, and `replaces` is true"),
    ("O9", "`render` shows each finding or says why not, changes no file and sends nothing"),
];

/// The checks of inputs.
pub(super) const INPUT: [(CheckId, &str); 8] = [
    ("I1", "all reports and findings are read once, and only complete reports end as complete"),
    ("I2", "rows, cells, times and the scanner of each report are valid"),
    ("I3", "the findings of an asset come together, and positions are between assets"),
    ("I4", "after SIGKILL at any position the next run loses and repeats nothing"),
    ("I5", "a source is touched only by `stored`, only for delivered reports, and no other state is kept"),
    ("I6", "batches keep to the host's limit, and a second run gives the same"),
    ("I7", "a source that changes is begun again or refused, never mixed"),
    ("I8", "listing stored reports changes nothing, and exactly the chosen ones are delivered, in order"),
];

/// Why a check did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// The promise is broken: how that was seen.
    Failed(String),
    /// The check could not be made: why.
    NotExamined(String),
}

/// The result of one check.
pub(super) type Checked = Result<(), Finding>;

/// A broken promise.
pub(super) fn failed<T>(how: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Failed(how.into()))
}

/// A check that could not be made.
pub(super) fn not_examined<T>(why: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::NotExamined(why.into()))
}

/// The results of one plugin.
#[derive(Debug)]
pub(super) struct PluginReport {
    pub(super) kind: PluginKind,
    pub(super) name: String,
    pub(super) checks: Vec<(CheckId, &'static str, Checked)>,
}

/// The results of a library.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) plugins: Vec<PluginReport>,
}

impl Report {
    fn counts(&self) -> (usize, usize, usize) {
        let results = || self.plugins.iter().flat_map(|plugin| &plugin.checks).map(|(_, _, result)| result);
        let failed = results().filter(|result| matches!(result, Err(Finding::Failed(_)))).count();
        let missing = results().filter(|result| matches!(result, Err(Finding::NotExamined(_)))).count();
        (results().count() - failed - missing, failed, missing)
    }

    /// 0 if all checks were made and passed, 70 if a promise is broken, 78 if only checks are missing.
    pub(super) fn exit_code(&self) -> u8 {
        match self.counts() {
            (0, 0, 0) => 78,
            (_, 0, 0) => 0,
            (_, 0, _) => 78,
            _ => 70,
        }
    }

    /// One line per check. `again` is the command that repeats a check, without `--only`.
    pub(super) fn to_text(&self, again: &str) -> String {
        let mut text = String::new();
        for plugin in &self.plugins {
            let _ = writeln!(text, "{} {}", plugin.kind.word(), plugin.name);
            for (id, promise, result) in &plugin.checks {
                let _ = match result {
                    Ok(()) => writeln!(text, "  {id}  ok            {promise}"),
                    Err(Finding::Failed(how)) => writeln!(
                        text,
                        "  {id}  FAILED        {promise}\n      {}\n      to see it again: {again} --only {id}",
                        without_controls(how)
                    ),
                    Err(Finding::NotExamined(why)) => {
                        writeln!(text, "  {id}  not examined  {}", without_controls(why))
                    }
                };
            }
        }
        let (passed, failed, missing) = self.counts();
        let total = passed + failed + missing;
        let _ = writeln!(text, "{passed} of {total} checks passed, {failed} failed, {missing} not examined");
        text
    }

    /// The same as JSON.
    pub(super) fn to_json(&self) -> Value {
        let check = |(id, promise, result): &(CheckId, &'static str, Checked)| {
            let (word, detail) = match result {
                Ok(()) => ("ok", None),
                Err(Finding::Failed(how)) => ("failed", Some(how)),
                Err(Finding::NotExamined(why)) => ("not examined", Some(why)),
            };
            json!({ "id": id, "result": word, "promise": promise, "detail": detail })
        };
        let plugin = |plugin: &PluginReport| {
            let checks: Vec<Value> = plugin.checks.iter().map(check).collect();
            json!({ "kind": plugin.kind.word(), "name": plugin.name, "checks": checks })
        };
        let (passed, failed, missing) = self.counts();
        json!({
            "plugins": self.plugins.iter().map(plugin).collect::<Vec<_>>(),
            "passed": passed,
            "failed": failed,
            "not_examined": missing,
        })
    }
}
