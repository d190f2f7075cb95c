//! The words of a line of a history, each kind of operation with its own: see
//! [`files`](crate::files).

use std::sync::Arc;

use crate::accounts::{Balances, Banked, Banking};
use crate::calls::Told;
use crate::expiry::{self, Timed};
use crate::history::{Action, Outcome, parse_state};
use crate::lists::{Step, Transaction};
use crate::locks::{self, Locking};
use crate::names::{self, Naming};
use crate::watches::{self, Changing};

pub fn action(kind: &str, words: &[&str]) -> Result<Action, String> {
    match (kind, words) {
        ("read", []) => Ok(Action::Read),
        ("write", ["-"]) => Err("a write needs a value".to_owned()),
        ("write", [value]) => Ok(Action::Write((*value).into())),
        ("delete", []) => Ok(Action::Delete),
        ("cas", [expect, new]) => {
            Ok(Action::Cas { expect: parse_state(expect), new: parse_state(new) })
        }
        ("swap", [new]) => Ok(Action::Swap(parse_state(new))),
        ("add", [n]) => Ok(Action::Add(number(n)?)),
        _ => Err(format!("no operation: {kind} with {} words", words.len())),
    }
}

pub fn outcome(words: &[&str]) -> Result<Outcome, String> {
    match words {
        ["ok"] => Ok(Outcome::Ok),
        ["ok", value] => Ok(Outcome::Saw(parse_state(value))),
        ["conflict"] => Ok(Outcome::Conflict),
        ["unknown"] => Ok(Outcome::Unknown),
        ["failed"] => Ok(Outcome::Failed),
        _ => Err(format!("no outcome: {}", words.join(" "))),
    }
}

pub fn number<N: std::str::FromStr>(word: &str) -> Result<N, String> {
    word.parse().map_err(|_| format!("not a number: {word:?}"))
}

/// What a judge of its own is asked about.
pub enum Request {
    Accounts(Banking),
    Lists(Transaction),
    Timed(Timed),
    Changing(Changing),
    Locking(Locking),
    Naming(Naming),
}

/// `None`: it is of a key without a time to live, for the search.
pub fn request(kind: &str, words: &[&str]) -> Result<Option<Request>, String> {
    Ok(Some(match (kind, words) {
        ("open", _) => Request::Accounts(Banking::Open(balances(words)?)),
        ("transfer", [from, to, amount]) => {
            let (from, to, amount) = ((*from).into(), (*to).into(), number(amount)?);
            Request::Accounts(Banking::Transfer { from, to, amount })
        }
        ("look", []) => Request::Accounts(Banking::Look),
        ("lists", _) => {
            let steps = words.iter().map(|word| step(word));
            Request::Lists(Transaction(steps.collect::<Result<_, _>>()?))
        }
        ("timed", words) => Request::Timed(timed(words)?),
        ("change", words) => {
            let steps = words.iter().map(|word| write(word));
            Request::Changing(Changing::Write(steps.collect::<Result<_, _>>()?))
        }
        ("owned", words) => Request::Locking(locking(words)?),
        ("named", words) => Request::Naming(naming(words)?),
        ("content", []) => Request::Changing(Changing::Find),
        ("transfer" | "look" | "content", _) => {
            return Err(format!("no operation: {kind} with {} words", words.len()));
        }
        _ => return Ok(None),
    }))
}

fn step(word: &str) -> Result<Step, String> {
    match word.split_once('+') {
        Some((key, appended)) => Ok(Step::append(key, number(appended)?)),
        None => Ok(Step::read(word)),
    }
}

fn timed(words: &[&str]) -> Result<Timed, String> {
    let time = |word: &str| if word == "-" { Ok(None) } else { number(word).map(Some) };
    match words {
        ["put", key, value, ttl_ms] => {
            let (key, value, ttl_ms) = ((*key).into(), (*value).into(), time(ttl_ms)?);
            Ok(Timed::Put { key, value, ttl_ms })
        }
        ["touch", key, ttl_ms] => Ok(Timed::Touch { key: (*key).into(), ttl_ms: time(ttl_ms)? }),
        ["get", key] => Ok(Timed::Get { key: (*key).into() }),
        ["settled", bound_ms] => Ok(Timed::Settled { bound_ms: number(bound_ms)? }),
        _ => Err(format!("no operation: timed {}", words.join(" "))),
    }
}

fn locking(words: &[&str]) -> Result<Locking, String> {
    match words {
        ["lock", name] => Ok(Locking::Lock { name: (*name).into() }),
        ["free", name] => Ok(Locking::Free { name: (*name).into() }),
        [kind, name, token] => {
            let (name, token) = ((*name).into(), number(token)?);
            match *kind {
                "guarded" => Ok(Locking::Guarded { name, token }),
                "unlock" => Ok(Locking::Unlock { name, token }),
                "drop" => Ok(Locking::Drop { name, token }),
                _ => Err(format!("no operation: owned {kind}")),
            }
        }
        _ => Err(format!("no operation: owned {}", words.join(" "))),
    }
}

