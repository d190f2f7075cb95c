//! The ranges that are watched: an interval tree (Cormen et al., Introduction to Algorithms, 14.3),
//! balanced as a treap (Seidel and Aragon, Randomized Search Trees, 1996). Nodes are in the order
//! of the starts; each knows the farthest end below it, so whole subtrees that end before a key are
//! passed over. A change is O(log n), a search O(log n) for each range that it finds.

use std::ops::Bound;
use std::sync::Arc;

/// Ranges of keys, each with an id.
#[derive(Debug, Default)]
pub struct Ranges(Tree);

type Tree = Option<Box<Node>>;

/// Where a range begins, and its id.
type Place<'a> = (&'a [u8], u64);

#[derive(Debug)]
struct Node {
    id: u64,
    /// The first key.
    start: Box<[u8]>,
    end: End,
    /// The farthest end of this node and those below.
    last_end: End,
    left: Tree,
    right: Tree,
}

/// The first key behind a range.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    At(Arc<[u8]>),
    Never,
}

impl End {
    fn is_behind(&self, key: &[u8]) -> bool {
        match self {
            End::At(end) => key < &**end,
            End::Never => true,
        }
    }
}

/// No key is between the two.
fn successor(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

fn start_of(from: &Bound<Vec<u8>>) -> Box<[u8]> {
    match from {
        Bound::Included(from) => from.as_slice().into(),
        Bound::Excluded(from) => successor(from).into(),
        Bound::Unbounded => Box::default(),
    }
}

fn end_of(to: &Bound<Vec<u8>>) -> End {
    match to {
        Bound::Included(to) => End::At(successor(to).into()),
        Bound::Excluded(to) => End::At(to.as_slice().into()),
        Bound::Unbounded => End::Never,
    }
}

impl Ranges {
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn insert(&mut self, id: u64, from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>) {
        let (start, end) = (start_of(from), end_of(to));
        let last_end = end.clone();
        insert(&mut self.0, Box::new(Node { id, start, end, last_end, left: None, right: None }));
    }

    /// `from` is where it begins, as it was inserted.
    pub fn remove(&mut self, id: u64, from: &Bound<Vec<u8>>) {
        remove(&mut self.0, (&start_of(from), id));
    }

    /// Calls `each` with the ranges that have the key.
    pub fn each(&self, key: &[u8], each: &mut impl FnMut(u64)) {
        walk(&self.0, key, each);
    }
}

impl Node {
    fn place(&self) -> Place<'_> {
        (&self.start, self.id)
    }

    /// That of a node is above those of the nodes below. Ids are numbers in a row: mixed
    /// (splitmix64), they are as good as random, and the same in each run.
    fn priority(&self) -> u64 {
        let mixed = self.id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// To be called when what is below has changed.
    fn look_below(&mut self) {
        let below = [&self.left, &self.right].into_iter().flatten().map(|node| &node.last_end);
        let last_end = below.chain([&self.end]).max();
        self.last_end = last_end.unwrap_or(&End::Never).clone();
    }
}

fn insert(tree: &mut Tree, mut new: Box<Node>) {
    match tree {
        Some(node) if node.priority() >= new.priority() => {
            let is_left = new.place() < node.place();
            insert(if is_left { &mut node.left } else { &mut node.right }, new);
            node.look_below();
        }
        _ => {
            (new.left, new.right) = split(tree.take(), new.place());
            new.look_below();
            *tree = Some(new);
        }
    }
}

/// What is before the place, and what is not.
fn split(tree: Tree, place: Place<'_>) -> (Tree, Tree) {
    let Some(mut node) = tree else { return (None, None) };
    if node.place() < place {
        let (before, behind) = split(node.right.take(), place);
        node.right = before;
        node.look_below();
        (Some(node), behind)
    } else {
        let (before, behind) = split(node.left.take(), place);
        node.left = behind;
        node.look_below();
        (before, Some(node))
    }
}

/// All of `left` is before all of `right`.
fn join(left: Tree, right: Tree) -> Tree {
    match (left, right) {
        (Some(mut left), Some(right)) if left.priority() >= right.priority() => {
            left.right = join(left.right.take(), Some(right));
            left.look_below();
            Some(left)
        }
        (left @ Some(_), Some(mut right)) => {
            right.left = join(left, right.left.take());
            right.look_below();
            Some(right)
        }
        (left, None) => left,
        (None, right) => right,
    }
}

fn remove(tree: &mut Tree, place: Place<'_>) {
    let Some(node) = tree else { return };
    match place.cmp(&node.place()) {
        std::cmp::Ordering::Equal => {
            *tree = join(node.left.take(), node.right.take());
            return;
        }
        std::cmp::Ordering::Less => remove(&mut node.left, place),
        std::cmp::Ordering::Greater => remove(&mut node.right, place),
    }
    node.look_below();
}

fn walk(tree: &Tree, key: &[u8], each: &mut impl FnMut(u64)) {
    let Some(node) = tree else { return };
    if !node.last_end.is_behind(key) {
        return;
    }
    walk(&node.left, key, each);
    if *node.start <= *key {
        if node.end.is_behind(key) {
            each(node.id);
        }
        walk(&node.right, key, each);
    }
}
