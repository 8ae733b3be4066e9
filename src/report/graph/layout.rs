//! Where everything of a graph is in a picture: fixed columns from left to right. Platforms stand as the plan has them; in
//! the other columns every box is as near as can be to the middle of what it is connected with. Pure.
//!
//! A general layout finds the columns that are known here, and no published one of this size wraps text or measures it
//! by a font that every reader has.

use serde::Serialize;

use super::formats::tooltip;
use super::{Graph, GraphNode, Kind};
use crate::finding::printable;
use crate::report::html::{width, wrap};

/// Of a character of the font, with some room for wider ones than usual, and of a line.
const ADVANCE: f64 = 7.5;
const LINE: f64 = 16.0;
const PADDING: f64 = 9.0;
/// Between boxes and between columns, where many edges want more; around all.
const GAP: f64 = 12.0;
const AISLE: f64 = 40.0;
const WIDEST_AISLE: f64 = 200.0;
/// Of an aisle's width for an edge.
const LANE: f64 = 2.5;
const MARGIN: f64 = 16.0;
/// The room of the headings.
const TOP: f64 = 40.0;
/// Characters of a line, and lines of a name or a fact.
const WIDEST: usize = 30;
const MOST_LINES: usize = 3;

#[derive(Debug, Serialize)]
pub struct Picture {
    pub title: String,
    pub width: f64,
    pub height: f64,
    pub headings: Vec<Text>,
    /// The paths of the edges, in SVG's words.
    pub edges: Vec<String>,
    pub boxes: Vec<Placed>,
}

#[derive(Debug, Serialize)]
pub struct Placed {
    pub kind: &'static str,
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    pub texts: Vec<Text>,
    /// All of it, where it was too long.
    pub full: String,
}

#[derive(Debug, Serialize)]
pub struct Text {
    pub x: f64,
    /// Of its base line.
    pub y: f64,
    pub text: String,
    /// The name, and no fact.
    pub is_name: bool,
}

/// A column: its nodes from top to bottom.
struct Column {
    heading: String,
    nodes: Vec<usize>,
    x: f64,
    width: f64,
}

pub fn layout(graph: &Graph) -> Picture {
    let lines: Vec<Vec<(String, bool)>> = graph.nodes.iter().map(lines).collect();
    let heights: Vec<f64> = lines.iter().map(|lines| lines.len() as f64 * LINE + 2.0 * PADDING).collect();
    let mut columns = columns(graph, &lines);
    let tops = tops(graph, &mut columns, &heights);

    let mut places = vec![(0.0, 0.0); graph.nodes.len()];
    for column in &columns {
        column.nodes.iter().for_each(|index| places[*index] = (column.x, column.width));
    }
    let boxes = graph.nodes.iter().enumerate().map(|(index, node)| {
        let ((x, width), y) = (places[index], tops[index]);
        let text = |(line, (text, is_name)): (usize, &(String, bool))| Text {
            x: x + PADDING,
            y: y + PADDING + (line as f64 + 0.75) * LINE,
            text: text.clone(),
            is_name: *is_name,
        };
        let texts = lines[index].iter().enumerate().map(text).collect();
        let full = tooltip(node).lines().map(printable).collect::<Vec<_>>().join("\n");
        Placed { kind: node.kind.word(), x, y, width, height: heights[index], texts, full }
    });
    let boxes: Vec<Placed> = boxes.collect();
    let edges = graph.edges.iter().map(|(from, to)| edge(&boxes[*from], &boxes[*to])).collect();
    let heading = |column: &Column| Text { x: column.x, y: 26.0, text: column.heading.clone(), is_name: false };
    Picture {
        title: printable(&graph.title),
        width: columns.last().map_or(0.0, |last| last.x + last.width) + MARGIN,
        height: boxes.iter().map(|of| of.y + of.height).fold(TOP, f64::max) + MARGIN,
        headings: columns.iter().map(heading).collect(),
        edges,
        boxes,
    }
}

/// The lines of a node, and whether each is of its name.
fn lines(node: &GraphNode) -> Vec<(String, bool)> {
    let wrapped = |text: &String, is_name: bool| {
        wrap(&printable(text), WIDEST, MOST_LINES).into_iter().map(move |line| (line, is_name)).collect::<Vec<_>>()
    };
    wrapped(&node.name, true).into_iter().chain(node.facts.iter().flat_map(|fact| wrapped(fact, false))).collect()
}

