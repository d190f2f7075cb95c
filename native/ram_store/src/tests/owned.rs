//! Owners of keys: what writes make of them, and how a key goes when a leader says that its owner
//! is gone.

use super::observers::Witness;
use super::*;
use crate::observe::Gone;

impl Client {
    fn owner(&self, key: &[u8]) -> Vec<u8> {
        self.store.table().get(key).unwrap().owner().to_vec()
    }

    /// A leader of term 7 says that the owners of these keys are gone.
    fn end(&mut self, entry_term: u64, owned: &[(&[u8], &[u8])]) -> Outcome {
        let mut write = Encoded::of(&Write::End { keys: owned.len() as u32 });
        for (key, owner) in owned {
            let because = Because::OwnerDown { owner: EncodedOwner(owner) };
            write.due(&Due { table: "", key, because });
        }
        self.index += 1;
        let entry = EntryId { term: entry_term, index: self.index };
        self.store.apply(entry, &group::lead(7, &write)).unwrap()
    }
}

#[test]
fn a_put_sets_or_clears_an_owner_and_counting_touching_and_updating_keep_it() {
    let mut client = Client::new();
    let (one, other) = (owner(1, b"one"), owner(2, b"other"));
    client.run(&[put_owned(b"k", &number(1), &one)]);
    assert_eq!(client.owner(b"k"), one);
    let at = Place::of(b"k");
    let touch = Command::Touch { at, ttl_ms: Some(5) };
    client.answer(transaction("", &[], &[count(b"k", &number(1)), touch], &[]));
    let kept = Command::put_lasting(at, b"v", Setting::Keep);
    client.answer(transaction("", &[], &[kept], &[]));
    client.run(&[kept]);
    assert_eq!((client.owner(b"k"), client.meta(b"k").unwrap().version), (one, 4));
    client.answer(transaction("", &[], &[put_owned(b"k", b"v", &other)], &[]));
    assert_eq!(client.owner(b"k"), other);
    client.run(&[put(b"k", b"v")]);
    assert_eq!(client.owner(b"k"), b"");
}

#[test]
fn a_transaction_sees_the_owner_that_it_gave_and_answers_with_it() {
    let mut client = Client::new();
    let one = owner(1, b"one");
    let kept = Command::put_lasting(Place::of(b"k"), b"w", Setting::Keep);
    let steps = [put_owned(b"k", b"v", &one), kept, get(b"k"), delete(b"k"), kept, get(b"k")];
    let Answer::Ran { results: Some(results), .. } =
        client.answer(transaction("", &[], &steps, &[]))
    else {
        panic!("it was not run")
    };
    let owners: Vec<_> =
        results.iter().map(|found| found.as_ref().unwrap().owner.to_vec()).collect();
    assert_eq!(owners, [one, Vec::new()]);
}

#[test]
fn a_key_goes_with_its_owner_and_with_no_other() {
    let mut client = Client::new();
    let witness = Witness::of(&mut client);
    let (one, other) = (owner(1, b"one"), owner(1, b"other"));
    client.run(&[put_owned(b"a", b"v", &one), put_owned(b"b", b"v", &other), put(b"c", b"v")]);
    let ends: [(&[u8], &[u8]); 4] = [(b"a", &one), (b"b", &one), (b"c", &one), (b"none", &one)];
    assert_eq!(client.end(8, &ends), Outcome::Nothing, "of another term");
    let ended = Outcome::Answers(vec![Answer::Deleted { revision: 4, entries: 1 }]);
    assert_eq!(client.end(7, &ends), ended);
    assert_eq!((client.value(b"a"), client.owner(b"b")), (None, other));
    let gone = (String::new(), b"a".to_vec(), false, Gone::OwnerDown);
    assert_eq!(witness.told().writes.last().unwrap()[..], [gone]);
    let again = Outcome::Answers(vec![Answer::Deleted { revision: 4, entries: 0 }]);
    assert_eq!(client.end(7, &ends), again, "nothing goes twice");
}

/// The scar of a lease that is revoked while its key is given to another.
#[test]
fn a_key_that_has_another_owner_by_then_or_none_stays() {
    let (one, other) = (owner(1, b"one"), owner(2, b"other"));
    for next in [put_owned(b"k", b"v", &other), put(b"k", b"v")] {
        let mut client = Client::new();
        client.run(&[put_owned(b"k", b"v", &one)]);
        client.run(&[next]);
        client.end(7, &[(b"k", &one)]);
        assert_eq!((client.value(b"k").is_some(), client.revision()), (true, 2));
    }
}

#[test]
fn what_is_no_owner_is_refused_wherever_it_comes_from() {
    let long = owner(1, &[b'n'; ram_limits::OWNER_BYTES_MAX]);
    let cut = owner(1, b"name");
    for wrong in [&b""[..], b"\x01", &cut[..cut.len() - 1], &[&cut[..], b"more"].concat(), &long] {
        let mut client = Client::new();
        let stamp = client.stamp();
        let write = Encoded::one("", &put_owned(b"k", b"v", wrong));
        assert!(client.store.apply(entry(9), &group(stamp, &[write])).is_err(), "{wrong:?}");
        assert_eq!(client.revision(), 0);
    }
}

#[test]
fn owners_are_in_a_dump_and_known_when_it_is_loaded() {
    let mut client = Client::new();
    let one = owner(1, b"one");
    client.run(&[put_owned(b"k", b"v", &one), put(b"l", b"v")]);
    let mut restored = dump::load_at(&dump::blocks_of(&client.store), 0).unwrap();
    assert_eq!(restored.table().get(b"k").unwrap().owner(), one);
    let mut owners = restored.take_loaded().owners;
    assert!(owners.has(&one));
    let item = restored.table().get(b"k");
    let change =
        crate::observe::Change { table: "", old: item.as_ref(), new: None, gone: Gone::Deleted };
    owners.changed(&change, |_, _| ());
    assert!(owners.is_idle());
}
