//! The plan as a graph: what goes into what, from cargo's processes to the tags. Whatever is shared is one node.

pub(crate) mod formats;
pub(crate) mod from_plan;
pub(crate) mod layout;
pub(crate) mod text;

#[cfg(test)]
mod tests;

use indexmap::IndexSet;

/// What a node stands for.
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
    /// The columns of a picture, from left to right.
    const COLUMNS: [&[NodeKind]; 6] = [
        &[NodeKind::Process],
        &[NodeKind::Target],
        &[NodeKind::Binary, NodeKind::Base],
        &[NodeKind::Platform],
        &[NodeKind::Image],
        &[NodeKind::Reference],
    ];

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

    /// The heading of a column.
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
    /// Further lines below the name.
    pub facts: Vec<String>,
    /// The reason for a choice, shown in the tooltip.
    pub why: Option<String>,
}

impl GraphNode {
    /// Returns everything that is known about a node, however little of it a picture has room for.
    fn tooltip(&self) -> String {
        [&self.name].into_iter().chain(&self.facts).chain(&self.why).cloned().collect::<Vec<_>>().join("\n")
    }
}

/// A directed graph: each edge leads from a part to what is made from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Graph {
    pub title: String,
    /// In the plan's order.
    pub nodes: Vec<GraphNode>,
    /// Pairs of indexes into `nodes`: from, to.
    pub edges: IndexSet<(usize, usize)>,
}
