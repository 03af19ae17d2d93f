//! What `check` says about FIPS mode.

use std::fs;

use scanbridge_plugin_api::{CryptoModule, Fips, PluginKind};
use serde_json::{Map, Value, json};

use crate::config::{Instance, Pipeline, Problem, ProblemLevel};
use crate::plugins::Registry;

/// The mode of each instance, and the module that its plugin uses. Empty if FIPS mode is off everywhere.
pub(super) fn modes(pipeline: &Pipeline, registry: &Registry) -> Vec<InstanceMode> {
    let modes = instances(pipeline).map(|(kind, instance)| {
        let claim = registry.claim(kind, &instance.plugin);
        let module = claim.map(|claim| claim.library.identity().crypto).unwrap_or_default();
        InstanceMode { id: instance.id.clone(), fips: instance.fips, module }
    });
    let modes: Vec<InstanceMode> = modes.collect();
    if modes.iter().all(|mode| mode.fips.is_off()) { Vec::new() } else { modes }
}

fn instances(pipeline: &Pipeline) -> impl Iterator<Item = (PluginKind, &Instance)> {
    let inputs = pipeline.inputs.iter().map(|input| (PluginKind::Input, &input.instance));
    inputs.chain(pipeline.outputs.iter().map(|output| (PluginKind::Output, &output.instance)))
}

/// The mode of one instance.
#[derive(Debug)]
pub(super) struct InstanceMode {
    id: String,
    fips: Fips,
    module: CryptoModule,
}

impl InstanceMode {
    /// `siem: fips: on (AWS-LC FIPS 3.x)`.
    pub(super) fn line(&self) -> String {
        format!("{}: fips: {} ({})\n", self.id, self.fips, self.module.in_words())
    }
}

/// The modes by the `id` of the instance.
pub(super) fn to_json(modes: &[InstanceMode]) -> Value {
    let entries = modes.iter().map(|InstanceMode { id, fips, module }| {
        (id.clone(), json!({ "mode": fips.word(), "module": module.word() }))
    });
    Value::Object(entries.collect::<Map<_, _>>())
}

/// Warnings about the mode of a pipeline.
pub(super) fn warnings(pipeline: &Pipeline) -> Vec<Problem> {
    let is_enabled = fs::read_to_string(KERNEL).is_ok_and(|text| text.trim() == "1");
    warnings_on(pipeline, is_enabled)
}

fn warnings_on(pipeline: &Pipeline, is_kernel_in_fips_mode: bool) -> Vec<Problem> {
    let warning =
        |message: &str, hint: &str| pipeline.file_problem(ProblemLevel::Warning, "fips", message, hint);
    let mut warnings = Vec::new();
    if instances(pipeline).any(|(_, instance)| instance.fips.is_suite_b()) {
        warnings.push(warning(
            "Suite B was retired; suite-b-192 is the part of it that CNSA 1.0 kept",
            "set `fips: on` unless a rule of yours demands Suite B",
        ));
    }
    if is_kernel_in_fips_mode && instances(pipeline).any(|(_, instance)| instance.fips.is_off()) {
        warnings.push(warning(
            "this machine is in FIPS mode (/proc/sys/crypto/fips_enabled), and `fips` is off",
            "set `fips: on` at the top level of the pipeline; it needs the FIPS build",
        ));
    }
    warnings
}

const KERNEL: &str = "/proc/sys/crypto/fips_enabled";
