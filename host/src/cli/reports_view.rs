//! Output of `reports list`: stored reports of a source with their states.

use serde_json::{Value, json};

use super::format::ListFormat;
use super::state_view::minutes;
use super::table::{Columns, render_columns};
use crate::pipeline::{grouped, show_bytes};
use crate::reports::{OfferedReport, ReportState};
use crate::telemetry::without_controls;

/// What `reports list` shows.
#[derive(Debug)]
pub(crate) struct ReportsView<'a> {
    pub(crate) pipeline: &'a str,
    pub(crate) input: &'a str,
    /// All reports of the selected period, of any state.
    pub(crate) all: &'a [OfferedReport],
    /// Those that are shown.
    pub(crate) shown: Vec<&'a OfferedReport>,
    /// Number of reports that `--limit` has cut off.
    pub(crate) omitted: usize,
}

impl ReportsView<'_> {
    /// Number of reports in this state.
    pub(crate) fn count(&self, state: ReportState) -> usize {
        self.all.iter().filter(|report| report.state == state).count()
    }

    /// `14 unsent, 212 sent`, and the other states if there are any.
    pub(crate) fn counts(&self) -> String {
        let count = |state| grouped(self.count(state) as u64);
        let unsent = self.all.iter().filter(|report| report.state.is_unsent()).count();
        let mut text = format!("{} unsent, {} sent", grouped(unsent as u64), count(ReportState::Sent));
        if self.count(ReportState::NotReady) > 0 {
            text += &format!(", {} not ready", count(ReportState::NotReady));
        }
        text
    }
}

/// Shows the list. Text is wrapped to `width` columns.
pub(crate) fn list_reports(view: &ReportsView<'_>, format: ListFormat, width: usize) -> String {
    match format {
        ListFormat::Text => text(view, width),
        ListFormat::Ndjson => view.shown.iter().map(|report| format!("{}\n", to_json(report))).collect(),
        ListFormat::Json => {
            let states = [ReportState::New, ReportState::Sent, ReportState::NotReady, ReportState::Refused];
            let counts: serde_json::Map<String, Value> =
                states.into_iter().map(|state| (state.word().to_owned(), view.count(state).into())).collect();
            let reports: Vec<Value> = view.shown.iter().map(|report| to_json(report)).collect();
            let all = json!({
                "pipeline": view.pipeline,
                "input": view.input,
                "counts": counts,
                "reports": reports,
                "omitted": view.omitted,
            });
            format!("{all:#}\n")
        }
    }
}

fn to_json(report: &OfferedReport) -> Value {
    let text = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
    let OfferedReport { entry, state, sent, run, reason } = report;
    json!({
        "id": entry.id,
        "title": entry.title,
        "kind": entry.kind,
        "made": text(&entry.made),
        "bytes": entry.bytes,
        "source_state": entry.source_state,
        "detail": entry.detail,
        "state": state.word(),
        "sent": text(sent),
        "run": run,
        "reason": text(reason),
    })
}

fn text(view: &ReportsView<'_>, width: usize) -> String {
    let ReportsView { pipeline, input, shown, omitted, .. } = view;
    let of = format!("reports of {pipeline} (input {input})");
    if shown.is_empty() && !view.all.iter().any(|report| report.state.is_unsent()) {
        let sent = grouped(view.count(ReportState::Sent) as u64);
        return format!("{of}: no unsent report; {sent} were sent\n");
    }
    let mut text = format!("{of}: {}\n", view.counts());
    if shown.is_empty() {
        text += "none in this state\n";
        return text;
    }
    let rows = shown.iter().map(|report| {
        let row = ReportRow::of(report);
        [row.made, row.state, row.kind, row.size, without_controls(&report.entry.id).into_owned(), row.title]
    });
    let header = ["MADE", "STATE", "KIND", "SIZE", "ID", "TITLE"];
    text += &format!("\n{}", render_columns(header, rows, width, Columns::WRAP_LAST));
    if *omitted > 0 {
        text += &format!("{omitted} more: raise --limit\n");
    }
    text
}

/// The cells of a report for people. Texts of the source contain no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportRow {
    pub(crate) made: String,
    pub(crate) state: String,
    pub(crate) kind: String,
    pub(crate) size: String,
    pub(crate) title: String,
}

