//! Owners of keys: a key goes when the process, or the node, that owns it is gone.
//!
//! An owner belongs to a *run* of a member, which ends when the member stops. The member of its
//! node watches the process and reports its end to the leader, again and again until the keys are
//! gone where it has applied. The leader alone ends keys, and only by one of these proofs:
//!
//! - the member of the owner reports that it has ended;
//! - that member answers, in a round that began when the key was there, that this is another run;
//! - that member was removed from the cluster;
//! - that member was silent for the owner timeout, which a majority of clocks says is over, and the
//!   leader has asked it all the time.
//!
//! What is proposed names of each key its owner, so it does nothing to a key that another owns by
//! then. Every member lists the keys that have an owner ([`ram_store::owners`]). A process that has
//! lost a key while it lived, since its node was cut off, is told by its member.
//!
//! # Source
//!
//! Sessions of Chubby (Burrows, OSDI 2006) and the ephemeral nodes of ZooKeeper (Hunt et al., ATC
//! 2010), whose owners are connections; ours are processes, which are known to end.

mod claims;
mod ends;
mod lead;

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

pub use claims::Claim;
use claims::Claims;
use ends::{Ends, REPORTED_AT_ONCE};
pub(crate) use lead::{Silence, end_reported, heed};

use crate::lists::SharedLists;
use crate::replica::Replica;
use crate::rpc;
use ram_net::PeerId;
use ram_sabotage::{Fault, armed};
use ram_store::codec;
use ram_store::observe::{Change, Gone, Observer};
use ram_store::owners::{Owned, Owners, Portion, Run, Turn, run_of};
use ram_store::write::Owner;

/// What one proposal may end.
const PORTION: Portion = Portion { keys: 4000, bytes: 512 * 1024 };

/// The processes of this node, as far as they own keys. Called on the thread that applies.
pub trait Processes: Send + Sync {
    /// It owns a key from now on. `ended` is to be told when it ends, at once if it has.
    fn watch(&self, name: &[u8], ended: Ended);

    /// It owns none any more.
    fn forget(&self, name: &[u8]);

    /// It lives and has lost a key, with the write of this revision at the latest.
    fn lost(&self, name: &[u8], key: &[u8], revision: u64);
}

/// To be told when an owner has ended.
pub struct Ended {
    owners: SharedOwners,
    owner: Box<[u8]>,
}

impl Ended {
    pub fn tell(&self) {
        if armed(Fault::ForgetEnd) {
            return;
        }
        self.owners.0.ended.lock().add(&self.owner);
        self.owners.0.some_ended.notify_one();
    }
}

/// The owners that a member knows of. Clones share them.
#[derive(Clone)]
pub struct SharedOwners(Arc<Shared>);

struct Shared {
    own: Run,
    lists: SharedLists<Owners>,
    /// Guards who is told of this node's owners.
    processes: Mutex<Option<Arc<dyn Processes>>>,
    /// Guards what was acknowledged to this node's owners before it was applied here.
    claims: Mutex<Claims>,
    /// Guards the owners of this run that have ended.
    ended: Mutex<Ends>,
    some_ended: Notify,
    /// Guards what was reported to this member, which leads.
    reported: Mutex<BTreeSet<Box<[u8]>>>,
    some_reported: Notify,
}

impl SharedOwners {
    pub fn new(own: Run, some: Arc<Notify>) -> SharedOwners {
        SharedOwners(Arc::new(Shared {
            own,
            lists: SharedLists::new(some),
            processes: Mutex::default(),
            claims: Mutex::default(),
            ended: Mutex::default(),
            some_ended: Notify::new(),
            reported: Mutex::default(),
            some_reported: Notify::new(),
        }))
    }

    /// Which keys have an owner.
    pub(crate) fn lists(&self) -> &SharedLists<Owners> {
        &self.0.lists
    }

    /// This run of this member.
    pub fn own(&self) -> Run {
        self.0.own
    }

