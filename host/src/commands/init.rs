//! `scanbridge init`: sets up a pipeline.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::PluginKind;

use super::preparation::registry;
use super::run::state_folder;
use super::terminal::{end_with_terminal, error_style, has_prompts, print_error, print_output, print_text};
use crate::cli::{CommonOptions, InitArguments};
use crate::config::{self, Problems};
use crate::exit_code::{INTERRUPTED, USAGE};
use crate::plugins::Registry;
use crate::setup::{
    Conversion, Draft, Files, Leave, Machine, NoService, OldSettings, SavedAnswers, Secrets, ServiceSetUp,
    Start, Target, TerminalPrompts, Wizard, draft_text, from_qualys_connector, from_smartconnector,
    read_draft, secret_files, show_conversion, with_comments, write_files,
};
use crate::shell::shell_word;
use crate::telemetry::without_controls;

/// `EX_SOFTWARE`: the prompts failed.
const BUG: u8 = 70;
/// `EX_CANTCREAT`.
const CANNOT_CREATE: u8 = 73;

/// A pipeline that can be written.
struct Ready {
    draft: Draft,
    name: String,
    file: PathBuf,
}

pub(super) fn init(arguments: &InitArguments, common: &CommonOptions) -> u8 {
    let target = Target::of(&arguments.target);
    let registry = registry(common);
    let result = match (&arguments.answers, &arguments.from) {
        (Some(answers), _) => from_answers(answers, &target, &registry).map(|ready| (ready, String::new())),
        (None, Some(from)) => converted(from, arguments.command.as_deref(), &target, &registry),
        (None, None) => return ask(arguments, &target, &registry, common),
    };
    let (ready, report) = match result {
        Ok(result) => result,
        Err(code) => return code,
    };
    let code = validity(&ready, &registry);
    let service = match service(&ready) {
        Ok(service) => service,
        Err(code) => return code,
    };
    if arguments.print {
        print_text(&report);
        return print_output(&printed(&ready, service.as_ref()), code);
    }
    // Without questions the operator cannot confirm that a file is to be replaced.
    let other = service.as_ref().filter(|service| service.file.exists() && !service.is_written());
    let in_the_way = Some(&ready.file).filter(|file| file.symlink_metadata().is_ok());
    if let Some(file) = in_the_way.or(other.map(|service| &service.file)) {
        let hint = if in_the_way.is_some() {
            "move it away, or name another file"
        } else {
            "move it away, or run `scanbridge init` in a terminal, which changes it"
        };
        print_error(&format!("error: {} exists; {hint}\n", shown(file)));
        return CANNOT_CREATE;
    }
    match write(&ready, service.as_ref()) {
        Ok(written) => {
            let next = next_commands(&ready, service.as_ref(), code, &registry);
            print_output(&format!("{report}{written}{next}"), code)
        }
        Err(code) => code,
    }
}

/// Asks in the terminal.
fn ask(arguments: &InitArguments, target: &Target, registry: &Registry, common: &CommonOptions) -> u8 {
    if !has_prompts() {
        print_error(
            "error: init needs a terminal; use init --answers FILE, or config example to write a file by hand\n",
        );
        return USAGE;
    }
    if let Err(error) = end_with_terminal() {
        print_error(&format!("error: cannot install a signal handler: {error}\n"));
        return BUG;
    }
    let saved = SavedAnswers::of(target);
    let start = match start(target, &saved, registry) {
        Ok(start) => start,
        Err(code) => return code,
    };
    let machine = Machine { registry, state: state_folder(common) };
    let mut prompts = TerminalPrompts;
    let wizard = Wizard::new(registry, &machine, &mut prompts, target, &saved);
    let (draft, name) = match wizard.run(start) {
        Ok(result) => result,
        Err(Leave::Failed(problem)) => {
            print_error(&format!("error: {}\n", without_controls(&problem)));
            return CANNOT_CREATE;
        }
        Err(Leave::Back | Leave::Interrupted) => {
            print_error(&format!(
                "nothing was written; the answers are kept without secrets in {}, and `scanbridge init {}` \
                 continues with them\n",
                shown(saved.path()),
                shown(&arguments.target)
            ));
            return INTERRUPTED;
        }
    };
    let file = target.file(&name);
    let ready = Ready { draft, name, file };
    let service = match service(&ready) {
        Ok(service) => service,
        Err(code) => return code,
    };
    if arguments.print {
        return print_output(&printed(&ready, service.as_ref()), 0);
    }
    let written = match write(&ready, service.as_ref()) {
        Ok(written) => written,
        Err(code) => return code,
    };
    if let Err(error) = saved.remove() {
        print_error(&format!("warning: cannot delete {}: {error}\n", shown(saved.path())));
    }
    print_output(&format!("{written}{}", next_commands(&ready, service.as_ref(), 0, registry)), 0)
}

