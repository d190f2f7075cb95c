//! The versions of each list, in order, and who wrote and read them. Refuses reads that no order of
//! transactions explains.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::{Anomaly, Step, Transaction};
use crate::calls::{CallId, Calls};

/// Who appended a number, and was it its last to that list?
#[derive(Debug, Clone, Copy)]
struct Append {
    by: CallId,
    is_last: bool,
}

/// A read of a list, without what its transaction had appended itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read<'a> {
    pub by: CallId,
    pub saw: &'a [i64],
}

/// What is known of a list.
#[derive(Debug, Default)]
pub(super) struct List<'a> {
    /// One for each transaction that read it.
    pub reads: Vec<Read<'a>>,
    /// The longest read: its beginnings are the versions.
    pub longest: &'a [i64],
    /// The writer of each number of it.
    pub writers: Vec<CallId>,
    /// Transactions that have happened, whose numbers are in no read: they appended after all
    /// of these. With one such number.
    pub unread: BTreeMap<CallId, i64>,
}

pub(super) struct Versions<'a> {
    pub calls: &'a Calls<Transaction>,
    pub lists: BTreeMap<&'a Arc<str>, List<'a>>,
    /// The transactions that have happened.
    pub committed: Vec<CallId>,
}

impl<'a> Versions<'a> {
    pub fn of(calls: &'a Calls<Transaction>) -> Result<Versions<'a>, Anomaly> {
        let appended = appended(calls)?;
        let mut lists: BTreeMap<&Arc<str>, List<'a>> = BTreeMap::new();
        for (id, call) in calls.iter() {
            let Some((answer, _)) = call.done() else { continue };
            for (key, saw) in reads_of(id, &call.request, answer)? {
                lists.entry(key).or_default().reads.push(Read { by: id, saw });
            }
        }
        for (key, list) in &mut lists {
            list.order(key, calls, &appended)?;
        }
        let mut versions = Versions { calls, lists, committed: Vec::new() };
        versions.commit();
        Ok(versions)
    }

    /// Those that were told so, and those of which a number was read.
    fn commit(&mut self) {
        let seen: HashSet<CallId> =
            self.lists.values().flat_map(|list| list.writers.iter().copied()).collect();
        let has_happened = |id: CallId| {
            seen.contains(&id) || self.calls.get(id).is_some_and(|call| call.done().is_some())
        };
        self.committed =
            self.calls.iter().map(|(id, _)| id).filter(|id| has_happened(*id)).collect();
        let read: HashMap<&Arc<str>, HashSet<i64>> = self
            .lists
            .iter()
            .map(|(key, list)| (*key, list.longest.iter().copied().collect()))
            .collect();
        for id in &self.committed {
            let steps = self.calls.get(*id).into_iter().flat_map(|call| &call.request.0);
            for step in steps {
                let Step::Append { key, number } = step else { continue };
                let is_read = read.get(key).is_some_and(|numbers| numbers.contains(number));
                if let (false, Some(list)) = (is_read, self.lists.get_mut(key)) {
                    list.unread.entry(*id).or_insert(*number);
                }
            }
        }
    }

    /// An append that returned before a read was called which does not have it, nor has any other.
    pub fn lost(&self) -> Option<Anomaly> {
        self.lists.iter().find_map(|(key, list)| {
            let called_ns = |read: &Read<'_>| self.calls.get(read.by).map(|call| call.called_ns);
            let last = list.reads.iter().max_by_key(|read| called_ns(read))?;
            list.unread.iter().find_map(|(by, number)| {
                let (_, returned_ns) = self.calls.get(*by)?.done()?;
                let is_late = returned_ns < called_ns(last)?;
                let lost = || Anomaly::Lost {
                    key: Arc::clone(key),
                    number: *number,
                    by: *by,
                    read: last.by,
                };
                is_late.then(lost)
            })
        })
    }
}

type Appended<'a> = HashMap<(&'a Arc<str>, i64), Append>;

