//! Stored reports of a source: what an operator can choose from, what was sent, and what is skipped.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use scanbridge_plugin_api::abi::REPORTS_1;
use scanbridge_plugin_api::{PluginError, PluginKind, Purpose, ReportEntry, ReportMarks, ReportQuery};
use serde_json::Value;

use crate::choice::refuse_unfinished;
use crate::config::{InputInstance, Pipeline};
use crate::exit_code::USAGE;
use crate::pipeline::{Failure, Settings, Stop, StoredReports};
use crate::plugins::Registry;
use crate::read_only;
use crate::session;
use crate::state::{Ledger, RunRecord, SentReport, StateError, StateFolder};

/// What a stored report is for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReportState {
    /// It can be sent, and was not.
    New,
    /// It was sent, or counts as sent.
    Sent,
    /// The source has not finished it.
    NotReady,
    /// The last run that read it refused it.
    Refused,
}

impl ReportState {
    /// The word in every output.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Sent => "sent",
            Self::NotReady => "not-ready",
            Self::Refused => "refused",
        }
    }

    /// Whether it counts as unsent.
    pub(crate) fn is_unsent(self) -> bool {
        matches!(self, Self::New | Self::Refused)
    }
}

/// A stored report, with what the saved state knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfferedReport {
    pub(crate) entry: ReportEntry,
    pub(crate) state: ReportState,
    /// When it was sent, in UTC; empty if that is not known.
    pub(crate) sent: String,
    /// The run that sent it.
    pub(crate) run: Option<u64>,
    /// Why it was refused; empty if that is not known.
    pub(crate) reason: String,
}

/// The index of the input whose reports an operator chooses from: the one with this `id`, else the only one that has stored
/// reports.
///
/// # Errors
/// When there is none, or more than one and no `id`.
pub(crate) fn choosing_input(
    pipeline: &Pipeline,
    registry: &Registry,
    id: Option<&str>,
) -> Result<usize, Failure> {
    let usage = |message: String| Failure::of_command("pipeline", &message, None, USAGE);
    let ids: Vec<&str> = pipeline.inputs.iter().map(|input| input.instance.id.as_str()).collect();
    if let Some(id) = id {
        let found = ids.iter().position(|known| *known == id);
        return found
            .ok_or_else(|| usage(format!("the pipeline has no input `{id}`; it has {}", ids.join(", "))));
    }
    let has_reports = |index: &usize| {
        let plugin = &pipeline.inputs[*index].instance.plugin;
        let descriptor = registry.descriptor(PluginKind::Input, plugin);
        descriptor.is_ok_and(|descriptor| descriptor.tables.iter().any(|table| table == REPORTS_1))
    };
    let choosing: Vec<usize> = (0..ids.len()).filter(has_reports).collect();
    match choosing.as_slice() {
        [input] => Ok(*input),
        [] => Err(Failure::new(ids.first().copied().unwrap_or("pipeline"), &PluginError::no_reports())),
        several => {
            let named: Vec<&str> = several.iter().map(|index| ids[*index]).collect();
            let named = named.join(", ");
            Err(usage(format!("several inputs have reports to choose from: {named}; name one with --input")))
        }
    }
}

/// Lists stored reports, newest first. Changes neither the saved state nor the source; a run of the pipeline may be in
/// progress.
///
/// # Errors
/// When the input cannot be opened or listed, or the saved state cannot be read.
pub(crate) fn list(
    pipeline: &Pipeline,
    registry: &Registry,
    state: &Path,
    input: &InputInstance,
    query: &ReportQuery,
    stop: &Arc<Stop>,
) -> Result<Vec<OfferedReport>, Vec<Failure>> {
    let (settings, _folder) = read_only::settings(pipeline, state, Purpose::List)?;
    let id = &input.instance.id;
    let to_failures = |error: PluginError| vec![Failure::new(id, &error)];
    let history = match &settings.ledger {
        Some(ledger) => History::of(ledger, id).map_err(|error| vec![Failure::of_state("state", &error)])?,
        None => History::default(),
    };
    let mut reports = StoredReports::open(input, pipeline, registry, &settings, stop).map_err(to_failures)?;
    let entries = reports.list(query).map_err(to_failures)?;
    reports.close().map_err(to_failures)?;
    Ok(entries.into_iter().map(|entry| history.offered(entry)).collect())
}

