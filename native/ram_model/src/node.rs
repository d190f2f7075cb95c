//! What the nodes know and what is on its way between them. Spans are in units of the clock of the
//! node that counts them.

use crate::cluster::NODES;
use crate::voters::Voters;

/// Longer ago than any span.
pub const LONG_AGO: u8 = u8::MAX;
const LOG_MAX: usize = 6;

/// The entries, from the first: their terms, and the voters that an entry makes, as bits, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Log {
    terms: [u8; LOG_MAX],
    voters: [Voters; LOG_MAX],
    pub length: u8,
}

impl Log {
    pub fn push(&mut self, term: u8) {
        self.change(term, Voters::default());
    }

    pub fn change(&mut self, term: u8, voters: Voters) {
        self.terms[self.length as usize] = term;
        self.voters[self.length as usize] = voters;
        self.length += 1;
    }

    /// The newest configuration, committed or not: its index and its voters.
    pub fn configuration(&self) -> (u8, Voters) {
        let index = self.voters.iter().rposition(|voters| *voters != Voters::default());
        index.map_or((0, Voters::default()), |index| (index as u8 + 1, self.voters[index]))
    }

    pub fn voters(&self) -> Voters {
        self.configuration().1
    }

    /// How often the first configuration was changed.
    pub fn changes(&self) -> usize {
        self.voters.iter().filter(|voters| **voters != Voters::default()).count() - 1
    }

    /// Of the entry at `index`, counted from 1; 0 before the first.
    pub fn term_at(&self, index: u8) -> u8 {
        if index == 0 { 0 } else { self.terms[index as usize - 1] }
    }

    /// What an election compares.
    pub fn end(&self) -> (u8, u8) {
        (self.term_at(self.length), self.length)
    }

    /// Room is left for the first entries of the leaders to come.
    pub fn has_room(&self) -> bool {
        usize::from(self.length) < 2 + self.changes()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    pub term: u8,
    pub left: u8,
    pub from_index: u8,
}

/// What a leader knows of the members, in its term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lead {
    pub acked: [u8; NODES],
    /// For how long the member votes for nobody for certain, by what it told.
    pub held_left: [u8; NODES],
    /// What is left of the lease that the member was granted, by the leader's count.
    pub granted_left: [u8; NODES],
    pub from_index: [u8; NODES],
    pub has_handed_over: bool,
    /// Whose vote holds a grant rests on: the configuration as the leader saw it last.
    pub voters: Voters,
}

impl Lead {
    pub fn new(voters: Voters) -> Lead {
        Lead {
            acked: [0; NODES],
            held_left: [0; NODES],
            granted_left: [0; NODES],
            from_index: [0; NODES],
            has_handed_over: false,
            voters,
        }
    }

    /// No lease that it granted may be alive.
    pub fn has_run_out(&self) -> bool {
        self.granted_left == [0; NODES]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Campaign {
    pub votes: Voters,
    pub is_handed_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Node {
    pub term: u8,
    pub log: Log,
    /// Known to be committed, and applied.
    pub applied: u8,
    pub lead: Option<Lead>,
    pub campaign: Option<Campaign>,
    pub lease: Option<Lease>,
    /// L: for how long it votes for nobody after it heard from the leader.
    pub hold: u8,
    /// The longest hold that may be alive; this survives a crash.
    pub longest: u8,
    /// What is left of the vote hold of before a crash, while that may be longer than its hold.
    pub kept: u8,
    /// For how long it votes for nobody.
    pub vote_hold: u8,
    /// For how long it ought to, by what it told before it forgot it.
    pub vote_hold_due: u8,
    /// The term in which the leader told it to take over.
    pub transfer_in: Option<u8>,
}

impl Node {
    /// The newest configuration is not known to be committed.
    pub fn is_changing(&self) -> bool {
        self.log.configuration().0 > self.applied
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ack {
    pub to: u8,
    pub term: u8,
    pub index: u8,
    /// What is left, on the leader's clock, of the vote hold that it tells.
    pub held_left: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grant {
    pub term: u8,
    pub lasts: u8,
    pub from_index: u8,
    /// Since it was asked for, on the holder's clock.
    pub ago: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    pub nodes: [Node; NODES],
    /// On its way from each node.
    pub acks: [Option<Ack>; NODES],
    /// On its way to each node.
    pub grants: [Option<Grant>; NODES],
    /// The highest index that any leader ever committed.
    pub committed: u8,
    /// A node voted within its vote hold.
    pub is_vote_hold_broken: bool,
    pub ticks: u8,
    pub crashes: u8,
}
