//! `scanbridge dead-letters`.

use std::path::Path;
use std::sync::Arc;

use scanbridge_plugin_api::Outcome;

use super::preparation::{NOTHING_STARTED, checked_or_problems, registry};
use super::run::{invalid_file, state_folder, stoppable};
use super::state::{known_id, print_text, require_state, with_folder};
use super::summary::{print_not_started, print_summary};
use super::terminal::{print_output, width};
use crate::cli::{
    CommonOptions, DeadLettersCommand, Format, SummaryFormat, list_dead_letter_counts, no_dead_letters,
    show_dead_letter, show_missed_report,
};
use crate::config::Document;
use crate::pipeline::{Failure, Head, Summary, Trigger};
use crate::replay;
use crate::state::{DeadLetterCount, DeadLetterReader, Ledger, StateError, StateFolder};

pub(super) fn execute(command: &DeadLettersCommand, common: &CommonOptions) -> u8 {
    match command {
        DeadLettersCommand::List { file, format } => with_folder(file, common, |document, folder| {
            require_state(&document.name(), folder)?;
            let (_, counts) = read(folder)?;
            print_text(&list_dead_letter_counts(folder.path(), &counts, *format, width()))
        }),
        DeadLettersCommand::Show { file, output, format } => with_folder(file, common, |document, folder| {
            let (ledger, counts) = read(folder)?;
            let counts = selected(document, counts, output.as_deref())?;
            require_state(&document.name(), folder)?;
            if counts.is_empty() && *format == Format::Text {
                return print_text(&no_dead_letters(output.as_deref(), folder.path()));
            }
            for (count, ledger) in counts.iter().zip(ledger.iter().cycle()) {
                for letter in DeadLetterReader::new(ledger, count.stage.instance())? {
                    print_text(&show_dead_letter(&letter?.1, *format))?;
                }
                for missed in ledger.missed()?.iter().filter(|missed| missed.output == count.stage.instance())
                {
                    print_text(&show_missed_report(missed, *format))?;
                }
            }
            Ok(())
        }),
        DeadLettersCommand::Replay { file, output, summary } => {
            replay(file, output.as_deref(), *summary, common)
        }
        DeadLettersCommand::Purge { file, output } => with_folder(file, common, |document, folder| {
            let (_, counts) = read(folder)?;
            selected(document, counts, output.as_deref())?;
            require_state(&document.name(), folder)?;
            let (_lock, ledger) = replay::open_ledger(folder, &document.name(), file)?;
            let counts = selected(document, ledger.dead_letter_counts()?, output.as_deref())?;
            if counts.is_empty() {
                return print_text(&no_dead_letters(output.as_deref(), folder.path()));
            }
            let missed = ledger.missed()?;
            for DeadLetterCount { stage, missed_reports, .. } in counts {
                let output = stage.instance();
                let removed = ledger.remove_dead_letters(output, u64::MAX, 0)?;
                print_text(&format!("{output}: removed {removed} dead letters\n"))?;
                if missed_reports > 0 {
                    let of_output = missed.iter().filter(|missed| missed.output == output);
                    let reports: Vec<_> = of_output.map(|missed| missed.report.clone()).collect();
                    ledger.settle_missed(output, &reports, Outcome::Waived)?;
                    print_text(&format!(
                        "{output}: abandoned the missing findings of {missed_reports} reports\n"
                    ))?;
                }
            }
            ledger.close();
            Ok(())
        }),
    }
}

fn replay(file: &Path, output: Option<&str>, format: SummaryFormat, common: &CommonOptions) -> u8 {
    let registry = registry(common);
    let pipeline = match checked_or_problems(file, &registry, NOTHING_STARTED) {
        Ok(pipeline) => pipeline,
        Err(problems) => return invalid_file(file, &problems, format, Trigger::Command),
    };
    let head = Head::of(&pipeline, Trigger::Command);
    let folder = StateFolder::of(&state_folder(common), &pipeline.name);
    let checked_id = read(&folder).and_then(|(_, counts)| {
        let ids = pipeline.outputs.iter().map(|output| output.instance.id.as_str());
        known(output, ("output", "outputs"), ids, &counts)?;
        require_state(&pipeline.name, &folder)
    });
    if let Err(error) = checked_id {
        let failures = vec![Failure::of_state("state", &error)];
        return print_not_started(&Summary::without_instances(head, failures), format);
    }
    let stdout_has_data = pipeline.writes_to_stdout();
    let nothing = format!("nothing to replay in {}\n", folder.path().display());
    match replay::replay(pipeline, &registry, folder, output, &stoppable("")) {
        Ok(None) if format == SummaryFormat::Text => print_output(&nothing, 0),
        Ok(None) => print_summary(&Summary::without_instances(head, Vec::new()), format, false),
        Ok(Some(summary)) => {
            let head = head.ended();
            print_summary(&Summary { head, ..summary }, format, stdout_has_data)
        }
        Err(failures) => print_not_started(&Summary::without_instances(head, failures), format),
    }
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
