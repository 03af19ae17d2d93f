//! Which reports a run delivers: those that an operator has chosen, also those of an interrupted run.

use crate::state::{Checkpoint, Choice, Ledger, RunRecord, RunState, StateError};

/// The reports that a run delivers.
#[derive(Debug)]
pub(crate) struct ChoiceOfRun {
    pub(crate) choice: Option<Choice>,
    pub(crate) start: ChoiceStart,
}

/// How a run with this choice starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ChoiceStart {
    /// As every run: from the checkpoint, if there is one.
    Continued,
    /// No earlier run has begun to deliver the choice, and none is left to be continued.
    New,
    /// No earlier run has begun to deliver the choice. The outputs continue where a run has ended between two reports.
    BetweenReports,
    /// The service has chosen reports, but a run is interrupted that must be finished first: this run does that.
    Postponed,
    /// This run has delivered the choice already.
    Done(u64),
}

/// The reports that were chosen for this run, else those of an interrupted run. Runs of a continuous pipeline end only when
/// they are stopped.
///
/// # Errors
/// When reports were chosen on the command line, but a run is interrupted that must be finished first: its checkpoint would
/// be lost.
pub(crate) fn choice_of_run(
    ledger: &Ledger,
    chosen: Option<Choice>,
    (restart, is_continuous): (bool, bool),
) -> Result<ChoiceOfRun, StateError> {
    let last = ledger.last_run()?.filter(|last| last.state != RunState::Finished);
    let Some(choice) = chosen else {
        let unfinished = last.filter(|_| !restart);
        return Ok(ChoiceOfRun { choice: unfinished.and_then(continued), start: ChoiceStart::Continued });
    };
    let is_queued = !choice.request.is_empty();
    if is_queued && let Some(known) = run_of(ledger, &choice.request)? {
        if known.state == RunState::Finished {
            return Ok(ChoiceOfRun { choice: Some(choice), start: ChoiceStart::Done(known.number) });
        }
        if last.as_ref().is_some_and(|last| last.number == known.number) && !restart {
            return Ok(ChoiceOfRun { choice: continued(known), start: ChoiceStart::Continued });
        }
    }
    let new = |start| Ok(ChoiceOfRun { choice: Some(choice.clone()), start });
    let (Some(last), false) = (last, restart) else { return new(ChoiceStart::New) };
    let checkpoint = ledger.checkpoint()?.filter(|checkpoint| !checkpoint.is_empty());
    let what = match (&last.choice, checkpoint) {
        (None, None) => return new(ChoiceStart::New),
        (None, Some(checkpoint))
            if is_queued && is_continuous && is_between_reports(&checkpoint, &choice.input) =>
        {
            return new(ChoiceStart::BetweenReports);
        }
        _ if is_queued => {
            tracing::info!(
                "run {} was interrupted: it is finished before chosen reports are sent",
                last.number
            );
            return Ok(ChoiceOfRun { choice: continued(last), start: ChoiceStart::Postponed });
        }
        (Some(known), _) => {
            format!("run {} has not finished sending {} chosen reports", last.number, known.ids.len())
        }
        (None, Some(_)) => format!("run {} was interrupted", last.number),
    };
    Err(StateError {
        message: format!("cannot send chosen reports: {what}"),
        hint: Some(FINISH_OR_DISCARD.to_owned()),
        exit_code: 75,
    })
}

/// Refuses to change whether reports count as sent while a run has not finished sending them: the next run continues it, and
/// would take a report that was skipped for one that it has sent.
///
/// # Errors
/// When one of the reports is part of an unfinished choice.
pub(crate) fn refuse_unfinished(ledger: &Ledger, input: &str, ids: &[String]) -> Result<(), StateError> {
    let Some(last) = ledger.last_run()?.filter(|last| last.state != RunState::Finished) else {
        return Ok(());
    };
    let Some(choice) = last.choice.filter(|choice| choice.input == input) else { return Ok(()) };
    let Some(id) = ids.iter().find(|id| choice.ids.contains(id)) else { return Ok(()) };
    let count = choice.ids.len();
    Err(StateError {
        message: format!(
            "report {id} is one of the {count} chosen reports that run {} has not finished sending",
            last.number
        ),
        hint: Some(FINISH_OR_DISCARD.to_owned()),
        exit_code: 75,
    })
}

const FINISH_OR_DISCARD: &str =
    "finish it with `scanbridge run FILE`, or discard it with `scanbridge state discard FILE`";

/// The last run with the choice of this request.
fn run_of(ledger: &Ledger, request: &str) -> Result<Option<RunRecord>, StateError> {
    let is_of = |run: &RunRecord| run.choice.as_ref().is_some_and(|choice| choice.request == request);
    Ok(ledger.runs()?.into_iter().rfind(is_of))
}

/// Whether no report is in progress, and only the input with the choice has a position: a continuous run keeps a list of what
/// it has delivered.
fn is_between_reports(checkpoint: &Checkpoint, input: &str) -> bool {
    !checkpoint.is_inside_report() && checkpoint.positions.keys().all(|id| id == input)
}

fn continued(run: RunRecord) -> Option<Choice> {
    if let Some(choice) = &run.choice {
        let count = choice.ids.len();
        tracing::info!(
            "run {} was sending {count} chosen reports: this run continues only these",
            run.number
        );
    }
    run.choice
}
