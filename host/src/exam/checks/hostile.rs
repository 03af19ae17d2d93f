//! O8: texts that are meant to do harm, and what a second run on the same assets replaces.

use scanbridge_plugin_api::{OutputCapabilities, Replaces};

use super::runs::{
    Random, Undisturbed, compare_contained, delivered, records_of, report_steps, run_of, when,
};
use crate::exam::job::Step;
use crate::exam::material::{AGAIN, HOSTILE, OWN_COLUMNS};
use crate::exam::report::{Checked, failed};
use crate::exam::subject::{Exam, Setup, Subject, calls};

/// The check O8.
pub(super) fn check(exam: &mut Exam<'_>, subject: &mut Subject<'_>, normal: &Undisturbed) -> Checked {
    let OutputCapabilities { resume, replaces, .. } = normal.capabilities;
    let steps = run_of(report_steps(HOSTILE, 0, &mut Random(10), resume));
    let how = || "a report with hostile texts".to_owned();
    let (_, first, _) = delivered(exam, subject, steps.clone()).map_err(when(how))?;
    let (_, second, _) = delivered(exam, subject, steps).map_err(when(how))?;
    compare_contained(&first, &second).map_err(when(|| "two runs of hostile texts differ".to_owned()))?;
    let whole = |report| report_steps(report, 0, &mut Random(11), resume);
    own_columns(exam, subject, first.len(), whole(OWN_COLUMNS))?;
    let (_, alone, _) = delivered(exam, subject, run_of(whole(AGAIN)))?;
    // Two runs: a file output may collect the reports of one run.
    let (space, before, _) = delivered(exam, subject, run_of(whole(0)))?;
    let trace = exam.run(subject, &space, calls(run_of(whole(AGAIN))), Setup::default())?;
    if let Some(error) = trace.first_error() {
        return failed(format!("a second run on the same assets: {error}"));
    }
    let records = records_of(exam, subject, &space, 0)?;
    let word = replaces.word();
    compare_contained(&alone, &records)
        .map_err(when(|| format!("a second run on the same assets (`replaces: {word}`)")))?;
    match replaces {
        Replaces::None => compare_contained(&before, &records)
            .map_err(when(|| "with `replaces: none`, a second run on the same assets".to_owned())),
        Replaces::Report => compare_contained(&records, &alone).map_err(when(|| {
            "with `replaces: report`, only the report of the second run may be left".to_owned()
        })),
        _ if compare_contained(&before, &records).is_ok() => {
            failed(format!("with `replaces: {word}`, a second run on the same assets replaces nothing"))
        }
        _ => Ok(()),
    }
}

/// The hostile report with columns of the input's own: they add no record and remove none.
fn own_columns(exam: &mut Exam<'_>, subject: &mut Subject<'_>, records: usize, report: Vec<Step>) -> Checked {
    let how = || "a report with columns of the input's own, such as `exam:epss`".to_owned();
    let (_, found, _) = delivered(exam, subject, run_of(report)).map_err(when(how))?;
    if found.len() == records {
        return Ok(());
    }
    failed(format!("{}: {} records were delivered, without these columns {records}", how(), found.len()))
}
