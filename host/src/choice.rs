//! Which reports a run delivers: those that an operator has chosen, also those of an interrupted run.

use crate::state::{Choice, Ledger, RunState, StateError};

/// The reports that a run delivers.
pub(crate) struct ChoiceOfRun {
    pub(crate) choice: Option<Choice>,
    /// Whether no earlier run has begun to deliver them.
    pub(crate) is_new: bool,
}

/// The reports that were chosen for this run, else those of an interrupted run.
///
/// # Errors
/// When reports were chosen, but a run is interrupted that must be finished first: its checkpoint would be lost.
pub(crate) fn choice_of_run(
    ledger: &Ledger,
    chosen: Option<Choice>,
    restart: bool,
) -> Result<ChoiceOfRun, StateError> {
    let of_this_run = |chosen: Option<Choice>| ChoiceOfRun { is_new: chosen.is_some(), choice: chosen };
    let last = ledger.last_run()?.filter(|last| last.state != RunState::Finished);
    let unfinished = last.as_ref().and_then(|last| last.choice.clone());
    let (Some(last), false) = (last, restart) else { return Ok(of_this_run(chosen)) };
    if chosen.is_none() {
        if let Some(choice) = &unfinished {
            let count = choice.ids.len();
            tracing::info!(
                "run {} was sending {count} chosen reports: this run continues only these",
                last.number
            );
        }
        return Ok(ChoiceOfRun { choice: unfinished, is_new: false });
    }
    let has_delivered = ledger.checkpoint()?.is_some_and(|checkpoint| !checkpoint.is_empty());
    let what = match unfinished {
        Some(choice) => {
            format!("run {} has not finished sending {} chosen reports", last.number, choice.ids.len())
        }
        None if has_delivered => format!("run {} was interrupted", last.number),
        None => return Ok(of_this_run(chosen)),
    };
    Err(StateError {
        message: format!("cannot send chosen reports: {what}"),
        hint: Some(
            "finish it with `scanbridge run FILE`, or discard it with `scanbridge state discard FILE`"
                .to_owned(),
        ),
        exit_code: 75,
    })
}
