//! Are the accounts of a bank looked at as a whole? A judge of transactions and scans.
//!
//! Some clients move amounts from one account to another, each in one atomic write that leaves no
//! account below zero; others look at all accounts in one call. Whatever is moved meanwhile, each
//! of these sees all accounts, with the sum that they were opened with, and none below zero. A read
//! of a state that never was, half a transfer or two revisions, is found by its sum.
//!
//! The bank is opened once, so after any call that has seen it open it is not found closed.
//!
//! This says nothing of the order of transfers, nor whether one was lost as a whole: see
//! [`lists`](crate::lists). One pass over the calls.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::calls::{CallId, Calls, Request};

/// What each account has.
pub type Balances = BTreeMap<Arc<str>, i64>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Banking {
    /// Opens all accounts, if there are none.
    Open(Balances),
    Transfer {
        from: Arc<str>,
        to: Arc<str>,
        amount: i64,
    },
    /// Looks at all accounts.
    Look,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Banked {
    /// Opened, or moved.
    Done,
    /// No account: the bank is not open.
    Saw(Balances),
}

impl Request for Banking {
    type Answer = Banked;

    fn fits(&self, answer: &Banked) -> bool {
        matches!(self, Banking::Look) == matches!(answer, Banked::Saw(_))
    }
}

impl fmt::Display for Banking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Banking::Open(balances) => write!(f, "open {}", show(balances)),
            Banking::Transfer { from, to, amount } => {
                write!(f, "transfer {amount} from {from} to {to}")
            }
            Banking::Look => write!(f, "look"),
        }
    }
}

/// What is wrong with what a call saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Sum {
        is: i128,
        opened: i128,
    },
    BelowZero(Arc<str>),
    /// These are not the accounts that were opened.
    Accounts,
    /// Seen closed, after this call has seen it open.
    Closed(CallId),
    /// Seen open, though no call could have opened it.
    NeverOpened,
    /// Two calls mean to open different accounts: the history is of no use.
    OpenedTwice,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub call: CallId,
    pub fault: Fault,
    /// The transfers that were under way meanwhile, the newest last.
    pub meanwhile: Vec<CallId>,
}

const MEANWHILE_MAX: usize = 8;

/// The first call that saw what cannot be, in the order recorded.
pub fn check(calls: &Calls<Banking>) -> Option<Violation> {
    let mut bank = Bank::of(calls);
    calls.iter().find_map(|(id, _)| {
        let fault = bank.fault(id)?;
        Some(Violation { call: id, fault, meanwhile: meanwhile(calls, id) })
    })
}

struct Bank<'a> {
    calls: &'a Calls<Banking>,
    opened: Option<(&'a Balances, u64)>,
    /// The earliest return of a call that has seen the bank open.
    open: Option<(u64, CallId)>,
}

impl<'a> Bank<'a> {
    fn of(calls: &'a Calls<Banking>) -> Bank<'a> {
        let opens = calls.iter().filter(|(_, call)| !call.has_failed());
        let opens = opens.filter_map(|(_, call)| match &call.request {
            Banking::Open(balances) => Some((balances, call.called_ns)),
            _ => None,
        });
        let seen_open = calls.iter().filter_map(|(id, call)| match call.done()? {
            (Banked::Saw(balances), _) if balances.is_empty() => None,
            (_, at_ns) => Some((at_ns, id)),
        });
        Bank { calls, opened: opens.min_by_key(|(_, at_ns)| *at_ns), open: seen_open.min() }
    }

    fn fault(&mut self, id: CallId) -> Option<Fault> {
        let call = self.calls.get(id)?;
        if let Banking::Open(balances) = &call.request {
            let differs = |(opened, _): &(&Balances, u64)| *opened != balances;
            return self.opened.filter(differs).map(|_| Fault::OpenedTwice);
        }
        let (Banked::Saw(balances), returned_ns) = call.done()? else { return None };
        if balances.is_empty() {
            let open = self.open.filter(|(at_ns, _)| *at_ns < call.called_ns);
            return open.map(|(_, earlier)| Fault::Closed(earlier));
        }
        let Some((opened, _)) = self.opened.filter(|(_, at_ns)| *at_ns <= returned_ns) else {
            return Some(Fault::NeverOpened);
        };
        if !balances.keys().eq(opened.keys()) {
            return Some(Fault::Accounts);
        }
        let (is, opened) = (sum(balances), sum(opened));
        if is != opened {
            return Some(Fault::Sum { is, opened });
        }
        let below = balances.iter().find(|(_, balance)| **balance < 0);
        below.map(|(account, _)| Fault::BelowZero(account.clone()))
    }
}

fn sum(balances: &Balances) -> i128 {
    balances.values().map(|balance| i128::from(*balance)).sum()
}

fn meanwhile(calls: &Calls<Banking>, id: CallId) -> Vec<CallId> {
    let Some(call) = calls.get(id) else { return Vec::new() };
    let end_ns = call.returned.as_ref().map_or(u64::MAX, |(_, at_ns)| *at_ns);
    let transfers = calls.iter().filter(|(_, other)| {
        let other_end_ns = other.done().map_or(u64::MAX, |(_, at_ns)| at_ns);
        matches!(other.request, Banking::Transfer { .. })
            && !other.has_failed()
            && other.called_ns <= end_ns
            && other_end_ns >= call.called_ns
    });
    let mut found: Vec<CallId> = transfers.map(|(id, _)| id).collect();
    found.sort_by_key(|id| calls.get(*id).map(|call| call.called_ns));
    found.split_off(found.len().saturating_sub(MEANWHILE_MAX))
}

impl Violation {
    /// In words, a line for each call.
    pub fn explain(&self, calls: &Calls<Banking>) -> String {
        let what = match &self.fault {
            Fault::Sum { is, opened } => format!("the sum is {is}, and was {opened} when opened"),
            Fault::BelowZero(account) => format!("the account {account} is below zero"),
            Fault::Accounts => "these are not the accounts that were opened".to_owned(),
            Fault::Closed(_) => "the bank is closed, and was seen open before".to_owned(),
            Fault::NeverOpened => "the bank is open, and nobody has opened it".to_owned(),
            Fault::OpenedTwice => "the bank is opened with different accounts".to_owned(),
        };
        let mut text = format!("{what}:\n    {}\n", line(calls, self.call));
        if let Fault::Closed(earlier) = self.fault {
            text += &format!("seen open by:\n    {}\n", line(calls, earlier));
        }
        if !self.meanwhile.is_empty() {
            text += "under way meanwhile:\n";
        }
        self.meanwhile.iter().for_each(|id| text += &format!("    {}\n", line(calls, *id)));
        text
    }
}

fn line(calls: &Calls<Banking>, id: CallId) -> String {
    let Some(call) = calls.get(id) else { return String::new() };
    let told = match call.done() {
        Some((Banked::Saw(balances), _)) => format!("saw {}", show(balances)),
        Some((Banked::Done, _)) => "ok".to_owned(),
        None if call.has_failed() => "failed".to_owned(),
        None => "unknown".to_owned(),
    };
    format!("{} {told}   {}", call.request, call.by())
}

fn show(balances: &Balances) -> String {
    let words: Vec<String> = balances.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if words.is_empty() { "no account".to_owned() } else { words.join(" ") }
}
