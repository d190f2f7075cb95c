//! Leases, marks and the commit barrier in every order that the threads of a member can take.
//!
//! Each test is a guarantee of the crate's door that rests on an order of steps in this code, as
//! `ram_model` checks those that rest on the order of messages. `make loom` runs this, and shows
//! for each model a change of the code that it catches.

#![allow(clippy::unwrap_used, clippy::panic)]

use ram_lease::Reads;
use ram_lease::barrier::{Barrier, Release};
use ram_lease::clock::{Clock, Time};
use ram_lease::grants::{Ack, Ask, Grant, LeaseTimeouts, Refused};
use ram_lease::lease::{Lease, NoLeaseReason};
use ram_lease::mode::{ReadMode, ReadPath};
use ram_lease::pending::Pending;
use ram_lease::vote_hold::VoteHold;
use ram_table::table::{Item, Meta, Table};
use ram_table::value::StoredValue;
use ram_threads::loom::future::block_on;
use ram_threads::loom::model::Builder;
use ram_threads::loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use ram_threads::loom::{model, thread};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const KEY: &[u8] = b"key";
const TIMEOUTS: LeaseTimeouts =
    LeaseTimeouts { lease: Duration::from_millis(100), hold: Duration::from_millis(200) };

fn at(ms: u64) -> Time {
    Time::from_ns(ms * 1_000_000)
}

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Time {
        at(1000)
    }
}

fn mark(pending: &Pending, index: u64) {
    pending.mark(index, std::iter::once(Ok::<_, ()>(KEY)));
}

/// A member that holds a lease from index 1 on, which it has applied, and its table.
fn holder() -> (Reads, Arc<Table>) {
    let reads = Reads::new(2, true, TIMEOUTS, Arc::new(Stopped));
    let grant = Grant { term: 1, lasts: TIMEOUTS.lease, from_index: 1 };
    assert!(reads.lease.take(reads.lease.ask(at(1000), 1), &grant));
    let table = Arc::new(Table::with_capacity(0));
    apply(&reads, &table, 1);
    (reads, table)
}

fn apply(reads: &Reads, table: &Table, index: u64) {
    table.insert(Item::new(KEY, StoredValue::plain(b""), &Meta::created(index)));
    reads.applied(index);
}

/// What a read by lease shows at once, as the member's handle asks for it.
fn read(reads: &Reads, table: &Table) -> Option<u64> {
    let may_read = || reads.read_path(ReadMode::Lease, KEY) == ReadPath::Now;
    table.with_item_if(KEY, may_read, |found| found.unwrap().revision()).unwrap()
}

#[test]
fn a_holder_shows_every_write_that_was_acknowledged_or_seen_before_the_read_began() {
    // All orders, of which there are too many, but for those with more switches between threads.
    let mut model = Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (reads, table) = holder();
        // The revision that somebody knows of: the client by its answer, a reader by what it saw.
        let known = Arc::new(AtomicU64::new(1));
        let member = (reads.clone(), table.clone(), known.clone());
        let member = thread::spawn(move || {
            let (reads, table, known) = member;
            mark(&reads.pending, 2);
            known.fetch_max(2, SeqCst);
            apply(&reads, &table, 2);
        });
        for _ in 0..2 {
            let before = known.load(SeqCst);
            if let Some(seen) = read(&reads, &table) {
                assert!(seen >= before, "{seen} after {before}");
                known.fetch_max(seen, SeqCst);
            }
        }
        member.join().unwrap();
        assert_eq!(read(&reads, &table), Some(2));
    });
}

#[test]
fn a_read_that_waits_for_the_index_it_is_told_sees_what_was_acknowledged_before_it() {
    let mut model = Builder::new();
    model.preemption_bound = Some(5);
    model.check(|| {
        let (reads, table) = holder();
        let (acked, applied) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(1)));
        let member = (reads.clone(), table.clone(), acked.clone(), applied.clone());
        let member = thread::spawn(move || {
            let (reads, table, acked, applied) = member;
            mark(&reads.pending, 2);
            mark(&reads.pending, 3);
            acked.store(3, SeqCst);
            for index in [2, 3] {
                apply(&reads, &table, index);
                applied.store(index, SeqCst);
            }
        });
        let before = acked.load(SeqCst);
        let index = match reads.read_path(ReadMode::Lease, KEY) {
            ReadPath::Now => 0,
            ReadPath::Applied { index } => index,
            ReadPath::Quorum => panic!("it holds a lease"),
        };
        if applied.load(SeqCst) >= index {
            let seen = table.with_item_if(KEY, || true, |found| found.unwrap().revision());
            assert!(seen.flatten().unwrap() >= before, "{seen:?} after {before}, at {index}");
        }
        member.join().unwrap();
    });
}

#[test]
fn marks_that_come_while_others_go_are_neither_lost_nor_left_over() {
    model(|| {
        let pending = Arc::new(Pending::default());
        mark(&pending, 2);
        mark(&pending, 3);
        let (log, machine) = (pending.clone(), pending.clone());
        let machine = thread::spawn(move || machine.applied(2));
        let log = thread::spawn(move || {
            log.truncated(Some(2));
            mark(&log, 3);
        });
        [machine, log].into_iter().for_each(|thread| thread.join().unwrap());
        assert!(pending.is_pending(KEY));
        assert_eq!(pending.last_marked(), 3);
        pending.applied(3);
        assert!(!pending.is_pending(KEY));
    });
}

