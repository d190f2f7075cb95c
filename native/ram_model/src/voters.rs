//! Sets of nodes, and what a majority of one agrees on.

use crate::cluster::NODES;

/// Bits of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Voters(pub u8);

impl Voters {
    pub fn has(self, id: usize) -> bool {
        self.0 & (1 << id) != 0
    }

    pub fn with(self, id: usize) -> Voters {
        Voters(self.0 | 1 << id)
    }

    /// One node more, or one less.
    pub fn toggled(self, id: usize) -> Voters {
        Voters(self.0 ^ 1 << id)
    }

    pub fn are_elected_by(self, votes: Voters) -> bool {
        (self.0 & votes.0).count_ones() > self.0.count_ones() / 2
    }

    /// The greatest value that a majority has reached.
    pub fn reached(self, values: [u8; NODES]) -> u8 {
        let values = self.sorted(values);
        values[values.len() - 1 - values.len() / 2]
    }

    fn sorted(self, values: [u8; NODES]) -> Vec<u8> {
        let mut own: Vec<u8> = (0..NODES).filter(|id| self.has(*id)).map(|id| values[id]).collect();
        own.sort_unstable();
        own
    }
}
