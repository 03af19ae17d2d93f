//! Where a run starts: at the checkpoint of an interrupted run, in the ledger or kept by the output, or at the beginning.

use std::path::Path;

use crate::config::Pipeline;
use crate::pipeline::{Kept, Loaded};
use crate::plugins::Registry;
use crate::state::{
    About, Change, ChangedOptions, Checkpoint, Fingerprint, KeptCheckpoint, Ledger, RunRecord, StateError,
    StateFolder,
};

/// Where a run starts.
#[derive(Debug)]
pub(crate) struct ResumePoint {
    /// The checkpoint to resume from; `None` for the beginning.
    pub(crate) from: Option<Checkpoint>,
    /// The number of the run.
    pub(crate) number: u64,
    /// Options that differ from those of the run that is resumed.
    pub(crate) options_changed: ChangedOptions,
}

/// # Errors
/// When the pipeline has changed since the interrupted run, or the ledger cannot be read.
pub(crate) fn resume_point(
    ledger: &Ledger,
    pipeline: &Pipeline,
    registry: &Registry,
    fingerprint: &Fingerprint,
    restart: bool,
) -> Result<ResumePoint, StateError> {
    let last = ledger.last_run()?;
    let number = number_after(last.as_ref());
    let from_the_beginning = ResumePoint { from: None, number, options_changed: ChangedOptions::new() };
    let (Some(checkpoint), Some(last)) = (ledger.checkpoint()?, last) else { return Ok(from_the_beginning) };
    let since = last.ended.as_deref().unwrap_or(&last.started);
    if restart {
        tracing::warn!("--restart: discarding the interrupted run {} ({since})", last.number);
        return Ok(from_the_beginning);
    }
    let earlier = (&last.fingerprint, sent_since(ledger, &last)?);
    let (from, options_changed) = match resumed(pipeline, registry, fingerprint, checkpoint, earlier) {
        Resumed::Complete(checkpoint, options_changed) => (checkpoint, options_changed),
        // Correcting an error must not need another command when nothing was delivered with it.
        Resumed::Nothing(what) => {
            tracing::info!(
                "{what} since run {} (interrupted {since}), which has delivered nothing: starting from the beginning",
                last.number
            );
            return Ok(from_the_beginning);
        }
        Resumed::Unchanged(what, checkpoint, options_changed) => {
            tracing::info!(
                "{what} since run {} (interrupted {since}), which ended between two reports: what has not changed \
                 continues there",
                last.number
            );
            if checkpoint.positions.is_empty() {
                return Ok(from_the_beginning);
            }
            (checkpoint, options_changed)
        }
        Resumed::Refused(what) => {
            let run = format!("run {} (interrupted {since})", last.number);
            return Err(cannot_resume(&run, &what, "--restart or `scanbridge state discard FILE`"));
        }
    };
    tracing::info!("resuming run {} (interrupted {since})", last.number);
    Ok(ResumePoint { from: Some(from), number, options_changed })
}

/// Where a run starts as far as the ledger knows, for the opening of an output that may keep the checkpoint.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) fn before_open(ledger: &Ledger, restart: bool) -> Result<ResumePoint, StateError> {
    let from = ledger.checkpoint()?.filter(|_| !restart);
    let number = number_after(ledger.last_run()?.as_ref());
    Ok(ResumePoint { from, number, options_changed: ChangedOptions::new() })
}