impl ReportRow {
    pub(crate) fn of(report: &OfferedReport) -> Self {
        let OfferedReport { entry, state, sent, run, reason } = report;
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let plain = |text: &str| without_controls(text).into_owned();
        let state = match state {
            ReportState::Sent if !sent.is_empty() => match run {
                Some(run) => format!("sent {} (run {run})", minutes(sent)),
                None => format!("sent {}", minutes(sent)),
            },
            ReportState::NotReady if !entry.source_state.is_empty() => {
                format!("not-ready ({})", plain(&entry.source_state))
            }
            state => state.word().to_owned(),
        };
        let mut title = if entry.title.is_empty() { &entry.id } else { &entry.title }.clone();
        if !reason.is_empty() {
            title += &format!(" ({reason})");
        }
        Self {
            made: or_dash(&minutes(&plain(&entry.made))),
            state,
            kind: or_dash(&plain(&entry.kind)),
            size: entry.bytes.map_or_else(|| "-".to_owned(), show_bytes),
            title: plain(&title),
        }
    }
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::ReportEntry;

    use super::*;

    fn reports() -> Vec<OfferedReport> {
        let offered = |entry: ReportEntry, state| OfferedReport {
            entry,
            state,
            sent: String::new(),
            run: None,
            reason: String::new(),
        };
        let entry = |id: &str, title: &str, day: u8| {
            ReportEntry::new(id, title).with_kind("SCAN").with_made(format!("2026-11-{day:02}T22:10:07Z"))
        };
        let hostile = "Weekly\u{1b}[2J\u{202e}EMEA\nscan of all sites in Europe, the Middle East and Africa";
        vec![
            offered(entry("scan/5", hostile, 27).with_bytes(Some(19_083_264)), ReportState::New),
            offered(
                entry("scan/4", "DMZ daily", 26).with_ready(false).with_source_state("RUNNING"),
                ReportState::NotReady,
            ),
            OfferedReport {
                sent: "2026-11-26T01:02:03Z".to_owned(),
                run: Some(7),
                ..offered(entry("scan/3", "Weekly APAC", 25), ReportState::Sent)
            },
            offered(ReportEntry::new("scan/2", ""), ReportState::Sent),
            OfferedReport {
                reason: "scan/1 is not a report".to_owned(),
                ..offered(entry("scan/1", "Monthly", 1), ReportState::Refused)
            },
        ]
    }

    fn view(reports: &[OfferedReport]) -> ReportsView<'_> {
        ReportsView {
            pipeline: "emea",
            input: "scans",
            all: reports,
            shown: reports.iter().collect(),
            omitted: 0,
        }
    }

    #[test]
    fn list_for_people() {
        let reports = reports();
        insta::assert_snapshot!(list_reports(&view(&reports), ListFormat::Text, 100));
    }

    #[test]
    fn list_without_reports_counts_the_others() {
        let reports = reports();
        let sent = ReportsView { shown: Vec::new(), ..view(&reports[1..4]) };
        let expected = "reports of emea (input scans): no unsent report; 2 were sent\n";
        assert_eq!(list_reports(&sent, ListFormat::Text, 100), expected);
        let refused = ReportsView { shown: Vec::new(), ..view(&reports[..2]) };
        let expected = "reports of emea (input scans): 1 unsent, 0 sent, 1 not ready\nnone in this state\n";
        assert_eq!(list_reports(&refused, ListFormat::Text, 100), expected);
    }

    #[test]
    fn list_as_json() {
        let reports = reports();
        let view = ReportsView { shown: reports.iter().take(3).collect(), omitted: 2, ..view(&reports) };
        let all: Value = serde_json::from_str(&list_reports(&view, ListFormat::Json, 0)).unwrap();
        assert_eq!(all["counts"], json!({ "new": 1, "sent": 2, "not-ready": 1, "refused": 1 }));
        assert_eq!(all["omitted"], 2);
        assert_eq!(all["reports"][2]["state"], "sent");
        assert_eq!((&all["reports"][2]["run"], &all["reports"][2]["bytes"]), (&json!(7), &Value::Null));
        let lines = list_reports(&view, ListFormat::Ndjson, 0);
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(Value::from(lines), all["reports"]);
    }
}
