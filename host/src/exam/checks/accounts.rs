//! O1: every selected finding is accounted for.

use std::collections::BTreeSet;

use super::runs::{Random, Undisturbed, delivered, ending, report_steps, run_of, when};
use crate::exam::job::Step;
use crate::exam::process::Trace;
use crate::exam::report::{Checked, Finding, failed};
use crate::exam::sinks;
use crate::exam::subject::{Exam, Space, Subject};

/// The check O1.
pub(super) fn check(exam: &mut Exam<'_>, subject: &mut Subject<'_>, normal: &Undisturbed) -> Checked {
    let resume = normal.capabilities.resume;
    let empty = [Step::Begin { report: 0, continued: false, partial: false, has_gap: false }]
        .into_iter()
        .chain(ending(0, resume, true, true));
    let (_, nothing, without) = delivered(exam, subject, run_of(empty))?;
    let steps = |every| {
        let mut steps = run_of(report_steps(0, 0, &mut Random(2), resume));
        for step in &mut steps {
            if let Step::Write { every: selected, .. } = step {
                *selected = every;
            }
        }
        steps
    };
    let head = match count(&nothing) {
        0 => head(delivered(exam, subject, steps(u32::MAX))?)?,
        records => records,
    };
    for every in [1, 2] {
        let selection = || match every {
            1 => "all findings are selected".to_owned(),
            _ => "a filter selects every second finding".to_owned(),
        };
        let (space, records, trace) = delivered(exam, subject, steps(every)).map_err(when(selection))?;
        let written = written(&trace).map_err(when(selection))?;
        let derived = derived(&trace).saturating_sub(derived(&without));
        let found = count(&records).saturating_sub(head);
        if found != written + derived {
            return failed(format!(
                "{}: {found} records were delivered, but the answers account for {} (rows that are neither rejected \
                 nor left out, and derived records)",
                selection(),
                written + derived
            ));
        }
        let bytes: u64 = trace.returned().map(|(_, returned)| returned.value.bytes).sum();
        let size = subject.exam.delivered.as_ref();
        let size = size.and_then(|records| sinks::delivered_bytes(records, &space.dir(0)));
        if let Some(size) = size.filter(|size| *size != bytes) {
            return failed(format!("`bytes` adds up to {bytes}, but the delivered files have {size} bytes"));
        }
    }
    Ok(())
}

/// The records of a report with few findings that are not of a finding: a file that is made with its first record may
/// begin with a line of its own, such as the names of the columns.
fn head((_, records, trace): (Space, Vec<String>, Trace)) -> Result<u64, Finding> {
    let more = count(&records).saturating_sub(written(&trace)? + derived(&trace));
    let different: BTreeSet<&String> = records.iter().collect();
    Ok(if more == 1 && different.len() == records.len() { 1 } else { 0 })
}

fn count(records: &[String]) -> u64 {
    records.iter().filter(|record| *record != sinks::NEXT_FILE).count() as u64
}

/// Number of findings that `write` did not name.
fn written(trace: &Trace) -> Result<u64, Finding> {
    let mut written = 0;
    for (step, returned) in trace.returned() {
        let (Step::Write { from, to, every, .. }, answer) = (step, &returned.value) else { continue };
        let mut named = [&answer.rejected[..], &answer.retry, &answer.left_out].concat();
        named.sort_unstable();
        let is_double = named.windows(2).any(|pair| pair[0] == pair[1]);
        if is_double || named.iter().any(|row| *row >= to - from || row % every != 0) {
            return failed("`write` names a row twice, or a row that it did not get");
        }
        written += answer.rows - named.len() as u64;
    }
    Ok(written)
}

fn derived(trace: &Trace) -> u64 {
    trace.returned().map(|(_, returned)| returned.value.derived).sum()
}
