//! Checks `failover` across the outputs of a pipeline.

use super::checker::Checker;
use super::pipeline::OutputInstance;
use super::suggestion::nearest;
use super::tree::Node;

impl Checker<'_> {
    /// Checks every `failover`: it must be another output, must not have a `failover` itself, and must not be
    /// the failover of a second output.
    pub(super) fn failovers(&mut self, outputs: &[OutputInstance], nodes: &[(usize, &Node)]) {
        let mut used: Vec<&str> = Vec::new();
        for output in outputs {
            let Some(failover) = &output.delivery.failover else { continue };
            let known = || outputs.iter().map(|output| output.instance.id.as_str());
            let named = outputs.iter().find(|other| other.instance.id == *failover);
            let location = nodes.iter().find_map(|(_, node)| failover_of(node, failover));
            let Some(location) = location else { continue };
            let problem = match named {
                None => "is not an output of this pipeline",
                Some(other) if other.instance.id == output.instance.id => "must not be the output itself",
                Some(other) if other.delivery.failover.is_some() => "already has a failover of its own",
                Some(_) if used.contains(&failover.as_str()) => "is already the failover of another output",
                Some(other) => {
                    used.push(&other.instance.id);
                    self.failover_encryption(output, other, location);
                    continue;
                }
            };
            let near = nearest(failover, known()).filter(|_| named.is_none());
            self.collector
                .error("bad-value", &location.span, format!("`failover`: `{failover}` {problem}"))
                .label(near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default())
                .help(
                    "set `failover` to the `id` of another output; that output receives findings only while \
                     this one is unavailable",
                );
        }
    }
}

fn failover_of<'n>(output: &'n Node, id: &str) -> Option<&'n Node> {
    let node = output.entry("failover")?;
    (node.text()? == id).then_some(node)
}
