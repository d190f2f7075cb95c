//! Bytes that are nearly a value: nothing panics, and what is claimed to be there is not reserved.

use proptest::prelude::*;

use super::value::number;
use super::values_same;

const TAGS: &[u8] = &[
    67, 70, 77, 88, 89, 90, 97, 98, 100, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112,
    113, 114, 115, 116, 118, 119, 120,
];

/// Mostly tags and small numbers, so that much of it is read.
fn any_etf_like() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => prop::sample::select(TAGS), 4 => 0..4u8, 1 => any::<u8>()];
    prop::collection::vec(byte, 0..60).prop_map(|bytes| super::value(&bytes))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_bytes_are_compared_and_counted(one in any_etf_like(), other in any_etf_like()) {
        prop_assert!(values_same(&one, &one.clone()));
        prop_assert_eq!(values_same(&one, &other), values_same(&other, &one));
        number::count(Some(&one), &other[1..]);
        number::encode(&one, &other, Some((&one, &other)));
    }
}

#[test]
fn sizes_that_are_only_claimed_take_no_memory() {
    for tag in [67, 77, 105, 107, 108, 109, 111, 112, 116] {
        let claimed = [131, tag, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0];
        let longer = [&claimed[..], &[106]].concat();
        assert!(!values_same(&claimed, &longer), "{tag}");
        assert!(!values_same(&[&[131, 104, 1], &claimed[1..]].concat(), &claimed), "{tag}");
        assert_eq!(number::count(Some(&claimed), &claimed[1..]), None, "{tag}");
    }
}