/// The answers of an interrupted set-up, or the pipeline file if it exists.
fn start(target: &Target, saved: &SavedAnswers, registry: &Registry) -> Result<Start, u8> {
    match saved.load(registry) {
        Ok(Some(answers)) => {
            print_text(&format!(
                "continuing with the answers in {} (delete the file to begin again)\n",
                shown(saved.path())
            ));
            return Ok(Start::Saved(answers));
        }
        Ok(None) => {}
        Err(problems) => {
            print_text(&problems.render_with_outcome(error_style(), "; the set-up begins again"));
        }
    }
    match target {
        Target::File(file) if file.exists() => match config::read_for(file, registry) {
            Ok(document) => Ok(Start::Existing(read_draft(&document, registry))),
            Err(problems) => {
                print_text(&problems.render_with_outcome(error_style(), "; nothing was changed"));
                Err(Problems::EXIT_CODE)
            }
        },
        _ => Ok(Start::New),
    }
}

/// A pipeline from a file with answers.
fn from_answers(answers: &Path, target: &Target, registry: &Registry) -> Result<Ready, u8> {
    let print = |problems: Problems| {
        print_text(&problems.render_with_outcome(error_style(), "; nothing was written"));
        Problems::EXIT_CODE
    };
    let document = config::read_for(answers, registry).map_err(print)?;
    // The lines of errors are those of this file.
    config::check(&document, registry).map_err(print)?;
    let draft = SavedAnswers::read(&document, registry).map_err(print)?;
    let name = target.name().unwrap_or_else(|| document.name());
    let file = target.file(&name);
    Ok(Ready { draft, name, file })
}

/// A pipeline from old settings, with the report about them.
fn converted(
    from: &[OsString],
    command: Option<&str>,
    target: &Target,
    registry: &Registry,
) -> Result<(Ready, String), u8> {
    let [word, path] = from else { return Err(USAGE) };
    let kinds = OldSettings::WORDS;
    let Some((name, kind)) = kinds.iter().find(|(known, _)| word == known) else {
        let known: Vec<&str> = kinds.iter().map(|(known, _)| *known).collect();
        let (word, known) = (without_controls(&word.to_string_lossy()).into_owned(), known.join(" or "));
        print_error(&format!("error: --from knows {known}, found `{word}`\n"));
        return Err(USAGE);
    };
    let path = Path::new(path);
    let result = match kind {
        OldSettings::QualysConnector => from_qualys_connector(path, command, registry),
        OldSettings::SmartConnector if command.is_some() => {
            print_error("error: --command is only for --from qualys-connector\n");
            return Err(USAGE);
        }
        OldSettings::SmartConnector => from_smartconnector(path, registry),
    };
    let conversion: Conversion = result.map_err(|error| {
        print_error(&format!("error: {}; nothing was written\n", without_controls(&error.to_string())));
        error.exit_code()
    })?;
    let report = show_conversion(&conversion);
    let name = target.name().unwrap_or_else(|| (*name).to_owned());
    let file = target.file(&name);
    Ok((Ready { draft: conversion.draft, name, file }, report))
}

/// The exit code that a check of the file ends with.
fn validity(ready: &Ready, registry: &Registry) -> u8 {
    let text = draft_text(&ready.draft, Secrets::Inline);
    let checked = config::read_text_for(&ready.file, &text, registry)
        .and_then(|document| config::check(&document, registry));
    if checked.is_ok() { 0 } else { Problems::EXIT_CODE }
}

