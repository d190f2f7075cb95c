//! A shortest cycle of the gravest kind: Tarjan's strongly connected components ("Depth-First
//! Search and Linear Graph Algorithms", 1972), then a search in breadth from their transactions.
//!
//! The fewer kinds of edges a cycle needs, the graver it is. One without *rt* edges shows that the
//! transactions are not even serializable.

use std::collections::{HashMap, HashSet, VecDeque};

use super::graph::{Edge, Graph};
use super::{Anomaly, Link, Order};

/// From how many transactions a shortest cycle is looked for.
const STARTS_MAX: usize = 200;

/// A cycle of so many transactions is shown, whatever its kind.
const SHOWN_MAX: usize = 6;

/// `None`: there is none.
pub(super) fn find(graph: &Graph<'_>) -> Option<Anomaly> {
    components(graph, Order::Rt).first()?;
    let kinds = [Order::Ww, Order::Wr, Order::Rw, Order::Rt];
    let gravest = kinds.into_iter().find_map(|most| shortest(graph, most))?;
    let name = name(&gravest);
    let is_long = gravest.len() > SHOWN_MAX;
    let links = if is_long { shortest(graph, Order::Rt)? } else { gravest };
    Some(Anomaly::Cycle { name, links })
}

/// By Adya's classes; `realtime` where the transactions may be serializable, but not strictly.
fn name(links: &[Link]) -> &'static str {
    let count = |order| links.iter().filter(|link| link.order == order).count();
    match (count(Order::Rt), count(Order::Rw), count(Order::Wr)) {
        (0, 0, 0) => "write_cycle (G0)",
        (0, 0, _) => "circular_information_flow (G1c)",
        (0, 1, _) => "anti_dependency_cycle (G-single)",
        (0, _, _) => "anti_dependency_cycle (G2)",
        _ => "realtime_cycle",
    }
}

fn shortest(graph: &Graph<'_>, most: Order) -> Option<Vec<Link>> {
    let component = components(graph, most).into_iter().min_by_key(Vec::len)?;
    let inside: HashSet<usize> = component.iter().copied().collect();
    let starts = component.iter().filter(|node| graph.call(**node).is_some());
    let cycles = starts.take(STARTS_MAX).filter_map(|start| {
        let path = shortest_through(graph, most, *start, &inside)?;
        Some(path.into_iter().filter_map(|(from, edge)| link(graph, from, edge)).collect())
    });
    cycles.min_by_key(Vec::len)
}

/// Only transactions have edges with an order, so what lies between two of them is left out.
fn link(graph: &Graph<'_>, from: usize, edge: &Edge<'_>) -> Option<Link> {
    Some(Link { call: graph.call(from)?, order: edge.order?, key: edge.key.cloned() })
}

fn followed<'g, 'a>(
    graph: &'g Graph<'a>,
    node: usize,
    most: Order,
) -> impl Iterator<Item = &'g Edge<'a>> {
    let edges = graph.edges.get(node).map(Vec::as_slice).unwrap_or_default();
    edges.iter().filter(move |edge| edge.order.is_none_or(|order| order <= most))
}

/// The edges of a cycle through a node with the fewest transactions, each with its beginning.
fn shortest_through<'g, 'a>(
    graph: &'g Graph<'a>,
    most: Order,
    start: usize,
    inside: &HashSet<usize>,
) -> Option<Vec<(usize, &'g Edge<'a>)>> {
    // How far each node is, and the edge by which that is so. The start is reached at the end.
    let mut reached: HashMap<usize, (usize, usize, &Edge<'a>)> = HashMap::new();
    let mut queue = VecDeque::from([(start, 0)]);
    while let Some((node, far)) = queue.pop_front() {
        if reached.get(&start).is_some_and(|(end, ..)| *end <= far) {
            break;
        }
        for edge in followed(graph, node, most).filter(|edge| inside.contains(&edge.to)) {
            let further = far + usize::from(edge.order.is_some());
            if reached.get(&edge.to).is_some_and(|(known, ..)| *known <= further) {
                continue;
            }
            reached.insert(edge.to, (further, node, edge));
            // What goes on from an edge is no further.
            match edge.order {
                Some(_) => queue.push_back((edge.to, further)),
                None => queue.push_front((edge.to, further)),
            }
        }
    }
    let mut path = Vec::new();
    let mut node = start;
    loop {
        let (_, from, edge) = *reached.get(&node)?;
        path.push((from, edge));
        node = from;
        if node == start {
            path.reverse();
            return Some(path);
        }
    }
}

const UNSEEN: usize = usize::MAX;

/// Tarjan's search without recursion.
struct Search {
    /// When each node was seen first.
    seen: Vec<usize>,
    /// The earliest node on the stack that is known to be reached from it.
    low: Vec<usize>,
    is_stacked: Vec<bool>,
    stack: Vec<usize>,
    count: usize,
    found: Vec<Vec<usize>>,
}

/// The components of more than one node.
fn components(graph: &Graph<'_>, most: Order) -> Vec<Vec<usize>> {
    let nodes = graph.edges.len();
    let mut search = Search {
        seen: vec![UNSEEN; nodes],
        low: vec![UNSEEN; nodes],
        is_stacked: vec![false; nodes],
        stack: Vec::new(),
        count: 0,
        found: Vec::new(),
    };
    for root in 0..nodes {
        if at(&search.seen, root) == UNSEEN {
            search.from(graph, most, root);
        }
    }
    search.found
}

impl Search {
    fn from(&mut self, graph: &Graph<'_>, most: Order, root: usize) {
        // Each node with the edges that are still to be followed.
        let mut path = vec![(root, followed(graph, root, most))];
        self.enter(root);
        while let Some((node, edges)) = path.last_mut() {
            let node = *node;
            let Some(edge) = edges.next() else {
                path.pop();
                self.leave(node);
                if let Some((parent, _)) = path.last() {
                    self.lower(*parent, at(&self.low, node));
                }
                continue;
            };
            if at(&self.seen, edge.to) == UNSEEN {
                self.enter(edge.to);
                path.push((edge.to, followed(graph, edge.to, most)));
            } else if self.is_stacked.get(edge.to).copied().unwrap_or_default() {
                self.lower(node, at(&self.seen, edge.to));
            }
        }
    }

    fn enter(&mut self, node: usize) {
        set(&mut self.seen, node, self.count);
        set(&mut self.low, node, self.count);
        set(&mut self.is_stacked, node, true);
        self.stack.push(node);
        self.count += 1;
    }

    fn lower(&mut self, node: usize, to: usize) {
        let low = at(&self.low, node).min(to);
        set(&mut self.low, node, low);
    }

    /// All that was reached from it is known: if nothing earlier was, what is stacked from it on is
    /// a component.
    fn leave(&mut self, node: usize) {
        if at(&self.low, node) != at(&self.seen, node) {
            return;
        }
        let start = self.stack.iter().rposition(|stacked| *stacked == node).unwrap_or_default();
        let component = self.stack.split_off(start);
        component.iter().for_each(|node| set(&mut self.is_stacked, *node, false));
        if component.len() > 1 {
            self.found.push(component);
        }
    }
}

fn at(numbers: &[usize], node: usize) -> usize {
    numbers.get(node).copied().unwrap_or(UNSEEN)
}

fn set<T>(values: &mut [T], node: usize, value: T) {
    if let Some(known) = values.get_mut(node) {
        *known = value;
    }
}
