//! `scanbridge dead-letters`.

use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use scanbridge_plugin_api::Outcome;
use serde_json::{Value, json};

use super::preparation::{NOTHING_STARTED, Source, registry};
use super::run::{not_supervised, stoppable, summary_of_invalid};
use super::saved_states::{
    SavedState, SavedStates, refuse, require_state, with_state, with_states, with_states_of,
};
use super::service::Owner;
use super::state::{known_id, print_text};
use super::summary::{print_not_started, print_summary, summary_only};
use super::terminal::{print_output, width};
use crate::cli::{
    CommonOptions, DeadLettersCommand, Format, GroupedLetters, LetterSelection, OneInstance, SummaryFormat,
    export_dead_letters, instance_heading, list_dead_letters, no_dead_letters, show_dead_letter,
    show_missed_report,
};
use crate::config::Document;
use crate::pipeline::{Failure, Head, Summary, Trigger, Watcher, log_only};
use crate::replay;
use crate::state::{
    self, DeadLetterCount, DeadLetterReader, Ledger, LetterFilter, LetterGroups, StateError, StateFolder,
};
use crate::supervised::Supervisor;

pub(super) fn execute(command: &DeadLettersCommand, common: &CommonOptions) -> u8 {
    match command {
        DeadLettersCommand::List { file, instances, format } => {
            with_states(file, common, |_, states| list(&states.chosen(instances.run_instance)?, *format))
        }
        DeadLettersCommand::Show { file, instances, selection, format } => {
            with_states(file, common, |document, states| {
                show(document, &states.chosen(instances.run_instance)?, selection, *format)
            })
        }
        DeadLettersCommand::Replay { file, chosen, selection, summary, service } => {
            let asked = (chosen.run_instance, request("replay", selection, summary));
            let refuse =
                |error: &StateError| not_replayed(Head::starting(file, Trigger::Command), error, *summary);
            through_service((file, common), asked, refuse, || {
                replay(
                    Source::of(file, service.bundle),
                    (*chosen, selection),
                    *summary,
                    service.supervised,
                    common,
                )
            })
        }
        DeadLettersCommand::Purge { file, chosen, selection, format, service } => {
            let asked = (chosen.run_instance, request("purge", selection, format));
            through_service((file, common), asked, refuse, || {
                with_states_of(Source::of(file, service.bundle), None, common, |document, states| {
                    purge(document, &states.only(chosen.run_instance)?, selection, *format)
                })
            })
        }
    }
}

/// Lets the service do it that runs this pipeline: no run may be in progress, and its secrets may be known to the service
/// only. Otherwise calls `work`. `refused` prints why there is no such instance.
fn through_service(
    (file, common): (&Path, &CommonOptions),
    (run_instance, request): (Option<u32>, Value),
    refused: impl FnOnce(&StateError) -> u8,
    work: impl FnOnce() -> u8,
) -> u8 {
    let owner = match Owner::of(file, common) {
        Ok(Some(owner)) => owner,
        Ok(None) => return work(),
        Err(code) => return code,
    };
    match SavedStates::of_service(&owner, common).only(run_instance) {
        Ok(state) => owner.handle_dead_letters(&state.name, &request),
        Err(error) => refused(&error),
    }
}

fn request(command: &str, selection: &LetterSelection, format: &impl ValueEnum) -> Value {
    let LetterSelection { output, reason, definition, id, older_than } = selection;
    json!({
        "command": command,
        "output": output,
        "reason": reason,
        "definition": definition,
        "id": id,
        "older_than_secs": older_than.map(|age| age.as_secs()),
        "format": format.to_possible_value().map(|format| format.get_name().to_owned()),
    })
}

fn list(states: &[SavedState], format: Format) -> Result<(), StateError> {
    let (mut all, mut texts) = (Vec::new(), Vec::new());
    for state in with_state(states)? {
        let (ledger, counts) = read(&state.folder)?;
        let lists = counts.into_iter().zip(ledger.iter().cycle());
        let lists = lists.map(|(count, ledger)| group(state.run_instance, ledger, count));
        let mut lists: Vec<GroupedLetters> = lists.collect::<Result<_, _>>()?;
        match format {
            Format::Text => {
                texts.push(list_dead_letters(state.folder.path(), &lists, width()));
            }
            Format::Json => all.append(&mut lists),
        }
    }
    print_text(&match format {
        Format::Text => texts.join("\n"),
        Format::Json => export_dead_letters(&all),
    })
}

