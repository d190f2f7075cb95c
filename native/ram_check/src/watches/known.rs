//! What is known of each revision: by the writes that were acknowledged, and by what all receivers
//! were sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Answer, Change, Changing, Content, Event, Fault, Keys, Receiver, Violation};
use crate::calls::{CallId, Calls};

/// What a write has changed, as far as it is known: each key, and what it held then.
type Changes = BTreeMap<Arc<str>, Option<Arc<str>>>;
type Steps = [(Arc<str>, Option<Arc<str>>)];

pub struct Known<'a> {
    changes: BTreeMap<u64, Changes>,
    /// The writes that were told a revision.
    told: BTreeMap<u64, (CallId, &'a Steps)>,
    /// By the times of their returns: the largest revision that was told so far.
    newest: BTreeMap<u64, (u64, CallId)>,
    /// Of each write that a receiver was sent something of: its revision.
    sent: HashMap<CallId, u64>,
    /// Which write has written this, if it has not failed.
    values: HashMap<(&'a Arc<str>, &'a Arc<str>), CallId>,
    /// What the table was found to hold, by calls after the last write.
    found: Vec<(CallId, &'a Content)>,
}

impl<'a> Known<'a> {
    pub fn of(calls: &'a Calls<Changing>, receivers: &[Receiver]) -> Result<Known<'a>, Violation> {
        let mut known = Known::of_writes(calls).map_err(|fault| Violation { fault, at: None })?;
        for (number, receiver) in receivers.iter().enumerate() {
            let mut is_initial = false;
            for (place, (_, event)) in receiver.events.iter().enumerate() {
                match event {
                    Event::Asks { from, .. } => is_initial = from.is_none(),
                    Event::InitialDone { .. } => is_initial = false,
                    Event::Changes { revision, changes } => {
                        let heed = |change| known.heed(*revision, is_initial, change);
                        changes
                            .iter()
                            .try_for_each(heed)
                            .map_err(|fault| Violation { fault, at: Some((number, place)) })?;
                    }
                    Event::Begins { .. } | Event::Compacted | Event::Lost { .. } => {}
                }
            }
        }
        Ok(known)
    }

    fn of_writes(calls: &'a Calls<Changing>) -> Result<Known<'a>, Fault> {
        let (mut told, mut values, mut returns) = (BTreeMap::new(), HashMap::new(), Vec::new());
        for (id, call) in calls.iter().filter(|(_, call)| !call.has_failed()) {
            let Changing::Write(steps) = &call.request else { continue };
            values.extend(steps.iter().filter_map(|(key, new)| Some(((key, new.as_ref()?), id))));
            let Some((Answer::At(Some(revision)), at_ns)) = call.done() else { continue };
            if let Some((other, _)) = told.insert(*revision, (id, steps.as_slice())) {
                return Err(Fault::Revisions { write: id, other });
            }
            returns.push((at_ns, *revision, id));
        }
        let newest = newest(returns);
        check_order(calls, &told, &newest)?;
        // Whether a key that it deleted was there is not known, unless that is all it has changed.
        let sure = |steps: &Steps| {
            let is_sure = |(_, new): &&(_, Option<Arc<str>>)| new.is_some() || steps.len() == 1;
            steps.iter().filter(is_sure).cloned().collect()
        };
        let changes = told.iter().map(|(revision, (_, steps))| (*revision, sure(steps))).collect();
        let last_ns = newest.last_key_value().map_or(0, |(at_ns, _)| *at_ns);
        let found = calls.iter().filter_map(|(id, call)| match call.done()? {
            (Answer::Found(content), _) if last_ns < call.called_ns => Some((id, content)),
            _ => None,
        });
        let found = found.collect();
        Ok(Known { changes, told, newest, sent: HashMap::new(), values, found })
    }

    /// A change that a receiver was sent, or what was there when its watch began.
    fn heed(&mut self, revision: u64, is_initial: bool, change: &Change) -> Result<(), Fault> {
        let Change { key, new, .. } = change;
        if let Some(new) = new {
            let write = self.values.get(&(key, new)).copied();
            let write = write.ok_or(Fault::NeverWritten { key: key.clone() })?;
            if !is_initial {
                let other = *self.sent.entry(write).or_insert(revision);
                if other != revision {
                    return Err(Fault::Twice { write, revision: other });
                }
            }
        }
        if is_initial {
            return Ok(());
        }
        let differs = || Fault::Differs { key: key.clone() };
        if let Some((_, steps)) = self.told.get(&revision)
            && !steps.iter().any(|step| (&step.0, &step.1) == (key, new))
        {
            return Err(differs());
        }
        let known = self.changes.entry(revision).or_default().entry(key.clone());
        if known.or_insert_with(|| new.clone()) == new { Ok(()) } else { Err(differs()) }
    }

    /// The first revision between these two, both excluded, of which the watch was to be sent
    /// something, and the keys.
    pub fn missed(&self, keys: &Keys, after: u64, before: u64) -> Option<(u64, Vec<Arc<str>>)> {
        let from = after.saturating_add(1);
        let between = self.changes.range(from..before.max(from));
        let mut missed = between.map(|(revision, changes)| (*revision, of_keys(changes, keys)));
        missed.find(|(_, missed)| !missed.is_empty())
    }

    /// The keys of the watch that this revision has changed.
    pub fn changed(&self, keys: &Keys, revision: u64) -> Vec<Arc<str>> {
        self.changes.get(&revision).map_or_else(Vec::new, |changes| of_keys(changes, keys))
    }

    /// The keys that this revision has deleted, if they were there.
    pub fn deleted(&self, revision: u64) -> impl Iterator<Item = &'a Arc<str>> {
        let steps = self.told.get(&revision).map_or(&[][..], |(_, steps)| steps);
        steps.iter().filter(|(_, new)| new.is_none()).map(|(key, _)| key)
    }

    /// The newest revision that a write was told before this time.
    pub fn acknowledged(&self, at_ns: u64) -> Option<(u64, CallId)> {
        self.newest.range(..at_ns).next_back().map(|(_, newest)| *newest)
    }

    /// What the table held in the end, for who has heard all up to this revision.
    pub fn found(&self, seen: u64) -> &[(CallId, &'a Content)] {
        let last = self.told.last_key_value().map_or(0, |(revision, _)| *revision);
        if seen < last { &[] } else { &self.found }
    }
}

fn of_keys(changes: &Changes, keys: &Keys) -> Vec<Arc<str>> {
    changes.keys().filter(|key| keys.has(key)).cloned().collect()
}

fn newest(mut returns: Vec<(u64, u64, CallId)>) -> BTreeMap<u64, (u64, CallId)> {
    returns.sort_unstable();
    let mut newest = (0, CallId(0));
    let so_far = returns.into_iter().map(|(at_ns, revision, id)| {
        newest = newest.max((revision, id));
        (at_ns, newest)
    });
    so_far.collect()
}

/// A write that was called when another had returned has a later revision.
fn check_order(
    calls: &Calls<Changing>,
    told: &BTreeMap<u64, (CallId, &Steps)>,
    newest: &BTreeMap<u64, (u64, CallId)>,
) -> Result<(), Fault> {
    for (revision, (write, _)) in told {
        let Some(call) = calls.get(*write) else { continue };
        if let Some((_, (before, other))) = newest.range(..call.called_ns).next_back()
            && before > revision
        {
            return Err(Fault::Revisions { write: *write, other: *other });
        }
    }
    Ok(())
}
