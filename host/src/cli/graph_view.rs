//! Output of `graph`: a pipeline as a diagram.

use std::fmt::Write as _;

use scanbridge_plugin_api::printable;

use super::arguments::GraphFormat;
use crate::config::Pipeline;

/// The inputs, filters, outputs and failovers of a pipeline.
#[must_use]
pub fn show_graph(pipeline: &Pipeline, format: GraphFormat) -> String {
    let graph = Graph::of(pipeline);
    match format {
        GraphFormat::Mermaid => graph.mermaid(),
        GraphFormat::Dot => graph.dot(),
    }
}

/// Nodes by their position: `n0`, `n1` …
#[derive(Default)]
struct Graph {
    name: String,
    nodes: Vec<Vec<String>>,
    edges: Vec<Edge>,
}

struct Edge {
    from: usize,
    to: usize,
    label: &'static str,
}

impl Graph {
    fn of(pipeline: &Pipeline) -> Self {
        let mut graph = Self { name: pipeline.name.clone(), ..Self::default() };
        let inputs: Vec<usize> = pipeline
            .inputs
            .iter()
            .map(|input| graph.node(vec![input.instance.id.clone(), input.instance.plugin.clone()]))
            .collect();
        let first_output = graph.nodes.len();
        for output in &pipeline.outputs {
            let mut lines = vec![output.instance.id.clone(), output.instance.plugin.clone()];
            lines.extend((!output.required).then(|| "optional".to_owned()));
            if !output.filters.is_empty() {
                lines.push(super::settings_view::filters_in_words(&output.filters));
            }
            let node = graph.node(lines);
            graph.edges.extend(inputs.iter().map(|input| Edge { from: *input, to: node, label: "" }));
        }
        for (index, output) in pipeline.outputs.iter().enumerate() {
            let failover = output.delivery.failover.as_deref();
            let is_failover = |id: &str| failover.is_some_and(|failover| failover.eq_ignore_ascii_case(id));
            let to = pipeline.outputs.iter().position(|other| is_failover(&other.instance.id));
            let edge = |to| Edge { from: first_output + index, to: first_output + to, label: "failover" };
            graph.edges.extend(to.map(edge));
        }
        graph
    }

    fn node(&mut self, lines: Vec<String>) -> usize {
        self.nodes.push(lines);
        self.nodes.len() - 1
    }

    fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for (index, lines) in self.nodes.iter().enumerate() {
            let lines: Vec<String> = lines.iter().map(|line| escaped(line, "#quot;")).collect();
            let _ = writeln!(text, "  n{index}[\"{}\"]", lines.join("<br/>"));
        }
        for Edge { from, to, label } in &self.edges {
            let arrow = if label.is_empty() { "-->".to_owned() } else { format!("-. {label} .->") };
            let _ = writeln!(text, "  n{from} {arrow} n{to}");
        }
        text
    }

    fn dot(&self) -> String {
        let mut text =
            format!("digraph \"{}\" {{\n  rankdir=LR;\n  node [shape=box];\n", escaped(&self.name, "\\\""));
        for (index, lines) in self.nodes.iter().enumerate() {
            let lines: Vec<String> = lines.iter().map(|line| escaped(line, "\\\"")).collect();
            let _ = writeln!(text, "  n{index} [label=\"{}\"];", lines.join("\\n"));
        }
        for Edge { from, to, label } in &self.edges {
            let style =
                if label.is_empty() { String::new() } else { format!(" [label=\"{label}\", style=dashed]") };
            let _ = writeln!(text, "  n{from} -> n{to}{style};");
        }
        text + "}\n"
    }
}

/// Text for a label: on one line, with this text for a quote, and without markup.
fn escaped(text: &str, quote: &str) -> String {
    printable(text, 200).replace('\\', "/").replace('"', quote).replace(['<', '>'], " ")
}