/// The dead letters of an output by reason. A corrupt one does not hide the others.
fn group(
    run_instance: Option<u32>,
    ledger: &Arc<Ledger>,
    mut count: DeadLetterCount,
) -> Result<GroupedLetters, StateError> {
    let (mut groups, mut corrupt) = (LetterGroups::default(), 0);
    for letter in DeadLetterReader::new(ledger, count.stage.instance())? {
        match letter {
            Ok((_, letter)) => {
                count.stage = letter.stage.clone();
                groups.add(&letter);
            }
            Err(_) => corrupt += 1,
        }
    }
    let reasons = groups.finish();
    if let Some(first) = reasons.iter().map(|group| &group.first).min() {
        count.oldest.clone_from(first);
    }
    Ok(GroupedLetters { run_instance, count, corrupt, reasons })
}

fn show(
    document: &Document,
    states: &[SavedState],
    selection: &LetterSelection,
    format: Format,
) -> Result<(), StateError> {
    let read = |state: &SavedState| read(&state.folder);
    let ledgers: Vec<_> = states.iter().map(read).collect::<Result<_, _>>()?;
    let counts = ledgers.iter().flat_map(|(_, counts)| counts.iter().cloned()).collect();
    selected(document, counts, selection.output.as_deref())?;
    with_state(states)?;
    let mut result = Ok(());
    for (state, (ledger, counts)) in states.iter().zip(ledgers) {
        let Some(ledger) = ledger else { continue };
        if state.run_instance.is_some() && format == Format::Text {
            print_text(&instance_heading(&state.name))?;
        }
        let counts = selected(document, counts, selection.output.as_deref())?;
        // The others are shown, too.
        if let Some(error) = show_state(state, &ledger, &counts, selection, format)? {
            result = Err(error);
        }
    }
    result
}

/// Prints the dead letters of one instance. Returns the error of the last one that cannot be read.
fn show_state(
    SavedState { run_instance, folder, .. }: &SavedState,
    ledger: &Arc<Ledger>,
    counts: &[DeadLetterCount],
    selection: &LetterSelection,
    format: Format,
) -> Result<Option<StateError>, StateError> {
    let filter = filter(selection);
    let (mut shown, mut corrupt) = (0_u64, None);
    for count in counts {
        let id = count.stage.instance();
        for letter in DeadLetterReader::new(ledger, id)?.with_filter(filter.clone()) {
            match letter {
                Ok((number, letter)) => {
                    shown += 1;
                    print_text(&show_dead_letter(number, &letter, *run_instance, format))?;
                }
                Err(error) => {
                    tracing::warn!("{error}; it is skipped");
                    corrupt = Some(error);
                }
            }
        }
        let missed = ledger.missed()?.into_iter();
        for missed in missed.filter(|missed| filter.is_empty() && missed.output == id) {
            shown += 1;
            print_text(&show_missed_report(&missed, *run_instance, format))?;
        }
    }
    if shown == 0 && format == Format::Text {
        print_text(&no_dead_letters(selection.output.as_deref(), folder.path()))?;
    }
    Ok(corrupt)
}

fn purge(
    document: &Document,
    SavedState { name, folder, .. }: &SavedState,
    selection: &LetterSelection,
    format: Format,
) -> Result<(), StateError> {
    let output = selection.output.as_deref();
    let (_, counts) = read(folder)?;
    selected(document, counts, output)?;
    require_state(name, folder)?;
    let (_lock, ledger) = replay::open_ledger(folder, name, document.file())?;
    let counts = selected(document, ledger.dead_letter_counts()?, output)?;
    let (filter, missed) = (filter(selection), ledger.missed()?);
    let mut purged = Vec::new();
    for DeadLetterCount { stage, .. } in counts {
        let id = stage.instance();
        let removed = ledger.remove_dead_letters(id, u64::MAX, 0, &filter)?;
        let of_output = missed.iter().filter(|missed| filter.is_empty() && missed.output == id);
        let reports: Vec<_> = of_output.map(|missed| missed.report.clone()).collect();
        ledger.settle_missed(id, &reports, Outcome::Waived)?;
        purged.push((id.to_owned(), removed, reports.len()));
    }
    ledger.close();
    purged.retain(|(_, removed, abandoned)| *removed > 0 || *abandoned > 0);
    if format == Format::Json {
        let entry = |(id, removed, abandoned): &(String, u64, usize)| json!({ "instance": id, "removed": removed, "abandoned_reports": abandoned });
        return print_text(&format!("{:#}\n", json!(purged.iter().map(entry).collect::<Vec<_>>())));
    }
    if purged.is_empty() {
        return print_text(&no_dead_letters(output, folder.path()));
    }
    for (id, removed, abandoned) in purged {
        print_text(&format!("{id}: removed {removed} dead letters from {}\n", folder.path().display()))?;
        if abandoned > 0 {
            print_text(&format!("{id}: abandoned the missing findings of {abandoned} reports\n"))?;
        }
    }
    Ok(())
}

