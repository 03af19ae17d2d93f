//! `scanbridge reports`: lists stored reports of a source, sends chosen ones, skips others.

use std::collections::HashSet;
use std::path::Path;
use std::{fs, io};

use scanbridge_plugin_api::ReportMarks;
use serde_json::{Value, json};

use super::chosen_input::{ChosenInput, Refused, owner};
use super::pick;
use super::preparation::Source;
use super::run::{self, Follow, RunTarget, not_supervised, stoppable};
use super::service::Owner;
use super::summary::{print_not_started, summary_only};
use super::terminal::{print_error, print_output, stderr_is_terminal, width};
use crate::cli::{
    CommonOptions, Format, ListFormat, ReportFilter, ReportsCommand, ReportsView, SelectedReports,
    SendArguments, StateFilter, SummaryFormat, list_reports,
};
use crate::exit_code::USAGE;
use crate::pipeline::{Failure, Head, Summary, Trigger, grouped};
use crate::reports::{OfferedReport, ReportState};
use crate::session::RunOptions;
use crate::state::Choice;
use crate::supervised::Supervisor;

/// `EX_NOINPUT`.
const NOTHING_TO_SEND: u8 = 66;

pub(super) fn execute(command: &ReportsCommand, common: &CommonOptions) -> u8 {
    let done = match command {
        ReportsCommand::List { file, filter, state, limit, format, service } => {
            let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
            list((Source::of(file, service.bundle), filter), *state, limit, *format, common)
        }
        ReportsCommand::Skip { file, reports, before, undo, format, service } => {
            if reports.is_empty() && before.is_none() {
                return no_selection("--id, --ids-from, --before or --all-new");
            }
            let selection = (reports, before.as_deref());
            let skip = Skip { selection, delivered: !undo, format: *format };
            skip.execute(Source::of(file, service.bundle), service.supervised, common)
        }
        ReportsCommand::Send(arguments) => return send(arguments, common),
        ReportsCommand::Pick(arguments) => return pick::pick(arguments, common),
    };
    done.unwrap_or_else(|refused| refused.print())
}

fn list(
    (source, filter): (Source<'_>, &ReportFilter),
    state: StateFilter,
    limit: usize,
    format: ListFormat,
    common: &CommonOptions,
) -> Result<u8, Refused> {
    let chosen = ChosenInput::open(source, (filter.input.as_deref(), filter.chosen), common)?;
    let all = chosen.list(filter)?;
    let selected: Vec<&OfferedReport> = all.iter().filter(|report| is_in(state, report.state)).collect();
    let view = ReportsView {
        pipeline: &chosen.pipeline.name,
        input: &chosen.input().instance.id,
        all: &all,
        omitted: selected.len().saturating_sub(limit),
        shown: selected.into_iter().take(limit).collect(),
    };
    Ok(print_output(&list_reports(&view, format, width()), 0))
}

/// `reports skip`.
struct Skip<'a> {
    /// The reports, and the time before which unsent ones were made.
    selection: (&'a SelectedReports, Option<&'a str>),
    /// Whether the reports count as sent then.
    delivered: bool,
    format: Format,
}

impl Skip<'_> {
    fn execute(
        &self,
        source: Source<'_>,
        supervised: Option<i32>,
        common: &CommonOptions,
    ) -> Result<u8, Refused> {
        if let Source::File(file) = source
            && let Some(owner) = owner(file, common)?
        {
            return self.through(&owner);
        }
        // The service stops the command through the channel.
        let _channel = match supervised.map(|fd| Supervisor::connect(fd, &stoppable(""))).transpose() {
            Ok(channel) => channel,
            Err(error) => return Ok(not_supervised(&error)),
        };
        let (reports, before) = self.selection;
        let chosen = ChosenInput::open(source, (reports.input.as_deref(), reports.chosen), common)?;
        let ids = match before {
            Some(before) => {
                let filter = ReportFilter { until: Some(before.to_owned()), ..ReportFilter::default() };
                unsent(&chosen.list(&filter)?)
            }
            None => known_ids(&chosen, reports)?,
        };
        let asked = ids.len() as u64;
        let changed = chosen.mark(ReportMarks::new(ids, self.delivered))?;
        Ok(print_output(&skipped(asked, changed, self.delivered, self.format), 0))
    }

    /// Lets the service do it between two runs.
    fn through(&self, owner: &Owner) -> Result<u8, Refused> {
        let (reports, before) = self.selection;
        let ids = match &reports.ids_from {
            Some(file) => ids_in(file)?,
            None => reports.ids.clone(),
        };
        let request = json!({
            "input": reports.input,
            "ids": ids,
            "all_new": reports.all_new,
            "before": before,
            "undo": !self.delivered,
            "json": self.format == Format::Json,
        });
        Ok(owner.handle_reports("skip", &request, &["--wait"]))
    }
}