#[test]
fn nobody_pairs_the_end_of_a_new_lease_with_the_index_of_an_old_one() {
    model(|| {
        let grant = |from_index| Grant { term: 1, lasts: TIMEOUTS.lease, from_index };
        let lease = Arc::new(Lease::default());
        assert!(lease.take(lease.ask(at(1000), 1), &grant(3)));
        let reader = lease.clone();
        let reader = thread::spawn(move || {
            // Of the first lease, of the renewed one, of that of the next leader.
            for (now, from_indexes) in [(1050, [3, 5, 4]), (1150, [5, 5, 4]), (1250, [4, 4, 4])] {
                if let Some(index) = reader.held(|| at(now)) {
                    assert!(from_indexes.contains(&index), "{index} at {now}");
                }
            }
        });
        assert!(lease.take(lease.ask(at(1100), 1), &grant(5)));
        lease.drop_for(NoLeaseReason::OtherVote);
        assert!(lease.take(lease.ask(at(1200), 2), &grant(4)));
        reader.join().unwrap();
    });
}

#[test]
fn a_lease_that_is_dropped_while_its_grant_arrives_is_over() {
    model(|| {
        let lease = Arc::new(Lease::default());
        let ticket = lease.ask(at(1000), 1);
        let taker = lease.clone();
        let taker = thread::spawn(move || {
            let grant = Grant { term: 1, lasts: TIMEOUTS.lease, from_index: 3 };
            taker.take(ticket, &grant)
        });
        lease.drop_for(NoLeaseReason::Snapshot);
        assert_eq!(lease.held(|| at(1001)), None);
        taker.join().unwrap();
        assert_eq!(lease.held(|| at(1001)), None);
    });
}

fn ack(index: u64) -> Ack {
    Ack { index: Some(index), sent: at(1000), hold: TIMEOUTS.hold }
}

fn grant_to(barrier: &Barrier, id: u64) -> Result<Grant, Refused> {
    let voters = || Some(vec![BTreeSet::from([1, 2, 3])]);
    barrier.grant(&Ask { id, term: 5, renews: false }, voters)
}

/// The leader 1 of term 5, with followers 2 and 3 at index 10; 3 has asked for a lease once.
fn leader() -> (Arc<Barrier>, Arc<VoteHold>) {
    let vote_hold = Arc::new(VoteHold::default());
    let barrier = Arc::new(Barrier::new(1, TIMEOUTS, Arc::new(Stopped), vote_hold.clone()));
    barrier.appending(5, 10);
    barrier.acked(5, 2, ack(10));
    barrier.acked(5, 3, ack(10));
    assert_eq!(grant_to(&barrier, 3), Err(Refused::Lagging));
    (barrier, vote_hold)
}

/// As above, with a lease, and an entry that nobody has acknowledged.
fn leader_beside_a_holder() -> Arc<Barrier> {
    let (barrier, _vote_hold) = leader();
    grant_to(&barrier, 3).unwrap();
    barrier.appending(5, 11);
    barrier
}

fn counting(count: &Arc<AtomicUsize>) -> Release {
    let count = count.clone();
    Box::new(move || _ = count.fetch_add(1, SeqCst))
}

/// I1.
#[test]
fn what_counts_as_acknowledged_is_marked_by_every_holder_or_not_above_its_index() {
    model(|| {
        let (barrier, _vote_hold) = leader();
        let (log, passed) = (barrier.clone(), Arc::new(AtomicUsize::new(0)));
        let flushed = counting(&passed);
        let log = thread::spawn(move || {
            log.appending(5, 11);
            log.defer(5, 11, flushed);
        });
        let granted = grant_to(&barrier, 3).unwrap();
        assert!(passed.load(SeqCst) == 0 || granted.from_index >= 11);
        log.join().unwrap();
        assert!(passed.load(SeqCst) == 0 || granted.from_index >= 11);
        barrier.acked(5, 3, ack(11));
        assert_eq!(passed.load(SeqCst), 1);
    });
}

#[test]
fn what_is_held_back_passes_once_when_the_holder_acknowledges_or_the_lead_is_lost() {
    for is_lost in [false, true] {
        model(move || {
            let barrier = leader_beside_a_holder();
            let (log, passed) = (barrier.clone(), Arc::new(AtomicUsize::new(0)));
            let flushed = counting(&passed);
            let log = thread::spawn(move || log.defer(5, 11, flushed));
            match is_lost {
                true => barrier.forget(),
                false => barrier.acked(5, 3, ack(11)),
            }
            log.join().unwrap();
            assert_eq!(passed.load(SeqCst), 1);
        });
    }
}

#[test]
fn an_answer_that_waits_at_the_barrier_misses_no_acknowledgement() {
    model(|| {
        let barrier = leader_beside_a_holder();
        let network = barrier.clone();
        let network = thread::spawn(move || network.acked(5, 3, ack(11)));
        // A run in which it waits for ever fails.
        block_on(barrier.pass(5, 11));
        network.join().unwrap();
    });
}

/// I3.
#[test]
fn a_member_does_not_both_grant_a_lease_and_vote_for_another_leader() {
    model(|| {
        let (barrier, vote_hold) = leader();
        let service = barrier.clone();
        let voted = thread::spawn(move || {
            service.forget();
            vote_hold.is_over(at(1000))
        });
        let granted = grant_to(&barrier, 3);
        assert!(!(voted.join().unwrap() && granted.is_ok()));
    });
}

#[test]
fn whoever_stops_granting_knows_the_end_of_every_lease() {
    model(|| {
        let (barrier, vote_hold) = leader();
        let granter = barrier.clone();
        let granted = thread::spawn(move || grant_to(&granter, 3).is_ok());
        let pause = barrier.pause();
        let is_none_alive = vote_hold.is_over(at(1000));
        let granted = granted.join().unwrap();
        assert!(!(granted && is_none_alive));
        drop(pause);
    });
}
