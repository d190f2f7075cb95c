//! Times to live: what writes make of them, and how a key goes when a leader says that it is over.

use super::observers::Witness;
use super::*;
use crate::observe::Gone;
use ram_table::item::Life;

fn put_for<'a>(key: &'a [u8], value: &'a [u8], ttl_ms: u64) -> Command<'a> {
    Command::put_lasting(Place::of(key), value, Setting::To(ttl_ms))
}

fn touch(key: &[u8], ttl_ms: Option<u64>) -> Encoded {
    let at = Place::of(key);
    transaction("", &[key_is(key, State::Present)], &[Command::Touch { at, ttl_ms }], &[])
}

impl Client {
    fn life(&self, key: &[u8]) -> Option<Life> {
        self.meta(key).unwrap().life
    }

    /// An entry of this term says that these are due.
    fn expire_in(&mut self, term: u64, entry_term: u64, due: &[(&[u8], u64)]) -> Outcome {
        let mut write = Encoded::of(&Write::End { keys: due.len() as u32 });
        for (key, revision) in due {
            write.due(&due_at("", key, *revision));
        }
        self.index += 1;
        let entry = EntryId { term: entry_term, index: self.index };
        self.store.apply(entry, &group::lead(term, &write)).unwrap()
    }

    fn expire(&mut self, due: &[(&[u8], u64)]) -> u64 {
        match self.expire_in(7, 7, due) {
            Outcome::Answers(answers) => match answers[..] {
                [Answer::Deleted { entries, .. }] => entries,
                ref other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_put_sets_or_clears_a_time_to_live_and_counting_keeps_it() {
    let mut client = Client::new();
    client.store.set_time(500);
    client.run(&[put_for(b"k", &number(1), 9000)]);
    let life = Life { ttl_ms: 9000, revision: 1, since_ms: 500 };
    assert_eq!(client.life(b"k"), Some(life));
    client.store.set_time(600);
    client.answer(transaction("", &[], &[count(b"k", &number(1))], &[]));
    assert_eq!((client.life(b"k"), client.meta(b"k").unwrap().version), (Some(life), 2));
    let kept = Command::put_lasting(Place::of(b"k"), b"v", Setting::Keep);
    client.answer(transaction("", &[], &[kept], &[]));
    assert_eq!((client.life(b"k"), client.revision()), (Some(life), 3));
    client.run(&[put_for(b"k", b"v", 1)]);
    assert_eq!(client.life(b"k"), Some(Life { ttl_ms: 1, revision: 4, since_ms: 600 }));
    client.run(&[put(b"k", b"v")]);
    assert_eq!(client.life(b"k"), None);
}

#[test]
fn touching_makes_a_revision_and_no_version_and_nothing_of_what_is_absent() {
    let mut client = Client::new();
    client.run(&[put(b"k", b"v")]);
    assert_eq!(client.answer(touch(b"k", Some(5))), ran(true, 2, &[]));
    let meta = client.meta(b"k").unwrap();
    assert_eq!((meta.revision, meta.created_revision, meta.version), (2, 1, 1));
    assert_eq!(meta.life, Some(Life { ttl_ms: 5, revision: 2, since_ms: 0 }));
    assert_eq!(client.answer(touch(b"k", None)), ran(true, 3, &[]));
    assert_eq!((client.life(b"k"), client.value(b"k").unwrap()), (None, b"v".to_vec()));
    assert_eq!(client.answer(touch(b"none", Some(5))), ran(false, 3, &[]));
    let at = Place::of(b"none");
    client.answer(transaction("", &[], &[Command::Touch { at, ttl_ms: Some(5) }], &[]));
    assert_eq!((client.revision(), client.value(b"none")), (3, None));
}

#[test]
fn a_key_is_touched_within_the_transaction_that_puts_it() {
    let mut client = Client::new();
    let at = Place::of(b"k");
    let touched = Command::Touch { at, ttl_ms: Some(5) };
    client.answer(transaction("", &[], &[put(b"k", b"v"), touched], &[]));
    assert_eq!(client.life(b"k").unwrap().ttl_ms, 5);
    client.answer(transaction("", &[], &[touched, delete(b"k"), touched], &[]));
    assert_eq!(client.value(b"k"), None);
}

#[test]
fn a_key_goes_when_it_is_due_by_the_write_that_gave_it_its_time() {
    let mut client = Client::new();
    let witness = Witness::of(&mut client);
    client.run(&[put_for(b"a", &number(1), 9), put_for(b"b", b"v", 9), put(b"c", b"v")]);
    // Counted since: it still has that time.
    client.answer(transaction("", &[], &[count(b"a", &number(1))], &[]));
    assert_eq!(client.expire(&[(b"a", 1), (b"b", 2), (b"c", 3), (b"none", 1)]), 2);
    assert_eq!((client.value(b"a"), client.value(b"b")), (None, None));
    assert!(client.value(b"c").is_some());
    assert_eq!(client.revision(), 5, "all of it is one write");
    let gone = |key: &[u8]| (String::new(), key.to_vec(), false, Gone::Expired);
    assert_eq!(witness.told().writes.last().unwrap()[..], [gone(b"a"), gone(b"b")]);
}

/// The scar of a lease that is renewed while it expires.
#[test]
fn a_key_that_was_given_another_time_or_none_is_not_due_any_more() {
    for renew in [
        |client: &mut Client| _ = client.answer(touch(b"k", Some(9))),
        |client: &mut Client| _ = client.answer(touch(b"k", None)),
        |client: &mut Client| _ = client.run(&[put_for(b"k", b"v", 9)]),
        |client: &mut Client| _ = client.run(&[put(b"k", b"v")]),
        |client: &mut Client| _ = client.run(&[delete(b"k"), put_for(b"k", b"v", 9)]),
    ] {
        let mut client = Client::new();
        client.run(&[put_for(b"k", b"v", 9)]);
        renew(&mut client);
        let revision = client.revision();
        assert_eq!(client.expire(&[(b"k", 1)]), 0);
        assert!(client.value(b"k").is_some() && client.revision() == revision);
    }
}

#[test]
fn a_leader_of_another_term_expires_nothing() {
    let mut client = Client::new();
    client.run(&[put_for(b"k", b"v", 9)]);
    for (term, entry_term) in [(6, 7), (8, 7)] {
        assert_eq!(client.expire_in(term, entry_term, &[(b"k", 1)]), Outcome::Nothing);
    }
    assert_eq!((client.value(b"k"), client.revision()), (Some(b"v".to_vec()), 1));
    assert_eq!(client.expire(&[(b"k", 1)]), 1);
}

#[test]
fn callers_do_not_write_what_is_a_leaders_nor_leaders_what_is_a_callers() {
    let mut client = Client::new();
    client.run(&[put_for(b"k", b"v", 9)]);
    let mut expire = Encoded::of(&Write::End { keys: 1 });
    expire.due(&due_at("", b"k", 1));
    let stamp = client.stamp();
    assert!(client.store.apply(entry(9), &group(stamp, &[expire])).is_err());
    let put = group::lead(1, &Encoded::one("", &put(b"k", b"new")));
    assert!(client.store.apply(entry(9), &put).is_err());
    assert_eq!(client.value(b"k").unwrap(), b"v");
}

#[test]
fn a_time_to_live_has_its_bounds() {
    for ttl_ms in [0, TTL_MS_MAX + 1, u64::MAX] {
        let mut client = Client::new();
        client.run(&[put(b"k", b"v")]);
        for write in [touch(b"k", Some(ttl_ms)), Encoded::one("", &put_for(b"k", b"", ttl_ms))] {
            let stamp = client.stamp();
            assert!(client.store.apply(entry(9), &group(stamp, &[write])).is_err());
        }
        assert_eq!(client.revision(), 1);
    }
}

#[test]
fn a_restored_key_has_its_full_time_again_from_the_time_of_the_member() {
    let mut client = Client::new();
    client.run(&[put_for(b"k", &number(1), 9)]);
    client.answer(transaction("", &[], &[count(b"k", &number(1))], &[]));
    let restored = dump::load_at(&dump::blocks_of(&client.store), 800).unwrap();
    let expected = Life { ttl_ms: 9, revision: 1, since_ms: 800 };
    assert_eq!(restored.table().get(b"k").unwrap().meta().life, Some(expected));
}
