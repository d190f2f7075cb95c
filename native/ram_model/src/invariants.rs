//! What must hold in every state.

use stateright::Property;

use crate::cluster::{Cluster, Guard};
use crate::node::{Lease, Node, State};

/// A node that may answer shows all that is committed.
pub const STALE: &str = "no stale read";
const MARKED: &str = "I1: what is committed is marked by every holder";
const OUTLIVES: &str = "I2: a lease is over when its leader says so, and before another leads";
const VOTES: &str = "I3: no node votes in spite of what it promised";

pub const ALL: &[&str] = &[STALE, MARKED, OUTLIVES, VOTES];

pub fn properties(names: &[&'static str]) -> Vec<Property<Cluster>> {
    names.iter().map(|name| property(name)).collect()
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
        VOTES => Property::always(name, |_, state: &State| !state.is_promise_broken),
        unknown => panic!("no invariant is called {unknown}"),
    }
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
