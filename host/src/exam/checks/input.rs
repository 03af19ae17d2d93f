//! The checks of inputs.

use std::collections::BTreeSet;

use scanbridge_plugin_api::{ErrorKind, Position, Resumes};

use super::reading::{Reading, capabilities, path, read_all};
use super::runs::{compare_exact, when};
use super::{choosing, sources};
use crate::exam::job::{ReadBatch, ReadEvent, Resume, Step};
use crate::exam::process::Trace;
use crate::exam::report::{CheckId, Checked, Finding, failed, not_examined};
use crate::exam::subject::{Exam, SMALL_BATCH, Setup, Subject, calls};

/// Number of positions at which a run is interrupted.
const POSITIONS: usize = 64;

/// One of the checks I1 to I8.
pub(in crate::exam) fn check(exam: &mut Exam<'_>, subject: &mut Subject<'_>, id: CheckId) -> Checked {
    if subject.exam.samples.is_none() && subject.exam.reports.is_none() {
        return not_examined("the exam file has neither `samples` nor `expect` for it");
    }
    match id {
        "I1" => counts(exam, subject),
        "I2" => validity(exam, subject),
        "I3" => assets(exam, subject),
        "I4" => killed(exam, subject),
        "I5" => sources::check(exam, subject),
        "I6" => batches(exam, subject),
        "I7" => changed(exam, subject),
        "I8" => choosing::check(exam, subject),
        _ => not_examined("unknown check"),
    }
}

