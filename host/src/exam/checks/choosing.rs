//! I8: what an input with `reports/1` lists, delivers by choice, and marks.

use scanbridge_plugin_api::abi::REPORTS_1;
use scanbridge_plugin_api::{ErrorKind, PluginError, Purpose, ReportEntry};

use super::reading::{Reading, path};
use super::runs::{compare_exact, when};
use super::tree::tree;
use crate::exam::job::{Resume, Step};
use crate::exam::process::{DIR_IN_JOURNALS, Trace};
use crate::exam::report::{Checked, Finding, failed, not_examined};
use crate::exam::subject::{Exam, Setup, Space, Subject, calls};
use crate::reports::is_listed_as;

/// Number of positions at which a run with a choice is interrupted.
const POSITIONS: usize = 16;
/// An ID that no source has.
const UNKNOWN: &str = "exam/unknown";
const READ: Step = Step::Read { positions: None };

/// The check I8.
pub(super) fn check(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    if !subject.descriptor.tables.iter().any(|table| table == REPORTS_1) {
        return Ok(()); // Nothing can be chosen.
    }
    let Some(entries) = listed(exam, subject)? else { return Ok(()) };
    // Oldest first, unlike the list.
    let ids: Vec<String> =
        entries.iter().rev().filter(|entry| entry.ready).map(|entry| entry.id.clone()).collect();
    if ids.is_empty() {
        return not_examined("the samples give no stored report that is ready");
    }
    let space = exam.fresh(subject)?;
    let undisturbed = chosen(exam, subject, &space, Resume::Fresh, (&ids, false))?;
    let positions = undisturbed.steps().filter(|step| step.position.is_some()).count();
    let complete = Reading::of(&undisturbed)?;
    exactly(&complete, &ids)?;
    // Not all, and in another order than that of the list.
    let space = exam.fresh(subject)?;
    let last = ids[ids.len() - 1..].to_vec();
    exactly(&Reading::of(&chosen(exam, subject, &space, Resume::Fresh, (&last, false))?)?, &last)?;
    refused(exam, subject, &ids)?;
    interrupted(exam, subject, &ids, (&complete, positions))?;
    marked(exam, subject, &ids)
}

/// The list; `None` if the options do not allow a choice.
fn listed(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Result<Option<Vec<ReportEntry>>, Finding> {
    let space = exam.fresh(subject)?;
    let before = tree(&space);
    let list = |limit| Step::List { limit };
    let steps = [Step::Open(Resume::Fresh), list(0), list(0), list(1), Step::Close];
    let setup = Setup { purpose: Purpose::List, ..Setup::default() };
    let trace = exam.run(subject, &space, calls(steps), setup)?;
    let is_without = trace.returned().any(|(_, returned)| {
        let message = PluginError::no_reports().message;
        returned.error.as_ref().is_some_and(|error| error.message == message)
    });
    if is_without {
        return Ok(None);
    }
    if let Some(error) = trace.first_error() {
        return failed(format!("opened for `list`: {error}"));
    }
    if tree(&space) != before {
        return failed("`list` changes a file");
    }
    let mut lists = trace.returned().filter_map(|(_, returned)| returned.value.listed.clone());
    let Some(first) = lists.next() else {
        return failed("it declares `reports/1`, but does not have this table");
    };
    for (number, other) in lists.enumerate() {
        let how = if number == 0 { "a second list" } else { "a list in pages of one" };
        if other != first {
            return failed(format!(
                "{how} differs from the first: {} and {} reports",
                other.len(),
                first.len()
            ));
        }
    }
    if let Some(entry) = first.iter().find(|entry| entry.id.is_empty()) {
        return failed(format!("the report `{}` of the list has no ID", entry.title));
    }
    let mut ids: Vec<&str> = first.iter().map(|entry| entry.id.as_str()).collect();
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return failed(format!("two reports of the list have the ID {}", pair[0]));
    }
    if !first.is_sorted_by(|a, b| a.made >= b.made) {
        return failed("the list is not ordered by `made`, newest first");
    }
    Ok(Some(first))
}

/// A run that reads the chosen reports to its end. IDs may name the directory of the run.
fn chosen(
    exam: &mut Exam<'_>,
    subject: &mut Subject<'_>,
    space: &Space,
    resume: Resume,
    (ids, again): (&[String], bool),
) -> Result<Trace, Finding> {
    let steps = [Step::Open(resume), choose(space, ids, again), READ, Step::Close];
    let trace = exam.run(subject, space, calls(steps), Setup::default())?;
    if let Some(error) = trace.first_error() {
        return failed(format!("a run with a choice: {error}"));
    }
    if !Reading::of(&trace)?.finished {
        return failed("after the chosen reports the input is idle instead of finished");
    }
    Ok(trace)
}

fn choose(space: &Space, ids: &[String], again: bool) -> Step {
    Step::Choose { ids: in_dir(space, ids), again }
}

fn in_dir(space: &Space, ids: &[String]) -> Vec<String> {
    let dir = space.dir(0).display().to_string();
    ids.iter().map(|id| id.replace(DIR_IN_JOURNALS, &dir)).collect()
}

