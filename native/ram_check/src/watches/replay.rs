//! One receiver: what it was sent, held against what is known, and its copy of the table.

use std::sync::Arc;

use super::known::Known;
use super::{Change, Content, Event, Fault, Keys, Looked, Receiver};

/// Which of its events cannot be, and why.
type Wrong = (usize, Fault);

pub fn check(known: &Known<'_>, receiver: &Receiver, looked: &mut Looked) -> Result<(), Wrong> {
    let mut replay = Replay { known, watch: Watch::None, keys: Keys::All, copy: Copy::default() };
    for (place, (at_ns, event)) in receiver.events.iter().enumerate() {
        replay.event(*at_ns, event, looked).map_err(|fault| (place, fault))?;
    }
    let last = receiver.events.len().saturating_sub(1);
    replay.compare(looked).map_err(|fault| (last, fault))
}

enum Watch {
    /// None has begun, or it is lost.
    None,
    /// Asked for, with what is there or from a revision.
    Asked { at_ns: u64, is_initial: bool },
    /// Sends what was there at this revision.
    Initial { revision: u64 },
    /// Sends what changes.
    Live,
}

/// What it has heard of the keys, up to a revision.
#[derive(Default)]
struct Copy {
    content: Content,
    /// `None`: not even what was there.
    seen: Option<u64>,
}

struct Replay<'a> {
    known: &'a Known<'a>,
    watch: Watch,
    keys: Keys,
    copy: Copy,
}

