//! Deferred reclamation: frees what nothing holds any more, a part at a time.
//!
//! A million items take a tenth of a second to free. Whoever lets go of them (the writer that
//! replaces a table, a scheduler whose process ends with a scan) gives them to the reclaimer. They
//! are freed by the next changes, a part with each, and by whoever calls [`Reclaimer::free`]: the
//! owner of the tables does, on a thread that may take its time.

use ram_threads::sync::Mutex;
use std::fmt;
use std::sync::Arc;

use super::item::Item;
use super::ordered::node::{Children, Node};
use super::shards::{All, Shard};

/// Shared by the tables of one owner. What it still has goes with it.
#[derive(Default)]
pub struct Reclaimer {
    /// Held for moments, to add or take.
    garbage: Mutex<Vec<Garbage>>,
}

type Shards = Box<dyn Iterator<Item = Shard<Item>> + Send>;

enum Garbage {
    /// A map of which snapshots have ended.
    Unswept(All<Item>),
    /// What is left of a map.
    Shards(Shards),
    /// Of a tree.
    Node(Node),
}

impl fmt::Debug for Reclaimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reclaimer")
    }
}

impl Reclaimer {
    /// Takes a map of which a snapshot has ended: to sweep it, and to free it if it is nobody's.
    pub(crate) fn add_map(&self, map: All<Item>) {
        self.garbage.lock().push(Garbage::Unswept(map));
    }

    /// Lets go of a node: nothing happens if others hold it.
    pub(crate) fn add(&self, node: Node) {
        if let Some(children) = take_apart(node) {
            self.garbage.lock().extend(children.into_iter().map(Garbage::Node));
        }
    }

    /// Frees so many parts, each a leaf of a tree or what a shard of a hash table has. Is there
    /// more?
    pub fn free(&self, parts: usize) -> bool {
        for _ in 0..parts {
            let next = self.garbage.lock().pop();
            match next {
                None => return false,
                Some(Garbage::Node(node)) => self.add(node),
                Some(Garbage::Shards(shards)) => self.free_shard(shards),
                Some(Garbage::Unswept(map)) => self.sweep(map),
            }
        }
        !self.garbage.lock().is_empty()
    }

    fn free_shard(&self, mut shards: Shards) {
        if shards.next().is_some() {
            self.garbage.lock().push(Garbage::Shards(shards));
        }
    }

    fn sweep(&self, map: All<Item>) {
        let swept = map.snapshots().and_then(|snapshots| snapshots.lock().sweep(&map));
        let rest = match swept {
            Some(_) => Some(Garbage::Unswept(map)),
            None => map.into_shards().map(|shards| Garbage::Shards(Box::new(shards))),
        };
        self.garbage.lock().extend(rest);
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