/// A run over fresh samples, without any failed call.
fn undisturbed(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Result<Trace, Finding> {
    let space = exam.fresh(subject)?;
    let trace = read_all(exam, subject, &space, Resume::Fresh)?;
    match trace.first_error() {
        Some(error) => failed(error),
        None => Ok(trace),
    }
}

fn counts(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let (Some(reports), Some(findings)) = (subject.exam.reports, subject.exam.findings) else {
        return not_examined("the exam file has no `expect: { reports: N, findings: N }` for it");
    };
    let reading = Reading::of(&undisturbed(exam, subject)?)?;
    if let Some(refused) = reading.refused.first() {
        return failed(format!("a sample is refused: {refused}"));
    }
    if let Some(report) = reading.reports.iter().find(|report| report.complete != Some(true)) {
        let how = match report.complete {
            None => "does not end".to_owned(),
            Some(_) => format!("ends incomplete ({})", report.reason),
        };
        return failed(format!("report {} is a complete sample, but {how}", path(report)));
    }
    let (read, found) = (reading.reports.len() as u64, reading.findings() as u64);
    if (read, found) != (reports, findings) {
        return failed(format!(
            "the samples have {reports} reports and {findings} findings, but {read} reports and {found} findings \
             were read{}",
            reading.double().map(|finding| format!("; twice: {finding}")).unwrap_or_default()
        ));
    }
    let Some(truncated) = subject.exam.truncated.clone() else {
        return not_examined("the samples are read correctly, but the exam file has no `truncated` sample");
    };
    let space = exam.fresh_with(subject, Some(&truncated))?;
    let trace = read_all(exam, subject, &space, Resume::Fresh)?;
    if let Some((_, returned)) = trace.returned().find(|(_, returned)| returned.error.is_some())
        && let Some(error) = &returned.error
    {
        return match error.kind {
            ErrorKind::BadData => Ok(()),
            _ => failed(format!("a truncated sample is a {:?} error: {}", error.kind, error.message)),
        };
    }
    let reading = Reading::of(&trace)?;
    match reading.reports.iter().find(|report| report.complete == Some(true)) {
        Some(report) => failed(format!("{} is truncated, but ends as complete", path(report))),
        None if reading.reports.is_empty() && reading.refused.is_empty() => {
            failed("a truncated sample is neither read nor refused")
        }
        None => Ok(()),
    }
}

fn validity(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let trace = undisturbed(exam, subject)?;
    Reading::of(&trace)?;
    for step in trace.steps() {
        match &step.event {
            ReadEvent::Start { report, fault, .. } => {
                if let Some(fault) = fault {
                    return failed(fault.clone());
                }
                let time = report["time"].as_str().unwrap_or_default();
                if !time.is_empty() && !crate::pipeline::is_time(time) {
                    return failed(format!(
                        "the time `{time}` of a report is not of the form 2026-01-31T12:00:00Z"
                    ));
                }
            }
            ReadEvent::Batch(batch) => {
                if let Some(fault) = batch.faults.first() {
                    return failed(fault.clone());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn assets(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let trace = undisturbed(exam, subject)?;
    Reading::of(&trace)?;
    let (mut seen, mut last): (BTreeSet<&str>, Option<&str>) = (BTreeSet::new(), None);
    let mut has_position = false;
    for step in trace.steps() {
        match &step.event {
            ReadEvent::Start { .. } => {
                seen.clear();
                last = None;
            }
            ReadEvent::Batch(ReadBatch { assets, in_order, .. }) => {
                if !in_order {
                    return failed("the findings of a batch are not in the order of its assets");
                }
                for (index, (asset, continued)) in assets.iter().enumerate() {
                    let shown = asset.split('\t').find(|cell| !cell.is_empty()).unwrap_or("without a name");
                    if *continued && (index > 0 || last != Some(asset)) {
                        return failed(format!("asset {shown} is continued, but it was not the last one"));
                    }
                    if *continued && has_position {
                        return failed(format!("asset {shown} continues after a position"));
                    }
                    if !continued && !seen.insert(asset) {
                        return failed(format!("asset {shown} comes in pieces that are not together"));
                    }
                    last = Some(asset);
                }
            }
            _ => {}
        }
        has_position = step.position.is_some();
    }
    Ok(())
}

fn killed(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let trace = undisturbed(exam, subject)?;
    let complete = Reading::of(&trace)?;
    let resumes = capabilities(subject, &trace).resumes;
    if resumes == Resumes::None {
        return Ok(()); // An interrupted run starts again.
    }
    let positions: Vec<&[u8]> = trace.steps().filter_map(|step| step.position.as_deref()).collect();
    if let Some(long) = positions.iter().find(|position| position.len() > Position::MAX_BYTES) {
        return failed(format!("a position has {} bytes; the limit is {}", long.len(), Position::MAX_BYTES));
    }
    if positions.iter().any(|position| position.is_empty()) {
        return failed("a position is empty");
    }
    if positions.is_empty() {
        return failed(format!("`resumes` is `{}`, but no step has a position", resumes.word()));
    }
    let total = positions.len();
    for number in 0..total.min(POSITIONS) {
        let position = number * total / total.min(POSITIONS) + 1;
        for confirmed in [false, true] {
            interrupted(exam, subject, &complete, (position, confirmed, false))?;
        }
        if number % 4 == 0 {
            // The positions of a resumed run must be right too.
            interrupted(exam, subject, &complete, (position, false, true))?;
        }
    }
    Ok(())
}

fn interrupted(
    exam: &mut Exam<'_>,
    subject: &mut Subject<'_>,
    complete: &Reading,
    (position, confirmed, twice): (usize, bool, bool),
) -> Checked {
    let moment = if confirmed { "after" } else { "before" };
    let again = if twice { ", killed at the next position and resumed" } else { "" };
    let in_context = |what: String| {
        Finding::Failed(format!(
            "killed at position {position}, {moment} `stored`, then resumed{again}: {what}"
        ))
    };
    let space = exam.fresh(subject)?;
    let mut steps = vec![Step::Open(Resume::Fresh), Step::Read { positions: Some(position) }];
    steps.extend(confirmed.then(|| Step::Confirm { outcome: "delivered".to_owned() }));
    steps.push(Step::Die);
    let first = exam.run(subject, &space, calls(steps), Setup::default())?;
    if let Some(error) = first.first_error() {
        return Err(in_context(error));
    }
    let Some(from) = first.steps().filter_map(|step| step.position.clone()).last() else {
        return Err(in_context("two runs over the same samples give different positions".to_owned()));
    };
    let mut traces = vec![first];
    let mut from = Resume::From(from);
    if twice {
        let steps = [Step::Open(from.clone()), Step::Read { positions: Some(1) }, Step::Die];
        let second = exam.run(subject, &space, calls(steps), Setup::default())?;
        if let Some(position) = second.steps().filter_map(|step| step.position.clone()).last() {
            from = Resume::From(position);
            traces.push(second);
        }
    }
    traces.push(read_all(exam, subject, &space, from)?);
    if let Some(error) = traces.iter().find_map(Trace::first_error) {
        return Err(in_context(error));
    }
    let in_context = |finding: Finding| match finding {
        Finding::Failed(what) => in_context(what),
        other => other,
    };
    let mut readings = traces.iter().map(Reading::of);
    let first = readings.next().unwrap_or_else(|| Ok(Reading::default())).map_err(in_context)?;
    let read = readings.try_fold(first, |read, rest| Ok(read.resumed_by(rest?))).map_err(in_context)?;
    if let Some(field) = &read.changed_field {
        return Err(in_context(Finding::Failed(format!(
            "the report is continued, but its start has another `{field}` than before"
        ))));
    }
    compare_exact(&complete.lines(), &read.lines()).map_err(in_context)
}

fn batches(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let trace = undisturbed(exam, subject)?;
    let first = Reading::of(&trace)?;
    let batches: Vec<&ReadBatch> = trace
        .steps()
        .filter_map(|step| match &step.event {
            ReadEvent::Batch(batch) => Some(batch),
            _ => None,
        })
        .collect();
    if batches.len() < 2 {
        return not_examined("the samples give one batch; add larger ones");
    }
    // One row may be larger than any limit.
    let is_large = |batch: &&&ReadBatch| batch.bytes > 4 * SMALL_BATCH && batch.findings.len() > 1;
    if let Some(large) = batches.iter().find(is_large) {
        return failed(format!(
            "a batch of {} findings has {} bytes; the host has set `batch_bytes` to {SMALL_BATCH}",
            large.findings.len(),
            large.bytes
        ));
    }
    let second = Reading::of(&undisturbed(exam, subject)?)?;
    let flat = |reading: &Reading| -> Vec<String> {
        reading.reports.iter().flat_map(|report| report.findings.iter().cloned()).collect()
    };
    let differ = || "two runs over the same samples differ".to_owned();
    compare_exact(&flat(&first), &flat(&second)).map_err(when(differ))?;
    // The same files, of which nothing was stored.
    let space = exam.fresh(subject)?;
    let steps = [Step::Open(Resume::Fresh), Step::Read { positions: None }, Step::Die];
    let first = exam.run(subject, &space, calls(steps), Setup::default())?;
    let second = read_all(exam, subject, &space, Resume::Fresh)?;
    compare_exact(&Reading::of(&first)?.keys(), &Reading::of(&second)?.keys())
        .map_err(when(|| "a report has another key when the same source is read again".to_owned()))
}

fn changed(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let trace = undisturbed(exam, subject)?;
    if capabilities(subject, &trace).resumes != Resumes::Position {
        return Ok(()); // It never continues inside a source.
    }
    let Some(changed) = subject.exam.changed.clone() else {
        return not_examined("the exam file has no `changed` samples");
    };
    let Some(number) = position_inside(&trace) else {
        return not_examined("the samples give no position inside a report; add larger ones");
    };
    let space = exam.fresh_with(subject, Some(&changed))?;
    let fresh = read_all(exam, subject, &space, Resume::Fresh)?;
    if let Some(error) = fresh.first_error() {
        return not_examined(format!("the `changed` samples cannot be read: {error}"));
    }
    let expected = Reading::of(&fresh)?;
    let space = exam.fresh(subject)?;
    let steps = [Step::Open(Resume::Fresh), Step::Read { positions: Some(number) }, Step::Die];
    let first = exam.run(subject, &space, calls(steps), Setup::default())?;
    let Some(position) = first.steps().filter_map(|step| step.position.clone()).last() else {
        return failed("two runs over the same samples give different positions");
    };
    exam.copy_samples(subject, Some(&changed), &space, 0)?;
    exam.restart_peer(subject, &space)?;
    let second = read_all(exam, subject, &space, Resume::From(position))?;
    if second.returned().any(|(_, returned)| returned.error.is_some()) {
        return Ok(()); // Refused.
    }
    let reading = Reading::of(&second)?;
    if let Some(report) = reading.reports.iter().find(|report| report.continued) {
        return failed(format!(
            "{} was replaced by another file, but the input continues in it",
            path(report)
        ));
    }
    for report in &reading.reports {
        let same = expected.reports.iter().find(|one| path(one) == path(report));
        let expected = same.map(|report| report.findings.as_slice()).unwrap_or_default();
        compare_exact(expected, &report.findings).map_err(|finding| match finding {
            Finding::Failed(how) => Finding::Failed(format!("{} was replaced: {how}", path(report))),
            other => other,
        })?;
    }
    Ok(())
}

/// The number of a position that is inside a report: batches of it follow.
fn position_inside(trace: &Trace) -> Option<usize> {
    let steps: Vec<_> = trace.steps().collect();
    let (mut number, mut inside) = (0, None);
    for (index, step) in steps.iter().enumerate() {
        number += usize::from(step.position.is_some());
        let is_followed = matches!(steps.get(index + 1).map(|next| &next.event), Some(ReadEvent::Batch(_)));
        if step.position.is_some() && matches!(step.event, ReadEvent::Batch(_)) && is_followed {
            inside.get_or_insert(number);
        }
    }
    inside
}
