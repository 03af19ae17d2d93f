//! The checks of outputs.

use scanbridge_plugin_api::{OutputCapabilities, Partial, Purpose, Receipt, Replaces, Resume as Continues};

use super::runs::{
    Random, Undisturbed, capabilities, compare, compare_contained, compare_exact, delivered, ending, plan,
    records_of, report_steps, run_of, shortened, when,
};
use super::{accounts, hostile, rendering};
use crate::exam::job::{Kill, Place, Resume, Step};
use crate::exam::material::{self, AGAIN};
use crate::exam::report::{CheckId, Checked, Finding, failed, not_examined};
use crate::exam::subject::{Exam, Setup, Space, Subject, calls};

/// Reports of an ordinary run.
const REPORTS: u32 = 3;
/// Places of SIGKILL.
const KILLS: usize = 40;
/// Places at which an output is opened again.
const REOPENED: usize = 12;

/// What the checks of an output share.
#[derive(Default)]
pub(in crate::exam) struct Material {
    undisturbed: Option<Undisturbed>,
}

/// One of the checks O1 to O9.
pub(in crate::exam) fn check(
    exam: &mut Exam<'_>,
    subject: &mut Subject<'_>,
    material: &mut Material,
    id: CheckId,
) -> Checked {
    if material.undisturbed.is_none() {
        material.undisturbed = Some(undisturbed(exam, subject)?);
    }
    let Some(normal) = &material.undisturbed else { return not_examined("there is no undisturbed run") };
    match id {
        "O1" => accounts::check(exam, subject, normal),
        "O2" => killed(exam, subject, normal),
        "O3" => reopened(exam, subject, normal),
        "O4" => incomplete(exam, subject, normal),
        "O5" => two_phases(exam, subject, normal),
        "O6" => begun_again(exam, subject, normal),
        "O7" => receipts(exam, normal),
        "O8" => hostile::check(exam, subject, normal),
        "O9" => rendering::check(exam, subject, normal),
        _ => not_examined("unknown check"),
    }
}

