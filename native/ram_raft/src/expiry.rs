//! Expiry: the leader proposes that keys go whose time to live is over.
//!
//! Nobody else decides, and the leader not by its own clock: see [`rounds`](crate::rounds). The
//! keys wait in lists ([`ram_store::timers`]), which every member keeps. What is proposed names the
//! term, and of each key the write that gave it its time: so it does nothing in another term, or to
//! a key that was given another time meanwhile. A new leader begins with all keys anew.
//!
//! One proposal is on its way at a time, and small: writers wait for no more than that.
//!
//! # Source
//!
//! Leases of etcd are the model, and their faults: time left that is lost or lengthened with the
//! leader, keys that go while they are renewed, revokes of a leader that was paused.

use std::sync::Arc;
use tokio::task::yield_now;

use crate::lists::SharedLists;
use crate::rounds::{Lead, Lost};
use ram_lease::majority_clock::Moment;
use ram_store::observe::{Change, Observer};
use ram_store::timers::{self, Loaded, Portion, Timers};
use ram_table::tables::Tables;

/// What one proposal may expire, and how many entries are looked at for it without a rest.
const PORTION: Portion = Portion { keys: 1000, bytes: 256 * 1024, looked_at: 4096 };
/// Entries that are placed without a rest: about a millisecond.
const PLACED_AT_ONCE: usize = 4096;

pub type SharedTimers = SharedLists<Timers>;

impl SharedTimers {
    /// To be told of each change of these tables.
    pub fn observer(&self, tables: Arc<Tables>) -> Box<dyn Observer> {
        Box::new(Applier { timers: self.clone(), tables })
    }

    /// All tables were replaced by others, which were loaded with these.
    pub fn replace(&self, loaded: Loaded) {
        self.add(|timers| timers.replaced(loaded));
    }
}

/// Adds to the lists as changes are applied.
struct Applier {
    timers: SharedTimers,
    tables: Arc<Tables>,
}

impl Observer for Applier {
    fn changed(&mut self, change: &Change<'_>) {
        if !change.old.into_iter().chain(change.new).any(|item| item.has_life()) {
            return;
        }
        let Applier { timers, tables } = self;
        timers.add(|timers| timers.changed(change, tables));
    }

    fn written(&mut self, _revision: u64) {}

    fn wants(&self, _table: &str) -> bool {
        false
    }

    fn dropped(&mut self, table: &str) {
        self.timers.with(|timers| timers.dropped(table));
    }

    fn replaced(&mut self, _revision: u64) {}
}

/// Ends what is due at this moment of the lead.
pub(crate) async fn heed(lead: &Lead<'_>, moment: &Moment) -> Result<(), Lost> {
    let applied = &lead.replica.applied;
    let (timers, tables) = (applied.timers(), applied.tables());
    if moment.is_anew {
        timers.with(Timers::begin_anew);
    } else if let Some(high) = moment.high {
        while timers.with(|timers| timers.place(high, PLACED_AT_ONCE)) > 0 {
            yield_now().await;
        }
    }
    loop {
        let mut taken = Vec::new();
        let is_all = timers.with(|timers| timers.take_due(moment.low, tables, PORTION, &mut taken));
        if !taken.is_empty() {
            let proposed = lead.propose(&timers::expire(&taken)).await;
            timers.with(|timers| match proposed {
                Ok(()) => timers.are_gone(),
                Err(Lost) => timers.give_back(taken),
            });
            proposed?;
        }
        if is_all {
            break;
        }
        yield_now().await;
    }
    timers.free().await;
    Ok(())
}
