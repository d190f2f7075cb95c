//! The files of receivers, `NAME.NUMBER.watch`: the parts of one receiver in the order of their
//! numbers. The format is told in [`files`](crate::files).

use std::sync::Arc;

use super::{Change, Event, Keys};
use crate::words::number;

/// An event and the time at which it was written down; `None`: a comment.
pub fn event(line: &str) -> Result<Option<(u64, Event)>, String> {
    if line.starts_with('#') {
        return Ok(None);
    }
    let words: Vec<&str> = line.split(' ').collect();
    let (event, at) = match words.as_slice() {
        ["w", rest @ .., "initial", at] => (Event::Asks { keys: keys(rest)?, from: None }, at),
        ["w", rest @ .., "from", revision, at] => {
            (Event::Asks { keys: keys(rest)?, from: Some(number(revision)?) }, at)
        }
        ["b", revision, at] => (Event::Begins { revision: number(revision)? }, at),
        ["c", at] => (Event::Compacted, at),
        ["m", revision, changes @ .., at] => {
            let changes = changes.iter().map(|word| change(word)).collect::<Result<_, _>>()?;
            (Event::Changes { revision: number(revision)?, changes }, at)
        }
        ["d", revision, at] => (Event::InitialDone { revision: number(revision)? }, at),
        ["l", revision, at] => (Event::Lost { revision: number(revision)? }, at),
        _ => return Err(format!("nothing that a receiver is sent: {line:?}")),
    };
    Ok(Some((number(at)?, event)))
}

fn keys(words: &[&str]) -> Result<Keys, String> {
    match words {
        ["all"] => Ok(Keys::All),
        ["key", key] => Ok(Keys::One((*key).into())),
        ["prefix", prefix] => Ok(Keys::Prefix((*prefix).into())),
        ["range", from, to] => Ok(Keys::Range((*from).into(), (*to).into())),
        _ => Err(format!("nothing to be watched: {}", words.join(" "))),
    }
}

/// `KEY=NEW`, `KEY=NEW<OLD` or `KEY!WHY`.
fn change(word: &str) -> Result<Change, String> {
    if let Some((key, new)) = word.split_once('=') {
        let (new, old) = match new.split_once('<') {
            Some((new, "-")) => (new, Some(None)),
            Some((new, old)) => (new, Some(Some(Arc::from(old)))),
            None => (new, None),
        };
        return Ok(Change { key: key.into(), new: Some(new.into()), old });
    }
    match word.split_once('!') {
        Some((key, "deleted" | "expired" | "owner_down" | "dropped")) => {
            Ok(Change { key: key.into(), new: None, old: None })
        }
        _ => Err(format!("no change of a key: {word:?}")),
    }
}
