//! The limit on handshakes in progress: how many connections without a proof there may be, and
//! which one is closed when there are too many.
//!
//! A new connection always gets a slot. If that is one too many, the source with the most
//! connections in progress loses its oldest one. So a flood of connections displaces itself; a
//! member that shares its source with a flood needs one round trip, and is done before it is the
//! oldest. The last known source of a member has [`KNOWN_SHARE`] slots that no other source takes
//! away.
//!
//! A connection whose hello names this cluster and this member moves to one of [`NAMED_MAX`] other
//! slots, which a flood of peers without the cookie does not reach: they cannot guess the cluster
//! id. A peer that has recorded a hello can, and displaces others of its kind.
//!
//! A source is an IPv4 address, or the 64 bits of an IPv6 address that its network assigns.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::identity::PeerId;

/// The slots reserved for the source of a member: a member opens one connection at a time, and
/// several members may share an address.
const KNOWN_SHARE: usize = 8;

/// The slots of connections whose hello names this cluster and this member.
const NAMED_MAX: usize = 64;

/// Where a connection comes from: the part of its address that a host cannot choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Source {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Source(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
            address => Source(address),
        }
    }
}

pub(super) struct Handshakes {
    count_max: usize,
    /// Guards the slots, and the decision which connection loses its slot.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The oldest first. No queue is empty.
    unproven: BTreeMap<Source, VecDeque<Unproven>>,
    count: usize,
    /// The oldest first.
    named: VecDeque<Unproven>,
    last_serial: u64,
    /// The source of the last proven connection of each member.
    known: BTreeMap<PeerId, Source>,
}

struct Unproven {
    serial: u64,
    /// Dropping it asks the connection to end.
    _keep_open: oneshot::Sender<()>,
}

/// The slot of one handshake; dropped when the handshake has ended.
pub(super) struct HandshakeSlot {
    pool: Arc<Handshakes>,
    pub id: SlotId,
    /// Resolves when the slot is taken away.
    pub evicted: oneshot::Receiver<()>,
}

/// Names one slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotId {
    source: Source,
    serial: u64,
}

impl Handshakes {
    pub fn new(count_max: usize) -> Arc<Handshakes> {
        Arc::new(Handshakes { count_max, state: Mutex::default() })
    }

    /// Takes a slot, if need be from another connection.
    pub fn enter(self: &Arc<Handshakes>, source: Source) -> HandshakeSlot {
        let (keep_open, evicted) = oneshot::channel();
        let mut state = self.state.lock();
        state.last_serial += 1;
        let serial = state.last_serial;
        state
            .unproven
            .entry(source)
            .or_default()
            .push_back(Unproven { serial, _keep_open: keep_open });
        state.count += 1;
        if state.count > self.count_max {
            state.evict();
        }
        HandshakeSlot { pool: Arc::clone(self), id: SlotId { source, serial }, evicted }
    }

    /// The connection in this slot has named this cluster and this member.
    pub fn named(&self, id: SlotId) {
        let mut state = self.state.lock();
        let Some(unproven) = state.take(id) else { return };
        state.named.push_back(unproven);
        if state.named.len() > NAMED_MAX {
            state.named.pop_front();
        }
    }

    /// We reached the member there: that is its source until a connection of it is proven.
    pub fn expect(&self, member: PeerId, source: Source) {
        self.state.lock().known.entry(member).or_insert(source);
    }

    /// A connection of the member from there was proven.
    pub fn know(&self, member: PeerId, source: Source) {
        self.state.lock().known.insert(member, source);
    }

    pub fn forget(&self, member: PeerId) {
        self.state.lock().known.remove(&member);
    }

    /// The handshakes in progress, without those that named this member.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.state.lock().count
    }
}

impl State {
    fn evict(&mut self) {
        let known = |source: &Source| self.known.values().any(|of| of == source);
        let rank = |(source, queue): &(&Source, &VecDeque<Unproven>)| {
            let share = if known(source) { KNOWN_SHARE } else { 0 };
            let oldest = queue.front().map_or(0, |unproven| unproven.serial);
            (queue.len().saturating_sub(share), queue.len(), std::cmp::Reverse(oldest))
        };
        let victim = self.unproven.iter().max_by_key(rank);
        let victim = victim.and_then(|(source, queue)| Some((*source, queue.front()?.serial)));
        if let Some((source, serial)) = victim {
            self.take(SlotId { source, serial });
        }
    }

    fn take(&mut self, SlotId { source, serial }: SlotId) -> Option<Unproven> {
        let queue = self.unproven.get_mut(&source)?;
        let at = queue.iter().position(|unproven| unproven.serial == serial)?;
        let taken = queue.remove(at);
        self.count -= 1;
        if queue.is_empty() {
            self.unproven.remove(&source);
        }
        taken
    }

    fn leave(&mut self, id: SlotId) {
        self.take(id);
        self.named.retain(|unproven| unproven.serial != id.serial);
    }
}

