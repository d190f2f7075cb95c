//! Nodes of the tree: leaves with the items, inner nodes with what lies between their children.
//!
//! A node is shared by the tree and its snapshots, and copied by the first change after a snapshot
//! ([`own`]). A separator is no item, which would outlive its removal in there, but the shortest
//! bytes that are greater than all keys on its left and not greater than those on its right (prefix
//! B-tree: Bayer and Unterauer, *Prefix B-Trees*, 1977).

use super::sorted::{ENTRIES_MAX, Keyed, Sorted, common_bytes};
use crate::table::Item;
use arrayvec::ArrayVec;
use std::sync::Arc;

/// Below that a node is merged with a neighbour, if both together have less than `MERGED_MAX`: so a
/// node that was split or merged is not merged or split again soon.
const ENTRIES_MIN: usize = ENTRIES_MAX / 4;
const MERGED_MAX: usize = ENTRIES_MAX - ENTRIES_MIN;
/// With less room than that in its neighbours, a leaf is split.
const ROOM_MIN: usize = ENTRIES_MAX / 8;

pub type Leaf = Sorted<Item>;
pub type Children = ArrayVec<Node, { ENTRIES_MAX + 1 }>;

#[derive(Clone)]
pub enum Node {
    Leaf(Arc<Leaf>),
    Inner(Arc<Inner>),
}

/// Invariant: one child more than separators; the keys of a child are less than the separator after
/// it, and not less than the one before it.
#[derive(Clone, Default)]
pub struct Inner {
    separators: Sorted<Separator>,
    pub children: Children,
}

/// Shared, so that a copy of a node makes none of its separators.
#[derive(Clone)]
pub struct Separator(Arc<[u8]>);

impl Keyed for Separator {
    fn key(&self) -> &[u8] {
        &self.0
    }
}

impl Keyed for Item {
    fn key(&self) -> &[u8] {
        Item::key(self)
    }
}

impl Separator {
    fn between(left: &Leaf, right: &Leaf) -> Separator {
        let last = left.entries().last().map_or(&[][..], Item::key);
        let first = right.entries().first().map_or(&[][..], Item::key);
        let end = (common_bytes(last, first) + 1).min(first.len());
        Separator(first.get(..end).unwrap_or_default().into())
    }
}

/// The node to be changed: a copy of it, when others hold it too, whose size is counted.
pub fn own<'a, T: Clone>(node: &'a mut Arc<T>, copied_bytes: &mut u64) -> &'a mut T {
    if Arc::get_mut(node).is_none() {
        *copied_bytes += size_of::<T>() as u64;
    }
    Arc::make_mut(node)
}

impl Default for Node {
    fn default() -> Self {
        Node::Leaf(Arc::default())
    }
}

impl Node {
    /// Has this inner node no room for another child?
    pub fn is_full_inner(&self) -> bool {
        matches!(self, Node::Inner(inner) if inner.separators.is_full())
    }

    /// Of entries or children.
    fn len(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.len(),
            Node::Inner(inner) => inner.children.len(),
        }
    }

    /// Cuts off its greater part, or what is beside the key, when that is at an end: keys that come
    /// in order fill leaves. The node is full.
    fn split(&mut self, key: &[u8], copied_bytes: &mut u64) -> (Separator, Node) {
        match self {
            Node::Leaf(leaf) => {
                let at = match leaf.place(key) {
                    Err(0) => 1,
                    Err(end) if end == leaf.len() => end - 1,
                    _ => leaf.len() / 2,
                };
                let leaf = own(leaf, copied_bytes);
                let right = leaf.split_off(at);
                (Separator::between(leaf, &right), Node::Leaf(Arc::new(right)))
            }
            Node::Inner(inner) => {
                let is_at_end = inner.separators.place(key) == Err(inner.separators.len());
                let (separator, right) = own(inner, copied_bytes).split(is_at_end);
                (separator, Node::Inner(Arc::new(right)))
            }
        }
    }
}

impl Inner {
    /// A node with this child alone.
    pub fn above(child: Node) -> Inner {
        Inner { separators: Sorted::default(), children: std::iter::once(child).collect() }
    }

    /// The number of the child where this key belongs.
    pub fn child_of(&self, key: &[u8]) -> usize {
        match self.separators.place(key) {
            Ok(at) => at + 1,
            Err(at) => at,
        }
    }

