//! A persistent B+ tree of items: a clone is a snapshot, made in one step, and a change copies the
//! nodes from the root to a leaf that a clone holds too, once each.
//!
//! Nothing in here is recursive in the number of items: a tree that goes is taken apart in steps
//! (`reclaim.rs`).

use super::node::{Inner, Node, own};
use super::sorted::Sorted;
use crate::table::Item;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

/// Keys from one bound to the other, either way.
#[derive(Clone, Copy)]
pub struct Span<'a> {
    pub from: Bound<&'a [u8]>,
    pub to: Bound<&'a [u8]>,
    pub is_reverse: bool,
}

#[derive(Clone, Default)]
pub struct Tree {
    root: Node,
    /// Of the nodes that changes have copied since that was last asked.
    copied_bytes: u64,
}

impl Tree {
    pub fn into_root(self) -> Node {
        self.root
    }

    pub fn take_copied_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.copied_bytes)
    }

    pub fn get(&self, key: &[u8]) -> Option<&Item> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(inner) => node = inner.children.get(inner.child_of(key))?,
                Node::Leaf(leaf) => return leaf.find(key),
            }
        }
    }

    /// Sets an item and returns the former one.
    pub fn insert(&mut self, item: Item) -> Option<Item> {
        if self.root.is_full_inner() {
            self.grow(item.key());
        }
        insert(&mut self.root, item, &mut self.copied_bytes).unwrap_or_else(|item| {
            self.grow(item.key());
            insert(&mut self.root, item, &mut self.copied_bytes).ok()?
        })
    }

    /// A root above the root, which is full.
    fn grow(&mut self, key: &[u8]) {
        let mut root = Inner::above(std::mem::take(&mut self.root));
        root.split_child(0, key, &mut self.copied_bytes);
        self.root = Node::Inner(Arc::new(root));
    }

    pub fn remove(&mut self, key: &[u8]) -> Option<Item> {
        // Nothing is copied for a key that is not there.
        self.get(key)?;
        let remove = |leaf: &mut Sorted<Item>| leaf.remove(leaf.place(key).ok()?);
        let removed = change_leaf(&mut self.root, key, remove, &mut self.copied_bytes)?;
        self.shrink();
        Some(removed)
    }

    /// Removes the first items of a span, all those in one leaf. None are left when it returns
    /// none.
    pub fn remove_some(&mut self, span: Span<'_>) -> Vec<Item> {
        let mut first = None;
        let _ = self.walk(span, |items| {
            first = items.first().cloned();
            ControlFlow::Break(())
        });
        let Some(first) = first else { return Vec::new() };
        let remove = |leaf: &mut Sorted<Item>| leaf.remove_range(within(leaf, span));
        let removed = change_leaf(&mut self.root, first.key(), remove, &mut self.copied_bytes);
        self.shrink();
        removed
    }

    fn shrink(&mut self) {
        while let Node::Inner(inner) = &mut self.root {
            match inner.children.as_slice() {
                [] => self.root = Node::default(),
                [only] => self.root = only.clone(),
                _ => return,
            }
        }
    }

    /// Calls `visit` with the items of the span, those of a leaf at a time in ascending order; the
    /// leaves in the order of the span.
    pub fn walk<'a>(
        &'a self,
        span: Span<'_>,
        mut visit: impl FnMut(&'a [Item]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        walk(&self.root, span, &mut visit)
    }

    /// The first so many items of the span.
    pub fn range(&self, span: Span<'_>, limit: usize) -> Vec<Item> {
        let mut found: Vec<Item> = Vec::new();
        if limit == 0 {
            return found;
        }
        let _ = self.walk(span, |items| {
            let count = items.len().min(limit - found.len());
            if span.is_reverse {
                found.extend(items.iter().rev().take(count).cloned());
            } else {
                found.extend(items.iter().take(count).cloned());
            }
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        found
    }

    /// The first item of the span.
    pub fn nearest(&self, span: Span<'_>) -> Option<&Item> {
        let mut found = None;
        let _ = self.walk(span, |items| {
            found = if span.is_reverse { items.last() } else { items.first() };
            ControlFlow::Break(())
        });
        found
    }

    #[cfg(test)]
    pub fn root(&self) -> &Node {
        &self.root
    }
}

/// The former item, or the item itself when its leaf has no room. The node is no full inner node.
fn insert(node: &mut Node, item: Item, copied_bytes: &mut u64) -> Result<Option<Item>, Item> {
    match node {
        Node::Leaf(leaf) => match leaf.place(item.key()) {
            Ok(at) => Ok(own(leaf, copied_bytes).replace(at, item)),
            Err(_) if leaf.is_full() => Err(item),
            Err(at) => {
                own(leaf, copied_bytes).insert(at, item);
                Ok(None)
            }
        },
        Node::Inner(inner) => {
            let inner = own(inner, copied_bytes);
            let at = inner.child_of(item.key());
            if inner.children.get(at).is_some_and(Node::is_full_inner) {
                inner.split_child(at, item.key(), copied_bytes);
            }
            insert_below(inner, item, copied_bytes).or_else(|item| {
                inner.make_room(inner.child_of(item.key()), item.key(), copied_bytes);
                insert_below(inner, item, copied_bytes)
            })
        }
    }
}

fn insert_below(
    inner: &mut Inner,
    item: Item,
    copied_bytes: &mut u64,
) -> Result<Option<Item>, Item> {
    let at = inner.child_of(item.key());
    match inner.children.get_mut(at) {
        Some(child) => insert(child, item, copied_bytes),
        None => Err(item),
    }
}

/// Removes by `change` from the leaf where the key belongs, and mends the nodes above it.
fn change_leaf<R: Default>(
    node: &mut Node,
    key: &[u8],
    change: impl FnOnce(&mut Sorted<Item>) -> R,
    copied_bytes: &mut u64,
) -> R {
    match node {
        Node::Leaf(leaf) => change(own(leaf, copied_bytes)),
        Node::Inner(inner) => {
            let at = inner.child_of(key);
            let inner = own(inner, copied_bytes);
            let Some(child) = inner.children.get_mut(at) else { return R::default() };
            let changed = change_leaf(child, key, change, copied_bytes);
            inner.mend(at, copied_bytes);
            changed
        }
    }
}

/// Which entries of a leaf are in the span. Upside down, where the span is.
fn within(leaf: &Sorted<Item>, span: Span<'_>) -> std::ops::Range<usize> {
    let place = |key: &[u8], is_after: bool| match leaf.place(key) {
        Ok(at) => at + usize::from(is_after),
        Err(at) => at,
    };
    let start = match span.from {
        Bound::Unbounded => 0,
        Bound::Included(key) => place(key, false),
        Bound::Excluded(key) => place(key, true),
    };
    let end = match span.to {
        Bound::Unbounded => leaf.len(),
        Bound::Included(key) => place(key, true),
        Bound::Excluded(key) => place(key, false),
    };
    start..end
}

fn walk<'a>(
    node: &'a Node,
    span: Span<'_>,
    visit: &mut impl FnMut(&'a [Item]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let inner = match node {
        Node::Inner(inner) => inner,
        Node::Leaf(leaf) => match leaf.entries().get(within(leaf, span)) {
            Some(items @ [_, ..]) => return visit(items),
            _ => return ControlFlow::Continue(()),
        },
    };
    let child_of = |bound: Bound<&[u8]>, unbounded: usize| match bound {
        Bound::Unbounded => unbounded,
        Bound::Included(key) | Bound::Excluded(key) => inner.child_of(key),
    };
    let (first, last) = (child_of(span.from, 0), child_of(span.to, inner.children.len() - 1));
    let mut walk_child = |(at, child): (usize, &'a Node)| {
        let from = if at == first { span.from } else { Bound::Unbounded };
        let to = if at == last { span.to } else { Bound::Unbounded };
        walk(child, Span { from, to, ..span }, visit)
    };
    let mut children = inner.children.iter().enumerate().take(last + 1).skip(first);
    if span.is_reverse {
        children.rev().try_for_each(walk_child)
    } else {
        children.try_for_each(&mut walk_child)
    }
}
