//! Finds cycles in a directed graph.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The nodes of a graph, each with the targets of its edges.
pub type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Returns the strongly connected components that have more than one node, largest first.
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

/// Returns all nodes that are reachable from a node, including the node itself.
fn reachable<'a>(graph: &Graph<'a>, from: &'a str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::from([from]);
    let mut queue = vec![from];
    while let Some(node) = queue.pop() {
        queue.extend(graph.get(node).into_iter().flatten().copied().filter(|next| seen.insert(next)));
    }
    seen
}

/// Returns the shortest path between two nodes, including both.
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

/// Returns the shortest cycle that starts at a node in `among`. Its first node is repeated at the end.
pub fn shortest_cycle<'a>(graph: &Graph<'a>, among: &BTreeSet<&'a str>) -> Option<Vec<&'a str>> {
    let edges = among.iter().flat_map(|from| graph.get(from).into_iter().flatten().map(move |to| (*from, *to)));
    let cycles = edges.filter_map(|(from, to)| {
        let back = shortest_path(graph, to, from)?;
        Some([from].into_iter().chain(back).collect::<Vec<_>>())
    });
    cycles.min_by_key(Vec::len)
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
}
