//! Looks inside a running member, for the invariants of the simulator. Only with the feature
//! `simulation`, on the thread of the member; nothing here changes anything.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use crate::handle::Handle;
use ram_raft::entry;
use ram_raft::replica::{Role, role};
use ram_store::write::DEFAULT_TABLE;
use ram_table::table::{Item, Revoked};

/// One moment of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// The Raft id of the incarnation.
    pub id: u64,
    pub term: u64,
    pub leads: bool,
    pub applied_index: u64,
    /// The newest membership in its log is committed, and no change of it is half done.
    pub is_settled: bool,
    /// Where the newest membership stands in its log.
    pub membership_index: Option<u64>,
    /// The entries that the log holds, durable or not: from the first to before the last.
    pub first_index: u64,
    pub end_index: u64,
}

/// What a member may answer by, what it has granted, and whom it hears, by its own clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseSight {
    /// The term of the lease that it holds, and the index it was told.
    pub held: Option<(u64, u64)>,
    /// The term that it leads, and the members whose leases it takes to be alive.
    pub granted: Option<(u64, BTreeSet<u64>)>,
    /// Was another member that leads heard just now? An unknown peer is not heard for a while then.
    pub hears_leader: bool,
}

/// An entry of the log, known by the checksum of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenEntry {
    pub index: u64,
    pub term: u64,
    pub checksum: u32,
}

impl Handle {
    /// `None` once the member was let go of.
    pub fn observe(&self) -> Option<Observation> {
        self.with(|running| {
            let replica = &running.replica;
            let metrics = replica.metrics();
            let (newest, committed) =
                (&metrics.membership_config, &metrics.committed_membership_config);
            let (first, last) = (replica.log.first_index(), replica.log.last_index());
            Observation {
                id: running.identity.id,
                term: metrics.current_term,
                leads: role(&metrics) == Role::Leader,
                applied_index: replica.applied.index(),
                is_settled: newest.membership() == committed.membership()
                    && newest.membership().get_joint_config().len() == 1,
                membership_index: newest.log_id().as_ref().map(|log_id| log_id.index()),
                first_index: first.unwrap_or(0),
                end_index: last.map_or(0, |last| last + 1),
            }
        })
        .ok()
    }

    /// The members of the newest membership in its log, committed or not: is it a voter, in one of
    /// the two configurations if there are two?
    pub fn seen_members(&self) -> BTreeMap<u64, bool> {
        self.with(|running| running.replica.newest_members()).unwrap_or_default()
    }

    /// To be asked within the member's runtime, whose clock tells.
    pub fn observe_leases(&self) -> LeaseSight {
        let seen = self.with(|running| {
            let reads = &running.replica.reads;
            let held = reads.lease.held(|| reads.clock.now());
            let heard = running.replica.terms.leader_heard_ago();
            LeaseSight {
                held: held.map(|from_index| (reads.lease.term(), from_index)),
                granted: reads.barrier.holders(),
                hears_leader: heard.is_some_and(|ago| ago < reads.timeouts.hold / 3),
            }
        });
        seen.unwrap_or_default()
    }

    pub fn seen_entries(&self, range: Range<u64>) -> io::Result<Vec<SeenEntry>> {
        let records = self.with(|running| running.replica.log.read(range, u64::MAX));
        let records = records.map_err(io::Error::other)??;
        let seen = records.into_iter().map(|(index, bytes)| {
            let checksum = crc32fast::hash(&bytes);
            let entry = entry::decode(index, bytes)?;
            Ok(SeenEntry { index, term: entry::term_of(&entry.log_id), checksum })
        });
        seen.collect()
    }

    /// Does it know that this member was removed for good?
    pub fn knows_removed(&self, id: u64) -> bool {
        self.with(|running| running.replica.applied.is_removed(id)).unwrap_or(false)
    }

    /// What the default table holds, and the revision of that.
    pub fn seen_content(&self) -> Option<(u64, BTreeMap<Bytes, Bytes>)> {
        let seen = self.with(|running| {
            let tables = running.replica.applied.tables();
            let revision = tables.revision();
            let mut content = BTreeMap::new();
            let walked = running.replica.applied.table().snapshot(revision, None).walk(|items| {
                let pair = |item: &Item| {
                    (Bytes::copy_from_slice(item.key()), Bytes::from(item.value().into_owned()))
                };
                content.extend(items.iter().map(pair));
                Ok::<(), Revoked>(())
            });
            walked.ok().map(|()| (revision, content))
        });
        seen.ok()?
    }

    /// The keys of the default table that have an owner, with their owners, as they are listed.
    pub fn seen_owners(&self) -> BTreeMap<Bytes, Bytes> {
        let listed = self.with(|running| running.replica.applied.owners().listed());
        let of_default = listed.unwrap_or_default().into_iter();
        let of_default = of_default.filter(|owned| &*owned.table == DEFAULT_TABLE);
        let bytes = Bytes::copy_from_slice;
        of_default.map(|owned| (bytes(owned.item.key()), bytes(owned.item.owner()))).collect()
    }

    /// What the table holds of these keys, and the index up to which it is applied.
    pub fn items(&self, keys: &[Bytes]) -> Option<(u64, Vec<Option<Item>>)> {
        self.with(|running| {
            let table = running.replica.applied.table();
            (running.replica.applied.index(), keys.iter().map(|key| table.get(key)).collect())
        })
        .ok()
    }
}
