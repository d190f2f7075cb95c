//! The rules, each with what it may take for granted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Answer, Disturbance, Fault, Looked, Timed, Violation};
use crate::calls::{Call, CallId, Calls};

const NS_A_MS: u64 = 1_000_000;

pub fn check(calls: &Calls<Timed>, disturbances: &[Disturbance]) -> Result<Looked, Violation> {
    let leads = leads(calls, disturbances);
    let mut keys: BTreeMap<&Arc<str>, Vec<(CallId, &Call<Timed>)>> = BTreeMap::new();
    for (id, call) in calls.iter().filter(|(_, call)| !call.has_failed()) {
        if let Some(key) = call.request.key() {
            keys.entry(key).or_default().push((id, call));
        }
    }
    let mut looked = Looked::default();
    for calls in keys.values() {
        Key::of(calls, &leads).check(&mut looked)?;
    }
    Ok(looked)
}

/// One leader led from the first to the second of two that were told the same term.
struct Lead {
    settled: CallId,
    called_ns: u64,
    from_ns: u64,
    /// When the next fault begins, or nobody knows any more who leads.
    until_ns: u64,
    bound_ms: u64,
}

/// A client was told which term is led.
struct Settled {
    id: CallId,
    called_ns: u64,
    returned_ns: u64,
    bound_ms: u64,
    term: u64,
}

impl Settled {
    fn of((id, call): (CallId, &Call<Timed>)) -> Option<Settled> {
        let (Timed::Settled { bound_ms }, (Answer::Term(term), returned_ns)) =
            (&call.request, call.done()?)
        else {
            return None;
        };
        let (called_ns, bound_ms, term) = (call.called_ns, *bound_ms, *term);
        Some(Settled { id, called_ns, returned_ns, bound_ms, term })
    }
}

fn leads(calls: &Calls<Timed>, disturbances: &[Disturbance]) -> Vec<Lead> {
    let all: Vec<Settled> = calls.iter().filter_map(Settled::of).collect();
    let lead = |first: &Settled| {
        let same = all.iter().filter(|other| other.term == first.term);
        let known_ns = same.map(|other| other.called_ns).max()?;
        let later = disturbances.iter().filter(|fault| fault.to_ns >= first.called_ns);
        let fault_ns = later.map(|fault| fault.from_ns).min().unwrap_or(u64::MAX);
        Some(Lead {
            settled: first.id,
            called_ns: first.called_ns,
            from_ns: first.returned_ns,
            until_ns: known_ns.min(fault_ns),
            bound_ms: first.bound_ms,
        })
    };
    all.iter().filter_map(lead).filter(|lead| lead.from_ns < lead.until_ns).collect()
}

/// A put or touch that may have given the key its time.
struct Given<'a> {
    id: CallId,
    called_ns: u64,
    /// When it surely had; `None`: it may do so at any time, or never.
    returned_ns: Option<u64>,
    ttl_ns: Option<u64>,
    /// What a put has put.
    value: Option<&'a Arc<str>>,
}

