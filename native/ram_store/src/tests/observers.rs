//! Who observes is told of each change, once it is made, and of nothing else.

use super::*;
use crate::observe::{Change, Gone, Observer};
use std::sync::{Mutex, MutexGuard};

/// A key of a table, whether it is there now, and why not.
type Noted = (String, Vec<u8>, bool, Gone);

/// What the tables hold, by what was told of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub tables: BTreeMap<String, Content>,
    pub revision: u64,
    /// Changes since the newest revision.
    open: Vec<Noted>,
    pub writes: Vec<Vec<Noted>>,
}

#[derive(Clone, Default)]
pub(super) struct Witness(Arc<Mutex<Told>>);

impl Witness {
    pub fn of(client: &mut Client) -> Witness {
        let witness = Witness::default();
        client.store.observe(Box::new(witness.clone()));
        witness
    }

    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }

    /// The keys of the newest write.
    fn newest(&self) -> Vec<Noted> {
        self.told().writes.last().cloned().unwrap_or_default()
    }
}

impl Observer for Witness {
    fn changed(&mut self, change: &Change<'_>) {
        let of = |item: &Item| (item.value().into_owned(), item.meta());
        let Change { table, old, new, gone } = *change;
        let key = old.or(new).unwrap().key().to_vec();
        let mut told = self.told();
        let content = told.tables.entry(table.into()).or_default();
        let known = match new {
            Some(item) => content.insert(key.clone(), of(item)),
            None => content.remove(&key),
        };
        assert_eq!(known, old.map(of), "{table} {key:?}");
        if content.is_empty() {
            told.tables.remove(table);
        }
        told.open.push((table.into(), key, new.is_some(), gone));
    }

    fn written(&mut self, revision: u64) {
        let mut told = self.told();
        assert_eq!(revision, told.revision + 1);
        told.revision = revision;
        let write = std::mem::take(&mut told.open);
        told.writes.push(write);
    }

    fn wants(&self, _table: &str) -> bool {
        true
    }

    fn replaced(&mut self, revision: u64) {
        let mut told = self.told();
        assert!(told.open.is_empty());
        *told = Told { revision, ..Told::default() };
    }
}

#[test]
fn each_kind_of_write_is_told_with_its_keys_and_why_they_went() {
    let mut client = Client::new();
    let witness = Witness::of(&mut client);
    let put_of = |table: &str, key: &[u8]| (table.to_owned(), key.to_vec(), true, Gone::Deleted);
    let gone = |table: &str, key: &[u8], why| (table.to_owned(), key.to_vec(), false, why);
    client.answer(create("o", true));
    assert_eq!(witness.newest(), []);
    client.answer(batch("o", &[put(b"a", b"1"), put(b"b", b"2"), put(b"a", b"3")]));
    assert_eq!(witness.newest(), [put_of("o", b"a"), put_of("o", b"b"), put_of("o", b"a")]);
    let here = Command::put_at(in_table("default", b"d"), b"4");
    client.answer(transaction("o", &[], &[delete(b"b"), here], &[]));
    assert_eq!(witness.newest(), [gone("o", b"b", Gone::Deleted), put_of("", b"d")]);
    client.run(&[delete(b"none")]);
    assert_eq!(witness.told().revision, client.revision());
    client.answer(delete_range("o", (Bound::Unbounded, Bound::Unbounded)));
    assert_eq!(witness.newest(), [gone("o", b"a", Gone::Deleted)]);
    client.answer(batch("o", &[put(b"x", b"1"), put(b"y", b"2")]));
    client.answer(drop_table("o"));
    let both = [gone("o", b"x", Gone::Dropped), gone("o", b"y", Gone::Dropped)];
    assert_eq!(witness.newest(), both);
    assert_eq!(witness.told().revision, client.revision());
}

#[test]
fn a_state_that_is_replaced_is_told_with_its_revision() {
    let (mut client, mut other) = (Client::new(), Client::new());
    let witness = Witness::of(&mut client);
    other.run(&[put(b"a", b"1"), put(b"b", b"2")]);
    client.store.replace_with(other.store);
    assert_eq!(witness.told().revision, 2);
    client.run(&[put(b"c", b"3")]);
    assert_eq!(witness.told().tables.len(), 0, "of a session that the other does not know");
}