/// What `reports skip` prints.
fn skipped(asked: u64, changed: u64, delivered: bool, format: Format) -> String {
    if format == Format::Json {
        return format!("{:#}\n", json!({ "reports": asked, "changed": changed }));
    }
    let state = if delivered { "sent" } else { "unsent" };
    let reports = |count: u64| {
        let count_in_words = grouped(count);
        if count == 1 { format!("{count_in_words} report") } else { format!("{count_in_words} reports") }
    };
    let before = asked.saturating_sub(changed);
    match (changed, before) {
        (0, 0) => "no report was selected\n".to_owned(),
        (_, 0) => format!("{} now marked as {state}\n", reports(changed)),
        (0, _) => format!("{} marked as {state} before; nothing was changed\n", reports(before)),
        _ => format!(
            "{} now marked as {state}; {} marked as {state} before\n",
            reports(changed),
            reports(before)
        ),
    }
}

/// Runs the pipeline for the chosen reports, or hands them to the service that runs it.
fn send(arguments: &SendArguments, common: &CommonOptions) -> u8 {
    let SendArguments { file, reports, summary, no_progress, restart, wait, report, metrics_file, .. } =
        arguments;
    if reports.is_empty() {
        return no_selection("--id, --ids-from or --all-new");
    }
    let (choice, chosen) = match choice(arguments, common) {
        Ok(choice) => choice,
        Err(Refused { failures, is_printed }) => {
            let head = Head::starting(file, Trigger::Choice);
            let refused = Summary::without_instances(head, failures);
            return if is_printed {
                summary_only(&refused, *summary)
            } else {
                print_not_started(&refused, *summary)
            };
        }
    };
    if let Some(owner) = chosen.owner {
        if *restart || report.is_some() || metrics_file.is_some() {
            print_error(&format!(
                "error: a service runs this pipeline as `{}` and sends the reports: --restart, --report and \
                 --metrics-file have no effect there\n",
                owner.name
            ));
            return USAGE;
        }
        let request = json!({ "input": choice.input, "ids": choice.ids, "again": choice.again });
        let wait: &[&str] = if *wait { &["--wait"] } else { &[] };
        let format = match summary {
            SummaryFormat::Text => "text",
            SummaryFormat::Json => "json",
            SummaryFormat::None => "none",
        };
        return owner.handle_reports("send", &request, &[wait, &["--summary", format]].concat());
    }
    let options = RunOptions { restart: *restart, wait: *wait, ..RunOptions::default() };
    let follow = Follow {
        bar: !no_progress && stderr_is_terminal(),
        supervised: None,
        report: report.as_deref(),
        metrics: metrics_file.as_deref(),
    };
    let checked = Some((chosen.pipeline, chosen.registry));
    let (source, choice) = (Source::File(file), Some(choice));
    run::run(RunTarget { source, earlier: None, checked, choice }, *summary, options, follow, common)
}

/// The choice, and the input whose reports it names.
fn choice(arguments: &SendArguments, common: &CommonOptions) -> Result<(Choice, ChosenInput), Refused> {
    let SendArguments { file, reports, again, .. } = arguments;
    let chosen = ChosenInput::open(Source::File(file), (reports.input.as_deref(), reports.chosen), common)?;
    let ids = ids(&chosen, reports)?;
    if ids.is_empty() {
        let hint = "`scanbridge reports list FILE --state all` shows those that were sent";
        return Err(Failure::of_command("reports", "no unsent report", Some(hint), NOTHING_TO_SEND).into());
    }
    let input = chosen.input().instance.id.clone();
    Ok((Choice { input, ids, again: *again, request: String::new() }, chosen))
}

