//! The formats that a graph is printed in: Graphviz' DOT, and SVG with no script, font or link.

use anyhow::Result;

use super::Graph;
use super::layout::layout;
use crate::cli::GraphFormat;
use crate::report::html;

/// Renders a graph.
pub(crate) fn render(graph: &Graph, format: GraphFormat) -> Result<String> {
    match format {
        GraphFormat::Dot => Ok(dot(graph)),
        GraphFormat::Svg => html::render(include_str!("../../../templates/graph.svg.j2"), &layout(graph)),
    }
}

fn dot(graph: &Graph) -> String {
    let mut lines = vec![
        format!("digraph {} {{", quote(&graph.title)),
        "  rankdir=LR;".to_owned(),
        "  node [shape=box, style=rounded, fontname=monospace];".to_owned(),
    ];
    for (index, node) in graph.nodes.iter().enumerate() {
        let label = [&node.name].into_iter().chain(&node.facts).map(String::as_str).collect::<Vec<_>>().join("\n");
        let attributes = [("class", node.kind.name()), ("label", &label), ("tooltip", &node.tooltip())];
        let attributes = attributes.map(|(name, value)| format!("{name}={}", quote(value)));
        lines.push(format!("  n{index} [{}];", attributes.join(", ")));
    }
    lines.extend(graph.edges.iter().map(|(from, to)| format!("  n{from} -> n{to};")));
    lines.push("}".to_owned());
    lines.join("\n")
}

/// A quoted string (Graphviz' grammar, "ID", and `escString` of its attribute types).
fn quote(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}
