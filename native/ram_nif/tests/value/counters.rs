//! Counters at the borders of the ways to write an integer, and counts that are none.

use proptest::prelude::*;

use super::value;
use super::value::number::{self, MAGNITUDE_BYTES_MAX};

/// The one way in which OTP writes an integer.
fn integer(int: i128) -> Vec<u8> {
    if let Ok(byte) = u8::try_from(int) {
        return value(&[97, byte]);
    }
    if let Ok(int) = i32::try_from(int) {
        return value(&[&[98], &int.to_be_bytes()[..]].concat());
    }
    let magnitude = int.unsigned_abs().to_le_bytes();
    let used = 16 - int.unsigned_abs().leading_zeros() as usize / 8;
    value(&[&[110, used as u8, u8::from(int < 0)], &magnitude[..used]].concat())
}

fn big(bytes: usize, sign: u8, byte: u8) -> Vec<u8> {
    value(&[&[111][..], &(bytes as u32).to_be_bytes(), &[sign], &vec![byte; bytes]].concat())
}

fn count(current: Option<i128>, increment: i128, limit: Option<(i128, i128)>) -> Vec<u8> {
    let limit = limit.map(|(threshold, set_to)| (integer(threshold), integer(set_to)));
    let limit = limit.as_ref().map(|(threshold, set_to)| (&threshold[..], &set_to[..]));
    let count = number::encode(&integer(increment), &integer(10), limit).unwrap();
    number::count(current.map(integer).as_deref(), &count).unwrap()
}

#[test]
fn an_absent_key_counts_from_the_default() {
    assert_eq!(count(None, 5, None), integer(15));
    assert_eq!(count(Some(0), 5, None), integer(5));
}

#[test]
fn beyond_the_threshold_a_counter_is_set() {
    assert_eq!(count(Some(7), 3, Some((10, -1))), integer(10));
    assert_eq!(count(Some(7), 4, Some((10, -1))), integer(-1));
    assert_eq!(count(Some(7), -7, Some((0, 99))), integer(0));
    assert_eq!(count(Some(7), -8, Some((0, 99))), integer(99));
    // Below the threshold upward, and above it downward, nothing is set.
    assert_eq!(count(Some(-7), 1, Some((10, -1))), integer(-6));
    assert_eq!(count(Some(7), -1, Some((0, 99))), integer(6));
    // An increment of nothing is upward.
    assert_eq!(count(Some(11), 0, Some((10, -1))), integer(-1));
    assert_eq!(count(Some(-11), 0, Some((10, -1))), integer(-11));
    assert_eq!(count(None, 1, Some((10, 3))), integer(3));
}

#[test]
fn a_value_that_is_no_integer_is_not_counted() {
    let by_one = number::encode(&integer(1), &integer(0), None).unwrap();
    for wrong in [
        &b"\x83\x46\x3F\xF0\0\0\0\0\0\0"[..],
        b"\x83\x77\x01a",
        b"\x83\x68\x01\x61\x01",
        b"\x83\x61",
        b"\x83\x61\x01\0",
        b"\x82\x61\x01",
        b"\x83\x6E\x02\0\x01",
        b"\x83\x6F\xFF\xFF\xFF\xFF\0\x01",
        b"\x83",
        b"",
    ] {
        assert_eq!(number::count(Some(wrong), &by_one), None, "{wrong:02x?}");
        assert_eq!(number::encode(wrong, &integer(0), None), None, "{wrong:02x?}");
        assert_eq!(number::encode(&integer(0), wrong, None), None, "{wrong:02x?}");
        let limits = [(wrong, &integer(0)[..]), (&integer(0)[..], wrong)];
        for limit in limits {
            assert_eq!(number::encode(&integer(0), &integer(0), Some(limit)), None);
        }
    }
    // Written with more bytes than it takes, it is an integer.
    assert_eq!(number::count(Some(b"\x83\x6E\x03\0\x01\0\0"), &by_one), Some(integer(2)));
}