/// Makes reports count as sent, or no longer. Returns how many were changed.
///
/// # Errors
/// When the pipeline is in use, a run has not finished sending one of the reports, or the input or the saved state fails.
/// Then nothing has changed.
pub(crate) fn mark(
    pipeline: &Pipeline,
    registry: &Registry,
    state: &Path,
    input: &InputInstance,
    marks: ReportMarks,
    stop: &Arc<Stop>,
) -> Result<u64, Vec<Failure>> {
    let to_failures = |error: StateError| vec![Failure::of_state("state", &error)];
    let folder = StateFolder::of(state, &pipeline.state_name());
    let _lock = session::lock_now(&folder, &pipeline.name).map_err(to_failures)?;
    let ledger = Arc::new(Ledger::open(&folder.ledger(), &pipeline.file).map_err(to_failures)?);
    let id = &input.instance.id;
    refuse_unfinished(&ledger, id, &marks.ids).map_err(to_failures)?;
    let settings =
        Settings { ledger: Some(Arc::clone(&ledger)), ..Settings::without_run(folder, Purpose::Run) };
    let changed = StoredReports::open(input, pipeline, registry, &settings, stop)
        .and_then(|reports| reports.mark(marks))
        .map_err(|error| vec![Failure::new(id, &error)]);
    let (changed, keys) = changed?;
    ledger.store_keys(id, keys).map_err(to_failures)?;
    Ok(changed)
}

/// What the ledger knows of the reports of one input, by their IDs.
#[derive(Debug, Default)]
struct History {
    /// When each report was sent last.
    sent: HashMap<String, String>,
    runs: Vec<RunRecord>,
    /// For each report that a run names: why the last such run refused it; `None` if it did not.
    refused: HashMap<String, Option<String>>,
}

impl History {
    fn of(ledger: &Ledger, input: &str) -> Result<Self, StateError> {
        let mut history = Self { runs: ledger.runs()?, ..Self::default() };
        for report in ledger.reports()?.iter().filter(|report| report.input == input) {
            history.add_sent(report);
        }
        ledger.summaries()?.iter().rev().for_each(|summary| history.add_earlier(summary, input));
        Ok(history)
    }

    fn add_sent(&mut self, report: &SentReport) {
        for id in ids(&report.id, &report.path) {
            self.sent.insert(id.to_owned(), report.sent.clone());
        }
    }

    /// Adds a summary as JSON that is older than all before.
    fn add_earlier(&mut self, summary: &Value, input: &str) {
        let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let failures = list(summary, "failures");
        let of_input = list(summary, "inputs").into_iter().filter(|part| part["id"] == input);
        let reports: Vec<Value> = of_input.flat_map(|part| list(&part, "reports_list")).collect();
        for report in reports.iter().rev() {
            let text = |name: &str| report[name].as_str().unwrap_or_default();
            let is_refused = matches!(text("result"), "refused" | "not_found" | "incomplete");
            for id in ids(text("id"), text("path")) {
                let reason = || {
                    let mut messages = failures
                        .iter()
                        .filter(|failure| failure["instance"] == input)
                        .filter_map(|failure| failure["message"].as_str());
                    messages.rfind(|message| message.contains(id)).unwrap_or_default().to_owned()
                };
                let known = self.refused.entry(id.to_owned());
                known.or_insert_with(|| is_refused.then(reason));
            }
        }
    }

