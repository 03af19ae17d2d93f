//! Two outputs that would write to one place: what is left of an output that was copied and not changed to its end.

use super::checker::Checker;
use super::pipeline::OutputInstance;
use super::tree::Node;

/// Where an output that writes files writes, by the custom of all of them.
const PATH: &str = "path";

impl Checker<'_> {
    /// Warns of a later output that has the `path` of an earlier one. Not an error: what a `path` means is the plugin's
    /// to say, and devices take any number of writers.
    pub(super) fn same_paths(&mut self, outputs: &[OutputInstance], nodes: &[(usize, &Node)]) {
        // Where an output is left out for its errors, nothing can be said of the rest either.
        if outputs.len() != nodes.len() {
            return;
        }
        for (index, (output, (_, node))) in outputs.iter().zip(nodes).enumerate() {
            let Some(path) = path(output) else { continue };
            let Some(first) = outputs[..index].iter().find(|other| self::path(other) == Some(path)) else {
                continue;
            };
            let place = node.entry("with").and_then(|with| with.entry(PATH)).unwrap_or(node);
            self.collector
                .warning(
                    "same-path",
                    &place.span,
                    format!(
                        "outputs `{}` and `{}` write to the same `path`",
                        first.instance.id, output.instance.id
                    ),
                )
                .help(
                    "set a different `path` for each; two outputs cannot write one file at the same time, \
                     so one of them fails",
                );
        }
    }
}

fn path(output: &OutputInstance) -> Option<&str> {
    let path = output.instance.options.get(PATH)?.as_str()?;
    (!path.starts_with("/dev/")).then_some(path)
}
