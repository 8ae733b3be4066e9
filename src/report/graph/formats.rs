//! Renders a graph as Graphviz DOT, or as an SVG image without scripts, fonts, or links.

use anyhow::Result;

use super::Graph;
use super::layout::layout;
use crate::cli::GraphFormat;
use crate::report::html;

/// Renders a graph in the given format.
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

/// Quotes a string for DOT (Graphviz documentation: "ID" in the grammar, `escString` in the attribute types).
fn quote(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}
