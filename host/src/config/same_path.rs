//! Finds two outputs that write to the same file, for example because one was copied from the other.

use std::path::{Component, Path, PathBuf};
use std::{fs, path};

use scanbridge_plugin_api::{OptionKind, PluginKind};

use super::catalogue::Catalogue;
use super::checker::Checker;
use super::pipeline::{Judgement, OutputInstance, PATH, Pipeline};
use super::problem::{Problem, ProblemLevel};
use super::tree::Node;

impl Checker<'_> {
    /// Reports each output with the same `path` as an earlier one, also in another spelling. Placeholders are compared as text, because equal
    /// placeholders give equal file names. Devices may have any number of writers.
    pub(super) fn same_paths(&mut self, outputs: &[OutputInstance], nodes: &[(usize, &Node)]) {
        // Outputs with errors are missing from `outputs`; then the two lists do not correspond.
        if outputs.len() != nodes.len() {
            return;
        }
        for (index, (output, (_, node))) in outputs.iter().zip(nodes).enumerate() {
            let Some(path) = path(output) else { continue };
            let is_same = |other: &&OutputInstance| {
                self::path(other).is_some_and(|other| normalized(other) == normalized(path))
            };
            let Some(first) = outputs[..index].iter().find(is_same) else { continue };
            let location = node.entry("with").and_then(|with| with.entry(PATH)).unwrap_or(node);
            let message = format!(
                "outputs `{}` and `{}` write to the same `path`",
                first.instance.id, output.instance.id
            );
            let is_file = [first, output].into_iter().all(|output| owns_file(self.catalogue, output));
            let problem = if is_file {
                self.collector.error("same-target", &location.span, message)
            } else {
                self.collector.warning("same-target", &location.span, message)
            };
            problem.help(match path {
                "-" => "their data is mixed on standard output; set a different `path` for one of them",
                _ => "set a different `path` for each; two outputs cannot write the same file",
            });
        }
    }
}

/// Outputs whose paths lead to the same file through symbolic links. [`Checker::same_paths`] has reported equal paths.
pub(crate) fn same_files(pipeline: &Pipeline, catalogue: &dyn Catalogue) -> Vec<Problem> {
    let files: Vec<(&OutputInstance, PathBuf)> = pipeline
        .outputs
        .iter()
        .filter(|output| owns_file(catalogue, output))
        .filter_map(|output| Some((output, resolved(path(output)?)?)))
        .collect();
    let mut problems = Vec::new();
    for (index, (output, file)) in files.iter().enumerate() {
        let is_same = |(other, same): &&(&OutputInstance, PathBuf)| {
            let spelled = path(other).zip(path(output)).map(|(a, b)| normalized(a) == normalized(b));
            same == file && spelled == Some(false)
        };
        let Some((first, _)) = files[..index].iter().find(is_same) else { continue };
        let message = format!(
            "outputs `{}` and `{}` write to the same file, {}",
            first.instance.id,
            output.instance.id,
            file.display()
        );
        problems.push(pipeline.problem(Judgement {
            level: ProblemLevel::Error,
            code: "same-target",
            message: &message,
            hint: "set a different `path` for each; two outputs cannot write the same file",
            instance: &output.instance.id,
            option: Some(PATH),
            step: None,
        }));
    }
    problems
}

/// Whether an output needs exclusive access to its `path`. Its option table declares a path, and the path is
/// neither standard output nor an existing pipe or device.
fn owns_file(catalogue: &dyn Catalogue, output: &OutputInstance) -> bool {
    let instance = &output.instance;
    let plugin = catalogue.find(PluginKind::Output, &instance.plugin);
    let is_path = plugin.and_then(|plugin| plugin.option(PATH)).map(|option| &option.kind);
    let path = instance.path().unwrap_or_default();
    let is_special = path == "-" || fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    matches!(is_path, Some(OptionKind::Path)) && !is_special
}

fn path(output: &OutputInstance) -> Option<&str> {
    output.instance.path().filter(|path| !path.starts_with("/dev/"))
}

/// The path without `.`, `..` and doubled slashes, from the root. Looks at no file.
fn normalized(text: &str) -> PathBuf {
    let mut normalized = PathBuf::new();
    for part in path::absolute(text).unwrap_or_else(|_| text.into()).components() {
        match part {
            Component::ParentDir => _ = normalized.pop(),
            part => normalized.push(part),
        }
    }
    normalized
}

/// The path with the links on the way to its directory resolved. An output replaces a link that is its target.
fn resolved(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}
