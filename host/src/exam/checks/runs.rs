//! Runs of an output, and comparisons of what they deliver.

use scanbridge_plugin_api::{OutputCapabilities, Resume as Continues};

use crate::exam::job::{Place, Resume, Step, after, output_capabilities};
use crate::exam::material;
use crate::exam::process::Trace;
use crate::exam::report::{Checked, Finding, failed, not_examined};
use crate::exam::sinks;
use crate::exam::subject::{Exam, Setup, Space, Subject, calls};

/// Pseudo-random numbers: each exam makes the same ones.
pub(in crate::exam) struct Random(pub(in crate::exam) u64);

impl Random {
    /// A number from 0 to below `limit`.
    pub(in crate::exam) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit.max(1) as u64).unwrap_or_default()
    }
}

/// A run without faults.
pub(super) struct Undisturbed {
    pub(super) capabilities: OutputCapabilities,
    pub(super) records: Vec<String>,
    /// The calls, with what was answered, of the commits and writes.
    pub(super) trace: Trace,
}

/// What an instance can do.
pub(in crate::exam) fn capabilities(
    exam: &mut Exam<'_>,
    subject: &mut Subject<'_>,
) -> Result<OutputCapabilities, Finding> {
    let space = exam.fresh(subject)?;
    let steps = calls([Step::Open(Resume::Fresh), Step::Close]);
    let trace = exam.run(subject, &space, steps, Setup::default())?;
    if let Some(error) = trace.first_error() {
        return not_examined(error);
    }
    let declared = subject.descriptor.output_capabilities();
    let answer = trace.returned().next().map(|(_, returned)| output_capabilities(&returned.value, declared));
    Ok(answer.unwrap_or(declared))
}

/// The calls of a run from a place on, without `open` and `close`.
pub(in crate::exam) fn plan(from: Place, reports: u32, random: &mut Random, resume: Continues) -> Vec<Step> {
    let mut steps = Vec::new();
    for report in from.report..reports {
        let first = if report == from.report { from.finding } else { 0 };
        steps.extend(report_steps(report, first, random, resume));
    }
    steps
}

/// The calls of one report, from a finding on.
pub(super) fn report_steps(report: u32, first: u32, random: &mut Random, resume: Continues) -> Vec<Step> {
    let total = material::findings(report);
    let mut steps = vec![Step::Begin { report, continued: first > 0, partial: false, has_gap: false }];
    let mut finding = first;
    while finding < total {
        let to = (finding + 1 + random.below(7) as u32).min(total);
        steps.push(Step::Write { report, from: finding, to, every: 1 });
        finding = to;
        let can_continue = resume != Continues::None && material::is_between_assets(report, finding);
        if can_continue && finding < total && random.below(3) > 0 {
            steps.push(Step::Commit { between_reports: false });
            steps.push(Step::Transaction(Place { report, finding }));
        }
    }
    steps.extend(ending(report, resume, true, true));
    steps
}

/// The end of a report, its commit and its publication.
pub(super) fn ending(report: u32, resume: Continues, complete: bool, deliver: bool) -> Vec<Step> {
    let mut steps = vec![
        Step::End { complete, deliver },
        Step::Commit { between_reports: true },
        Step::Transaction(after(report)),
    ];
    steps.extend((resume != Continues::None).then_some(Step::Publish));
    steps
}

pub(super) fn run_of(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let mut all = vec![Step::Open(Resume::Fresh)];
    all.extend(steps);
    all.push(Step::Close);
    all
}

/// Makes these calls in a fresh directory; every one must succeed. Returns the directory, the records and the trace.
pub(super) fn delivered(
    exam: &mut Exam<'_>,
    subject: &mut Subject<'_>,
    steps: Vec<Step>,
) -> Result<(Space, Vec<String>, Trace), Finding> {
    let space = exam.fresh(subject)?;
    let trace = exam.run(subject, &space, calls(steps), Setup::default())?;
    if let Some(error) = trace.first_error() {
        return failed(error);
    }
    let records = records_of(exam, subject, &space, 0)?;
    Ok((space, records, trace))
}

/// The records that an instance in this directory has delivered.
pub(in crate::exam) fn records_of(
    exam: &Exam<'_>,
    subject: &Subject<'_>,
    space: &Space,
    instance: usize,
) -> Result<Vec<String>, Finding> {
    let received = exam.received();
    match &subject.exam.delivered {
        None => Ok(received),
        Some(records) => {
            sinks::delivered(records, &space.dir(instance), &received).map_err(Finding::NotExamined)
        }
    }
}

/// The first differing record.
pub(in crate::exam) fn compare_exact(expected: &[String], found: &[String]) -> Checked {
    let length = expected.len().max(found.len());
    let differs = (0..length).find(|index| expected.get(*index) != found.get(*index));
    let Some(index) = differs else { return Ok(()) };
    let show = |records: &[String]| match records.get(index) {
        Some(record) => format!("`{}`", shortened(record)),
        None => "nothing".to_owned(),
    };
    failed(format!(
        "record {} differs: expected {}, found {} ({} records expected, {} found)",
        index + 1,
        show(expected),
        show(found),
        expected.len(),
        found.len()
    ))
}

/// The first record that is missing.
pub(super) fn compare_contained(expected: &[String], found: &[String]) -> Checked {
    match expected.iter().find(|record| !found.contains(record)) {
        Some(record) => failed(format!("record `{}` is missing", shortened(record))),
        None => Ok(()),
    }
}

pub(super) fn compare(resume: Continues, expected: &[String], found: &[String]) -> Checked {
    if resume == Continues::Exact {
        compare_exact(expected, found)
    } else {
        compare_contained(expected, found)
    }
}

pub(super) fn shortened(record: &str) -> String {
    let end = record.char_indices().nth(200).map_or(record.len(), |(end, _)| end);
    if end < record.len() { format!("{}…", &record[..end]) } else { record.to_owned() }
}

/// Adds to a finding how it was seen.
pub(super) fn when(how: impl FnOnce() -> String) -> impl FnOnce(Finding) -> Finding {
    move |finding| match finding {
        Finding::Failed(what) => Finding::Failed(format!("{}: {what}", how())),
        Finding::NotExamined(why) => Finding::NotExamined(why),
    }
}
