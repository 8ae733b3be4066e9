//! Tests that graphs share nodes, escape text, and have no overlapping boxes.

use roxmltree::{Document, Node};

use super::{Graph, NodeKind, formats};
use crate::cli::GraphFormat;
use crate::report::samples::{self, SHARED, large};

fn names(graph: &Graph, kind: NodeKind) -> Vec<&str> {
    graph.nodes.iter().filter(|node| node.kind == kind).map(|node| node.name.as_str()).collect()
}

#[test]
fn graph_has_each_shared_node_once() {
    let graph = samples::graph(SHARED);
    let targets = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];
    assert_eq!(names(&graph, NodeKind::Process), ["cargo build"], "{graph:#?}");
    assert_eq!(names(&graph, NodeKind::Target), targets);
    assert_eq!(names(&graph, NodeKind::Binary), ["core", "ctl", "core", "ctl"], "one node per binary and platform");
    assert_eq!(names(&graph, NodeKind::Base), ["busybox:1.37"]);
    assert_eq!(names(&graph, NodeKind::Platform), ["linux/amd64", "linux/arm64", "linux/amd64", "linux/arm64"]);
    assert_eq!(names(&graph, NodeKind::Image), ["core 1.2.3", "ctl 1.2.3"]);
    assert_eq!(names(&graph, NodeKind::Reference).len(), 4);
    for (index, node) in graph.nodes.iter().enumerate() {
        let out = graph.edges.iter().filter(|(from, _)| *from == index).count();
        let expected = match node.kind {
            NodeKind::Process | NodeKind::Base => 2,
            NodeKind::Target => 2,
            NodeKind::Binary if node.name == "ctl" => 2,
            NodeKind::Image => 2,
            NodeKind::Binary | NodeKind::Platform => 1,
            NodeKind::Reference => 0,
        };
        assert_eq!(out, expected, "{node:?}");
    }
}

#[test]
fn graph_edges_point_to_the_next_column() {
    for config in [SHARED, &large(), ""] {
        let graph = samples::graph(config);
        let column = |index: usize| match graph.nodes[index].kind {
            NodeKind::Process => 0,
            NodeKind::Target => 1,
            NodeKind::Binary | NodeKind::Base => 2,
            NodeKind::Platform => 3,
            NodeKind::Image => 4,
            NodeKind::Reference => 5,
        };
        assert!(graph.edges.iter().all(|(from, to)| column(*from) + 1 == column(*to)), "{graph:#?}");
    }
}

#[test]
fn graph_is_rendered_as_dot() {
    let graph = samples::graph_linked_by("platforms = ['linux/amd64']\n[images.core]", "of \"quotes\", \\n and\nlines");
    let expected = r#"digraph "Build plan for core" {
  rankdir=LR;
  node [shape=box, style=rounded, fontname=monospace];
  n0 [class="platform", label="linux/amd64\ntemplate scratch", tooltip="linux/amd64\ntemplate scratch"];
  n1 [class="target", label="x86_64-unknown-linux-musl\nlinux/amd64\nrust-lld", tooltip="x86_64-unknown-linux-musl\nlinux/amd64\nrust-lld\nof \"quotes\", \\n and\nlines"];
  n2 [class="process", label="cargo build\ncore\nprofile release", tooltip="cargo build\ncore\nprofile release"];
  n3 [class="binary", label="core\nlinux/amd64", tooltip="core\nlinux/amd64"];
  n4 [class="image", label="core 1.2.3\nembedded engine", tooltip="core 1.2.3\nembedded engine\nas requested"];
  n5 [class="reference", label="core:1.2.3 (no registry)", tooltip="core:1.2.3 (no registry)"];
  n6 [class="reference", label="core:latest (no registry)", tooltip="core:latest (no registry)"];
  n2 -> n1;
  n1 -> n3;
  n3 -> n0;
  n0 -> n4;
  n4 -> n5;
  n4 -> n6;
}"#;
    assert_eq!(formats::render(&graph, GraphFormat::Dot).unwrap(), expected);
}

/// The left, top, right, and bottom edges of a rectangle.
type Area = (f64, f64, f64, f64);

fn area(rect: Node<'_, '_>) -> Area {
    let [x, y, width, height] =
        ["x", "y", "width", "height"].map(|name| rect.attribute(name).unwrap().parse::<f64>().unwrap());
    (x, y, x + width, y + height)
}

#[test]
fn graph_boxes_do_not_overlap() {
    for config in [SHARED, &large(), "", "platforms = ['linux/amd64']\ntags = ['a', 'b', 'c', 'd', 'e', 'f']"] {
        let graph = samples::graph(config);
        let svg = samples::svg(&graph);
        let document = Document::parse(&svg).unwrap();
        let root = document.root_element();
        let page = (
            0.0,
            0.0,
            root.attribute("width").unwrap().parse().unwrap(),
            root.attribute("height").unwrap().parse().unwrap(),
        );
        let boxes: Vec<_> = root.children().filter(|node| node.tag_name().name() == "g").collect();
        assert_eq!(boxes.len(), graph.nodes.len());
        let areas: Vec<Area> = boxes
            .iter()
            .map(|group| area(group.children().find(|node| node.tag_name().name() == "rect").unwrap()))
            .collect();
        let holds = |outer: Area, inner: Area| {
            outer.0 <= inner.0 && outer.1 <= inner.1 && outer.2 >= inner.2 && outer.3 >= inner.3
        };
        for (index, area) in areas.iter().enumerate() {
            assert!(holds(page, *area), "{area:?} is outside the picture {page:?}");
            for other in &areas[index + 1..] {
                let is_separate = area.2 < other.0 || other.2 < area.0 || area.3 < other.1 || other.3 < area.1;
                assert!(is_separate, "{area:?} overlaps {other:?}");
            }
        }
        for (group, area) in boxes.iter().zip(areas) {
            for text in group.children().filter(|node| node.tag_name().name() == "text") {
                let [x, y] = ["x", "y"].map(|name| text.attribute(name).unwrap().parse::<f64>().unwrap());
                let width = text.text().unwrap().chars().count() as f64 * 7.3;
                assert!(holds(area, (x, y - 10.0, x + width, y + 3.0)), "{text:?} is outside {area:?}");
            }
        }
    }
}

#[test]
fn graph_shows_every_label() {
    let graph = samples::graph_linked_by(SHARED, "<because> of \u{1b}[1m& more");
    let svg = samples::svg(&graph);
    let document = Document::parse(&svg).unwrap();
    let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
    for text in ["ghcr.io/you/core:1.2.3", "busybox:1.37", "rust-lld", "cargo processes", "binaries, bases", "tags"] {
        assert!(texts.contains(&text), "{text} not in {texts:#?}");
    }
    assert!(texts.iter().any(|text| text.ends_with("\n<because> of \u{fffd}[1m& more")), "{texts:#?}");
    let svg = samples::svg(&samples::graph(&large()));
    let tag = format!("a-very-long-tag-{}", "x".repeat(90));
    assert!(!svg.contains(&format!(">{tag}<")) && svg.contains(&tag), "only the tooltip contains the full name");
}
