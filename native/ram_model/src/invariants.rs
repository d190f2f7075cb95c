//! What must hold in every state, and what must be seen in some.

use stateright::Property;

use crate::cluster::{Cluster, Guard};
use crate::node::{Lease, Node, State};

/// A node that may answer shows all that is committed.
pub const STALE: &str = "no stale read";
const MARKED: &str = "I1: what is committed is marked by every holder";
const OUTLIVES: &str = "I2: a lease is over when its leader says so, and before another leads";
const VOTES: &str = "I3: no node votes within its vote hold";

pub const ALL: &[&str] = &[STALE, MARKED, OUTLIVES, VOTES];

// What is to be seen.
pub const OUTSIDER: &str = "a node whose removal is committed holds a lease from before";
pub const SUCCESSOR: &str = "changed voters have elected another leader";

pub fn properties<'a>(names: impl Iterator<Item = &'a &'static str>) -> Vec<Property<Cluster>> {
    names.map(|name| property(name)).collect()
}

fn property(name: &'static str) -> Property<Cluster> {
    match name {
        STALE => Property::always(name, |cluster: &Cluster, state: &State| {
            state
                .nodes
                .iter()
                .all(|node| !may_answer(cluster, node) || node.applied >= state.committed)
        }),
        MARKED => Property::always(name, |_, state: &State| {
            holders(state)
                .all(|(_, node, lease)| state.committed <= lease.from_index.max(node.log.length))
        }),
        OUTLIVES => Property::always(name, |cluster: &Cluster, state: &State| {
            holders(state).all(|(id, _, lease)| {
                state.nodes.iter().enumerate().all(|(leader, of)| match of.lead {
                    // In ticks: left / rate.
                    Some(lead) if of.term == lease.term => {
                        u16::from(lease.left) * u16::from(cluster.rates[leader])
                            <= u16::from(lead.granted_left[id]) * u16::from(cluster.rates[id])
                    }
                    Some(_) => of.term < lease.term,
                    None => true,
                })
            })
        }),
        VOTES => Property::always(name, |_, state: &State| !state.is_vote_hold_broken),
        OUTSIDER => Property::sometimes(name, |_, state: &State| has_outsider(state)),
        SUCCESSOR => Property::sometimes(name, |_, state: &State| {
            let mut leaders = state.nodes.iter().filter(|node| node.lead.is_some());
            leaders.any(|leader| leader.term > 1 && leader.log.changes() > 0)
        }),
        unknown => panic!("no property is called {unknown}"),
    }
}

fn has_outsider(state: &State) -> bool {
    holders(state).any(|(id, _, lease)| {
        state.nodes.iter().filter(|node| node.lead.is_some()).any(|leader| {
            let (changed_at, voters) = leader.log.configuration();
            !voters.has(id) && lease.from_index < changed_at && changed_at <= leader.applied
        })
    })
}

fn holders(state: &State) -> impl Iterator<Item = (usize, &Node, Lease)> {
    let nodes = state.nodes.iter().enumerate();
    nodes.filter_map(|(id, node)| Some((id, node, node.lease?)))
}

/// Every entry writes the key, so it is pending while any entry is not applied.
fn may_answer(cluster: &Cluster, node: &Node) -> bool {
    let is_pending = node.log.length > node.applied && cluster.has(Guard::PendingMarks);
    node.lease.is_some_and(|lease| {
        (node.applied >= lease.from_index || !cluster.has(Guard::FirstIndex)) && !is_pending
    })
}
