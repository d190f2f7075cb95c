//! What a group would make of keys, for the leader, which tells updaters of a contended key before
//! it is committed. A hint: whether a condition will hold is not known yet.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Outcome};
use crate::group::{Group, PARTS_AT_ONCE, Proposal};
use crate::parts::Part;
use crate::write::{Command, Write};

/// No name of a table has this byte, which UTF-8 does not use.
const END_OF_TABLE: u8 = 0xFF;

/// What a key is said to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hint {
    Unknown,
    Absent,
    Value(Bytes),
}

/// A put or a delete, done if the conditions of its write hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposed<'a> {
    /// The number of the write in the group.
    pub write: usize,
    pub table: &'a str,
    pub key: &'a [u8],
    /// `None`: it is deleted.
    pub value: Option<&'a [u8]>,
}

/// The name of a key of a table, as bytes.
pub fn name_of(table: &str, key: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    set_name(table, key, &mut name);
    name
}

/// As [`name_of`], in place of what `name` is.
pub fn set_name(table: &str, key: &[u8], name: &mut Vec<u8>) {
    name.clear();
    name.extend_from_slice(table.as_bytes());
    name.push(END_OF_TABLE);
    name.extend_from_slice(key);
}

/// What the first parts of a group propose: those that are walked through at once.
pub fn proposed(proposal: &[u8]) -> impl Iterator<Item = Proposed<'_>> {
    let group = match Proposal::decode(proposal) {
        Ok(Proposal::Group(group)) => Some(group),
        Ok(Proposal::OpenSession | Proposal::Lead(_)) | Err(_) => None,
    };
    group.into_iter().flat_map(of_group)
}

fn of_group(group: Group<'_>) -> impl Iterator<Item = Proposed<'_>> {
    let (mut of, mut writes) = ("", 0);
    group.parts().take(PARTS_AT_ONCE).filter_map(move |part| match part.ok()? {
        Part::Write(write) => {
            writes += 1;
            if let Write::Batch { table, .. } | Write::Transaction { table, .. } = write {
                of = table;
            }
            None
        }
        Part::Then(Command::Put { at, value, .. }) => {
            let table = at.table.unwrap_or(of);
            Some(Proposed { write: writes - 1, table, key: at.key, value: Some(value) })
        }
        Part::Then(Command::Delete { at }) => {
            let table = at.table.unwrap_or(of);
            Some(Proposed { write: writes - 1, table, key: at.key, value: None })
        }
        _ => None,
    })
}

impl Outcome {
    /// Of a write that was not done because a condition did not hold: what is there instead, if it
    /// looked at one key for that.
    pub fn found_instead(&self, write: usize) -> Option<Hint> {
        let Outcome::Answers(answers) = self else { return None };
        let Answer::Ran { succeeded: false, results, .. } = answers.get(write)? else {
            return None;
        };
        Some(match results.as_deref() {
            Some([Some(found)]) => Hint::Value(found.value.clone()),
            Some([None]) => Hint::Absent,
            _ => Hint::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Failure, Found};
    use crate::group::{self, Stamp};
    use crate::write::{Condition, Encoded, Place, State};

    fn proposal(writes: &[Encoded]) -> Bytes {
        let stamp = Stamp { session: 1, sequence: 1, acked_below: 1 };
        group::group(stamp, writes.iter().map(Encoded::bytes))
    }

    #[test]
    fn puts_and_deletes_are_told_with_the_number_of_their_write_and_their_table() {
        let other = Encoded::one("other", &Command::delete(b"b"));
        let head = Write::Transaction { table: "t", conditions: 1, then: 3, otherwise: 1 };
        let mut update = Encoded::of(&head);
        let at = Place::of(b"k");
        update.condition(&Condition::Key { at, is: State::Absent });
        update.command(&Command::put(b"k", b"1"));
        update.command(&Command::Get { at });
        update.command(&Command::put(b"l", b"2"));
        update.command(&Command::delete(b"k"));
        let range = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let rest = Encoded::of(&Write::DeleteRange { table: "t", range });
        let last = Encoded::one("", &Command::put(b"a", b"3"));
        let bytes = proposal(&[other, update, rest, last]);
        let told: Vec<Proposed> = proposed(&bytes).collect();
        let of = |write, table, key, value| Proposed { write, table, key, value };
        let expected = [
            of(0, "other", &b"b"[..], None),
            of(1, "t", b"k", Some(&b"1"[..])),
            of(1, "t", b"l", Some(b"2")),
            of(3, "", b"a", Some(b"3")),
        ];
        assert_eq!(told, expected);
        assert_eq!(proposed(&group::open_session()).count(), 0);
        assert_eq!(proposed(b"no proposal").count(), 0);
        assert_eq!(proposed(&bytes[..bytes.len() - 1]).count(), 3);
    }

    #[test]
    fn names_of_different_keys_differ() {
        assert_ne!(name_of("a", b"b"), name_of("", b"ab"));
        assert_ne!(name_of("a", b""), name_of("", b"a"));
    }

    #[test]
    fn a_write_whose_condition_did_not_hold_tells_what_is_there() {
        let ran = |succeeded, results| Answer::Ran { succeeded, revision: 7, results };
        let value = Bytes::from_static(b"v");
        let found = Found {
            value: value.clone(),
            revision: 6,
            created_revision: 6,
            version: 1,
            ttl_ms: 0,
            owner: Bytes::new(),
        };
        let outcome = Outcome::Answers(vec![
            ran(false, Some(vec![Some(found)])),
            ran(false, Some(vec![None])),
            ran(false, None),
            ran(false, Some(vec![None, None])),
            ran(true, Some(vec![None])),
            Answer::Done { revision: 7 },
            Answer::Failed(Failure::TableExists),
        ]);
        let told: Vec<_> = (0..8).map(|write| outcome.found_instead(write)).collect();
        let unknown = || Some(Hint::Unknown);
        let expected = [Some(Hint::Value(value)), Some(Hint::Absent), unknown(), unknown()];
        assert_eq!(told[..4], expected);
        assert_eq!(told[4..], [None, None, None, None]);
        assert_eq!(Outcome::Nothing.found_instead(0), None);
    }
}
