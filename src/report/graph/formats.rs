//! A graph in Graphviz' language. Pure.

use super::{Graph, GraphNode};

impl Graph {
    /// DOT, for `dot -Tsvg` and whatever else reads it.
    pub fn dot(&self) -> String {
        let mut lines = vec![
            format!("digraph {} {{", quoted(&self.title)),
            "  rankdir=LR;".to_owned(),
            "  node [shape=box, style=rounded, fontname=monospace];".to_owned(),
        ];
        for (index, node) in self.nodes.iter().enumerate() {
            let label = [&node.name].into_iter().chain(&node.facts).map(String::as_str).collect::<Vec<_>>();
            let attributes = [("class", node.kind.word()), ("label", &label.join("\n")), ("tooltip", &tooltip(node))];
            let attributes = attributes.map(|(name, value)| format!("{name}={}", quoted(value)));
            lines.push(format!("  n{index} [{}];", attributes.join(", ")));
        }
        lines.extend(self.edges.iter().map(|(from, to)| format!("  n{from} -> n{to};")));
        lines.push("}".to_owned());
        lines.join("\n")
    }
}

/// All that is known of a node, whatever of it a picture has room for.
pub fn tooltip(node: &GraphNode) -> String {
    [&node.name].into_iter().chain(&node.facts).chain(&node.why).cloned().collect::<Vec<_>>().join("\n")
}

/// A string in quotes (the language's grammar, "ID", and escString of its attribute types).
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}