#[test]
fn what_is_no_count_counts_nothing() {
    let whole = number::encode(&integer(1), &integer(300), Some((&integer(5), &integer(-1))));
    let whole = whole.unwrap();
    let without_limit = number::encode(&integer(1), &integer(300), None).unwrap();
    for length in 0..whole.len() {
        let counted = number::count(None, &whole[..length]);
        assert_eq!(counted.is_some(), length == without_limit.len(), "{length}");
    }
    assert_eq!(number::count(None, &[&whole[..], &[97, 0]].concat()), None);
    assert_eq!(number::count(None, b"\x77\x01a\x61\0"), None);
}

#[test]
fn no_counter_is_larger_than_a_virtual_machine_may_have() {
    let largest = big(MAGNITUDE_BYTES_MAX, 0, 0xFF);
    let count = |increment: i128| number::encode(&integer(increment), &integer(0), None).unwrap();
    assert_eq!(number::count(Some(&largest), &count(0)), Some(largest.clone()));
    assert_eq!(number::count(Some(&largest), &count(1)), None);
    let one_less = number::count(Some(&largest), &count(-1)).unwrap();
    assert_eq!(number::count(Some(&one_less), &count(1)), Some(largest.clone()));
    let beyond = big(MAGNITUDE_BYTES_MAX + 1, 0, 0xFF);
    assert_eq!(number::count(Some(&beyond), &count(0)), None);
    assert_eq!(number::encode(&beyond, &integer(0), None), None);
    // Not even to be set to something smaller.
    let down = number::encode(&integer(-1), &integer(0), Some((&integer(0), &integer(5)))).unwrap();
    assert_eq!(number::count(Some(&integer(-1)), &down), Some(integer(5)));
    assert_eq!(number::count(Some(&big(MAGNITUDE_BYTES_MAX + 1, 1, 0xFF)), &down), None);
}

#[test]
fn the_shortest_way_to_write_an_integer_is_taken_at_every_border() {
    let borders = [8, 16, 31, 32, 40, 56, 59, 60, 63, 64, 72, 80, 120, 126];
    let near = borders.iter().flat_map(|bit| [-2, -1, 0, 1, 2].map(|by| (1i128 << bit) + by));
    for int in near.flat_map(|int| [int, -int]) {
        for by in [-1, 0, 1, -int, 1 - int] {
            assert_eq!(count(Some(int), by, None), integer(int + by), "{int} + {by}");
        }
    }
    // From 255 bytes on to the long form, and back.
    let top = big(255, 0, 0xFF);
    let by = |increment: i128| number::encode(&integer(increment), &integer(0), None).unwrap();
    let above = number::count(Some(&top), &by(1)).unwrap();
    assert_eq!(above[..7], [131, 111, 0, 0, 1, 0, 0]);
    let back = number::count(Some(&above), &by(-1)).unwrap();
    assert_eq!(back[..4], [131, 110, 255, 0]);
    assert_eq!(back[4..], top[7..]);
}

fn any_integer() -> impl Strategy<Value = i128> {
    let near_power = (0..126u32, -2..=2i128, any::<bool>())
        .prop_map(|(bit, by, minus)| ((1i128 << bit) + by) * if minus { -1 } else { 1 });
    prop_oneof![any::<i32>().prop_map(i128::from), any::<i64>().prop_map(i128::from), near_power]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn counters_follow_exact_arithmetic(
        current in any_integer(),
        increment in any_integer(),
        limit in prop::option::of((any_integer(), any_integer())),
    ) {
        let sum = current + increment;
        let expected = match limit {
            Some((threshold, set_to)) if increment >= 0 && sum > threshold => set_to,
            Some((threshold, set_to)) if increment < 0 && sum < threshold => set_to,
            _ => sum,
        };
        prop_assert_eq!(count(Some(current), increment, limit), integer(expected));
    }
}