fn naming(words: &[&str]) -> Result<Naming, String> {
    match words {
        ["unregister", name] => Ok(Naming::Unregister { name: (*name).into() }),
        ["whereis", name] => Ok(Naming::Whereis { name: (*name).into() }),
        ["free", name] => Ok(Naming::Free { name: (*name).into() }),
        ["register", name, process] => {
            Ok(Naming::Register { name: (*name).into(), process: (*process).into() })
        }
        ["kill", name, process] => {
            Ok(Naming::Kill { name: (*name).into(), process: (*process).into() })
        }
        _ => Err(format!("no operation: named {}", words.join(" "))),
    }
}

fn write(word: &str) -> Result<(Arc<str>, Option<Arc<str>>), String> {
    match word.strip_suffix('!') {
        Some(key) => Ok((key.into(), None)),
        None => pair(word).map(|(key, value)| (key.into(), Some(value.into()))),
    }
}

/// The outcome of what a judge of its own is asked about.
pub fn told<A>(
    words: &[&str],
    answer: impl FnOnce(&[&str]) -> Result<A, String>,
) -> Result<Told<A>, String> {
    match words {
        ["ok", rest @ ..] => Ok(Told::Done(answer(rest)?)),
        ["unknown"] => Ok(Told::Unknown),
        ["failed"] => Ok(Told::Failed),
        _ => Err(format!("no outcome: {}", words.join(" "))),
    }
}

pub fn banked(words: &[&str]) -> Result<Banked, String> {
    match words {
        [] => Ok(Banked::Done),
        ["-"] => Ok(Banked::Saw(Balances::new())),
        _ => Ok(Banked::Saw(balances(words)?)),
    }
}

fn balances(words: &[&str]) -> Result<Balances, String> {
    let balance = |word: &&str| {
        let (account, balance) = pair(word)?;
        Ok((Arc::from(account), number(balance)?))
    };
    words.iter().map(balance).collect()
}

/// What each read of a transaction saw, in order.
pub fn read(words: &[&str]) -> Result<Vec<Vec<i64>>, String> {
    let list = |word: &&str| match pair(word)? {
        (_, "-") => Ok(Vec::new()),
        (_, numbers) => numbers.split(',').map(number).collect(),
    };
    words.iter().map(list).collect()
}

pub fn found(words: &[&str]) -> Result<expiry::Answer, String> {
    match words {
        [] => Ok(expiry::Answer::Done),
        ["touched", "yes"] => Ok(expiry::Answer::Touched(true)),
        ["touched", "no"] => Ok(expiry::Answer::Touched(false)),
        ["found", "-"] => Ok(expiry::Answer::Found(None)),
        ["found", value] => Ok(expiry::Answer::Found(Some((*value).into()))),
        ["term", term] => Ok(expiry::Answer::Term(number(term)?)),
        _ => Err(format!("no answer: {}", words.join(" "))),
    }
}

pub fn changed(words: &[&str]) -> Result<watches::Answer, String> {
    let entry = |word: &&str| pair(word).map(|(key, value)| (key.into(), value.into()));
    match words {
        ["rev", "-"] => Ok(watches::Answer::At(None)),
        ["rev", revision] => Ok(watches::Answer::At(Some(number(revision)?))),
        ["-"] => Ok(watches::Answer::Found(watches::Content::new())),
        _ => Ok(watches::Answer::Found(words.iter().map(entry).collect::<Result<_, _>>()?)),
    }
}

pub fn locked(words: &[&str]) -> Result<locks::Answer, String> {
    match words {
        [] => Ok(locks::Answer::Done),
        ["held"] => Ok(locks::Answer::Held),
        ["yes"] => Ok(locks::Answer::Is(true)),
        ["no"] => Ok(locks::Answer::Is(false)),
        ["token", token] => Ok(locks::Answer::Token(number(token)?)),
        _ => Err(format!("no answer: {}", words.join(" "))),
    }
}

pub fn named(words: &[&str]) -> Result<names::Answer, String> {
    match words {
        [] => Ok(names::Answer::Done),
        ["yes"] => Ok(names::Answer::Is(true)),
        ["no"] => Ok(names::Answer::Is(false)),
        ["found", "-"] => Ok(names::Answer::Found(None)),
        ["found", process] => Ok(names::Answer::Found(Some((*process).into()))),
        _ => Err(format!("no answer: {}", words.join(" "))),
    }
}

fn pair(word: &str) -> Result<(&str, &str), String> {
    word.split_once('=').ok_or_else(|| format!("not KEY=VALUE: {word:?}"))
}