impl<'a> Given<'a> {
    fn of((id, call): &(CallId, &'a Call<Timed>)) -> Option<Given<'a>> {
        let (ttl_ms, value) = match &call.request {
            Timed::Put { ttl_ms, value, .. } => (ttl_ms, Some(value)),
            Timed::Touch { ttl_ms, .. } => (ttl_ms, None),
            Timed::Get { .. } | Timed::Settled { .. } => return None,
        };
        let returned_ns = match call.done() {
            Some((Answer::Touched(false), _)) => return None,
            done => done.map(|(_, at_ns)| at_ns),
        };
        let ttl_ns = ttl_ms.map(|ms| ms.saturating_mul(NS_A_MS));
        Some(Given { id: *id, called_ns: call.called_ns, returned_ns, ttl_ns, value })
    }

    /// It had taken effect before this one was called.
    fn precedes(&self, other: &Given<'_>) -> bool {
        self.is_before(other.called_ns)
    }

    fn is_before(&self, at_ns: u64) -> bool {
        self.returned_ns.is_some_and(|returned_ns| returned_ns < at_ns)
    }
}

/// What a call has found of the key, and when.
struct Found<'a> {
    id: CallId,
    called_ns: u64,
    returned_ns: u64,
    is_there: bool,
    value: Option<&'a Arc<str>>,
}

impl<'a> Found<'a> {
    fn of((id, call): &(CallId, &'a Call<Timed>)) -> Option<Found<'a>> {
        let (answer, returned_ns) = call.done()?;
        let (is_there, value) = match answer {
            Answer::Found(value) => (value.is_some(), value.as_ref()),
            Answer::Touched(is_there) => (*is_there, None),
            Answer::Done | Answer::Term(_) => return None,
        };
        Some(Found { id: *id, called_ns: call.called_ns, returned_ns, is_there, value })
    }
}

/// The calls of one key.
struct Key<'a> {
    given: Vec<Given<'a>>,
    found: Vec<Found<'a>>,
    /// Calls that found it absent, in the order of their calls; beside each the one of it and the
    /// later ones that returned first.
    absences: Vec<(u64, (u64, CallId))>,
    leads: &'a [Lead],
}

impl<'a> Key<'a> {
    fn of(calls: &[(CallId, &'a Call<Timed>)], leads: &'a [Lead]) -> Key<'a> {
        let given = calls.iter().filter_map(Given::of).collect();
        let found: Vec<Found<'a>> = calls.iter().filter_map(Found::of).collect();
        let absent = found.iter().filter(|found| !found.is_there);
        let mut absences: Vec<_> =
            absent.map(|found| (found.called_ns, (found.returned_ns, found.id))).collect();
        absences.sort_unstable();
        let mut first = (u64::MAX, CallId(0));
        for (_, absence) in absences.iter_mut().rev() {
            first = first.min(*absence);
            *absence = first;
        }
        Key { given, found, absences, leads }
    }

    fn check(&self, looked: &mut Looked) -> Result<(), Violation> {
        for found in &self.found {
            let fault = if found.is_there { self.wrong(found) } else { self.early(found, looked) };
            let fault = fault.or_else(|| self.late(found, looked));
            if let Some(fault) = fault {
                return Err(Violation { call: found.id, fault });
            }
        }
        Ok(())
    }

    /// Those of which one gave the key the time that it had at this call: none that another had
    /// surely replaced before.
    fn last(&self, found: &Found<'_>) -> impl Iterator<Item = &Given<'a>> {
        let (id, called_ns, returned_ns) = (found.id, found.called_ns, found.returned_ns);
        let others = self.given.iter().filter(move |given| given.id != id);
        others.filter(move |given| {
            let is_later = |other: &Given<'_>| given.precedes(other) && other.is_before(called_ns);
            given.called_ns < returned_ns && !self.given.iter().any(is_later)
        })
    }

    fn early(&self, found: &Found<'_>, looked: &mut Looked) -> Option<Fault> {
        let sure = self.given.iter().filter(|given| given.is_before(found.called_ns));
        // The last one took effect after this: all of these had been called.
        let after_ns = sure.map(|given| given.called_ns).max()?;
        looked.gone += 1;
        let over = self
            .last(found)
            .filter_map(|given| Some(given.called_ns.max(after_ns).saturating_add(given.ttl_ns?)));
        let not_before_ns = over.min();
        let is_over = not_before_ns.is_some_and(|over_ns| over_ns <= found.returned_ns);
        (!is_over).then_some(Fault::Early { not_before_ns })
    }

    fn wrong(&self, found: &Found<'_>) -> Option<Fault> {
        let value = found.value?;
        let put = self.given.iter().find(|given| given.value == Some(value));
        let Some(put) = put.filter(|put| put.called_ns <= found.returned_ns) else {
            return Some(Fault::NeverPut);
        };
        let puts = self.given.iter().filter(|given| given.value.is_some());
        let mut newer =
            puts.filter(|other| put.precedes(other) && other.is_before(found.called_ns));
        if let Some(by) = newer.next() {
            return Some(Fault::Overwritten { by: by.id });
        }
        let put_ns = put.returned_ns?;
        let first = self.absences.partition_point(|(called_ns, _)| *called_ns <= put_ns);
        let (_, (absent_ns, absent)) = self.absences.get(first)?;
        (*absent_ns < found.called_ns).then_some(Fault::Back { absent: *absent })
    }

    fn late(&self, found: &Found<'_>, looked: &mut Looked) -> Option<Fault> {
        let within =
            |lead: &&Lead| lead.from_ns < found.called_ns && found.returned_ns < lead.until_ns;
        let due = self
            .leads
            .iter()
            .filter(within)
            .filter_map(|lead| Some((self.gone_ns(found, lead)?, lead.settled)));
        let (gone_ns, settled) = due.min()?;
        looked.in_time += usize::from(!found.is_there);
        let is_late = found.is_there && gone_ns < found.called_ns;
        is_late.then_some(Fault::Late { settled, gone_ns })
    }

    /// When the key had to be gone, whichever gave it its time; `None` if it may stay.
    fn gone_ns(&self, found: &Found<'_>, lead: &Lead) -> Option<u64> {
        let mut latest_ns = None;
        for given in self.last(found) {
            let given_ns = match given.returned_ns {
                Some(returned_ns) => returned_ns.max(lead.from_ns),
                // What was unknown then has happened by now, or never will.
                None if given.called_ns < lead.called_ns => lead.from_ns,
                None => return None,
            };
            let is_replaced = given.returned_ns.is_none()
                && self
                    .given
                    .iter()
                    .any(|other| given_ns < other.called_ns && other.is_before(found.called_ns));
            if is_replaced {
                continue;
            }
            let bound_ns = lead.bound_ms.saturating_mul(NS_A_MS);
            let gone_ns = given_ns.saturating_add(given.ttl_ns?).saturating_add(bound_ns);
            latest_ns = latest_ns.max(Some(gone_ns));
        }
        latest_ns
    }
}