/// Where a run with this number starts according to the checkpoint that its output keeps. The ledger gets a copy.
///
/// # Errors
/// When the checkpoint cannot be used, the pipeline has changed since, or the ledger cannot be written.
pub(crate) fn take_over(
    ledger: &Ledger,
    pipeline: &Pipeline,
    registry: &Registry,
    fingerprint: &Fingerprint,
    (number, restart): (u64, bool),
    loaded: &Loaded,
) -> Result<(Kept, ResumePoint), StateError> {
    let (input, output) = (&pipeline.inputs[0].instance.id, &pipeline.outputs[0].instance.id);
    let KeptCheckpoint { about, checkpoint, keys } =
        KeptCheckpoint::read(output, &loaded.pairs, (&pipeline.name, input), loaded.share)?;
    let commit = about.as_ref().map_or(0, |about| about.commit);
    let mut point = ResumePoint { from: None, number, options_changed: ChangedOptions::new() };
    let interrupted = about.as_ref().filter(|_| !checkpoint.positions.is_empty());
    if restart && interrupted.is_some() {
        tracing::warn!("--restart: discarding the checkpoint that output {output} keeps (commit {commit})");
    } else if let Some(about) = interrupted {
        let earlier = (&about.options, !checkpoint.is_empty());
        match resumed(pipeline, registry, fingerprint, checkpoint.clone(), earlier) {
            Resumed::Complete(checkpoint, changed) | Resumed::Unchanged(_, checkpoint, changed)
                if !checkpoint.positions.is_empty() =>
            {
                tracing::info!("resuming at the checkpoint that output {output} keeps (commit {commit})");
                (point.from, point.options_changed) = (Some(checkpoint), changed);
            }
            Resumed::Refused(what) => {
                let run = format!("at the checkpoint that output {output} keeps (commit {commit})");
                return Err(cannot_resume(&run, &what, "--restart"));
            }
            Resumed::Unchanged(what, ..) | Resumed::Nothing(what) => {
                tracing::info!(
                    "{what} since commit {commit} of output {output}: starting from the beginning"
                );
            }
            Resumed::Complete(..) => {}
        }
    }
    let resumes = point.from.is_some();
    let at = (loaded.share.number, commit);
    ledger.replace_by_loaded(at, (point.from.as_ref().unwrap_or(&checkpoint), resumes), (input, &keys))?;
    Ok((Kept::new(About::new(&pipeline.name, loaded.share, fingerprint.clone()), about), point))
}

fn number_after(last: Option<&RunRecord>) -> u64 {
    last.map_or(1, |last| last.number + 1)
}

/// Whether a report was delivered since this run began.
fn sent_since(ledger: &Ledger, run: &RunRecord) -> Result<bool, StateError> {
    Ok(ledger.reports()?.iter().any(|report| report.sent >= run.started))
}

fn cannot_resume(run: &str, what: &str, commands: &str) -> StateError {
    StateError {
        message: format!("cannot resume {run}: {what} since"),
        hint: Some(format!("undo the change to resume, or start from the beginning with {commands}")),
        exit_code: 78,
    }
}

/// What a run takes over from an interrupted one.
enum Resumed {
    /// The checkpoint, with options that may differ.
    Complete(Checkpoint, ChangedOptions),
    /// What was changed, and what the unchanged inputs and outputs continue with: no report is in progress.
    Unchanged(String, Checkpoint, ChangedOptions),
    /// What was changed: nothing was delivered, so nothing is lost.
    Nothing(String),
    /// What was changed: a report is in progress that only the earlier pipeline can finish.
    Refused(String),
}

/// `earlier`: the fingerprint of the interrupted run, and whether a report was delivered since it began.
fn resumed(
    pipeline: &Pipeline,
    registry: &Registry,
    fingerprint: &Fingerprint,
    mut checkpoint: Checkpoint,
    (earlier, sent): (&Fingerprint, bool),
) -> Resumed {
    let is_safe = |change: &Change| change.is_safe(pipeline, registry, &checkpoint, sent);
    let what = match fingerprint.changed_since(earlier, is_safe) {
        Ok(changed) => return Resumed::Complete(checkpoint, changed),
        Err(what) => what,
    };
    if !sent && checkpoint.is_empty() {
        return Resumed::Nothing(what);
    }
    if checkpoint.is_inside_report() {
        return Resumed::Refused(what);
    }
    let (unchanged, options) = fingerprint.unchanged_since(earlier, is_safe);
    checkpoint.positions.retain(|id, _| unchanged.contains(id));
    checkpoint.outputs.retain(|id, _| unchanged.contains(id));
    Resumed::Unchanged(what, checkpoint, options)
}

/// Whether a report is in progress that this pipeline cannot finish, because it was changed. Reads the saved state only.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) fn is_change_refused(
    pipeline: &Pipeline,
    registry: &Registry,
    state: &Path,
) -> Result<bool, StateError> {
    let folder = StateFolder::of(state, &pipeline.state_name());
    if !folder.ledger().exists() {
        return Ok(false);
    }
    let ledger = Ledger::read_copy(&folder.ledger())?;
    let (Some(checkpoint), Some(last)) = (ledger.checkpoint()?, ledger.last_run()?) else { return Ok(false) };
    let fingerprint = Fingerprint::of(pipeline, registry);
    let sent = sent_since(&ledger, &last)?;
    let resumed = resumed(pipeline, registry, &fingerprint, checkpoint, (&last.fingerprint, sent));
    Ok(matches!(resumed, Resumed::Refused(_)))
}
