//! Computes the positions of boxes and edges for drawing a graph. The columns are fixed. Platforms are in the plan's
//! order; in the other columns, each box is placed as close as possible to the center of the boxes that it is connected
//! to.
//!
//! Does not use an existing layout crate, because those choose the columns themselves and do not wrap text.

use serde::Serialize;

use super::text::wrap;
use super::{Graph, GraphNode, NodeKind};
use crate::finding::printable;
use crate::ui::text::display_width;

/// The width of a character, with a margin for wide fonts.
const CHAR_WIDTH: f64 = 7.5;
const LINE_HEIGHT: f64 = 16.0;
const PADDING: f64 = 9.0;
/// The vertical space between the boxes of a column.
const GAP: f64 = 12.0;
/// The minimum space between two columns. The actual space grows with the number of edges between them.
const MIN_AISLE: f64 = 40.0;
const MAX_AISLE: f64 = 200.0;
const AISLE_PER_EDGE: f64 = 2.5;
const MARGIN: f64 = 16.0;
/// The top edge of the first box, below the headings.
const TOP: f64 = 40.0;
const HEADING_BASELINE: f64 = 26.0;
/// The maximum width of a line, in characters.
const MAX_COLUMNS: usize = 30;
/// The maximum number of lines for a name or a fact.
const MAX_LINES: usize = 3;

/// The data for the SVG template.
#[derive(Debug, Serialize)]
pub(crate) struct Picture {
    title: String,
    width: f64,
    height: f64,
    headings: Vec<TextLine>,
    /// The edges as SVG path data.
    edges: Vec<String>,
    boxes: Vec<NodeBox>,
}

#[derive(Debug, Serialize)]
struct NodeBox {
    kind: &'static str,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    lines: Vec<TextLine>,
    tooltip: String,
}

#[derive(Debug, Serialize)]
struct TextLine {
    x: f64,
    /// The y coordinate of the baseline.
    y: f64,
    text: String,
    /// Whether the line is part of the node's name rather than of a fact.
    is_name: bool,
}

/// A wrapped line of a node's text, before it is positioned.
struct NodeLine {
    text: String,
    is_name: bool,
}

/// A column of the graph layout.
struct Column {
    heading: String,
    /// Indexes of the nodes, from top to bottom.
    nodes: Vec<usize>,
    x: f64,
    width: f64,
}

/// Computes the layout of a graph: the positions of all boxes, edges, and lines of text.
pub(crate) fn layout(graph: &Graph) -> Picture {
    let lines: Vec<Vec<NodeLine>> = graph.nodes.iter().map(node_lines).collect();
    let heights: Vec<f64> = lines.iter().map(|lines| lines.len() as f64 * LINE_HEIGHT + 2.0 * PADDING).collect();
    let mut columns = columns(graph, &lines);
    let tops = tops(graph, &mut columns, &heights);

    let mut horizontal = vec![(0.0, 0.0); graph.nodes.len()];
    for column in &columns {
        for node in &column.nodes {
            horizontal[*node] = (column.x, column.width);
        }
    }
    let mut boxes = Vec::new();
    for (index, (node, lines)) in graph.nodes.iter().zip(lines).enumerate() {
        let ((x, width), y) = (horizontal[index], tops[index]);
        let kind = node.kind.name();
        let tooltip = node.tooltip().lines().map(printable).collect::<Vec<_>>().join("\n");
        boxes.push(NodeBox { kind, x, y, width, height: heights[index], lines: place_lines(lines, x, y), tooltip });
    }
    let heading =
        |column: &Column| TextLine { x: column.x, y: HEADING_BASELINE, text: column.heading.clone(), is_name: false };
    Picture {
        title: printable(&graph.title),
        width: columns.last().map_or(0.0, |last| last.x + last.width) + MARGIN,
        height: boxes.iter().map(|node_box| node_box.y + node_box.height).fold(TOP, f64::max) + MARGIN,
        headings: columns.iter().map(heading).collect(),
        edges: graph.edges.iter().map(|(from, to)| edge_path(&boxes[*from], &boxes[*to])).collect(),
        boxes,
    }
}

/// Returns the wrapped name and facts of a node.
fn node_lines(node: &GraphNode) -> Vec<NodeLine> {
    let wrapped = |text: &String, is_name: bool| {
        let lines = wrap(&printable(text), MAX_COLUMNS, MAX_LINES);
        lines.into_iter().map(move |text| NodeLine { text, is_name })
    };
    wrapped(&node.name, true).chain(node.facts.iter().flat_map(|fact| wrapped(fact, false))).collect()
}

/// Positions the lines of a box whose top left corner is at (`x`, `y`).
fn place_lines(lines: Vec<NodeLine>, x: f64, y: f64) -> Vec<TextLine> {
    let line = |(number, NodeLine { text, is_name })| {
        let baseline = y + PADDING + (number as f64 + 0.75) * LINE_HEIGHT;
        TextLine { x: x + PADDING, y: baseline, text, is_name }
    };
    lines.into_iter().enumerate().map(line).collect()
}