fn filter(selection: &LetterSelection) -> LetterFilter {
    let LetterSelection { reason, definition, id, older_than, output: _ } = selection.clone();
    LetterFilter { reason, definition, id, before: older_than.map(state::time_ago) }
}

fn replay(
    source: Source<'_>,
    (chosen, selection): (OneInstance, &LetterSelection),
    format: SummaryFormat,
    supervised: Option<i32>,
    common: &CommonOptions,
) -> u8 {
    let output = selection.output.as_deref();
    let stop = stoppable("");
    let channel = match supervised.map(|fd| Supervisor::connect(fd, &stop)).transpose() {
        Ok(channel) => channel,
        Err(error) => return not_supervised(&error),
    };
    let registry = registry(common);
    let mut pipeline = match source.checked(&registry, NOTHING_STARTED) {
        Ok(pipeline) => pipeline,
        Err(problems) => {
            let summary = summary_of_invalid(source.path(), &problems, Trigger::Command);
            return summary_only(&summary, format);
        }
    };
    let state = match SavedStates::of_pipeline(&pipeline, None, common).only(chosen.run_instance) {
        Ok(state) => state,
        Err(error) => return not_replayed(Head::of(&pipeline, Trigger::Command), &error, format),
    };
    let SavedState { name, run_instance, folder } = state;
    pipeline.choose_instance(run_instance);
    let head = Head::of(&pipeline, Trigger::Command);
    let checked_id = read(&folder).and_then(|(_, counts)| {
        let ids = pipeline.outputs.iter().map(|output| output.instance.id.as_str());
        known(output, ("output", "outputs"), ids, &counts)?;
        require_state(&name, &folder)
    });
    if let Err(error) = checked_id {
        return not_replayed(head, &error, format);
    }
    let stdout_has_data = pipeline.writes_to_stdout();
    let nothing = format!("nothing to replay in {}\n", folder.path().display());
    let mut watchers = log_only();
    channel.iter().for_each(|channel| watchers.add(Arc::clone(channel) as Arc<dyn Watcher>));
    let replayed =
        replay::replay(pipeline, &registry, (&name, folder), output, &filter(selection), &stop, &watchers);
    if let Some(channel) = channel {
        channel.finish();
    }
    match replayed {
        Ok(None) if format == SummaryFormat::Text => print_output(&nothing, 0),
        Ok(None) => print_summary(&Summary::without_instances(head, Vec::new()), format, false),
        Ok(Some(summary)) => {
            let head = head.ended();
            print_summary(&Summary { head, ..summary }, format, stdout_has_data)
        }
        Err(failures) => print_not_started(&Summary::without_instances(head, failures), format),
    }
}

/// The end of a replay that cannot start because of the saved state.
fn not_replayed(head: Head, error: &StateError, format: SummaryFormat) -> u8 {
    let failures = vec![Failure::of_state("state", error)];
    print_not_started(&Summary::without_instances(head, failures), format)
}

/// A copy of the ledger, if there is one, and the counts of its dead letters.
fn read(folder: &StateFolder) -> Result<(Option<Arc<Ledger>>, Vec<DeadLetterCount>), StateError> {
    if !folder.ledger().exists() {
        return Ok((None, Vec::new()));
    }
    let ledger = Ledger::read_copy(&folder.ledger())?;
    let counts = ledger.dead_letter_counts()?;
    Ok((Some(Arc::new(ledger)), counts))
}

/// The counts of all outputs and inputs, or of one.
///
/// # Errors
/// When it is unknown. One that was removed from the pipeline file is known while it has dead letters.
fn selected(
    document: &Document,
    mut counts: Vec<DeadLetterCount>,
    output: Option<&str>,
) -> Result<Vec<DeadLetterCount>, StateError> {
    known(output, ("output or input", "outputs and inputs"), document.ids(), &counts)?;
    counts.retain(|count| output.is_none_or(|id| count.stage.instance() == id));
    Ok(counts)
}

fn known<'a>(
    id: Option<&str>,
    (what, all): (&str, &str),
    ids: impl Iterator<Item = &'a str>,
    counts: &'a [DeadLetterCount],
) -> Result<(), StateError> {
    let Some(id) = id else { return Ok(()) };
    known_id(what, all, id, ids.chain(counts.iter().map(|count| count.stage.instance())))
}
