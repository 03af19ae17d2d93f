//! `scanbridge dead-letters`.

use std::fs;
use std::path::Path;

use super::run::{print_failures, print_summary, state_folder, stoppable};
use super::state::{known_id, print_text, with_folder};
use super::terminal::{print_output, width};
use super::{NOTHING_STARTED, checked, registry};
use crate::cli::{
    CommonOptions, DeadLetterCount, DeadLettersCommand, Format, list_dead_letter_counts, no_dead_letters,
    show_dead_letter,
};
use crate::config::Document;
use crate::pipeline::{Failure, Summary};
use crate::replay;
use crate::state::{DeadLetterFile, StateError, StateFolder, list_dead_letter_files};

pub(super) fn execute(command: &DeadLettersCommand, common: &CommonOptions) -> u8 {
    match command {
        DeadLettersCommand::List { file, format } => with_folder(file, common, |_, folder| {
            let counts = list_dead_letter_files(folder)?.iter().map(count).collect::<Result<Vec<_>, _>>()?;
            print_text(&list_dead_letter_counts(&counts, *format, width()))
        }),
        DeadLettersCommand::Show { file, output, format } => with_folder(file, common, |document, folder| {
            let files = selected(document, folder, output.as_deref())?;
            if files.is_empty() && *format == Format::Text {
                return print_text(&no_dead_letters(output.as_deref()));
            }
            for file in files {
                for letter in file.dead_letters()? {
                    print_text(&show_dead_letter(&letter?, *format))?;
                }
            }
            Ok(())
        }),
        DeadLettersCommand::Replay { file, output, summary } => {
            replay(file, output.as_deref(), *summary, common)
        }
        DeadLettersCommand::Purge { file, output } => with_folder(file, common, |document, folder| {
            let _lock = replay::lock_for_dead_letters(folder, &document.name())?;
            let files = selected(document, folder, output.as_deref())?;
            if files.is_empty() {
                return print_text(&no_dead_letters(output.as_deref()));
            }
            for file in files {
                let counted =
                    count(&file).map_or_else(|_| "all".to_owned(), |count| count.dead_letters.to_string());
                fs::remove_file(&file.path).map_err(|error| StateError::io(&file.path, &error))?;
                print_text(&format!("{}: removed {counted} dead letters\n", file.output))?;
            }
            Ok(())
        }),
    }
}

fn replay(file: &Path, output: Option<&str>, format: Format, common: &CommonOptions) -> u8 {
    let registry = registry(common);
    let pipeline = match checked(file, &registry, NOTHING_STARTED) {
        Ok(pipeline) => pipeline,
        Err(code) => return code,
    };
    let folder = StateFolder::of(&state_folder(common), &pipeline.name);
    let checked_id = list_dead_letter_files(&folder).and_then(|files| {
        known_output(output, pipeline.outputs.iter().map(|output| output.instance.id.as_str()), &files)
    });
    if let Err(error) = checked_id {
        print_failures(&[Failure::of_state("state", &error)], NOTHING_STARTED);
        return error.exit_code;
    }
    let stdout_has_data = pipeline.writes_to_stdout();
    match replay::replay(pipeline, &registry, folder, output, &stoppable("")) {
        Ok(None) => match format {
            Format::Text => print_output(&no_dead_letters(output), 0),
            Format::Json => print_summary(&Summary::nothing_done(), format, false),
        },
        Ok(Some(summary)) => print_summary(&summary, format, stdout_has_data),
        Err(failures) => {
            print_failures(&failures, NOTHING_STARTED);
            failures.first().map_or(0, |failure| failure.exit_code)
        }
    }
}

/// The dead letter files of all outputs, or of one.
///
/// # Errors
/// When the output is unknown. An output that was removed from the pipeline file is known while it has dead letters.
fn selected(
    document: &Document,
    folder: &StateFolder,
    output: Option<&str>,
) -> Result<Vec<DeadLetterFile>, StateError> {
    let mut files = list_dead_letter_files(folder)?;
    known_output(output, document.output_ids(), &files)?;
    files.retain(|file| output.is_none_or(|id| file.output == id));
    Ok(files)
}

fn known_output<'a>(
    output: Option<&str>,
    ids: impl Iterator<Item = &'a str>,
    files: &'a [DeadLetterFile],
) -> Result<(), StateError> {
    let Some(id) = output else { return Ok(()) };
    known_id("output", "outputs", id, ids.chain(files.iter().map(|file| file.output.as_str())))
}

fn count(file: &DeadLetterFile) -> Result<DeadLetterCount, StateError> {
    let mut count =
        DeadLetterCount { output: file.output.clone(), bytes: file.bytes, ..DeadLetterCount::default() };
    for letter in file.dead_letters()? {
        let time = letter?.time;
        if count.dead_letters == 0 {
            count.oldest.clone_from(&time);
        }
        count.dead_letters += 1;
        count.newest = time;
    }
    Ok(count)
}
