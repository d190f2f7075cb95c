//! A new leader gives every key its full time again: whatever ends a key with a time to live is an
//! entry of a leader that has led for that long.
//!
//! A key is seen to go when a member that held it holds it no more. It was ended by one of the
//! entries that the member has applied meanwhile, so the oldest term of these is taken for that of
//! the entry, and the first step in which that term was seen led for its beginning. Clients neither
//! delete such keys nor give them less time than they put them with.

use bytes::Bytes;
use ram_core::observation::{Observation, SeenEntry};
use std::collections::{BTreeMap, BTreeSet};

use super::Checked;

/// In percent: what a majority of clocks may be wrong by, and a little.
const ERROR: u64 = 2;

#[derive(Default)]
pub struct FullTime {
    /// When each term was seen led first, in virtual milliseconds.
    began_ms: BTreeMap<u64, u64>,
    /// The keys that a member has, by its start.
    held: BTreeMap<u64, BTreeSet<Bytes>>,
}

impl FullTime {
    pub const NAME: &str = "a_new_leader_gives_keys_all_their_time_again";

    pub fn leads(&mut self, term: u64, now_ms: u64) {
        self.began_ms.entry(term).or_insert(now_ms);
    }

    /// A member holds these now. `entries`: what its log has from before that; `timed`: the keys
    /// that were put with a time to live, which lose those that have gone.
    pub fn check(
        &mut self,
        (start, now_ms): (u64, u64),
        applied: (u64, &Observation),
        entries: &[SeenEntry],
        (timed, holds): (&mut BTreeMap<Bytes, u64>, BTreeSet<Bytes>),
    ) -> Checked {
        let (before, now) = (applied.0, applied.1);
        let held = self.held.entry(start).or_default();
        let gone: Vec<Bytes> = held.difference(&holds).cloned().collect();
        *held = holds;
        // All of them, or a snapshot has taken their place.
        let first = entries.iter().find(|entry| entry.index > before);
        let Some(first) = first.filter(|entry| entry.index == before + 1) else { return Ok(()) };
        for key in gone {
            let (Some(ttl_ms), Some(began_ms)) =
                (timed.remove(&key), self.began_ms.get(&first.term))
            else {
                continue;
            };
            // It may have begun right after the step before.
            let led_ms = now_ms - began_ms + 1;
            if led_ms * (100 + ERROR) / 100 < ttl_ms {
                return Err(format!(
                    "{key:?} went at index {} to {} of member {}, after {led_ms} of {ttl_ms} ms \
                     of term {}",
                    before + 1,
                    now.applied_index,
                    now.id,
                    first.term
                ));
            }
        }
        Ok(())
    }
}
