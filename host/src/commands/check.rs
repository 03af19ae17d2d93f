//! `scanbridge check`.

use std::path::Path;
use std::sync::Arc;

use scanbridge_plugin_api::{CheckReport, PluginError, Verdict};
use serde_json::{Value, json};

use super::run::{print_failures, state_folder};
use super::terminal::{print, print_error};
use super::{checked, registry};
use crate::cli::{CheckDepth, CommonOptions, Format};
use crate::config::{self, Pipeline, Problems, problem_to_json};
use crate::pipeline::{self, Failure, Settings, Stop};
use crate::plugins::Registry;
use crate::state::StateFolder;

pub(super) fn check(file: &Path, depth: CheckDepth, format: Format, common: &CommonOptions) -> u8 {
    let registry = registry(common);
    let pipeline = match format {
        Format::Text => checked(file, &registry),
        Format::Json => checked_as_json(file, &registry),
    };
    let Ok(pipeline) = pipeline else { return Problems::EXIT_CODE };
    if depth.offline {
        return conclude(&pipeline, &[], format);
    }
    let settings = Settings::fresh(StateFolder::of(&state_folder(common), &pipeline.name));
    match pipeline::build(&pipeline, &registry, settings, &Arc::new(Stop::default())) {
        Err(failures) => refuse(&failures, format),
        // A run would go on without them; whoever checks wants to know.
        Ok(built) if !built.absences().is_empty() => refuse(&built.absences(), format),
        Ok(mut built) if depth.probe => conclude(&pipeline, &built.probe(), format),
        Ok(_) => conclude(&pipeline, &[], format),
    }
}

fn checked_as_json(file: &Path, registry: &Registry) -> Result<Pipeline, u8> {
    let pipeline = config::read(file).and_then(|document| config::check(&document, registry));
    pipeline.map_err(|problems| {
        let mut answer = problems.to_json();
        answer["ok"] = json!(false);
        print(&format!("{answer:#}\n"));
        Problems::EXIT_CODE
    })
}

fn refuse(failures: &[Failure], format: Format) -> u8 {
    match format {
        Format::Text => print_failures(failures),
        Format::Json => print(&format!("{:#}\n", json!({ "ok": false, "failures": failures }))),
    }
    failures.first().map_or(0, |failure| failure.exit_code)
}

/// What the probe of one instance found.
type Probe = (String, Result<CheckReport, PluginError>);

fn conclude(pipeline: &Pipeline, probes: &[Probe], format: Format) -> u8 {
    let code = probes.iter().map(|(_, report)| exit_code(report)).find(|code| *code != 0).unwrap_or(0);
    match format {
        Format::Text => conclude_in_words(pipeline, probes, code),
        Format::Json => {
            let warnings: Vec<Value> = pipeline.warnings.iter().map(problem_to_json).collect();
            let probes: Vec<Value> = probes.iter().map(probe_to_json).collect();
            let answer = json!({ "ok": code == 0, "problems": warnings, "probes": probes });
            print(&format!("{answer:#}\n"));
        }
    }
    code
}

fn conclude_in_words(pipeline: &Pipeline, probes: &[Probe], code: u8) {
    for (instance, report) in probes {
        match report {
            Ok(report) => {
                for step in &report.steps {
                    print(&format!("{:<7} {instance}: {}: {}\n", word(step.verdict), step.name, step.detail));
                }
            }
            Err(error) => {
                print(&format!("failed  {instance}: {error}\n"));
                if let Some(hint) = &error.hint {
                    print(&format!("        {hint}\n"));
                }
            }
        }
    }
    let file = pipeline.file.display();
    if code == 0 {
        let (inputs, outputs) = (pipeline.inputs.len(), pipeline.outputs.len());
        print(&format!("{file} is in order: inputs {inputs}, outputs {outputs}\n"));
    } else {
        print_error(&format!("{file} is not in order; nothing was delivered\n"));
    }
}

fn exit_code(report: &Result<CheckReport, PluginError>) -> u8 {
    match report {
        Ok(report) if report.verdict() == Verdict::Failed => {
            pipeline::exit_code(scanbridge_plugin_api::ErrorKind::Unavailable)
        }
        Ok(_) => 0,
        Err(error) => pipeline::exit_code(error.kind),
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
