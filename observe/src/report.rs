//! The report of a run for people: one HTML file without scripts and without anything to load.

use askama::Template;
use askama::filters::HtmlSafe;
use serde_json::Value;

use crate::chart::{StackedBar, TimeLine};
use crate::summary::{InputPart, OutputPart, RunSummary};

/// How many findings all inputs had read at a time.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Sample {
    /// Seconds since the start of the run.
    pub seconds: f64,
    /// Findings until then.
    pub findings: u64,
}

/// Samples of a run, at most 120: when there are more, every second one is dropped and the interval doubles.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    samples: Vec<Sample>,
    /// Number of calls of [`Samples::add`] for one sample, less one.
    skip: usize,
    skipped: usize,
}

impl Samples {
    const MAX: usize = 120;

    /// Adds a sample. Call it in regular intervals.
    pub fn add(&mut self, sample: Sample) {
        if self.skipped < self.skip {
            self.skipped += 1;
            return;
        }
        self.skipped = 0;
        self.samples.push(sample);
        if self.samples.len() >= Self::MAX {
            let mut number = 0;
            self.samples.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.skip = self.skip * 2 + 1;
        }
    }

    /// Adds the last sample, which is never dropped.
    pub fn end(&mut self, sample: Sample) {
        self.samples.push(sample);
    }
}

/// The page for the summary of a run, as `run --summary json` prints it.
///
/// # Errors
/// When `summary` is not an object of that form.
pub fn html_report(summary: &Value, samples: &Samples) -> Result<String, serde_json::Error> {
    let summary = RunSummary::printable(summary)?;
    let page = Page { content: RunContent::of(&summary, samples) };
    // Writing to a text fails only if a value fails to format itself; texts and numbers never do.
    Ok(page.render().unwrap_or_else(|error| format!("<!doctype html><p>{error}</p>\n")))
}

/// The style of [`html_report`] and of [`RunContent`].
pub const REPORT_STYLE: &str = include_str!("../templates/report.css");

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    content: RunContent<'a>,
}

/// The content of the report of a run, without the frame of a page: HTML for templates.
#[derive(Template)]
#[template(path = "report_body.html")]
pub struct RunContent<'a> {
    summary: &'a RunSummary,
    /// All findings that were read.
    findings: u64,
    status: RunStatus,
    rows: Vec<SeverityRow>,
    /// Assets by their highest severity; `None` without assets.
    assets: Option<SeverityRow>,
    bar: Option<StackedBar>,
    line: Option<TimeLine>,
}

/// The status of a run as a word and a mark; some readers do not see the color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunStatus {
    /// Class of the style: `ok`, `partial` or `failed`.
    pub class: &'static str,
    /// One character.
    pub mark: &'static str,
    /// In words.
    pub word: &'static str,
}

/// The findings of one kind.
struct SeverityRow {
    kind: String,
    /// Severity 5 to 1, then unknown.
    counts: [u64; 6],
    total: u64,
}

const KINDS: [&str; 4] = ["vulnerability", "potential", "information", "service"];
const SEVERITIES: [&str; 6] = ["5", "4", "3", "2", "1", "0"];

// It is a rendered template, which has escaped the texts of others.
impl HtmlSafe for RunContent<'_> {}

impl<'a> RunContent<'a> {
    /// The content for a summary. Without samples there is no chart of the speed.
    #[must_use]
    pub fn of(summary: &'a RunSummary, samples: &Samples) -> Self {
        let by_severity = summary.findings_by_severity();
        let count = |kind: &str, severity: &str| {
            by_severity.get(kind).and_then(|counts| counts.get(severity)).copied().unwrap_or_default()
        };
        let rows = KINDS.map(|kind| {
            let counts = SEVERITIES.map(|severity| count(kind, severity));
            SeverityRow { kind: kind.to_owned(), counts, total: counts.iter().sum() }
        });
        let assets = SEVERITIES.map(|severity| {
            let of_input = |input: &InputPart| input.assets_by_severity.get(severity).copied();
            summary.inputs.iter().filter_map(of_input).sum()
        });
        let assets = SeverityRow { kind: "assets".to_owned(), counts: assets, total: assets.iter().sum() };
        let parts = SEVERITIES.map(|severity| {
            let value = rows_of(&rows, severity);
            let name = if severity == "0" { "unknown".to_owned() } else { severity.to_owned() };
            (format!("s{severity}"), format!("severity {name}: {}", grouped(&value)), value)
        });
        let points: Vec<(f64, u64)> =
            samples.samples.iter().map(|sample| (sample.seconds, sample.findings)).collect();
        Self {
            summary,
            findings: summary.findings(),
            status: RunStatus::of(if summary.interrupted { "interrupted" } else { &summary.status }),
            bar: StackedBar::of(&parts),
            line: TimeLine::of_rate(&points),
            rows: rows.into_iter().collect(),
            assets: Some(assets).filter(|assets| assets.total > 0),
        }
    }

    /// Whether an output accounts for every finding that was read.
    fn adds_up(&self, output: &OutputPart) -> bool {
        output.findings() == self.findings
    }
}

fn rows_of(rows: &[SeverityRow], severity: &str) -> u64 {
    let column = SEVERITIES.iter().position(|known| *known == severity).unwrap_or_default();
    rows.iter().map(|row| row.counts[column]).sum()
}