    fn split(&mut self, is_at_end: bool) -> (Separator, Inner) {
        let end = self.separators.len().saturating_sub(1);
        let at = if is_at_end { end - 1 } else { end / 2 };
        let separators = self.separators.split_off(at + 1);
        let children = self.children.drain(at + 1..).collect();
        let separator = self.separators.remove(at).unwrap_or_else(|| Separator(Arc::default()));
        (separator, Inner { separators, children })
    }

    /// Splits a child that is full. This node is not.
    pub fn split_child(&mut self, at: usize, key: &[u8], copied_bytes: &mut u64) {
        let Some(child) = self.children.get_mut(at) else { return };
        let (separator, right) = child.split(key, copied_bytes);
        self.separators.insert(at, separator);
        // Not refused: there is room for a separator, and one more for a child.
        let _ = self.children.try_insert(at + 1, right);
    }

    /// Makes room for this key in a leaf that is full: in a neighbour, else in another leaf. This
    /// node is not full.
    pub fn make_room(&mut self, at: usize, key: &[u8], copied_bytes: &mut u64) {
        let room = |at: Option<usize>| match at.and_then(|at| self.children.get(at)) {
            Some(Node::Leaf(leaf)) => ENTRIES_MAX - leaf.len(),
            _ => 0,
        };
        let (left, right) = (room(at.checked_sub(1)), room(Some(at + 1)));
        if left.max(right) <= ROOM_MIN {
            self.split_child(at, key, copied_bytes);
        } else if left >= right {
            self.level(at - 1, copied_bytes);
        } else {
            self.level(at, copied_bytes);
        }
    }

    /// Shares the items of a leaf and the next one among both.
    fn level(&mut self, at: usize, copied_bytes: &mut u64) {
        let Some([Node::Leaf(left), Node::Leaf(right)]) = self.children.get_mut(at..at + 2) else {
            return;
        };
        let (left, right) = (own(left, copied_bytes), own(right, copied_bytes));
        let half = (left.len() + right.len()) / 2;
        if left.len() < half {
            let rest = right.split_off(half - left.len());
            left.append(std::mem::replace(right, rest));
        } else {
            let mut moved = left.split_off(half);
            moved.append(std::mem::take(right));
            *right = moved;
        }
        let separator = Separator::between(left, right);
        self.separators.remove(at);
        self.separators.insert(at, separator);
    }

    /// After items were removed below a child: a child that is empty goes, a small one is merged
    /// with a neighbour if both are small enough.
    pub fn mend(&mut self, at: usize, copied_bytes: &mut u64) {
        let len = |at: usize| self.children.get(at).map(Node::len);
        let Some(own_len) = len(at).filter(|len| *len < ENTRIES_MIN) else { return };
        if own_len == 0 {
            self.separators.remove(at.saturating_sub(1));
            self.children.pop_at(at);
            return;
        }
        let fits = |other: Option<usize>| other.is_some_and(|other| own_len + other <= MERGED_MAX);
        if at > 0 && fits(len(at - 1)) {
            self.merge(at - 1, copied_bytes);
        } else if fits(len(at + 1)) {
            self.merge(at, copied_bytes);
        }
    }

    /// Merges a child with the next one.
    fn merge(&mut self, at: usize, copied_bytes: &mut u64) {
        let (Some(separator), Some(right)) =
            (self.separators.remove(at), self.children.pop_at(at + 1))
        else {
            return;
        };
        match (self.children.get_mut(at), right) {
            (Some(Node::Leaf(left)), Node::Leaf(right)) => {
                own(left, copied_bytes).append(Arc::unwrap_or_clone(right));
            }
            (Some(Node::Inner(left)), Node::Inner(right)) => {
                let (left, mut right) = (own(left, copied_bytes), Arc::unwrap_or_clone(right));
                left.separators.insert(left.separators.len(), separator);
                left.separators.append(right.separators);
                left.children.extend(right.children.drain(..));
            }
            // All children of a node are on one level.
            _ => {}
        }
    }

    #[cfg(test)]
    pub fn separators(&self) -> impl Iterator<Item = &[u8]> {
        self.separators.entries().iter().map(Keyed::key)
    }
}
