//! `scanbridge check`.

use std::path::Path;
use std::sync::Arc;

use scanbridge_plugin_api::{CheckReport, CheckStep, ErrorKind, PluginError, Purpose, Verdict};
use serde_json::{Value, json};

use super::preparation::{checked, registry};
use super::run::{print_failures, state_folder};
use super::terminal::{print_error, print_output};
use crate::cli::{CheckDepth, CommonOptions, Format};
use crate::config::{self, Pipeline, Problems, problem_to_json};
use crate::exit_code::exit_code;
use crate::pipeline::{self, Failure, Settings, Stop};
use crate::plugins::Registry;
use crate::state::StateFolder;
use crate::telemetry::without_controls;

pub(super) fn check(file: &Path, depth: CheckDepth, format: Format, common: &CommonOptions) -> u8 {
    let registry = registry(common);
    let pipeline = match format {
        Format::Text => checked(file, &registry, ""),
        Format::Json => checked_as_json(file, &registry),
    };
    let Ok(pipeline) = pipeline else { return Problems::EXIT_CODE };
    if depth.offline {
        return conclude(&pipeline, &[], format);
    }
    let purpose = if depth.probe { Purpose::Probe } else { Purpose::Check };
    let settings = Settings::without_run(StateFolder::of(&state_folder(common), &pipeline.name), purpose);
    match pipeline::build(&pipeline, &registry, settings, &Arc::new(Stop::default())) {
        Err(failures) => refuse(&pipeline, &failures, format),
        // A run continues without optional outputs that cannot be opened; a check must report them.
        Ok(opened) if !opened.open_errors().is_empty() => refuse(&pipeline, &opened.open_errors(), format),
        Ok(mut opened) if depth.probe => conclude(&pipeline, &opened.probe(), format),
        Ok(_) => conclude(&pipeline, &[], format),
    }
}

fn checked_as_json(file: &Path, registry: &Registry) -> Result<Pipeline, u8> {
    let pipeline = config::read(file).and_then(|document| config::check(&document, registry));
    pipeline.map_err(|problems| {
        let mut output = problems.to_json();
        output["ok"] = json!(false);
        print_output(&format!("{output:#}\n"), Problems::EXIT_CODE)
    })
}

fn refuse(pipeline: &Pipeline, failures: &[Failure], format: Format) -> u8 {
    let code = failures.first().map_or(0, |failure| failure.exit_code);
    match format {
        Format::Text => {
            print_failures(failures, "");
            code
        }
        Format::Json => {
            let output = json!({ "ok": false, "problems": warnings(pipeline), "failures": failures });
            print_output(&format!("{output:#}\n"), code)
        }
    }
}

/// Name of an input or output, and the result of its probe.
type Probe = (String, Result<CheckReport, PluginError>);

fn conclude(pipeline: &Pipeline, probes: &[Probe], format: Format) -> u8 {
    let code = probes.iter().map(|(_, report)| code_of_probe(report)).find(|code| *code != 0).unwrap_or(0);
    match format {
        Format::Text => conclude_in_words(pipeline, probes, code),
        Format::Json => {
            let probes: Vec<Value> = probes.iter().map(probe_to_json).collect();
            let output = json!({ "ok": code == 0, "problems": warnings(pipeline), "probes": probes });
            print_output(&format!("{output:#}\n"), code)
        }
    }
}

fn warnings(pipeline: &Pipeline) -> Vec<Value> {
    pipeline.warnings.iter().map(problem_to_json).collect()
}

fn conclude_in_words(pipeline: &Pipeline, probes: &[Probe], code: u8) -> u8 {
    let mut text: String = probes.iter().map(probe_in_words).collect();
    let file = pipeline.file.display();
    if code == 0 {
        let (inputs, outputs) = (pipeline.inputs.len(), pipeline.outputs.len());
        text.push_str(&format!("{file} is valid (inputs: {inputs}, outputs: {outputs})\n"));
    }
    let code = print_output(&text, code);
    if code != 0 {
        print_error(&format!("check failed for {file}\n"));
    }
    code
}

/// One line per step. Control characters are escaped: file names, certificates and responses of peers come
/// from outside.
fn probe_in_words((instance, report): &Probe) -> String {
    match report {
        Ok(report) => {
            let line = |step: &CheckStep| {
                let (name, detail) = (without_controls(&step.name), without_controls(&step.detail));
                let is_named =
                    detail.starts_with(&format!("{name} ")) || detail.contains(&format!(" {name}: "));
                let name = if is_named { String::new() } else { format!("{name}: ") };
                format!("{:<7} {instance}: {name}{detail}\n", word(step.verdict))
            };
            report.steps.iter().map(line).collect()
        }
        Err(error) => {
            let hint = error.hint.as_ref().map(|hint| format!("        {}\n", without_controls(hint)));
            let error = error.to_string();
            format!("failed  {instance}: {}\n{}", without_controls(&error), hint.unwrap_or_default())
        }
    }
}

/// The exit code of a run that fails for the same reason. If the plugin does not set the kind of a failed step, the peer
/// counts as unreachable.
fn code_of_probe(report: &Result<CheckReport, PluginError>) -> u8 {
    match report {
        Ok(report) => {
            let failed = report.steps.iter().find(|step| step.verdict == Verdict::Failed);
            failed.map_or(0, |step| exit_code(step.kind.unwrap_or(ErrorKind::Unavailable)))
        }
        Err(error) => exit_code(error.kind),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Failed => "failed",
    }
}

fn probe_to_json((instance, report): &Probe) -> Value {
    match report {
        Ok(report) => json!({ "instance": instance, "steps": report.steps }),
        Err(error) => json!({ "instance": instance, "error": error.message, "hint": error.hint }),
    }
}
