//! A graph of the plan, from cargo processes to tags. Images share nodes for anything that they have in common.

pub(crate) mod formats;
pub(crate) mod from_plan;
pub(crate) mod layout;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use indexmap::IndexSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NodeKind {
    Process,
    Target,
    Binary,
    Base,
    Platform,
    Image,
    Reference,
}

impl NodeKind {
    /// The kinds of nodes in each column of the graph layout, from left to right.
    const COLUMNS: [&[NodeKind]; 6] = [
        &[NodeKind::Process],
        &[NodeKind::Target],
        &[NodeKind::Binary, NodeKind::Base],
        &[NodeKind::Platform],
        &[NodeKind::Image],
        &[NodeKind::Reference],
    ];

    /// Returns the name of the kind, which is also the CSS class of its nodes.
    fn name(self) -> &'static str {
        match self {
            NodeKind::Process => "process",
            NodeKind::Target => "target",
            NodeKind::Binary => "binary",
            NodeKind::Base => "base",
            NodeKind::Platform => "platform",
            NodeKind::Image => "image",
            NodeKind::Reference => "reference",
        }
    }

    /// Returns the heading of the column that contains this kind of node.
    fn heading(self) -> &'static str {
        match self {
            NodeKind::Process => "cargo processes",
            NodeKind::Target => "targets, linkers",
            NodeKind::Binary => "binaries",
            NodeKind::Base => "bases",
            NodeKind::Platform => "platforms",
            NodeKind::Image => "images",
            NodeKind::Reference => "tags",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GraphNode {
    pub kind: NodeKind,
    pub name: String,
    /// Additional lines below the name.
    pub facts: Vec<String>,
    /// The reason for the choice of linker or engine, shown in the tooltip.
    pub why: Option<String>,
}

impl GraphNode {
    /// Returns the tooltip, which contains the node's complete text, because long text is cut off in the box.
    fn tooltip(&self) -> String {
        [&self.name].into_iter().chain(&self.facts).chain(&self.why).cloned().collect::<Vec<_>>().join("\n")
    }
}

/// A directed graph. Each edge points from an input to an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Graph {
    pub title: String,
    /// The nodes in the plan's order.
    pub nodes: Vec<GraphNode>,
    /// The edges, as pairs of indexes into `nodes`: (start, end).
    pub edges: IndexSet<(usize, usize)>,
}