impl RunStatus {
    /// `status` is `ok`, `partial`, `interrupted` or `failed`, as the summary and the service have it.
    #[must_use]
    pub fn of(status: &str) -> Self {
        let (class, mark, word) = match status {
            "interrupted" => ("partial", "‖", "interrupted"),
            "ok" => ("ok", "✓", "all delivered"),
            "partial" => ("partial", "!", "partly delivered"),
            _ => ("failed", "✗", "failed"),
        };
        Self { class, mark, word }
    }
}

/// Problems of an input that a reader must see.
fn problems(input: &InputPart) -> String {
    let counts = [
        (input.incomplete, "incomplete"),
        (input.not_found, "not found"),
        (input.refused, "refused"),
        (input.unfinished, "unfinished"),
    ];
    let texts = counts.iter().filter(|(count, _)| *count > 0);
    texts.map(|(count, word)| format!("{} {word}", grouped(count))).collect::<Vec<_>>().join(", ")
}

fn grouped(number: &u64) -> String {
    crate::grouped(*number)
}

fn size(bytes: &u64) -> String {
    crate::show_bytes(*bytes)
}

fn duration(milliseconds: &u64) -> String {
    crate::show_elapsed(*milliseconds)
}

/// A time in UTC that a person reads at once: 2026-11-30 05:03:11.
fn time(rfc3339: &str) -> String {
    let text = rfc3339.replacen('T', " ", 1);
    text.get(..19).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary() -> Value {
        json!({
            "schema": 1, "pipeline": "emea", "file": "/etc/scanbridge/pipelines/emea.yaml", "run": 412,
            "started": "2026-11-30T05:03:11.120Z", "ended": "2026-11-30T05:19:40.000Z", "version": "0.2.0",
            "host": "bridge", "trigger": "schedule", "status": "partial", "exit_code": 65, "elapsed_ms": 988_880,
            "inputs": [{
                "id": "scans", "plugin": "QualysGuard", "reports": 2, "assets": 812,
                "assets_by_severity": {"5": 200, "4": 300, "3": 12, "0": 300}, "bytes": 19_083_000,
                "findings": {"vulnerability": 30_000, "information": 11_203}, "incomplete": 1,
                "findings_by_severity": {"vulnerability": {"5": 10_000, "4": 15_000, "3": 5_000},
                    "information": {"1": 11_000, "0": 203}},
                "reports_list": [
                    {"id": "scan/1", "title": "Weekly <EMEA>\u{202e}", "path": "scan/1", "result": "complete",
                     "findings": 41_000, "bytes": 18_000_000, "duration_ms": 96_400},
                    {"id": "scan/2", "title": "DMZ", "path": "scan/2", "result": "incomplete",
                     "findings": 203, "bytes": 1_083_000, "duration_ms": 12_000}],
                "notes": [{"warning": true, "text": "clock differs by 90 s", "count": 1}],
            }],
            "outputs": [
                {"id": "siem", "plugin": "ArcSightCEF", "records": 41_180, "filtered": 20, "rejected": 3,
                 "bytes": 25_000_000},
                {"id": "dc", "plugin": "Sourcefire", "records": 100, "undelivered": 3}],
            "failures": [{"instance": "dc", "message": "connection refused", "hint": "check the address",
                "exit_code": 69}],
            "compared": {"against_run": 411, "new": 118, "gone": 64, "same": 41_021},
            "top_definitions": [{"id": "38170", "title": "SSL <b>", "findings": 900}],
        })
    }

    fn samples() -> Samples {
        let mut samples = Samples::default();
        for second in 0..500_u32 {
            samples.add(Sample {
                seconds: f64::from(second),
                findings: u64::from(second) * 80 + u64::from(second % 50) * 3,
            });
        }
        samples.end(Sample { seconds: 500.0, findings: 40_000 });
        samples
    }

    #[test]
    fn report_of_a_run() {
        insta::assert_snapshot!(html_report(&summary(), &samples()).unwrap());
    }

    #[test]
    fn external_texts_are_escaped() {
        let page = html_report(&summary(), &samples()).unwrap();
        assert!(!page.contains("<EMEA>") && !page.contains("SSL <b>"));
        assert!(page.contains("Weekly &#60;EMEA&#62;") && !page.contains('\u{202e}'));
    }

    #[test]
    fn nothing_is_loaded_and_nothing_is_executed() {
        let page = html_report(&summary(), &samples()).unwrap();
        for word in
            ["<script", "http:", "https:", "url(", "@import", "javascript:", "onload", "<img", "<link"]
        {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn a_run_that_did_not_start_has_a_report() {
        let summary = json!({"pipeline": "p", "status": "failed", "exit_code": 78,
            "failures": [{"instance": "run", "message": "p.yaml is invalid", "exit_code": 78}]});
        let page = html_report(&summary, &Samples::default()).unwrap();
        assert!(page.contains("p.yaml is invalid") && page.contains("failed"), "{page}");
    }

    #[test]
    fn samples_stay_few_and_cover_the_run() {
        let samples = samples();
        assert!(samples.samples.len() <= Samples::MAX, "{}", samples.samples.len());
        assert_eq!(samples.samples.first().unwrap().seconds, 0.0);
        assert_eq!(samples.samples.last().unwrap().findings, 40_000);
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!([900, 125_000, 11_520_000].map(|it| duration(&it)), ["0.90 s", "2 min 5 s", "3 h 12 min"]);
        assert_eq!(time("2026-11-30T05:03:11.120Z"), "2026-11-30 05:03:11");
        assert_eq!(time("é"), "é");
    }
}