    fn offered(&self, entry: ReportEntry) -> OfferedReport {
        let refused = self.refused.get(&entry.id).and_then(Option::as_ref).filter(|_| !entry.delivered);
        let state = match (entry.delivered, entry.ready, refused) {
            (true, _, _) => ReportState::Sent,
            (false, false, _) => ReportState::NotReady,
            (false, true, Some(_)) => ReportState::Refused,
            (false, true, None) => ReportState::New,
        };
        let sent = self.sent.get(&entry.id).filter(|_| state == ReportState::Sent);
        let sent = sent.cloned().unwrap_or_default();
        let run = self.runs.iter().rev().find(|run| !sent.is_empty() && run.started <= sent);
        let (run, reason) = (run.map(|run| run.number), refused.cloned().unwrap_or_default());
        OfferedReport { entry, state, sent, run, reason }
    }
}

/// The texts that identify a report in a list: its ID, its path, and the last parameter of its URL.
fn ids<'a>(id: &'a str, path: &'a str) -> impl Iterator<Item = &'a str> {
    let parameter = path.rsplit_once('=').map(|(_, value)| value);
    [id, path].into_iter().chain(parameter).filter(|id| !id.is_empty())
}

/// Whether a report with this ID and path is the one with the ID `listed` in a list.
pub(crate) fn is_listed_as(listed: &str, id: &str, path: &str) -> bool {
    ids(id, path).any(|known| known == listed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn history() -> History {
        let listed = |id: &str, result: &str| json!({ "id": "", "path": format!("https://x/y.php?ref={id}"), "result": result });
        let summary = |reports: Vec<Value>, message: &str| {
            json!({
                "inputs": [{ "id": "scans", "reports_list": reports }],
                "failures": [{ "instance": "scans", "message": message }],
            })
        };
        let mut history = History::default();
        for sent in ["2026-01-01T00:00:05Z", "2026-01-03T00:00:05Z"] {
            let (id, sent) = ("scan/1".to_owned(), sent.to_owned());
            history.add_sent(&SentReport { id, sent, ..SentReport::default() });
        }
        let refused = vec![listed("scan/2", "refused"), listed("scan/3", "refused")];
        for summary in
            [summary(vec![listed("scan/2", "complete")], ""), summary(refused, "scan scan/3 is not a report")]
        {
            history.add_earlier(&summary, "scans");
            history.add_earlier(&json!({ "inputs": [{ "id": "scans" }] }), "scans");
        }
        history
    }

    #[test]
    fn state_is_made_of_the_list_and_the_history() {
        let history = history();
        let entry = |id: &str| ReportEntry::new(id, "");
        for (entry, state, sent, reason) in [
            (entry("scan/1").with_delivered(true), ReportState::Sent, "2026-01-03T00:00:05Z", ""),
            // Marked as new again.
            (entry("scan/1"), ReportState::New, "", ""),
            (entry("scan/2"), ReportState::New, "", ""),
            (entry("scan/3"), ReportState::Refused, "", "scan scan/3 is not a report"),
            (entry("scan/3").with_delivered(true), ReportState::Sent, "", ""),
            (entry("scan/4").with_ready(false), ReportState::NotReady, "", ""),
            // Another ID that ends alike.
            (entry("3"), ReportState::New, "", ""),
        ] {
            let offered = history.offered(entry);
            let found = (offered.state, offered.sent.as_str(), offered.reason.as_str());
            assert_eq!(found, (state, sent, reason), "{}", offered.entry.id);
        }
    }

    #[test]
    fn report_is_identified_by_its_whole_id() {
        for (listed, id, path, expected) in [
            ("scan/1", "scan/1", "", true),
            ("scan/1", "", "https://x/a?ref=scan/1", true),
            ("in/a.xml", "scan/1", "in/a.xml", true),
            ("a.xml", "", "in/a.xml", false),
            ("scan/1", "", "https://x/a?ref=scan/11", false),
            ("", "", "", false),
        ] {
            assert_eq!(is_listed_as(listed, id, path), expected, "{listed} {id} {path}");
        }
    }
}
