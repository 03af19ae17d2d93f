//! What `check` says about FIPS mode.

use std::fs;
use std::path::Path;

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
    let modes: Vec<Fips> = instances(pipeline).map(|(_, instance)| instance.fips).collect();
    let problem =
        |[message, hint]: [&str; 2]| pipeline.file_problem(ProblemLevel::Warning, "fips", message, hint);
    warnings_about(&modes, is_in_fips_mode(Path::new(KERNEL))).into_iter().map(problem).collect()
}

/// Messages and hints about the modes of all instances.
fn warnings_about(modes: &[Fips], is_kernel_in_fips_mode: bool) -> Vec<[&'static str; 2]> {
    let mut warnings = Vec::new();
    if modes.iter().any(|mode| mode.is_suite_b()) {
        warnings.push([
            "Suite B was retired; suite-b-192 is the part of it that CNSA 1.0 kept",
            "set `fips: on` unless a rule of yours demands Suite B",
        ]);
    }
    if is_kernel_in_fips_mode && modes.iter().any(|mode| mode.is_off()) {
        warnings.push([
            "this machine is in FIPS mode (/proc/sys/crypto/fips_enabled), and `fips` is off",
            "set `fips: on` at the top level of the pipeline; it needs the FIPS build",
        ]);
    }
    warnings
}

/// Whether the kernel is in FIPS mode. Many kernels do not have the file.
fn is_in_fips_mode(file: &Path) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.trim() == "1")
}

const KERNEL: &str = "/proc/sys/crypto/fips_enabled";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_in_fips_mode_is_a_warning_if_an_instance_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fips_enabled");
        for (text, expected) in [("1\n", true), ("0\n", false), ("", false)] {
            fs::write(&file, text).unwrap();
            assert_eq!(is_in_fips_mode(&file), expected, "{text:?}");
        }
        assert!(!is_in_fips_mode(&folder.path().join("none")));

        for (modes, is_enabled, count) in [
            (&[Fips::Off, Fips::On][..], true, 1),
            (&[Fips::Off], false, 0),
            (&[Fips::On, Fips::On], true, 0),
            (&[Fips::SuiteB128, Fips::Off], true, 2),
        ] {
            let warnings = warnings_about(modes, is_enabled);
            assert_eq!(warnings.len(), count, "{modes:?}");
            let is_about_kernel = warnings.iter().any(|[message, _]| message.contains("fips_enabled"));
            assert_eq!(is_about_kernel, is_enabled && modes.contains(&Fips::Off), "{modes:?}");
        }
    }
}
