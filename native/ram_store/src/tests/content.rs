//! What the table holds: in a snapshot, replaced, of any length and representation.

use super::*;

#[test]
fn a_snapshot_shows_one_revision_while_writes_go_on() {
    let mut client = Client::new();
    for i in 0..1000u32 {
        client.run(&[put(&i.to_be_bytes(), b"old")]);
    }
    let snapshots = client.store.snapshot();
    let snapshot = default_of(&snapshots);
    let mut seen: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut step = 0u32;
    snapshot
        .walk(|piece| {
            // Change keys in front of the walk and behind it, delete some, add others.
            client.run(&[put(&(step % 1000).to_be_bytes(), b"new")]);
            client.run(&[delete(&((step * 7 + 3) % 1000).to_be_bytes())]);
            client.run(&[put(&(5000 + step).to_be_bytes(), b"fresh")]);
            step += 1;
            for item in piece {
                let value = item.value().into_owned();
                assert_eq!(value, b"old");
                assert_eq!(seen.entry(item.key().to_vec()).or_insert(value.clone()), &value);
            }
            Ok::<(), Revoked>(())
        })
        .unwrap();
    assert_eq!(seen.len(), 1000);
}

fn default_of(snapshots: &TablesSnapshot) -> &TableSnapshot {
    snapshots.tables().next().unwrap().1
}

fn entries_of(snapshots: &TablesSnapshot) -> HashMap<Vec<u8>, Vec<u8>> {
    let mut entries = HashMap::new();
    let mut visit = |piece: &[Item]| {
        let entry = |item: &Item| (item.key().to_vec(), item.value().into_owned());
        entries.extend(piece.iter().map(entry));
        Ok::<(), Revoked>(())
    };
    default_of(snapshots).walk(&mut visit).unwrap();
    entries
}

#[test]
fn a_store_goes_on_with_the_state_of_another_and_a_snapshot_with_its_own() {
    let entry = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    let (mut one, mut other) = (Client::new(), Client::new());
    one.run(&[put(b"a", b"1"), put(b"b", b"2")]);
    let table = one.store.table().clone();
    let before = one.store.snapshot();
    one.run(&[put(b"a", b"3")]);
    other.run(&[put(b"b", b"4"), put(b"c", b"56"), put(b"d", b"7"), put(b"d", b"8")]);
    let metadata = other.store.metadata().clone();
    one.store.replace_with(other.store);
    assert_eq!(one.store.metadata(), &metadata);
    assert_eq!((table.entries(), table.bytes()), (3, 7));
    assert_eq!((one.value(b"a"), one.value(b"c")), (None, Some(b"56".to_vec())));

    let after = one.store.snapshot();
    table.insert(Item::new(b"b", StoredValue::plain(b"9"), &Meta::created(99)));
    assert_eq!(entries_of(&before), HashMap::from([entry(b"a", b"1"), entry(b"b", b"2")]));
    drop(before);
    table.insert(Item::new(b"c", StoredValue::plain(b"9"), &Meta::created(100)));
    let at_once = [entry(b"b", b"4"), entry(b"c", b"56"), entry(b"d", b"8")];
    assert_eq!(entries_of(&after), HashMap::from(at_once));
}

#[test]
fn keys_of_every_length_are_told_from_their_values() {
    let mut client = Client::new();
    for length in [0, 1, 127, 128, 254, 255, 256, 511, 65_536, 70_000] {
        let key = vec![255; length];
        client.run(&[put(&key, b"value")]);
        assert_eq!(client.value(&key), Some(b"value".to_vec()), "{length}");
        let item = client.store.table().get(&key).unwrap();
        assert_eq!((item.key().len(), item.value().len()), (length, 5));
    }
    assert_eq!(client.store.table().entries(), 10);
}

#[test]
fn an_item_tells_what_it_was_made_of_whatever_the_lengths() {
    let value = [9; 30];
    for key_bytes in [0, 1, 254, 255, 256, 65_536] {
        let key = vec![7; key_bytes];
        for revision in [0, 1, 255, 256, 1 << 24, u64::from(u32::MAX), 1 << 56, u64::MAX] {
            let plain = Item::new(&key, StoredValue::plain(&value), &Meta::created(revision));
            assert_eq!((plain.key(), plain.revision()), (key.as_slice(), revision));
            assert_eq!((plain.stored_bytes(), plain.value().as_ref()), (&value[..], &value[..]));
            let turned = Item::new(&key, Turned.store(&value), &Meta::created(revision));
            assert_eq!((turned.key(), turned.revision()), (key.as_slice(), revision));
            assert_eq!(turned.value().as_ref(), &value[..]);
        }
    }
}

/// Holds values back to front and with a zero at the end.
struct Turned;

impl Values for Turned {
    fn store<'a>(&self, value: &'a [u8]) -> StoredValue<'a> {
        StoredValue::represented(
            value.iter().rev().copied().chain([0]).collect(),
            SharedRepresentation::new(Turned),
        )
    }

    fn same(&self, one: &[u8], other: &[u8], _: &mut usize) -> Option<bool> {
        Some(one == other)
    }

    fn count(&self, current: Option<&[u8]>, count: &[u8]) -> Option<Vec<u8>> {
        Plain.count(current, count)
    }
}

impl Representation for Turned {
    fn value(&self, held: &[u8]) -> Vec<u8> {
        held.iter().rev().skip(1).copied().collect()
    }

    fn value_bytes(&self, held: &[u8]) -> usize {
        held.len() - 1
    }
}

#[test]
fn in_whatever_form_values_are_held_they_are_read_counted_and_compared_as_they_are() {
    let mut client = Client::with(Arc::new(Turned));
    client.run(&[put(b"key", b"value"), put(b"gone", b"soon"), delete(b"gone")]);
    let table = client.store.table().clone();
    assert_eq!(client.value(b"key"), Some(b"value".to_vec()));
    assert_eq!(table.get(b"key").unwrap().stored_bytes(), b"eulav\0");
    assert_eq!(table.bytes(), 8);
    let is = State::Value(b"value");
    let then = [put(b"key", &[1; 8]), Command::Count { at: Place::of(b"key"), count: &[1; 8] }];
    let condition = Condition::Key { at: Place::of(b"key"), is };
    let answer = client.answer(transaction("", &[condition], &then, &[]));
    let counted = Meta { revision: 4, created_revision: 1, version: 2, life: None };
    assert_eq!(answer, ran(true, 4, &[found_with(&[2; 8], counted)]));
    let absent = client.answer(expecting(State::Value(b"value"), delete(b"key")));
    assert_eq!(absent, ran(false, 4, &[found_with(&[2; 8], counted)]));
}
