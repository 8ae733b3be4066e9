//! Cycles in a directed graph.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Node → the nodes it leads to.
pub type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// The strongly connected components of more than one node: the largest sets in which every node is in a cycle with every other.
pub fn components<'a>(graph: &Graph<'a>) -> Vec<BTreeSet<&'a str>> {
    let mut backward = Graph::new();
    for (from, to) in graph {
        for to in to {
            backward.entry(to).or_default().insert(from);
        }
    }
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for node in graph.keys() {
        if !seen.contains(node) {
            let component: BTreeSet<_> =
                reachable(graph, node).intersection(&reachable(&backward, node)).copied().collect();
            seen.extend(component.iter().copied());
            found.push(component);
        }
    }
    found.retain(|component| component.len() > 1);
    found.sort_by_key(|component| std::cmp::Reverse(component.len()));
    found
}

/// All nodes that a node leads to, and the node itself.
fn reachable<'a>(graph: &Graph<'a>, from: &'a str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::from([from]);
    let mut queue = vec![from];
    while let Some(node) = queue.pop() {
        queue.extend(graph.get(node).into_iter().flatten().copied().filter(|next| seen.insert(next)));
    }
    seen
}

/// The shortest path between two nodes, both included.
pub fn shortest_path<'a>(graph: &Graph<'a>, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut paths = VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::from([from]);
    while let Some(path) = paths.pop_front() {
        let last = *path.last()?;
        if last == to {
            return Some(path);
        }
        for next in graph.get(last).into_iter().flatten().filter(|next| seen.insert(*next)) {
            paths.push_back(path.iter().chain([next]).copied().collect());
        }
    }
    None
}

/// The shortest cycle among some nodes. Its first node is also its last.
pub fn shortest_cycle<'a>(graph: &Graph<'a>, among: &BTreeSet<&'a str>) -> Option<Vec<&'a str>> {
    let edges = among.iter().flat_map(|from| graph.get(from).into_iter().flatten().map(move |to| (*from, *to)));
    let cycles = edges.filter_map(|(from, to)| {
        let back = shortest_path(graph, to, from)?;
        Some([from].into_iter().chain(back).collect::<Vec<_>>())
    });
    cycles.min_by_key(Vec::len)
}

/// A small set of edges without which there is no cycle: the edges that point backward once the nodes are lined up
/// so that few do.
pub fn backward_edges<'a>(graph: &Graph<'a>, prefers: impl Fn(&str, &str) -> bool) -> BTreeSet<(&'a str, &'a str)> {
    let mut removed = BTreeSet::new();
    let mut graph = graph.clone();
    loop {
        let components = components(&graph);
        let Some(component) = components.first() else { break };
        let inner = |from: &'a str| graph[from].iter().copied().filter(|to| component.contains(to));
        let edges: Vec<_> = component.iter().flat_map(|from| inner(from).map(move |to| (*from, to))).collect();
        let preferred: Vec<_> = edges.iter().copied().filter(|(from, to)| prefers(from, to)).collect();
        let candidates = if preferred.is_empty() { &edges } else { &preferred };
        // The edge whose loss leaves the fewest nodes in cycles.
        let inside: Graph = component.iter().map(|from| (*from, inner(from).collect())).collect();
        let best = candidates.iter().copied().min_by_key(|(from, to)| {
            let mut without = inside.clone();
            without.entry(from).or_default().remove(to);
            self::components(&without).iter().map(BTreeSet::len).sum::<usize>()
        });
        let Some((from, to)) = best else { break };
        graph.entry(from).or_default().remove(to);
        removed.insert((from, to));
    }
    // An edge that closes no cycle any more stays.
    for (from, to) in removed.clone() {
        if shortest_path(&graph, to, from).is_none() {
            graph.entry(from).or_default().insert(to);
            removed.remove(&(from, to));
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&'static str, &'static str)]) -> Graph<'static> {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry(from).or_default().insert(to);
        }
        graph
    }

    #[test]
    fn cycles_are_found() {
        let graph =
            graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("b", "a"), ("c", "d"), ("d", "e"), ("e", "d"), ("e", "f")]);
        let components = components(&graph);
        assert_eq!(components, [BTreeSet::from(["a", "b", "c"]), BTreeSet::from(["d", "e"])]);
        assert_eq!(shortest_cycle(&graph, &components[0]).unwrap(), ["a", "b", "a"]);
        assert_eq!(shortest_path(&graph, "a", "f").unwrap(), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(shortest_path(&graph, "f", "a"), None);
    }

    #[test]
    fn without_its_backward_edges_a_graph_has_no_cycle() {
        let graph = graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "b"), ("c", "d")]);
        assert_eq!(backward_edges(&graph, |_, _| false), BTreeSet::from([("b", "c")]));
        assert_eq!(backward_edges(&graph, |_, to| to == "a"), BTreeSet::from([("b", "c")]));
        assert_eq!(backward_edges(&graph, |from, _| from == "c"), BTreeSet::from([("c", "a"), ("c", "b")]));
    }
}
