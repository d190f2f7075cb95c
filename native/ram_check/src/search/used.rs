//! Which unknown operations are used: a tree in which each path to the root is one selection.
//!
//! The memo keeps very many selections, each one longer than another; a leaf stands for all of its
//! path. The tree only grows.

/// A selection. Equal ones may have different leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf(usize);

#[derive(Debug)]
struct Node {
    class: usize,
    rest: Leaf,
}

/// All selections, and one that is present, counted.
pub(super) struct Used {
    /// Leaf n is node n - 1; leaf 0 is the empty selection.
    nodes: Vec<Node>,
    present: Vec<usize>,
    scratch: Vec<usize>,
}

impl Used {
    pub const NONE: Leaf = Leaf(0);
    pub const BYTES: usize = size_of::<Node>();

    pub fn new(classes: usize) -> Used {
        Used { nodes: Vec::new(), present: vec![0; classes], scratch: vec![0; classes] }
    }

    /// Uses one more of a class; the present selection was `leaf`.
    pub fn push(&mut self, leaf: Leaf, class: usize) -> Leaf {
        self.nodes.push(Node { class, rest: leaf });
        change(&mut self.present, class, |count| count + 1);
        Leaf(self.nodes.len())
    }

    /// Takes the last use of a class back.
    pub fn pop(&mut self, class: usize) {
        change(&mut self.present, class, |count| count - 1);
    }

    pub fn count(&self, class: usize) -> usize {
        self.present.get(class).copied().unwrap_or_default()
    }

    /// Whether a selection uses at most as many of each class as the present one.
    pub fn is_within_present(&mut self, leaf: Leaf) -> bool {
        let (mut at, mut is_within) = (leaf, true);
        while let (true, Some(node)) = (is_within, self.node(at)) {
            let (class, rest) = (node.class, node.rest);
            let count = change(&mut self.scratch, class, |count| count + 1);
            is_within = count <= self.count(class);
            at = rest;
        }
        let (end, mut at) = (at, leaf);
        while let (true, Some(node)) = (at != end, self.node(at)) {
            let (class, rest) = (node.class, node.rest);
            change(&mut self.scratch, class, |count| count - 1);
            at = rest;
        }
        is_within
    }

    fn node(&self, leaf: Leaf) -> Option<&Node> {
        leaf.0.checked_sub(1).and_then(|index| self.nodes.get(index))
    }
}

fn change(counts: &mut [usize], class: usize, to: impl Fn(usize) -> usize) -> usize {
    counts.get_mut(class).map_or(0, |count| {
        *count = to(*count);
        *count
    })
}
