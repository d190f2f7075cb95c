//! Deferred reclamation: frees nodes that nothing holds any more, a bounded number at a time.
//!
//! A tree of a million entries takes a tenth of a second to free. Whoever lets go of one (the
//! writer that closes a table, a scheduler whose process ends with a scan) adds its root here; the
//! nodes are freed by the next changes, a few with each, and by whoever calls [`Reclaimer::free`]:
//! the owner of the tables does, from a thread that may take its time.

use super::node::{Children, Node};
use ram_threads::sync::Mutex;
use std::fmt;
use std::sync::Arc;

/// Shared by the tables of one owner. What it still has goes with it.
#[derive(Default)]
pub struct Reclaimer {
    /// Held for moments, to add or take.
    nodes: Mutex<Vec<Node>>,
}

impl fmt::Debug for Reclaimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reclaimer")
    }
}

impl Reclaimer {
    /// Lets go of a node: nothing happens if others hold it.
    pub(crate) fn add(&self, node: Node) {
        if let Some(children) = take_apart(node) {
            self.nodes.lock().extend(children);
        }
    }

    /// Frees the items of at most so many leaves. Is there more?
    pub fn free(&self, nodes_max: usize) -> bool {
        for _ in 0..nodes_max {
            let Some(node) = self.nodes.lock().pop() else { return false };
            self.add(node);
        }
        !self.nodes.lock().is_empty()
    }
}

/// The children of an inner node that nobody else holds. A leaf that nobody else holds is freed.
fn take_apart(node: Node) -> Option<Children> {
    match node {
        // One of those who let go of a node at the same time gets it, where two drops would free
        // all that is below in one of them.
        Node::Inner(inner) => Arc::into_inner(inner).map(|inner| inner.children),
        Node::Leaf(_) => None,
    }
}
