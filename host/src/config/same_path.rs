//! Finds two outputs that write to the same path, for example because one was copied from the other.

use std::fs;

use scanbridge_plugin_api::{OptionKind, PluginKind};

use super::checker::Checker;
use super::pipeline::{OutputInstance, PATH};
use super::tree::Node;

impl Checker<'_> {
    /// Reports each output with the same `path` as an earlier one. Placeholders are compared as text, because equal
    /// placeholders give equal file names. Devices may have any number of writers.
    pub(super) fn same_paths(&mut self, outputs: &[OutputInstance], nodes: &[(usize, &Node)]) {
        // Outputs with errors are missing from `outputs`; then the two lists do not correspond.
        if outputs.len() != nodes.len() {
            return;
        }
        for (index, (output, (_, node))) in outputs.iter().zip(nodes).enumerate() {
            let Some(path) = path(output) else { continue };
            let Some(first) = outputs[..index].iter().find(|other| self::path(other) == Some(path)) else {
                continue;
            };
            let location = node.entry("with").and_then(|with| with.entry(PATH)).unwrap_or(node);
            let message = format!(
                "outputs `{}` and `{}` write to the same `path`",
                first.instance.id, output.instance.id
            );
            let is_file = [first, output].into_iter().all(|output| self.owns_file(output));
            let problem = if is_file {
                self.collector.error("same-path", &location.span, message)
            } else {
                self.collector.warning("same-path", &location.span, message)
            };
            problem.help(match path {
                "-" => "their data is mixed on standard output; set a different `path` for one of them",
                _ => "set a different `path` for each; two outputs cannot write the same file",
            });
        }
    }

    /// Whether an output needs exclusive access to its `path`. Its option table declares a path, and the path is
    /// neither standard output nor an existing pipe or device, nor appended to.
    fn owns_file(&self, output: &OutputInstance) -> bool {
        let instance = &output.instance;
        let plugin = self.catalogue.find(PluginKind::Output, &instance.plugin);
        let is_path = plugin.and_then(|plugin| plugin.option(PATH)).map(|option| &option.kind);
        let path = instance.path().unwrap_or_default();
        let is_special = path == "-" || fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        let appends = instance.options.get("if_exists").is_some_and(|value| value == "append");
        matches!(is_path, Some(OptionKind::Path)) && !is_special && !appends
    }
}

fn path(output: &OutputInstance) -> Option<&str> {
    output.instance.path().filter(|path| !path.starts_with("/dev/"))
}
