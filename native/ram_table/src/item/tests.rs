use super::*;
use crate::shards::hash_of;
use crate::value::Representation;

/// The most that a counter of the cluster can be.
const COUNTER_MAX: u64 = 1 << 53;

fn item(key: &[u8], value: &[u8], meta: &Meta) -> Item {
    Item::new(key, StoredValue::plain(value), meta)
}

/// Numbers about each length that one can have.
fn numbers() -> Vec<u64> {
    let about = |bits: u32| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1];
    let mut numbers: Vec<u64> = (0..64).step_by(4).flat_map(about).collect();
    numbers.extend([COUNTER_MAX - 1, COUNTER_MAX, COUNTER_MAX + 1, u64::MAX - 1, u64::MAX]);
    numbers
}

fn has_its_meta(meta: Meta) {
    let item = item(b"key", b"value", &meta);
    assert_eq!((item.meta(), item.revision()), (meta, meta.revision));
    assert_eq!(item.has_life(), meta.life.is_some());
    assert_eq!((item.key(), item.stored_bytes()), (&b"key"[..], &b"value"[..]));
    assert_eq!(item.owner(), b"");
    let owned = Item::owned(b"key", StoredValue::plain(b"value"), &meta, b"owner");
    assert_eq!((owned.meta(), owned.owner()), (meta, &b"owner"[..]));
    assert_eq!((owned.key(), owned.stored_bytes()), (&b"key"[..], &b"value"[..]));
}

#[test]
fn an_item_has_the_metadata_that_it_was_made_with_whatever_the_numbers() {
    for revision in numbers() {
        for created_revision in numbers() {
            for version in numbers() {
                let meta = Meta { created_revision, version, ..Meta::created(revision) };
                has_its_meta(meta);
                let (ttl_ms, since_ms) = (version.max(1), created_revision);
                for given in [revision, created_revision] {
                    let life = Life { ttl_ms, revision: given, since_ms };
                    has_its_meta(Meta { life: Some(life), ..meta });
                }
            }
        }
    }
}

#[test]
fn an_item_has_its_key_and_value_whatever_their_lengths() {
    let lengths = [0, 1, 2, 254, 255, 256, 257, 65_535, 65_536, 70_000];
    let metas = [Meta::created(1), Meta::created(COUNTER_MAX), Meta::created(7).changed(900)];
    for key in lengths.map(|length| vec![b'k'; length]) {
        for value in lengths.map(|length| vec![b'v'; length]) {
            for meta in metas {
                let item = item(&key, &value, &meta);
                assert_eq!((item.key(), &*item.value(), item.meta()), (&*key, &*value, meta));
                assert_eq!(item.plain_bytes(), (key.len() + value.len()) as u64);
            }
        }
    }
}

#[test]
fn an_item_has_its_owner_whatever_its_length() {
    for owner in [0, 1, 2, 255, 256, 65_535, 65_536].map(|length| vec![b'o'; length]) {
        for meta in [Meta::created(1), Meta::created(7).changed(900)] {
            let item = Item::owned(b"key", StoredValue::plain(b"value"), &meta, &owner);
            assert_eq!((item.owner(), item.meta()), (&*owner, meta));
            assert_eq!((item.key(), &*item.value()), (&b"key"[..], &b"value"[..]));
            assert_eq!(item.plain_bytes(), 8, "an owner is not content");
        }
    }
}

/// Stands for its stored bytes twice.
struct Twice;

impl Representation for Twice {
    fn value(&self, stored: &[u8]) -> Vec<u8> {
        [stored, stored].concat()
    }

    fn value_bytes(&self, stored: &[u8]) -> usize {
        2 * stored.len()
    }
}

#[test]
fn an_item_has_the_value_that_its_stored_bytes_stand_for() {
    let value = StoredValue::represented(b"ab".to_vec(), SharedRepresentation::new(Twice));
    let item = Item::new(b"key", value, &Meta::created(1));
    assert_eq!((&*item.value(), item.stored_bytes()), (&b"abab"[..], &b"ab"[..]));
    assert_eq!((item.value_bytes(), item.plain_bytes()), (4, 7));
}

#[test]
fn a_write_keeps_when_the_key_was_created_and_counts_on() {
    let created = Meta::created(7);
    assert_eq!((created.revision, created.created_revision, created.version), (7, 7, 1));
    let life = Some(Life { ttl_ms: 5, revision: 7, since_ms: 6 });
    let changed = Meta { life, ..created }.changed(9).changed(12);
    assert_eq!(changed, Meta { revision: 12, version: 3, life, ..created });
}

#[test]
fn metadata_takes_the_room_of_a_revision_until_a_key_is_written_again_and_then_little() {
    let room = |meta: Meta| item(b"key", b"value", &meta).0.slice.len() - b"key-value".len();
    let created = Meta::created(1 << 30);
    assert_eq!(room(created), 1 + 4, "the head and the revision");
    assert_eq!(room(created.changed((1 << 30) + 5)), 1 + 4 + 3);
    let much = |version, age| Meta { version, revision: created.revision + age, ..created };
    assert_eq!(room(much(65_535, 1 << 29)), 1 + 4 + 7, "a counter, changed for long");
    let life = Life { ttl_ms: 3_600_000, revision: created.revision, since_ms: 1 << 31 };
    let hour = Meta { life: Some(life), ..created };
    assert_eq!(room(hour), 1 + 4 + 8, "an hour, begun after days");
    let most = much(65_535, (1 << 40) - 1);
    assert!(room(most) <= room(Meta::created(most.revision)) + 8);
}

#[test]
fn items_are_the_same_when_their_keys_are() {
    let (one, other) = (item(b"a", b"1", &Meta::created(1)), item(b"a", b"2", &Meta::created(2)));
    let different = item(b"b", b"1", &Meta::created(1));
    assert!(one == other && one != different);
    assert!(hash_of(&one) == hash_of(&Key(b"a")) && hash_of(&one) != hash_of(&different));
}