    /// From now on these are told of what the processes of this node own.
    pub fn host(&self, processes: Arc<dyn Processes>) {
        *self.0.processes.lock() = Some(processes);
        let known: BTreeSet<Box<[u8]>> =
            self.lists().with(|owners| owners.of_run(self.0.own).map(Box::from).collect());
        known.iter().for_each(|owner| self.turned(owner, Turn::Gained));
    }

    /// To be told of each change.
    pub fn observer(&self) -> Box<dyn Observer> {
        Box::new(Applier { owners: self.clone(), lost: Vec::new() })
    }

    /// All tables were replaced by others, of this revision, which were loaded with these.
    pub fn replace(&self, loaded: Owners, revision: u64) {
        let own = self.0.own;
        let of_run = |owners: &Owners| -> BTreeSet<Box<[u8]>> {
            owners.of_run(own).map(Box::from).collect()
        };
        let (mut lost, before, after) = self.lists().add(|owners| {
            let (before, after) = (of_run(owners), of_run(&loaded));
            let had = owners.keys_of_run(own).filter(|owned| {
                !loaded.has_key(&owned.table, owned.item.key(), owned.item.owner())
            });
            let lost: BTreeSet<Claim> = had.map(Claim::of).collect();
            owners.replaced(loaded);
            (lost, before, after)
        });
        lost.extend(self.0.claims.lock().replaced(revision));
        self.tell_lost_of(lost, revision);
        (&before - &after).iter().for_each(|owner| self.turned(owner, Turn::Freed));
        (&after - &before).iter().for_each(|owner| self.turned(owner, Turn::Gained));
    }

    /// Each key that has an owner, as it is listed.
    #[cfg(feature = "simulation")]
    pub fn listed(&self) -> Vec<Owned> {
        let of_all = |owners: &Owners| {
            owners.runs().into_iter().flat_map(|run| owners.keys_of_run(run)).collect()
        };
        self.lists().with(|owners| of_all(owners))
    }

    fn processes(&self) -> Option<Arc<dyn Processes>> {
        self.0.processes.lock().clone()
    }

    /// An owner has its first key or has lost its last one.
    fn turned(&self, owner: &[u8], turn: Turn) {
        let Some(Owner { name, .. }) = Owner::decode(owner) else { return };
        if run_of(owner) != Some(self.0.own) {
            return;
        }
        let Some(processes) = self.processes() else { return };
        match turn {
            Turn::Gained => {
                processes.watch(name, Ended { owners: self.clone(), owner: owner.into() });
            }
            Turn::Freed => {
                self.0.ended.lock().forget(owner);
                processes.forget(name);
            }
        }
    }

    /// Is it one of this node, also of a former run, that is not known to have ended?
    fn is_told(&self, owner: &[u8]) -> bool {
        let is_own = run_of(owner).is_some_and(|run| run.member == self.0.own.member);
        is_own && !self.0.ended.lock().has(owner)
    }

    fn tell_lost(&self, Claim { key, owner, .. }: &Claim, revision: u64) {
        let owner = Owner::decode(owner);
        if let (Some(Owner { name, .. }), Some(processes)) = (owner, self.processes()) {
            processes.lost(name, key, revision);
        }
    }

    /// Of these, those that are not there in the tables of this revision.
    fn tell_lost_of(&self, mut claims: BTreeSet<Claim>, revision: u64) {
        self.lists().with(|owners| {
            claims.retain(|Claim { table, key, owner }| !owners.has_key(table, key, owner));
        });
        let told = claims.iter().filter(|claim| self.is_told(&claim.owner));
        told.for_each(|claim| self.tell_lost(claim, revision));
    }

    /// Owners of this node are about to be told that the write of this revision has given them
    /// these keys. This member may apply it later, or never see it, if a snapshot takes its place.
    pub fn acknowledged(&self, claims: BTreeSet<Claim>, revision: u64) {
        let skipped = self.0.claims.lock().acknowledged(claims, revision);
        if let Some((claims, revision)) = skipped {
            self.tell_lost_of(claims, revision);
        }
    }