fn appended(calls: &Calls<Transaction>) -> Result<Appended<'_>, Anomaly> {
    let mut appended = Appended::new();
    for (by, call) in calls.iter() {
        let mut last: HashMap<&Arc<str>, i64> = HashMap::new();
        for step in &call.request.0 {
            let Step::Append { key, number } = step else { continue };
            let other = appended.insert((key, *number), Append { by, is_last: true });
            if other.is_some() {
                return Err(Anomaly::AppendedTwice { key: key.clone(), number: *number, by });
            }
            let before =
                last.insert(key, *number).and_then(|before| appended.get_mut(&(key, before)));
            before.into_iter().for_each(|before| before.is_last = false);
        }
    }
    Ok(appended)
}

/// A list, and what of it was read.
type Seen<'a> = (&'a Arc<str>, &'a [i64]);

/// What a transaction read of each list, without its own appends: once for each list.
fn reads_of<'a>(
    read: CallId,
    transaction: &'a Transaction,
    answer: &'a [Vec<i64>],
) -> Result<Vec<Seen<'a>>, Anomaly> {
    let mut own: HashMap<&Arc<str>, Vec<i64>> = HashMap::new();
    let mut seen: Vec<Seen<'a>> = Vec::new();
    let mut answers = answer.iter();
    for step in &transaction.0 {
        let key = match step {
            Step::Append { key, number } => {
                own.entry(key).or_default().push(*number);
                continue;
            }
            Step::Read { key } => key,
        };
        let wrong = || Anomaly::OwnSteps { key: key.clone(), read };
        let own = own.get(key).map(Vec::as_slice).unwrap_or_default();
        let saw = answers.next().and_then(|saw| saw.strip_suffix(own)).ok_or_else(wrong)?;
        match seen.iter().find(|(known, _)| *known == key) {
            Some((_, before)) if *before != saw => return Err(wrong()),
            Some(_) => {}
            None => seen.push((key, saw)),
        }
    }
    Ok(seen)
}

impl<'a> List<'a> {
    /// Takes the longest read for the order, and looks at whether all others are its beginnings.
    fn order(
        &mut self,
        key: &'a Arc<str>,
        calls: &Calls<Transaction>,
        appended: &Appended<'_>,
    ) -> Result<(), Anomaly> {
        let Some(longest) = self.reads.iter().max_by_key(|read| read.saw.len()).copied() else {
            return Ok(());
        };
        self.longest = longest.saw;
        self.writers = writers(key, longest, calls, appended)?;
        for read in &self.reads {
            if !longest.saw.starts_with(read.saw) {
                writers(key, *read, calls, appended)?;
                let (key, other) = (key.clone(), longest.by);
                return Err(Anomaly::Orders { key, read: read.by, other });
            }
            let last = read.saw.last().and_then(|number| appended.get(&(key, *number)));
            if let Some(last) = last.filter(|last| !last.is_last) {
                let (key, by) = (key.clone(), last.by);
                return Err(Anomaly::Intermediate { key, read: read.by, by });
            }
        }
        Ok(())
    }
}

/// Who appended each number that was read: another transaction that may have happened, once.
fn writers(
    key: &Arc<str>,
    read: Read<'_>,
    calls: &Calls<Transaction>,
    appended: &Appended<'_>,
) -> Result<Vec<CallId>, Anomaly> {
    let mut seen = HashSet::new();
    let writer = |number: &i64| {
        let (key, number, reader) = (key.clone(), *number, read.by);
        let Some(Append { by, .. }) = appended.get(&(&key, number)).copied() else {
            return Err(Anomaly::NeverAppended { key, number, read: reader });
        };
        if calls.get(by).is_some_and(|call| call.has_failed()) {
            return Err(Anomaly::Aborted { key, number, read: reader, by });
        }
        if by == reader {
            return Err(Anomaly::OwnSteps { key, read: reader });
        }
        if !seen.insert(number) {
            return Err(Anomaly::Duplicate { key, number, read: reader, by });
        }
        Ok(by)
    };
    read.saw.iter().map(writer).collect()
}