/// The run has read exactly these reports, in this order.
fn exactly(reading: &Reading, ids: &[String]) -> Checked {
    if let Some(refused) = reading.refused.first() {
        return failed(format!("a chosen report is refused: {refused}"));
    }
    let is_this = |report: &super::reading::Report, id: &String| {
        is_listed_as(id, report.start["id"].as_str().unwrap_or_default(), path(report))
    };
    let pairs = reading.reports.iter().zip(ids);
    if let Some((report, id)) = pairs.clone().find(|(report, id)| !is_this(report, id)) {
        return failed(format!(
            "the chosen report {id} is delivered as {} (ID {})",
            path(report),
            report.start["id"]
        ));
    }
    if reading.reports.len() != ids.len() {
        return failed(format!("{} reports were chosen, but {} delivered", ids.len(), reading.reports.len()));
    }
    Ok(())
}

/// Unknown reports are refused by their ID, and those that were delivered, unless they are chosen again.
fn refused(exam: &mut Exam<'_>, subject: &mut Subject<'_>, ids: &[String]) -> Checked {
    let space = exam.fresh(subject)?;
    let with_unknown = [UNKNOWN.to_owned(), ids[0].clone()];
    let reading = Reading::of(&chosen(exam, subject, &space, Resume::Fresh, (&with_unknown, false))?)?;
    let is_named =
        |refused: &[String], id: &str| refused.len() == 1 && refused[0].starts_with(&format!("{id}: "));
    if !is_named(&reading.refused, UNKNOWN) {
        return failed(format!("an unknown ID is not refused by its ID: {:?}", reading.refused));
    }
    exactly(&Reading { refused: Vec::new(), ..reading }, &ids[..1])?;
    // What the run before has delivered.
    let again = Reading::of(&chosen(exam, subject, &space, Resume::NextRun, (&ids[..1], false))?)?;
    if !again.reports.is_empty() || !is_named(&again.refused, &ids[0]) {
        return failed(format!(
            "a delivered report that is chosen without `again` is not refused by its ID: {:?}",
            again.refused
        ));
    }
    let forced = Reading::of(&chosen(exam, subject, &space, Resume::NextRun, (&ids[..1], true))?)?;
    exactly(&forced, &ids[..1]).map_err(when(|| "chosen again".to_owned()))
}

/// A run with a choice that is killed continues with the same choice, also with `again`.
fn interrupted(
    exam: &mut Exam<'_>,
    subject: &mut Subject<'_>,
    ids: &[String],
    (complete, total): (&Reading, usize),
) -> Checked {
    for again in [false, true] {
        let count = total.min(POSITIONS);
        for number in (0..count).map(|number| number * total / count + 1) {
            let how =
                || format!("a run with a choice (again: {again}), killed at position {number} and resumed");
            let space = exam.fresh(subject)?;
            let read = Step::Read { positions: Some(number) };
            let steps = [Step::Open(Resume::Fresh), choose(&space, ids, again), read, Step::Die];
            let first = exam.run(subject, &space, calls(steps), Setup::default())?;
            let positions: Vec<_> = first.steps().filter_map(|step| step.position.clone()).collect();
            let Some(position) = positions.last().filter(|_| positions.len() == number) else { break };
            let resume = Resume::From(position.clone());
            let rest = chosen(exam, subject, &space, resume, (ids, again)).map_err(when(how))?;
            let read = Reading::of(&first)?.resumed_by(Reading::of(&rest).map_err(when(how))?);
            compare_exact(&complete.lines(), &read.lines()).map_err(when(how))?;
        }
    }
    Ok(())
}

/// Marks are counted, and the next list shows them.
fn marked(exam: &mut Exam<'_>, subject: &mut Subject<'_>, ids: &[String]) -> Checked {
    let space = exam.fresh(subject)?;
    let mark = |delivered| Step::Mark { ids: in_dir(&space, &ids[..1]), delivered };
    let list = Step::List { limit: 0 };
    let before = tree(&space);
    let steps = [Step::Open(Resume::Fresh), mark(true), mark(true), list.clone(), Step::Close];
    let trace = exam.run(subject, &space, calls(steps), Setup::default())?;
    let is_refused = |(step, returned): (&Step, &crate::exam::job::Returned)| {
        let is_config = |error: &crate::exam::job::CallError| error.kind == ErrorKind::Config;
        matches!(step, Step::Mark { .. }) && returned.error.as_ref().is_some_and(is_config)
    };
    if trace.returned().any(is_refused) {
        return Ok(()); // The options do not allow it.
    }
    if let Some(error) = trace.first_error() {
        return failed(error);
    }
    let mut sources = tree(&space);
    sources.retain(|path, _| before.contains_key(path));
    if sources != before {
        return failed("`mark` changes a file of its source");
    }
    let changed: Vec<u64> = trace.returned().filter_map(|(_, returned)| returned.value.changed).collect();
    if changed != [1, 0] {
        return failed(format!("a report that is marked twice is {changed:?} changes instead of 1 and 0"));
    }
    let is_delivered = |trace: &Trace| {
        let list = trace.returned().filter_map(|(_, returned)| returned.value.listed.clone()).last();
        list.into_iter().flatten().find(|entry| entry.id == ids[0]).is_some_and(|entry| entry.delivered)
    };
    if !is_delivered(&trace) {
        return failed("a report that is marked as delivered is not `delivered` in the list");
    }
    let reading = Reading::of(&chosen(exam, subject, &space, Resume::NextRun, (&ids[..1], false))?)?;
    if reading.refused.len() != 1 {
        return failed("a report that is marked as delivered is not refused when it is chosen");
    }
    let steps = [Step::Open(Resume::NextRun), mark(false), list, Step::Close];
    let trace = exam.run(subject, &space, calls(steps), Setup::default())?;
    match trace.first_error() {
        Some(error) => failed(error),
        None if is_delivered(&trace) => failed("a mark that is removed is still shown in the list"),
        None => Ok(()),
    }
}