impl Replay<'_> {
    fn event(&mut self, at_ns: u64, event: &Event, looked: &mut Looked) -> Result<(), Fault> {
        match (event, &self.watch) {
            // Its process may have died before it had written more.
            (Event::Asks { keys, from }, _) => self.asks(at_ns, keys, *from),
            (Event::Compacted, Watch::Asked { is_initial: false, .. }) => {
                self.watch = Watch::None;
                Ok(())
            }
            (Event::Begins { revision }, Watch::Asked { at_ns, is_initial }) => {
                let (at_ns, is_initial) = (*at_ns, *is_initial);
                looked.initial += usize::from(is_initial);
                looked.resumed += usize::from(!is_initial);
                self.begins(*revision, at_ns, is_initial)
            }
            (Event::Changes { revision, changes }, Watch::Initial { revision: of }) => {
                looked.messages += 1;
                if revision != of {
                    return Err(Fault::Order { after: *of });
                }
                changes.iter().try_for_each(|change| self.there(change))
            }
            (Event::InitialDone { revision }, Watch::Initial { revision: of }) => {
                if revision != of {
                    return Err(Fault::Order { after: *of });
                }
                (self.watch, self.copy.seen) = (Watch::Live, Some(*revision));
                Ok(())
            }
            (Event::Changes { revision, changes }, Watch::Live) => {
                looked.messages += 1;
                self.changes(*revision, changes)
            }
            (Event::Lost { revision }, Watch::Initial { .. } | Watch::Live) => {
                looked.lost += 1;
                self.lost(*revision)
            }
            _ => Err(Fault::NotWatching),
        }
    }

    fn asks(&mut self, at_ns: u64, keys: &Keys, from: Option<u64>) -> Result<(), Fault> {
        if from.is_some() && from != self.copy.seen.map(|seen| seen + 1) {
            return Err(Fault::WrongStart);
        }
        if from.is_none() {
            self.copy = Copy::default();
        }
        (self.watch, self.keys) =
            (Watch::Asked { at_ns, is_initial: from.is_none() }, keys.clone());
        Ok(())
    }

    fn begins(&mut self, revision: u64, asked_ns: u64, is_initial: bool) -> Result<(), Fault> {
        if !is_initial {
            self.watch = Watch::Live;
            return Ok(());
        }
        self.watch = Watch::Initial { revision };
        match self.known.acknowledged(asked_ns) {
            Some((acknowledged, write)) if revision < acknowledged => {
                Err(Fault::Stale { write, acknowledged })
            }
            _ => Ok(()),
        }
    }

    /// What was there when the watch began.
    fn there(&mut self, change: &Change) -> Result<(), Fault> {
        let Change { key, new, .. } = change;
        self.is_ours(key)?;
        let Some(new) = new else { return Err(self.differs(key)) };
        match self.copy.content.insert(key.clone(), new.clone()) {
            None => Ok(()),
            Some(has) => Err(Fault::Copy { key: key.clone(), has: Some(has) }),
        }
    }

    fn changes(&mut self, revision: u64, changes: &[Change]) -> Result<(), Fault> {
        let seen = self.goes_on(revision)?;
        if revision == seen {
            return Err(Fault::Order { after: seen });
        }
        for change in changes {
            self.is_ours(&change.key)?;
        }
        let is_sent = |key: &Arc<str>| changes.iter().any(|change| change.key == *key);
        let mut keys = self.known.changed(&self.keys, revision);
        keys.retain(|key| !is_sent(key));
        if !keys.is_empty() {
            return Err(Fault::Half { keys });
        }
        changes.iter().try_for_each(|change| self.change(change))?;
        let deleted = self.known.deleted(revision).filter(|key| self.keys.has(key));
        let left: Vec<Arc<str>> =
            deleted.filter(|key| self.copy.content.contains_key(*key)).cloned().collect();
        if left.is_empty() { Ok(()) } else { Err(Fault::Half { keys: left }) }
    }

    /// All up to this revision was sent.
    fn goes_on(&mut self, revision: u64) -> Result<u64, Fault> {
        let seen = self.copy.seen.unwrap_or(0);
        if revision < seen {
            return Err(Fault::Order { after: seen });
        }
        if let Some((revision, keys)) = self.known.missed(&self.keys, seen, revision) {
            return Err(Fault::Gap { revision, keys });
        }
        self.copy.seen = Some(revision);
        Ok(seen)
    }

    fn change(&mut self, change: &Change) -> Result<(), Fault> {
        let Change { key, new, old } = change;
        let has = match new {
            Some(new) => self.copy.content.insert(key.clone(), new.clone()),
            None => self.copy.content.remove(key),
        };
        let fits = match old {
            Some(old) => *old == has,
            None => new.is_some() || has.is_some(),
        };
        if fits { Ok(()) } else { Err(Fault::Copy { key: key.clone(), has }) }
    }

    fn lost(&mut self, revision: u64) -> Result<(), Fault> {
        let was_live = matches!(self.watch, Watch::Live);
        self.watch = Watch::None;
        if !was_live {
            self.copy = Copy::default();
            return Ok(());
        }
        // All up to this one, and of this one too.
        let seen = self.goes_on(revision)?;
        match self.known.missed(&self.keys, revision.saturating_sub(1), revision + 1) {
            Some((revision, keys)) if seen < revision => Err(Fault::Gap { revision, keys }),
            _ => Ok(()),
        }
    }

    fn compare(&self, looked: &mut Looked) -> Result<(), Fault> {
        let (Watch::Live, Some(seen)) = (&self.watch, self.copy.seen) else { return Ok(()) };
        for (found, table) in self.known.found(seen) {
            looked.compared += 1;
            let all = table.keys().chain(self.copy.content.keys());
            let differs = |key: &&Arc<str>| {
                self.keys.has(key) && table.get(*key) != self.copy.content.get(*key)
            };
            if let Some(key) = all.into_iter().find(differs) {
                let has = self.copy.content.get(key).cloned();
                return Err(Fault::Table { found: *found, key: key.clone(), has });
            }
        }
        Ok(())
    }

    fn is_ours(&self, key: &Arc<str>) -> Result<(), Fault> {
        if self.keys.has(key) { Ok(()) } else { Err(Fault::Foreign { key: key.clone() }) }
    }

    fn differs(&self, key: &Arc<str>) -> Fault {
        Fault::Differs { key: key.clone() }
    }
}