    /// Takes what a member says that its owners have ended, as far as it may say so.
    pub(crate) fn report(&self, member: u64, ended: Vec<Box<[u8]>>) {
        let is_its = |owner: &[u8]| run_of(owner).is_some_and(|run| run.member == member);
        let known = ended.into_iter().filter(|owner| is_its(owner));
        let known: Vec<_> =
            self.lists().with(|owners| known.filter(|owner| owners.has(owner)).collect());
        self.0.reported.lock().extend(known);
        self.0.some_reported.notify_one();
    }

    /// Those of another lead: who reported them does so again.
    pub(crate) fn forget_reports(&self) {
        self.0.reported.lock().clear();
    }

    /// Some keys whose owners are reported to have ended.
    fn take_reported(&self) -> Vec<Owned> {
        let (mut portion, mut taken) = (PORTION, Vec::new());
        let mut reported = self.0.reported.lock();
        self.lists().with(|owners| {
            reported.retain(|owner| owners.has(owner));
            let _ =
                reported.iter().all(|owner| owners.take_of_owner(owner, &mut portion, &mut taken));
        });
        taken
    }

    /// Some of those that have ended here, have a key, and were not sent; and whether any are.
    fn take_ended(&self) -> (Vec<Box<[u8]>>, bool) {
        self.0.ended.lock().take(|owner| self.lists().with(|owners| owners.has(owner)))
    }

    fn send_again(&self) {
        self.0.ended.lock().send_again();
    }
}

/// Keeps the lists as changes are applied.
struct Applier {
    owners: SharedOwners,
    /// What the write which is applied takes from owners of this member.
    lost: Vec<Claim>,
}

impl Observer for Applier {
    fn changed(&mut self, change: &Change<'_>) {
        let Change { table, old, new, gone } = *change;
        if !old.into_iter().chain(new).any(|item| item.has_owner()) {
            return;
        }
        let mut turns = Vec::new();
        self.owners.lists().add(|owners| {
            owners.changed(change, |owner, turn| turns.push((Box::<[u8]>::from(owner), turn)));
        });
        if let (Some(item), None, Gone::OwnerDown) = (old, new, gone)
            && self.owners.is_told(item.owner())
        {
            self.lost.push(Claim::of(Owned { table: table.into(), item: item.clone() }));
        }
        turns.iter().for_each(|(owner, turn)| self.owners.turned(owner, *turn));
    }

    fn written(&mut self, revision: u64) {
        self.owners.0.claims.lock().applied(revision);
        self.lost.drain(..).for_each(|claim| self.owners.tell_lost(&claim, revision));
    }

    fn wants(&self, _table: &str) -> bool {
        false
    }

    fn dropped(&mut self, table: &str) {
        let mut freed = Vec::new();
        self.owners.lists().with(|owners| {
            owners.dropped(table, |owner| freed.push(Box::<[u8]>::from(owner)));
        });
        freed.iter().for_each(|owner| self.owners.turned(owner, Turn::Freed));
    }

    fn replaced(&mut self, _revision: u64) {}
}

/// Reports to whoever leads which owners of this node have ended, as long as their keys are there;
/// `again`: after so long once more.
pub async fn report(replica: Replica, mut leader: watch::Receiver<Option<u64>>, again: Duration) {
    let owners = replica.applied.owners();
    loop {
        let (ended, some) = owners.take_ended();
        let full = ended.len() == REPORTED_AT_ONCE;
        let led_by = *leader.borrow_and_update();
        match led_by.filter(|_| !ended.is_empty()) {
            Some(id) if id == replica.id => owners.report(id, ended),
            Some(id) => {
                let body = Bytes::from(codec::encode(&ended));
                // Without an answer it is sent again.
                let _ = replica.net.call(PeerId(id), rpc::OWNERS_ENDED, body, again).await;
            }
            None => {}
        }
        if full {
            continue;
        }
        tokio::select! {
            () = owners.0.some_ended.notified() => {}
            changed = leader.changed(), if some => match changed {
                Ok(()) => owners.send_again(),
                Err(_) => return,
            },
            () = tokio::time::sleep(again), if some => owners.send_again(),
        }
    }
}

#[cfg(test)]
mod tests;
