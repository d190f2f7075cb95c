//! The usual parts, decoded by hand: most writes are one put into one table, and each is decoded
//! three times, when it is checked, marked and applied. What is not of this kind is left to
//! [`codec`](crate::codec), and so is all that is wrong.

use super::{Command, Setting, Write};
use crate::write::Place;

/// As the encoding numbers the first variant of an enum.
const FIRST: u8 = 0;
const NONE: u8 = 0;
/// What is below takes a byte; this says that two follow.
const TWO_BYTES: u8 = 251;

/// A batch for the default table, and what follows.
pub fn batch(bytes: &[u8]) -> Option<(Write<'_>, &[u8])> {
    match bytes {
        [FIRST, 0, commands, rest @ ..] if *commands < TWO_BYTES => {
            Some((Write::Batch { table: "", commands: (*commands).into() }, rest))
        }
        _ => None,
    }
}

/// A put without a time to live or an owner into the table of the write, and what follows.
pub fn put(bytes: &[u8]) -> Option<(Command<'_>, &[u8])> {
    let [FIRST, NONE, rest @ ..] = bytes else { return None };
    let (key, rest) = short(rest)?;
    let (value, rest) = short(rest)?;
    let [FIRST, FIRST, rest @ ..] = rest else { return None };
    let (ttl_ms, owner) = (Setting::Clear, Setting::Clear);
    Some((Command::Put { at: Place { table: None, key }, value, ttl_ms, owner }, rest))
}

/// Bytes behind their length, and what follows.
fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match bytes {
        [length, rest @ ..] if *length < TWO_BYTES => rest.split_at_checked((*length).into()),
        [TWO_BYTES, low, high, rest @ ..] => {
            rest.split_at_checked(u16::from_le_bytes([*low, *high]).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use crate::write::{EncodedOwner, Owner};
    use proptest::collection::vec;
    use proptest::prelude::*;

    const LENGTHS: [usize; 9] = [0, 1, 16, 250, 251, 252, 256, 65_535, 65_536];

    /// What is decoded here is what the codec decodes; is it decoded here?
    fn agrees(bytes: &[u8]) -> (bool, bool) {
        let put = put(bytes).inspect(|(command, rest)| {
            let (expected, used) = codec::decode_prefix::<Command<'_>>("test", bytes).unwrap();
            assert_eq!((command, rest.len()), (&expected, bytes.len() - used));
        });
        let batch = batch(bytes).inspect(|(write, rest)| {
            let (expected, used) = codec::decode_prefix::<Write<'_>>("test", bytes).unwrap();
            assert_eq!((write, rest.len()), (&expected, bytes.len() - used));
        });
        (put.is_some(), batch.is_some())
    }

    #[test]
    fn puts_and_batches_are_decoded_by_hand_up_to_64_kib_as_the_codec_does() {
        for key in LENGTHS.map(|length| vec![b'k'; length]) {
            for value in LENGTHS.map(|length| vec![b'v'; length]) {
                let mut bytes = codec::encode(&Command::put(&key, &value));
                bytes.extend_from_slice(b"rest");
                let is_usual = key.len() < 65_536 && value.len() < 65_536;
                assert_eq!(agrees(&bytes).0, is_usual, "{} {}", key.len(), value.len());
            }
        }
        assert!(
            agrees(&[0, 0, TWO_BYTES, 1, 0, b'k', 0, 0, 0]).0,
            "a length longer than it need be"
        );
        for commands in [0, 1, 250, 251, 65_536, u32::MAX] {
            let bytes = codec::encode(&Write::Batch { table: "", commands });
            assert_eq!(agrees(&bytes).1, commands < 251, "{commands}");
        }
    }

    #[test]
    fn all_others_are_left_to_the_codec() {
        let elsewhere = Place { table: Some("t"), key: b"k" };
        let owner = Owner { member: 1, run: 2, name: b"o" }.encode();
        let put = |ttl_ms, owner| {
            let at = Place::of(b"k");
            Command::Put { at, value: b"v", ttl_ms, owner }
        };
        for command in [
            Command::delete(b"k"),
            Command::Get { at: Place::of(b"k") },
            Command::Count { at: Place::of(b"k"), count: b"c" },
            Command::put_at(elsewhere, b"v"),
            put(Setting::Keep, Setting::Keep),
            put(Setting::To(1), Setting::Clear),
            put(Setting::Clear, Setting::To(EncodedOwner(&owner))),
        ] {
            assert!(!agrees(&codec::encode(&command)).0, "{command:?}");
        }
        for write in [
            Write::Batch { table: "t", commands: 1 },
            Write::Transaction { table: "", conditions: 1, then: 1, otherwise: 0 },
            Write::CreateTable { table: "", ordered: false },
            Write::DropTable { table: "" },
        ] {
            assert!(!agrees(&codec::encode(&write)).1, "{write:?}");
        }
        let whole = codec::encode(&Command::put(b"key", b"value"));
        (0..whole.len()).for_each(|end| assert!(!agrees(&whole[..end]).0, "{end}"));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_it_is_what_the_codec_decodes(
            head in vec(0u8..3, 0..3), rest in vec(any::<u8>(), 0..700),
        ) {
            agrees(&[head, rest].concat());
        }
    }
}