impl Drop for HandshakeSlot {
    fn drop(&mut self) {
        self.pool.state.lock().leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn is_evicted(slot: &mut HandshakeSlot) -> bool {
        slot.evicted.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn a_flood_displaces_its_own_oldest_and_nobody_from_elsewhere() {
        let pool = Handshakes::new(4);
        let mut member = pool.enter(source("10.0.0.2"));
        let mut flood: Vec<HandshakeSlot> =
            (0..100).map(|_| pool.enter(source("10.0.0.9"))).collect();
        let evicted: Vec<bool> = flood.iter_mut().map(is_evicted).collect();
        assert!(!is_evicted(&mut member));
        assert!(evicted[..97].iter().all(|evicted| *evicted), "{evicted:?}");
        assert!(evicted[97..].iter().all(|evicted| !evicted), "{evicted:?}");
    }

    #[test]
    fn who_shares_the_source_of_a_flood_outlives_as_many_newcomers_as_there_are_slots() {
        let pool = Handshakes::new(4);
        let mut member = pool.enter(source("10.0.0.9"));
        let _flood: Vec<HandshakeSlot> = (0..3).map(|_| pool.enter(source("10.0.0.9"))).collect();
        assert!(!is_evicted(&mut member));
    }

    #[test]
    fn a_flood_from_many_sources_does_not_take_the_slots_of_a_known_member() {
        let pool = Handshakes::new(4);
        pool.know(PeerId(2), source("10.0.0.2"));
        let mut member = pool.enter(source("10.0.0.2"));
        let mut outsider = pool.enter(source("10.0.0.3"));
        let flood = (4..200).map(|host| pool.enter(source(&format!("10.0.0.{host}"))));
        let _flood: Vec<HandshakeSlot> = flood.collect();
        assert!(!is_evicted(&mut member));
        assert!(is_evicted(&mut outsider));
    }

    #[test]
    fn beyond_its_share_a_known_source_is_as_any_other() {
        let pool = Handshakes::new(4 + KNOWN_SHARE);
        pool.know(PeerId(2), source("10.0.0.2"));
        let mut outsider = pool.enter(source("10.0.0.3"));
        let flood = (0..100).map(|_| pool.enter(source("10.0.0.2")));
        let mut flood: Vec<HandshakeSlot> = flood.collect();
        assert!(!is_evicted(&mut outsider));
        let left = flood.iter_mut().filter_map(|slot| (!is_evicted(slot)).then_some(()));
        assert_eq!(left.count(), 3 + KNOWN_SHARE);
    }

    #[test]
    fn who_has_named_the_cluster_is_out_of_reach_of_those_who_have_not() {
        let pool = Handshakes::new(2);
        let mut member = pool.enter(source("10.0.0.9"));
        pool.named(member.id);
        (0..100).for_each(|_| std::mem::forget(pool.enter(source("10.0.0.9"))));
        assert!(!is_evicted(&mut member));
        let enter = |_| {
            let slot = pool.enter(source("10.0.0.8"));
            pool.named(slot.id);
            slot
        };
        let mut named: Vec<HandshakeSlot> = (0..NAMED_MAX).map(enter).collect();
        assert!(is_evicted(&mut member));
        assert_eq!(named.iter_mut().filter_map(|slot| is_evicted(slot).then_some(())).count(), 0);
        drop(named);
        assert_eq!(pool.state.lock().named.len(), 0);
    }

    #[test]
    fn a_named_connection_that_ends_frees_its_own_slot_and_no_other() {
        let pool = Handshakes::new(4);
        let mut slots = [pool.enter(source("10.0.0.8")), pool.enter(source("10.0.0.9"))];
        slots.iter().for_each(|slot| pool.named(slot.id));
        let [first, other] = &mut slots;
        assert!(!is_evicted(first) && !is_evicted(other));
        let [first, mut other] = slots;
        let id = first.id;
        drop(first);
        assert!(!is_evicted(&mut other));
        assert!(pool.state.lock().named.iter().all(|left| left.serial != id.serial));
    }

    #[test]
    fn a_slot_that_is_given_back_is_free() {
        let pool = Handshakes::new(2);
        let mut first = pool.enter(source("10.0.0.2"));
        (0..100).for_each(|_| drop(pool.enter(source("10.0.0.9"))));
        assert!(!is_evicted(&mut first));
        drop(first);
        let state = pool.state.lock();
        assert_eq!((state.count, state.unproven.len()), (0, 0));
    }

    #[test]
    fn who_was_only_reached_is_expected_from_there_until_it_comes_from_elsewhere() {
        let pool = Handshakes::new(1);
        let is_kept = |host: &str| {
            let mut member = pool.enter(source(host));
            let _newcomer = pool.enter(source("10.0.0.9"));
            !is_evicted(&mut member)
        };
        pool.expect(PeerId(2), source("10.0.0.2"));
        assert!(is_kept("10.0.0.2"));
        pool.know(PeerId(2), source("10.0.0.3"));
        pool.expect(PeerId(2), source("10.0.0.2"));
        assert!(is_kept("10.0.0.3") && !is_kept("10.0.0.2"));
        pool.forget(PeerId(2));
        assert!(!is_kept("10.0.0.3"));
    }

    #[test]
    fn a_host_cannot_choose_among_sources() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:2:3"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:10.0.0.2"), source("10.0.0.2"));
    }
}
