//! Which transaction must come before which.
//!
//! Nodes are the transactions that have happened, and two kinds of others, which keep the edges
//! few: the *moments* at which transactions returned, a chain in the order of time, from which each
//! transaction is reached that was called later; and for each list its *end*, which all who saw
//! the last version come before, and which all come after who appended what nobody read.

use std::collections::HashMap;
use std::sync::Arc;

use super::Order;
use super::versions::{List, Versions};
use crate::calls::CallId;

/// The order is `None` where an edge goes on from one that has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge<'a> {
    pub to: usize,
    pub order: Option<Order>,
    pub key: Option<&'a Arc<str>>,
}

pub(super) struct Graph<'a> {
    /// The first nodes, by their numbers.
    pub calls: &'a [CallId],
    pub edges: Vec<Vec<Edge<'a>>>,
    numbers: HashMap<CallId, usize>,
}

impl<'a> Graph<'a> {
    pub fn of(versions: &'a Versions<'a>) -> Graph<'a> {
        let calls = &versions.committed;
        let numbers = calls.iter().enumerate().map(|(number, id)| (*id, number)).collect();
        let edges = calls.iter().map(|_| Vec::new()).collect();
        let mut graph = Graph { calls, edges, numbers };
        for (key, list) in &versions.lists {
            graph.add_list(key, list);
        }
        graph.add_time(versions);
        graph
    }

    /// The transaction of a node, if it is one.
    pub fn call(&self, node: usize) -> Option<CallId> {
        self.calls.get(node).copied()
    }

    fn add_list(&mut self, key: &'a Arc<str>, list: &List<'a>) {
        for pair in list.writers.windows(2) {
            if let [before, after] = pair {
                self.link(*before, *after, Order::Ww, key);
            }
        }
        for read in &list.reads {
            let last = read.saw.len().checked_sub(1).and_then(|last| list.writers.get(last));
            last.into_iter().for_each(|writer| self.link(*writer, read.by, Order::Wr, key));
            let next = list.writers.get(read.saw.len());
            next.into_iter().for_each(|next| self.link(read.by, *next, Order::Rw, key));
        }
        self.add_end(key, list);
    }

    /// What nobody read was appended after the last version, in an order that nobody knows.
    fn add_end(&mut self, key: &'a Arc<str>, list: &List<'a>) {
        if list.unread.is_empty() {
            return;
        }
        let end = self.node();
        let unread = list.unread.keys().filter_map(|id| self.numbers.get(id).copied());
        for to in unread.collect::<Vec<_>>() {
            self.add(end, Edge { to, order: None, key: Some(key) });
        }
        if let Some(from) = list.writers.last().and_then(|last| self.numbers.get(last).copied()) {
            self.add(from, Edge { to: end, order: Some(Order::Ww), key: Some(key) });
        }
        let readers = list.reads.iter().filter(|read| read.saw.len() == list.longest.len());
        let (among, others): (Vec<_>, Vec<_>) =
            readers.map(|read| read.by).partition(|id| list.unread.contains_key(id));
        for from in others.iter().filter_map(|id| self.numbers.get(id).copied()).collect::<Vec<_>>()
        {
            self.add(from, Edge { to: end, order: Some(Order::Rw), key: Some(key) });
        }
        // Of those who did both, one comes before all others, and two before each other.
        for reader in among.iter().take(2) {
            for other in list.unread.keys().filter(|other| *other != reader) {
                self.link(*reader, *other, Order::Rw, key);
            }
        }
    }

    fn add_time(&mut self, versions: &Versions<'a>) {
        let call = |id: &CallId| versions.calls.get(*id);
        let returned = |(node, id)| Some((call(id)?.done()?.1, node));
        let mut returns: Vec<(u64, usize)> =
            self.calls.iter().enumerate().filter_map(|(node, id)| returned((node, id))).collect();
        returns.sort_unstable();
        let first = self.edges.len();
        for (place, (_, from)) in returns.iter().enumerate() {
            let moment = self.node();
            self.add(*from, Edge { to: moment, order: Some(Order::Rt), key: None });
            if place > 0 {
                self.add(moment - 1, Edge { to: moment, order: None, key: None });
            }
        }
        for (node, id) in self.calls.iter().enumerate() {
            let Some(called_ns) = call(id).map(|call| call.called_ns) else { continue };
            let before = returns.partition_point(|(at_ns, _)| *at_ns < called_ns);
            if let Some(last) = before.checked_sub(1) {
                self.add(first + last, Edge { to: node, order: None, key: None });
            }
        }
    }

    fn node(&mut self) -> usize {
        self.edges.push(Vec::new());
        self.edges.len() - 1
    }

    fn link(&mut self, from: CallId, to: CallId, order: Order, key: &'a Arc<str>) {
        if let (Some(from), Some(to)) = (self.numbers.get(&from), self.numbers.get(&to))
            && from != to
        {
            self.add(*from, Edge { to: *to, order: Some(order), key: Some(key) });
        }
    }

    fn add(&mut self, from: usize, edge: Edge<'a>) {
        self.edges.get_mut(from).into_iter().for_each(|edges| edges.push(edge));
    }
}