/// The columns that have something in them, each as wide as its longest line.
fn columns(graph: &Graph, lines: &[Vec<(String, bool)>]) -> Vec<Column> {
    let mut x = MARGIN;
    let mut columns = Vec::new();
    for kinds in Kind::COLUMNS {
        let of = |kind: &Kind| -> Vec<usize> {
            (0..graph.nodes.len()).filter(|index| graph.nodes[*index].kind == *kind).collect()
        };
        let nodes: Vec<usize> = kinds.iter().flat_map(of).collect();
        let there: Vec<&str> = kinds.iter().filter(|kind| !of(kind).is_empty()).map(|kind| kind.heading()).collect();
        let heading = there.join(", ");
        let texts = nodes.iter().flat_map(|index| &lines[*index]).map(|(text, _)| width(text));
        let longest = texts.chain([width(&heading)]).max().unwrap_or(0);
        let width = longest as f64 * ADVANCE + 2.0 * PADDING;
        if !nodes.is_empty() {
            let edges = graph.edges.iter().filter(|(from, _)| nodes.contains(from)).count();
            columns.push(Column { heading, nodes, x, width });
            x += width + (edges as f64 * LANE).clamp(AISLE, WIDEST_AISLE);
        }
    }
    columns
}

/// The upper edge of every node; the nodes of the columns are put in the order in which they stand.
fn tops(graph: &Graph, columns: &mut [Column], heights: &[f64]) -> Vec<f64> {
    let mut centers = vec![0.0; graph.nodes.len()];
    let Some(first) = columns.iter().position(|column| graph.nodes[column.nodes[0]].kind == Kind::Platform) else {
        return Vec::new();
    };
    let mut y = 0.0;
    for index in &columns[first].nodes {
        centers[*index] = y + heights[*index] / 2.0;
        y += heights[*index] + GAP;
    }
    let (left, right) = columns.split_at_mut(first);
    let leftwards = left.iter_mut().rev().map(|column| (column, true));
    let rightwards = right.iter_mut().skip(1).map(|column| (column, false));
    for (column, leftwards) in leftwards.chain(rightwards) {
        let wanted = |index: usize| {
            let connected: Vec<f64> = graph
                .edges
                .iter()
                .filter_map(|(from, to)| match leftwards {
                    true => (*from == index).then(|| centers[*to]),
                    false => (*to == index).then(|| centers[*from]),
                })
                .collect();
            connected.iter().sum::<f64>() / connected.len().max(1) as f64
        };
        let mut wanted: Vec<(usize, f64)> = column.nodes.iter().map(|index| (*index, wanted(*index))).collect();
        wanted.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        column.nodes = wanted.iter().map(|(index, _)| *index).collect();
        let sizes: Vec<(f64, f64)> = wanted.iter().map(|(index, center)| (*center, heights[*index])).collect();
        for (index, center) in column.nodes.iter().zip(spread(&sizes)) {
            centers[*index] = center;
        }
    }
    let tops: Vec<f64> = centers.iter().zip(heights).map(|(center, height)| center - height / 2.0).collect();
    let highest = tops.iter().copied().fold(f64::INFINITY, f64::min);
    tops.iter().map(|top| (top - highest + TOP).round()).collect()
}

/// The centers of boxes under each other, each as near to the one it wants as the others let it: those that would overlap
/// are pushed together, and share what they are off.
fn spread(wanted: &[(f64, f64)]) -> Vec<f64> {
    // Of boxes that touch: the place of the first one's upper edge that each would like best, and all their height.
    let mut blocks: Vec<(Vec<f64>, f64)> = Vec::new();
    for (center, height) in wanted {
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
            let height = wanted[centers.len()].1;
            centers.push(top + height / 2.0);
            top += height + GAP;
        }
    }
    centers
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// From the right side of one box to the left side of another.
fn edge(from: &Placed, to: &Placed) -> String {
    let (x1, y1) = (from.x + from.width, (from.y + from.height / 2.0).round());
    let (x2, y2) = (to.x, (to.y + to.height / 2.0).round());
    let middle = ((x1 + x2) / 2.0).round();
    // The head of the arrow is in the last pixels.
    format!("M{x1} {y1}C{middle} {y1} {middle} {y2} {} {y2}", x2 - 6.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_that_want_one_place_share_it() {
        for (why, wanted, expected) in [
            ("alone", &[(50.0, 20.0)][..], &[50.0][..]),
            ("enough room", &[(50.0, 20.0), (150.0, 20.0)], &[50.0, 150.0]),
            ("the same place", &[(50.0, 20.0), (50.0, 20.0)], &[34.0, 66.0]),
            ("one pushes two", &[(0.0, 20.0), (20.0, 20.0), (40.0, 20.0)], &[-12.0, 20.0, 52.0]),
            ("unlike heights", &[(50.0, 20.0), (50.0, 60.0)], &[24.0, 76.0]),
        ] {
            assert_eq!(spread(wanted), expected, "{why}");
        }
    }
}