/// Returns all non-empty columns, each as wide as its longest line.
fn columns(graph: &Graph, lines: &[Vec<NodeLine>]) -> Vec<Column> {
    let mut x = MARGIN;
    let mut columns = Vec::new();
    for kinds in NodeKind::COLUMNS {
        let nodes_of = |kind: &NodeKind| -> Vec<usize> {
            (0..graph.nodes.len()).filter(|index| graph.nodes[*index].kind == *kind).collect()
        };
        let nodes: Vec<usize> = kinds.iter().flat_map(nodes_of).collect();
        if nodes.is_empty() {
            continue;
        }
        let present = kinds.iter().filter(|kind| !nodes_of(kind).is_empty());
        let heading = present.map(|kind| kind.heading()).collect::<Vec<_>>().join(", ");
        let line_widths = nodes.iter().flat_map(|index| &lines[*index]).map(|line| display_width(&line.text));
        let longest = line_widths.chain([display_width(&heading)]).max().unwrap_or(0);
        let width = longest as f64 * CHAR_WIDTH + 2.0 * PADDING;
        let edges = graph.edges.iter().filter(|(from, _)| nodes.contains(from)).count();
        columns.push(Column { heading, nodes, x, width });
        x += width + (edges as f64 * AISLE_PER_EDGE).clamp(MIN_AISLE, MAX_AISLE);
    }
    columns
}

/// Returns the top edge of every node, and sorts the nodes of each column from top to bottom.
fn tops(graph: &Graph, columns: &mut [Column], heights: &[f64]) -> Vec<f64> {
    let mut centers = vec![0.0; graph.nodes.len()];
    let is_platforms = |column: &Column| graph.nodes[column.nodes[0]].kind == NodeKind::Platform;
    let Some(platforms) = columns.iter().position(is_platforms) else { return Vec::new() };
    let mut y = 0.0;
    for index in &columns[platforms].nodes {
        centers[*index] = y + heights[*index] / 2.0;
        y += heights[*index] + GAP;
    }
    // Work outward from the platforms, so that each column is placed after its neighbor.
    for column in columns[..platforms].iter_mut().rev() {
        let neighbors = |index| graph.edges.iter().filter(move |(from, _)| *from == index).map(|(_, to)| *to);
        place_column(column, neighbors, &mut centers, heights);
    }
    for column in &mut columns[platforms + 1..] {
        let neighbors = |index| graph.edges.iter().filter(move |(_, to)| *to == index).map(|(from, _)| *from);
        place_column(column, neighbors, &mut centers, heights);
    }
    let tops: Vec<f64> = centers.iter().zip(heights).map(|(center, height)| center - height / 2.0).collect();
    let highest = tops.iter().copied().fold(f64::INFINITY, f64::min);
    tops.iter().map(|top| (top - highest + TOP).round()).collect()
}

/// Places each node of a column as close as possible to the center of its neighbors.
fn place_column<I: Iterator<Item = usize>>(
    column: &mut Column,
    neighbors: impl Fn(usize) -> I,
    centers: &mut [f64],
    heights: &[f64],
) {
    let center_of_neighbors = |index: &usize| {
        let connected: Vec<f64> = neighbors(*index).map(|neighbor| centers[neighbor]).collect();
        connected.iter().sum::<f64>() / connected.len().max(1) as f64
    };
    let mut preferred: Vec<(usize, f64)> =
        column.nodes.iter().map(|index| (*index, center_of_neighbors(index))).collect();
    preferred.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let boxes: Vec<(f64, f64)> = preferred.iter().map(|(index, center)| (*center, heights[*index])).collect();
    column.nodes = preferred.iter().map(|(index, _)| *index).collect();
    for (index, center) in column.nodes.iter().zip(spread(&boxes)) {
        centers[*index] = center;
    }
}

/// Returns centers at which the boxes do not overlap, given the preferred center and the height of each box. Boxes that
/// would overlap are stacked at the position with the smallest mean offset from their preferred centers.
fn spread(boxes: &[(f64, f64)]) -> Vec<f64> {
    // Each block is a stack of boxes. The list contains, for each box, the top edge of the block that would put the box
    // at its preferred position. The number is the block's height.
    let mut blocks: Vec<(Vec<f64>, f64)> = Vec::new();
    for (center, height) in boxes {
        let mut block = (vec![center - height / 2.0], height + GAP);
        while let Some((last, length)) = blocks.pop_if(|(last, length)| mean(last) + *length > mean(&block.0)) {
            let shifted = block.0.iter().map(|top| top - length);
            block = (last.into_iter().chain(shifted).collect(), length + block.1);
        }
        blocks.push(block);
    }
    let mut centers = Vec::new();
    for (tops, _) in blocks {
        let mut top = mean(&tops);
        for _ in tops {
            let height = boxes[centers.len()].1;
            centers.push(top + height / 2.0);
            top += height + GAP;
        }
    }
    centers
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Returns the path from the right side of one box to the left side of another.
fn edge_path(from: &NodeBox, to: &NodeBox) -> String {
    let (x1, y1) = (from.x + from.width, (from.y + from.height / 2.0).round());
    let (x2, y2) = (to.x, (to.y + to.height / 2.0).round());
    let middle = ((x1 + x2) / 2.0).round();
    // Leave room for the arrowhead.
    format!("M{x1} {y1}C{middle} {y1} {middle} {y2} {} {y2}", x2 - 6.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_separates_overlapping_boxes() {
        for (case, boxes, expected) in [
            ("single box", &[(50.0, 20.0)][..], &[50.0][..]),
            ("enough room", &[(50.0, 20.0), (150.0, 20.0)], &[50.0, 150.0]),
            ("same position", &[(50.0, 20.0), (50.0, 20.0)], &[34.0, 66.0]),
            ("one box pushes two", &[(0.0, 20.0), (20.0, 20.0), (40.0, 20.0)], &[-12.0, 20.0, 52.0]),
            ("different heights", &[(50.0, 20.0), (50.0, 60.0)], &[24.0, 76.0]),
        ] {
            assert_eq!(spread(boxes), expected, "{case}");
        }
    }
}
