//! O9: what an output with `render/1` shows.

use scanbridge_plugin_api::abi::RENDER_1;
use scanbridge_plugin_api::{Purpose, Rendered};

use super::runs::{Random, Undisturbed, compare, delivered, plan, run_of, when};
use super::tree::tree;
use crate::exam::job::{Place, Resume, Returned, Step};
use crate::exam::material::{self, HOSTILE};
use crate::exam::report::{Checked, failed};
use crate::exam::subject::{Exam, Setup, Subject, calls};

/// The check O9.
pub(super) fn check(exam: &mut Exam<'_>, subject: &mut Subject<'_>, normal: &Undisturbed) -> Checked {
    if !subject.descriptor.tables.iter().any(|table| table == RENDER_1) {
        return Ok(()); // The host shows its findings as JSON.
    }
    alone(exam, subject)?;
    // During a run it changes nothing of what is delivered.
    let resume = normal.capabilities.resume;
    let steps = plan(Place::default(), 3, &mut Random(1), resume).into_iter();
    let steps = steps.flat_map(|step| match step {
        Step::Write { report, from, to, every } => {
            vec![Step::Render { report, from, to, every }, step]
        }
        step => vec![step],
    });
    let how = || "`render` was called before each `write`".to_owned();
    let (_, records, _) = delivered(exam, subject, run_of(steps.collect::<Vec<_>>())).map_err(when(how))?;
    compare(resume, &normal.records, &records).map_err(when(how))
}

/// An instance that is opened for `preview`.
fn alone(exam: &mut Exam<'_>, subject: &mut Subject<'_>) -> Checked {
    let space = exam.fresh(subject)?;
    let before = tree(&space);
    let render = |(report, every)| Step::Render { report, from: 0, to: material::findings(report), every };
    let steps = [(0, 1), (1, 3), (HOSTILE, 1)].map(render);
    let steps = [Step::Open(Resume::Fresh)].into_iter().chain(steps).chain([Step::Close]);
    let setup = Setup { purpose: Purpose::Preview, ..Setup::default() };
    let trace = exam.run(subject, &space, calls(steps), setup)?;
    if let Some(error) = trace.first_error() {
        return failed(format!("opened for `preview`: {error}"));
    }
    if tree(&space) != before {
        return failed("opened for `preview`, it changes a file");
    }
    if exam.has_sent(subject) {
        return failed("opened for `preview`, it sends data");
    }
    trace.returned().try_for_each(|(step, returned)| complete(step, returned))
}

/// Each finding that was selected has a record or a reason.
fn complete(step: &Step, returned: &Returned) -> Checked {
    let Step::Render { report, every, .. } = *step else { return Ok(()) };
    let Some(rendered) = &returned.value.rendered else {
        return failed("it declares `render/1`, but does not have this table");
    };
    let mut rows: Vec<u32> = rendered.iter().map(|one| one.row).collect();
    if !rows.is_sorted() {
        return failed(format!("`render` shows the findings of report {report} in another order"));
    }
    rows.dedup();
    let expected = (0..material::findings(report)).step_by(every as usize);
    if let Some(missing) = expected.into_iter().find(|row| !rows.contains(row)) {
        return failed(format!(
            "`render` neither shows finding {missing} of report {report} nor says why not"
        ));
    }
    let is_unclear = |one: &&Rendered| one.text.is_empty() == one.omitted.is_empty();
    match rendered.iter().find(is_unclear) {
        Some(one) => failed(format!("`render` gives finding {} neither or both of text and reason", one.row)),
        None => Ok(()),
    }
}