fn no_selection(options: &str) -> u8 {
    print_error(&format!("error: no report is selected; set {options}\n"));
    USAGE
}

/// The IDs of the selected reports, each once.
fn ids(chosen: &ChosenInput, reports: &SelectedReports) -> Result<Vec<String>, Refused> {
    let ids = match &reports.ids_from {
        Some(file) => ids_in(file)?,
        None if reports.all_new => unsent(&chosen.list(&ReportFilter::default())?),
        None => reports.ids.clone(),
    };
    let mut seen = HashSet::new();
    Ok(ids.into_iter().filter(|id| seen.insert(id.clone())).collect())
}

/// Like [`ids`], for reports that the source has: a typing error must not look like a report that was skipped.
fn known_ids(chosen: &ChosenInput, reports: &SelectedReports) -> Result<Vec<String>, Refused> {
    let ids = ids(chosen, reports)?;
    if reports.all_new {
        return Ok(ids);
    }
    let all = chosen.list(&ReportFilter::default())?;
    let known: HashSet<&str> = all.iter().map(|report| report.entry.id.as_str()).collect();
    match ids.iter().find(|id| !known.contains(id.as_str())) {
        None => Ok(ids),
        Some(id) => {
            let message = format!("no report has the ID {id}; nothing was changed");
            let hint = "`scanbridge reports list FILE --state all` shows the IDs";
            Err(Failure::of_command("reports", &message, Some(hint), NOTHING_TO_SEND).into())
        }
    }
}

/// The IDs of the reports that were not sent, oldest first.
fn unsent(reports: &[OfferedReport]) -> Vec<String> {
    let unsent = reports.iter().rev().filter(|report| report.state.is_unsent());
    unsent.map(|report| report.entry.id.clone()).collect()
}

/// The IDs in a file, one per line: as they are, or in a line of JSON.
fn ids_in(file: &Path) -> Result<Vec<String>, Failure> {
    let is_stdin = file == Path::new("-");
    let name = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let text = if is_stdin { io::read_to_string(io::stdin()) } else { fs::read_to_string(file) };
    let text = text.map_err(|error| {
        Failure::of_command("reports", &format!("cannot read {name}: {error}"), None, NOTHING_TO_SEND)
    })?;
    let mut ids = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
        if line.starts_with('{') {
            let entry = serde_json::from_str::<Value>(line).ok();
            let id = entry.as_ref().and_then(|entry| entry["id"].as_str());
            let id = id.ok_or_else(|| {
                let message = format!("{name}:{number}: not a JSON object with an `id`");
                Failure::of_command("reports", &message, None, USAGE)
            })?;
            ids.push(id.to_owned());
        } else if !line.is_empty() {
            ids.push(line.to_owned());
        }
    }
    Ok(ids)
}

fn is_in(filter: StateFilter, state: ReportState) -> bool {
    match filter {
        // A refused report is unsent, too.
        StateFilter::New => state.is_unsent(),
        StateFilter::Sent => state == ReportState::Sent,
        StateFilter::NotReady => state == ReportState::NotReady,
        StateFilter::Refused => state == ReportState::Refused,
        StateFilter::All => true,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn ids_are_read_from_lines_of_text_and_json() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"scan/1\n\n  scan/2  \n{\"id\": \"scan/3\", \"title\": \"x\"}\r\n").unwrap();
        assert_eq!(ids_in(file.path()).unwrap(), ["scan/1", "scan/2", "scan/3"]);
        file.write_all(b"{\"title\": \"y\"}\n").unwrap();
        let failure = ids_in(file.path()).unwrap_err();
        assert!(failure.message.ends_with(":5: not a JSON object with an `id`"), "{}", failure.message);
        assert_eq!(failure.exit_code, USAGE);
        assert_eq!(ids_in(Path::new("/nonexistent")).unwrap_err().exit_code, NOTHING_TO_SEND);
    }
}
