//! Warns when two outputs write to the same path, for example because one was copied from the other.

use super::checker::Checker;
use super::pipeline::OutputInstance;
use super::tree::Node;

/// Option of an output that contains its output file; all file outputs use this name.
const PATH: &str = "path";

impl Checker<'_> {
    /// Warns about each output with the same `path` as an earlier one. Not an error, because the meaning of
    /// `path` is up to the plugin. Devices may have any number of writers.
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
            self.collector
                .warning(
                    "same-path",
                    &location.span,
                    format!(
                        "outputs `{}` and `{}` write to the same `path`",
                        first.instance.id, output.instance.id
                    ),
                )
                .help(
                    "set a different `path` for each; two outputs cannot write the same file, so one of \
                     them fails",
                );
        }
    }
}

fn path(output: &OutputInstance) -> Option<&str> {
    let path = output.instance.options.get(PATH)?.as_str()?;
    (!path.starts_with("/dev/")).then_some(path)
}
