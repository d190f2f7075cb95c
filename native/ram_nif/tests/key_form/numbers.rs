//! Numbers, against exact arithmetic.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::{any_float, any_int, float, int, leaf, to_etf};

/// The key of an integer given as a bignum, of which the virtual machine has none this small.
fn big(negative: bool, magnitude: u128) -> Vec<u8> {
    let bytes = magnitude.to_le_bytes();
    leaf(&[&[110, 16, u8::from(negative)], &bytes[..]].concat()).unwrap()
}

fn etf_of_float(value: f64) -> Vec<u8> {
    [&[131, 70], &value.to_bits().to_be_bytes()[..]].concat()
}

/// Exact, where a comparison as floats would round.
fn compare_exact(integer: i64, float: f64) -> Ordering {
    if float >= 2f64.powi(63) {
        return Ordering::Less;
    }
    if float < -(2f64.powi(63)) {
        return Ordering::Greater;
    }
    let whole = float.floor();
    let rest = if float > whole { Ordering::Less } else { Ordering::Equal };
    integer.cmp(&(whole as i64)).then(rest)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn a_float_comes_back_bit_by_bit(value in any_float()) {
        prop_assert_eq!(to_etf(&float(value)).unwrap(), etf_of_float(value));
    }

    #[test]
    fn floats_sort_as_their_values(left in any_float(), right in any_float()) {
        prop_assert_eq!(float(left).cmp(&float(right)), left.total_cmp(&right));
    }

    #[test]
    fn integers_sort_as_their_values(left in any_int(), right in any_int()) {
        prop_assert_eq!(int(left).cmp(&int(right)), left.cmp(&right));
    }

    #[test]
    fn an_integer_and_a_float_sort_exactly_and_the_integer_first(
        integer in any_int(),
        step in -2..=2i64,
        other in any_float(),
    ) {
        let near = f64::from_bits((integer as f64).to_bits().wrapping_add_signed(step));
        for value in [near, other].into_iter().filter(|value| value.is_finite()) {
            let expected = compare_exact(integer, value).then(Ordering::Less);
            prop_assert_eq!(int(integer).cmp(&float(value)), expected, "{} {}", integer, value);
        }
    }

    #[test]
    fn an_integer_has_one_key_however_it_arrives(value in any_int()) {
        prop_assert_eq!(int(value), big(value < 0, value.unsigned_abs().into()));
    }
}

#[test]
fn zeros_sort_as_integer_then_minus_zero_then_zero() {
    assert!(int(0) < float(-0.0));
    assert!(float(-0.0) < float(0.0));
    assert!(float(-5e-324) < int(0));
    assert!(float(0.0) < float(5e-324));
}

#[test]
fn an_integer_below_two_to_the_31_takes_at_most_eight_bytes() {
    for value in [0, 1, 255, i64::from(i32::MAX), i64::from(i32::MIN), 0x5555_5555] {
        assert!(int(value).len() <= 8, "{value}");
    }
}

#[test]
fn integers_above_every_float_sort_by_length_and_then_by_bytes() {
    let huge = |bytes: usize, last: u8, minus: u8| {
        let mut etf = vec![111];
        etf.extend_from_slice(&(bytes as u32).to_be_bytes());
        etf.push(minus);
        etf.push(last);
        etf.extend(std::iter::repeat_n(0, bytes - 2));
        etf.push(1);
        leaf(&etf).unwrap()
    };
    let ascending = [
        huge(70_000, 0, 1),
        huge(300, 1, 1),
        huge(300, 0, 1),
        huge(129, 0, 1),
        float(f64::MIN),
        float(f64::MAX),
        huge(129, 0, 0),
        huge(129, 1, 0),
        huge(239, 0, 0),
        huge(240, 0, 0),
        huge(70_000, 0, 0),
    ];
    assert!(ascending.is_sorted());
}