/// What the service needs, if it is to be set up; or the exit code.
fn service(ready: &Ready) -> Result<Option<ServiceSetUp>, u8> {
    let Some(plan) = &ready.draft.service else { return Ok(None) };
    ServiceSetUp::of(&ready.file, plan).map(Some).map_err(|problem| {
        let text = match problem {
            NoService::Invalid(problems) => {
                problems.render_with_outcome(error_style(), "; nothing was written")
            }
            NoService::Path(problem) => format!("error: {problem}; nothing was written\n"),
        };
        print_text(&text);
        Problems::EXIT_CODE
    })
}

/// The pipeline file with the comments of the one that exists.
fn pipeline_text(ready: &Ready) -> String {
    let text = draft_text(&ready.draft, Secrets::InFiles { pipeline: &ready.name });
    with_comments(&ready.file, text).text
}

/// The pipeline file and, as a second YAML document, the service file.
fn printed(ready: &Ready, service: Option<&ServiceSetUp>) -> String {
    let second = service.map(|service| format!("---\n{}", service.content.text));
    pipeline_text(ready) + &second.unwrap_or_default()
}

/// Writes all files. Returns what was written, or the exit code.
fn write(ready: &Ready, service: Option<&ServiceSetUp>) -> Result<String, u8> {
    let secrets = secret_files(&ready.draft, &ready.name);
    let text = pipeline_text(ready);
    let service = service.filter(|service| !service.is_written());
    let service = service.map(|service| (service.file.as_path(), service.content.text.as_str()));
    let files = Files { pipeline: (&ready.file, &text), service, secrets };
    match write_files(&files) {
        Ok(old) => {
            let mut text = format!("\nwritten  {}\n", shown(&ready.file));
            if let Some((file, _)) = files.service {
                text += &format!("written  {}\n", shown(file));
            }
            for (secret, _) in &files.secrets {
                text +=
                    &format!("written  {} (secret, mode 0600)\n", shown(&ready.file.with_file_name(secret)));
            }
            for old in old {
                text += &format!("kept     {}\n", shown(&old));
            }
            Ok(text)
        }
        Err(error) => {
            print_error(&format!("error: {error}\n"));
            Err(CANNOT_CREATE)
        }
    }
}

/// What the operator can do next.
fn next_commands(ready: &Ready, service: Option<&ServiceSetUp>, code: u8, registry: &Registry) -> String {
    let file = shell_word(&shown(&ready.file));
    let mut text = "\nNext:\n".to_owned();
    if code != 0 {
        text += &format!("  scanbridge init {file}      # answers what is missing\n");
    }
    text += &format!("  scanbridge check {file} --probe\n  scanbridge preview {file}\n");
    let has_reports = ready.draft.all().any(|(kind, _, instance)| {
        kind == PluginKind::Input
            && registry
                .descriptor(kind, &instance.plugin)
                .is_ok_and(|plugin| plugin.tables.iter().any(|table| table == "reports/1"))
    });
    if has_reports {
        text += &format!("  scanbridge reports list {file}      # send, skip or pick stored reports\n");
    }
    text += &format!("  scanbridge run {file}\n");
    text += &match service {
        None => {
            let complete = std::path::absolute(&ready.file).unwrap_or_else(|_| ready.file.clone());
            let folder = shell_word(&shown(complete.parent().unwrap_or(Path::new("/"))));
            format!("  scanbridge service install --pipelines {folder}\n")
        }
        Some(service) => {
            let console = ready.draft.service.as_ref().is_some_and(|plan| plan.console.is_some());
            let link = if console {
                "  scanbridge service login-link      # opens the console in a browser\n"
            } else {
                ""
            };
            format!("  {}      # as root\n{link}", without_controls(&service.command))
        }
    };
    if !secret_files(&ready.draft, "").is_empty() {
        text += "The account of the service must be able to read the files in `secrets`.\n";
    }
    text
}

fn shown(path: &Path) -> String {
    without_controls(&path.display().to_string()).into_owned()
}