fn undisturbed(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Result<Undisturbed, Finding> {
    let capabilities = capabilities(exam, subject)?;
    let steps = run_of(plan(Place::default(), REPORTS, &mut Random(1), capabilities.resume));
    let (_, records, trace) = delivered(exam, subject, steps)?;
    if records.is_empty() {
        return failed("an undisturbed run delivers no record; `delivered:` says where records are found");
    }
    Ok(Undisturbed { capabilities, records, trace })
}

fn killed(exam: &mut Exam<'_>, subject: &mut Subject<'_>, normal: &Undisturbed) -> Checked {
    let resume = normal.capabilities.resume;
    let mut random = Random(3);
    for number in 0..KILLS {
        let steps = run_of(plan(Place::default(), REPORTS, &mut Random(100 + number as u64), resume));
        // Spread over all calls; the last ones belong to the end of the last report.
        let call = if number < 8 { steps.len() - 1 - number } else { number * steps.len() / KILLS };
        let after = (number % 3 == 2).then(|| random.below(1500) as u64);
        let kill = Kill { call, after };
        let space = exam.fresh(subject)?;
        let start = (Resume::Fresh, Place::default());
        let from = killed_part(exam, subject, &space, steps.clone(), kill, (resume, start))?;
        let mut rest = rest_of_run(&from, 200 + number, resume);
        // What a resumed run stores must be right too.
        let is_killed_again = number % 2 == 1;
        if is_killed_again {
            let kill = Kill { call: 1 + random.below(rest.len() - 1), after: None };
            let from = killed_part(exam, subject, &space, rest, kill, (resume, from))?;
            rest = rest_of_run(&from, 500 + number, resume);
        }
        let how = || {
            let moment = if after.is_some() { "in" } else { "before" };
            let again = if is_killed_again { ", killed again and resumed" } else { "" };
            let name = steps[call].name();
            format!("killed {moment} `{name}` (call {call} of {}), then resumed{again}", steps.len())
        };
        resumed(exam, subject, &space, rest, &normal.records, resume).map_err(when(how))?;
    }
    Ok(())
}

/// A run that is killed. `from` is what the ledger has before it. Returns what the ledger then has.
fn killed_part(
    exam: &mut Exam<'_>,
    subject: &mut Subject<'_>,
    space: &Space,
    steps: Vec<Step>,
    kill: Kill,
    (resume, from): (Continues, (Resume, Place)),
) -> Result<(Resume, Place), Finding> {
    let setup = Setup { kill: Some(kill), ..Setup::default() };
    let trace = exam.run(subject, space, calls(steps), setup)?;
    if let Some(error) = trace.first_error() {
        return failed(error);
    }
    let Some((receipt, place)) = trace.last_transaction() else { return Ok(from) };
    let receipt = receipt.filter(|_| resume != Continues::None);
    Ok((receipt.map_or(Resume::Fresh, Resume::From), place))
}

/// The calls of a run that resumes with what the ledger has.
fn rest_of_run((receipt, place): &(Resume, Place), seed: usize, resume: Continues) -> Vec<Step> {
    let rest = plan(*place, REPORTS, &mut Random(seed as u64), resume);
    [Step::Open(receipt.clone())].into_iter().chain(rest).chain([Step::Close]).collect()
}

/// A run that resumes in a directory, and what is delivered then.
fn resumed(
    exam: &mut Exam<'_>,
    subject: &mut Subject<'_>,
    space: &Space,
    steps: impl IntoIterator<Item = Step>,
    expected: &[String],
    resume: Continues,
) -> Checked {
    let trace = exam.run(subject, space, calls(steps), Setup::default())?;
    if let Some(error) = trace.first_error() {
        return failed(error);
    }
    compare(resume, expected, &records_of(exam, subject, space, 0)?)
}

fn reopened(exam: &mut Exam<'_>, subject: &mut Subject<'_>, normal: &Undisturbed) -> Checked {
    let resume = normal.capabilities.resume;
    for number in 0..REOPENED {
        let steps = plan(Place::default(), REPORTS, &mut Random(300 + number as u64), resume);
        let mut at = number * steps.len() / REOPENED;
        // A receipt is stored before the host opens an instance with it.
        at += usize::from(matches!(steps[at], Step::Transaction(_)));
        let stored = steps[..at].iter().rev().find_map(|step| match step {
            Step::Transaction(place) => Some(*place),
            _ => None,
        });
        let place = stored.unwrap_or_default();
        let receipt = if resume == Continues::None { Resume::Fresh } else { Resume::Last };
        let mut all = vec![Step::Open(Resume::Fresh)];
        all.extend_from_slice(&steps[..at]);
        all.extend([Step::Close, Step::Open(receipt)]);
        all.extend(plan(place, REPORTS, &mut Random(400 + number as u64), resume));
        all.push(Step::Close);
        let name = steps.get(at).map_or("close", Step::name);
        let how = || format!("`{name}` (call {at}) counts as failed, and the output is opened again");
        let (_, records, _) = delivered(exam, subject, all).map_err(when(how))?;
        compare(resume, &normal.records, &records).map_err(when(how))?;
    }
    Ok(())
}

fn incomplete(exam: &mut Exam<'_>, subject: &mut Subject<'_>, normal: &Undisturbed) -> Checked {
    let OutputCapabilities { resume, replaces, .. } = normal.capabilities;
    let whole = |report| report_steps(report, 0, &mut Random(5), resume);
    let part = |report, deliver, has_gap| {
        let begin = Step::Begin { report, continued: false, partial: false, has_gap };
        let to = material::findings(report);
        let write = Step::Write { report, from: 0, to, every: 1 };
        [begin, write].into_iter().chain(ending(report, resume, false, deliver)).collect::<Vec<_>>()
    };
    let (_, first, _) = delivered(exam, subject, run_of(whole(0)))?;
    if resume == Continues::Exact {
        let steps = run_of([whole(0), part(1, false, false)].concat());
        let (_, records, _) = delivered(exam, subject, steps)?;
        compare_exact(&first, &records)
            .map_err(when(|| "report 1 was incomplete and not to be delivered".to_owned()))?;
    }
    let (_, both, _) = delivered(exam, subject, run_of([whole(0), whole(1)].concat()))?;
    for has_gap in [false, true] {
        let steps = run_of([whole(0), part(1, true, has_gap)].concat());
        let (_, records, _) = delivered(exam, subject, steps)?;
        let gap = if has_gap { " with a gap" } else { "" };
        compare_contained(&both, &records)
            .map_err(when(|| format!("report 1 was incomplete{gap} and to be delivered")))?;
        if replaces != Replaces::Report {
            compare_contained(&first, &records)
                .map_err(when(|| format!("report 1 was incomplete{gap}, so nothing of report 0 may go")))?;
        }
    }
    Ok(())
}

fn two_phases(exam: &mut Exam<'_>, subject: &mut Subject<'_>, normal: &Undisturbed) -> Checked {
    let resume = normal.capabilities.resume;
    if resume == Continues::None {
        return Ok(()); // Its `stored` is never called.
    }
    let mut steps = report_steps(0, 0, &mut Random(6), resume);
    let (_, expected, _) = delivered(exam, subject, run_of(steps.clone()))?;
    let end = steps.iter().position(|step| matches!(step, Step::End { .. })).unwrap_or(steps.len());
    let tail: Vec<Step> = steps.split_off(end);
    let mut all = vec![Step::Open(Resume::Fresh), Step::Snapshot];
    all.extend(steps);
    for step in tail {
        all.extend([Step::Snapshot, step]);
    }
    all.extend([Step::Snapshot, Step::Publish, Step::Snapshot, Step::Close]);
    let (_, records, trace) = delivered(exam, subject, all)?;
    compare(resume, &expected, &records).map_err(when(|| "`stored` was called twice".to_owned()))?;
    if resume != Continues::Exact {
        return Ok(()); // What was sent over a network cannot be hidden.
    }
    if subject.exam.delivered.is_none() {
        return not_examined("the records of an output with `resume: exact` must be found with `delivered:`");
    }
    let snapshots: Vec<&Vec<String>> = trace
        .returned()
        .filter(|(step, _)| **step == Step::Snapshot)
        .map(|(_, returned)| &returned.value.records)
        .collect();
    let [before, hidden @ .., published, again] = &snapshots[..] else {
        return not_examined("the child gave no snapshots");
    };
    for (name, records) in ["end", "commit", "the transaction", "stored"].into_iter().zip(hidden) {
        compare_exact(before, records)
            .map_err(when(|| format!("something of the report is visible before `{name}`")))?;
    }
    compare_exact(&expected, published).map_err(when(|| "after `stored`".to_owned()))?;
    compare_exact(published, again).map_err(when(|| "after a second `stored`".to_owned()))
}

fn begun_again(exam: &mut Exam<'_>, subject: &mut Subject<'_>, normal: &Undisturbed) -> Checked {
    let resume = normal.capabilities.resume;
    let whole = |report| report_steps(report, 0, &mut Random(8), resume);
    // A place inside report 0 at which it can be continued.
    let inside = (8..).find(|finding| material::is_between_assets(0, *finding)).unwrap_or_default();
    for report in [0, 1] {
        let (_, expected, _) = delivered(exam, subject, run_of(whole(report)))?;
        let begin = Step::Begin { report: 0, continued: false, partial: false, has_gap: false };
        let mut first =
            vec![Step::Open(Resume::Fresh), begin, Step::Write { report: 0, from: 0, to: inside, every: 1 }];
        if resume != Continues::None {
            first.push(Step::Commit { between_reports: false });
            first.push(Step::Transaction(Place { report: 0, finding: inside }));
        }
        first.push(Step::Die);
        let kill = Kill { call: first.len() - 1, after: None };
        let space = exam.fresh(subject)?;
        let start = (Resume::Fresh, Place::default());
        let (receipt, _) = killed_part(exam, subject, &space, first, kill, (resume, start))?;
        let rest = [Step::Open(receipt)].into_iter().chain(whole(report)).chain([Step::Close]);
        let how = match report {
            0 => "a report was interrupted and is begun again",
            _ => "a report was interrupted, and the next one begins",
        };
        resumed(exam, subject, &space, rest, &expected, resume).map_err(when(|| how.to_owned()))?;
    }
    skipped(exam, subject, resume)?;
    if normal.capabilities.partial == Partial::Adds {
        partial(exam, subject, resume)?;
    }
    Ok(())
}

/// A run resumes after report 0, and does not send report 1, which was published before.
fn skipped(exam: &mut Exam<'_>, subject: &mut Subject<'_>, resume: Continues) -> Checked {
    let whole = |report| report_steps(report, 0, &mut Random(12), resume);
    let (_, expected, _) = delivered(exam, subject, run_of([whole(0), whole(2)].concat()))?;
    let receipt = if resume == Continues::None { Resume::Fresh } else { Resume::Last };
    let mut steps = run_of(whole(0));
    steps.push(Step::Open(receipt));
    steps.extend(whole(2));
    steps.push(Step::Close);
    let (_, records, _) = delivered(exam, subject, steps)?;
    compare(resume, &expected, &records)
        .map_err(when(|| "a run was resumed after a report, and the next report was skipped".to_owned()))
}

fn partial(exam: &mut Exam<'_>, subject: &mut Subject<'_>, resume: Continues) -> Checked {
    let steps = run_of(report_steps(0, 0, &mut Random(9), resume));
    let (space, expected, _) = delivered(exam, subject, steps)?;
    let begin = Step::Begin { report: AGAIN, continued: false, partial: true, has_gap: false };
    let write = Step::Write { report: AGAIN, from: 0, to: 1, every: 1 };
    let steps = run_of([begin, write].into_iter().chain(ending(AGAIN, resume, false, true)));
    let setup = Setup { purpose: Purpose::Replay, ..Setup::default() };
    let trace = exam.run(subject, &space, calls(steps), setup)?;
    if let Some(error) = trace.first_error() {
        return failed(format!("replay of a dead letter: {error}"));
    }
    let records = records_of(exam, subject, &space, 0)?;
    compare_contained(&expected, &records)
        .map_err(when(|| "a partial report was added (a replay of dead letters)".to_owned()))?;
    if records.len() <= expected.len() {
        return failed("a partial report (a replay of dead letters) was not added");
    }
    Ok(())
}

fn receipts(exam: &Exam<'_>, normal: &Undisturbed) -> Checked {
    let resume = normal.capabilities.resume;
    if resume == Continues::None {
        return Ok(()); // Its receipts are ignored.
    }
    let (mut last, mut written): (Option<&Vec<u8>>, u64) = (None, 0);
    for (step, returned) in normal.trace.returned() {
        let answer = &returned.value;
        written += match step {
            Step::Write { .. } => answer.rows - (answer.left_out.len() + answer.rejected.len()) as u64,
            _ => 0,
        };
        if !matches!(step, Step::Commit { .. }) {
            continue;
        }
        let Some(receipt) = &answer.receipt else {
            return failed(format!("`commit` gives no receipt, although `resume` is `{}`", resume.word()));
        };
        if receipt.len() > Receipt::MAX_BYTES {
            return failed(format!("a receipt has {} bytes", receipt.len()));
        }
        if written > 0 && last == Some(receipt) {
            let shown = shortened(&String::from_utf8_lossy(receipt));
            return failed(format!("the receipt `{shown}` is the same before and after {written} findings"));
        }
        if let Some(path) = exam.foreign_path(&String::from_utf8_lossy(receipt)) {
            return failed(format!("a receipt names `{path}`, which is outside the directories of the run"));
        }
        (last, written) = (Some(receipt), 0);
    }
    Ok(())
}
