//! The byte form of keys, without Erlang: numbers against exact arithmetic, every external form of
//! a leaf, and bytes that are no key. The library itself does not link into a test program, so this
//! one includes the pure folder; what needs live terms is in test/ram_key_SUITE.erl.
//!
//! proptest prints the case that failed and keeps its seed in a file beside this one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

// Not used here: what only walks over terms and values answer or call.
#[allow(dead_code, unused_imports)]
#[path = "../../src/key/form/mod.rs"]
mod form;
mod numbers;
mod records;

use form::{ETF_PER_KEY_BYTE_MAX, KeyError, MAP_KEY_DEPTH_MAX, tag, to_etf};
use proptest::prelude::*;

fn int(value: i64) -> Vec<u8> {
    let mut key = Vec::new();
    form::push_int(&mut key, value);
    key
}

fn float(value: f64) -> Vec<u8> {
    let mut key = Vec::new();
    form::push_float(&mut key, value);
    key
}

fn leaf(etf: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut key = Vec::new();
    form::push_leaf(&mut key, &[&[131], etf].concat()).map(|()| key)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn an_integer_of_a_word_is_taken_as_it_was_written(value in any_int(), more in any_int()) {
        let key = [int(value), int(more)].concat();
        let taken = form::fast::take_int(&key).map(|(taken, rest)| (taken, rest.to_vec()));
        // One of the widest is left to the decoder of all numbers.
        let is_wide = value == i64::MIN;
        prop_assert_eq!(taken, (!is_wide).then(|| (value, int(more))));
    }

    #[test]
    fn a_float_is_not_taken_for_an_integer(value in prop_oneof![
        any_float(), any_int().prop_map(|int| int as f64),
    ]) {
        let key = float(value);
        prop_assert_eq!(form::fast::take_int(&key), None);
    }

    #[test]
    fn any_bytes_are_a_key_or_malformed(bytes in any_key_like()) {
        match to_etf(&bytes) {
            Ok(etf) => prop_assert!(etf.len() <= 1 + bytes.len() * ETF_PER_KEY_BYTE_MAX),
            Err(error) => prop_assert_eq!(error, KeyError::Malformed),
        }
    }

    #[test]
    fn no_key_is_the_beginning_of_another(bytes in any_key_like(), more in any_key_like()) {
        if to_etf(&bytes).is_ok() {
            prop_assert_eq!(to_etf(&[bytes, more].concat()), Err(KeyError::Malformed));
        }
    }
}

fn any_float() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    let near_power =
        (-1074..1024i32, -2..=2i64, any::<bool>()).prop_map(|(exponent, step, minus)| {
            let bits = 2f64.powi(exponent).to_bits() as i64 + step;
            let value = f64::from_bits(bits.clamp(0, f64::MAX.to_bits() as i64) as u64);
            if minus { -value } else { value }
        });
    let near_integer = any::<i64>().prop_map(|value| value as f64);
    prop_oneof![POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO, near_power, near_integer]
}

fn any_int() -> impl Strategy<Value = i64> {
    let near_power =
        (0..63u32, -2..=2i64).prop_map(|(exponent, step)| (1i64 << exponent).wrapping_add(step));
    prop_oneof![any::<i64>(), near_power.prop_map(i64::wrapping_neg), -300..300i64]
}

/// Bytes that often are a key, or nearly one: random bytes alone seldom get past the first tag.
fn any_key_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => any_int().prop_map(int),
        2 => any_float().prop_map(float),
        1 => any_float().prop_map(|value| [vec![tag::EXACT_FLOAT], float(value)].concat()),
        2 => "[a-c\u{0}\u{1}é€]{0,3}".prop_map(|text| leaf(&atom_etf(&text)).unwrap()),
        1 => prop::sample::select(vec![
            tag::REFERENCE, tag::FUN, tag::PORT, tag::PID, tag::NIL, tag::BITS,
        ]).prop_map(|tag| vec![tag]),
        3 => (0..4u8).prop_map(|size| vec![tag::TUPLE, size]),
        4 => (0..3u8).prop_map(|size| vec![tag::MAP, size]),
        3 => Just(vec![tag::CONS]),
        3 => (0..2u8, 0..3u8).prop_map(|(exported, fields)| {
            let names = &b"a\0b\0"[..2 * usize::from(fields)];
            [&[tag::RECORD, b'm', 0, b'r', 0, exported, fields], names].concat()
        }),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

fn atom_etf(text: &str) -> Vec<u8> {
    [&[119, text.len() as u8], text.as_bytes()].concat()
}

#[test]
fn old_and_new_external_forms_of_a_leaf_have_one_key() {
    let node_old = b"\x64\x00\x03a@\xE9";
    let node_small = b"\x73\x03a@\xE9";
    let node_utf8 = b"\x77\x04a@\xC3\xA9";
    let node_long = b"\x76\x00\x04a@\xC3\xA9";
    let same = |forms: &[Vec<u8>]| {
        let keys: Vec<_> = forms.iter().map(|form| leaf(form).unwrap()).collect();
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "{keys:x?}");
        to_etf(&keys[0]).unwrap()
    };
    same(&[node_old.to_vec(), node_small.to_vec(), node_utf8.to_vec(), node_long.to_vec()]);
    let pid = |tag: u8, node: &[u8], creation: &[u8]| {
        [&[tag], node, &[0, 0, 0, 7, 0, 0, 0, 8], creation].concat()
    };
    let etf = same(&[pid(103, node_old, &[2]), pid(88, node_utf8, &[0, 0, 0, 2])]);
    assert_eq!(etf[1..], pid(88, node_utf8, &[0, 0, 0, 2]));
    let port = |tag: u8, node: &[u8], rest: &[u8]| [&[tag], node, rest].concat();
    let etf = same(&[
        port(102, node_old, &[0, 0, 0, 9, 1]),
        port(89, node_long, &[0, 0, 0, 9, 0, 0, 0, 1]),
        port(120, node_utf8, &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1]),
    ]);
    assert_eq!(etf[1], 120);
    let reference = |tag: u8, node: &[u8], creation: &[u8]| {
        [&[tag, 0, 3], node, creation, &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9]].concat()
    };
    let etf = same(&[reference(114, node_old, &[3]), reference(90, node_utf8, &[0, 0, 0, 3])]);
    assert_eq!(etf[1..], reference(90, node_utf8, &[0, 0, 0, 3]));
    let fun = |module: &[u8]| [&[113], module, b"\x77\x01f", &[97, 2]].concat();
    assert_eq!(same(&[fun(node_old), fun(node_utf8)])[1..], fun(node_utf8));
}

#[test]
fn a_local_fun_and_an_unknown_leaf_are_told_apart() {
    assert_eq!(leaf(&[112, 0, 0]), Err(KeyError::LocalFun));
    assert_eq!(leaf(&[99, 0, 0]), Err(KeyError::Unsupported));
    assert_eq!(leaf(&[88, 119, 9]), Err(KeyError::Unsupported));
}

#[test]
fn bytes_that_no_encoder_writes_are_refused() {
    let refused: &[(&str, &[u8])] = &[
        ("nothing", &[]),
        ("no tag", &[0x00]),
        ("no tag", &[0xFF]),
        ("a tag between the negative numbers and zero", &[0x7F, 0xFF]),
        ("a fourth zero", &[0x80, 3]),
        ("a fraction that ends in zeros", &[0x84, 0x42, 0x02, 0x00]),
        ("an integer with a half", &[0x82, 0x42, 0x00]),
        ("an integer below one", &[0x81, 0x04, 0x31, 0x00]),
        ("a wide head for a short exponent", &[0xC2, 0x00, 0x3F, 0x00]),
        ("an exponent beyond all floats", &[0xC2, 0x04, 0x00, 0x01]),
        ("an exponent of one in the head of fractions", &[0x81, 0x04, 0x32, 0x01]),
        ("a float of 60 bits", &[0x82, 3, 3, 3, 3, 3, 3, 3, 0x0A, 0x01]),
        ("a subnormal finer than it can be", &[0x81, 0x00, 0x00, 0x42, 0x01]),
        ("a byte beyond seven bits", &[0x84, 0x82, 0x00]),
        ("an atom without end", &[tag::ATOM, b'a']),
        ("an atom that is not text", &[tag::ATOM, 0xC3, 0x28, 0x00]),
        ("a wrong escape in an atom", &[tag::ATOM, 1, 3, 0]),
        ("a bitstring without end", &[tag::BITS, 1, 0]),
        ("nine bits in a byte", &[tag::BITS, 1, 0, 9]),
        ("no bits in a byte", &[tag::BITS, 1, 0, 0]),
        ("bits of no byte", &[tag::BITS, 0, 8]),
        ("an unused bit that is set", &[tag::BITS, 0x81, 0, 1]),
        ("a tuple that is short of elements", &[tag::TUPLE, 2, tag::NIL]),
        ("a long count for a short size", &[tag::TUPLE, 0xF0, 0x01, tag::NIL]),
        ("a count with a leading zero", &[tag::TUPLE, 0xF1, 0x00, 0xFF]),
        ("a count of nine bytes", &[tag::TUPLE, 0xF8, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("a record that is exported in a third way", b"\xE2m\0r\0\x02\0"),
        ("a record without a name", b"\xE2m\0"),
        ("a record that is short of names", b"\xE2m\0r\0\0\x02a\0"),
        ("a record that is short of values", b"\xE2m\0r\0\0\x02a\0b\0\xE8"),
        ("a record with two fields of one name", b"\xE2m\0r\0\0\x02a\0a\0\xE8\xE8"),
        ("a record beyond the limit", b"\xE2m\0r\0\0\xF3\x01\0\0\0a\0"),
        ("a tuple beyond Erlang's limit", &[tag::TUPLE, 0xF3, 1, 0, 0, 0, tag::NIL]),
        ("a map of 2^32 pairs", &[tag::MAP, 0xF4, 1, 0, 0, 0, 0, tag::NIL]),
        ("a map of 2^31 pairs, all missing", &[tag::MAP, 0xF3, 0x80, 0, 0, 0]),
        ("keys out of order", &[tag::MAP, 2, 0x83, 0, 0x82, 0, tag::NIL, tag::NIL]),
        ("a key twice", &[tag::MAP, 2, 0x82, 0, 0x82, 0, tag::NIL, tag::NIL]),
        ("a map that is short of values", &[tag::MAP, 1, 0x82, 0]),
        ("an unmarked float as a key", &[tag::MAP, 1, 0x82, 1, tag::NIL]),
        ("an unmarked float within a key", &[tag::MAP, 1, tag::TUPLE, 1, 0x82, 1, tag::NIL]),
        ("a marked float elsewhere", &[tag::EXACT_FLOAT, 0x82, 1]),
        ("a marked float as a value", &[tag::MAP, 1, 0x82, 0, tag::EXACT_FLOAT, 0x82, 1]),
        ("a marked integer", &[tag::MAP, 1, tag::EXACT_FLOAT, 0x82, 0, tag::NIL]),
        ("a mark on something else", &[tag::MAP, 1, tag::EXACT_FLOAT, tag::NIL, tag::NIL]),
        ("a reference without words", &[tag::REFERENCE, b'a', 0, 0, 0, 0, 1, 0]),
        ("a term and more", &[tag::NIL, tag::NIL]),
    ];
    for (what, bytes) in refused {
        assert_eq!(to_etf(bytes), Err(KeyError::Malformed), "{what}");
    }
}

#[test]
fn an_atom_has_at_most_255_characters() {
    let atom = |chars| [&[tag::ATOM], "é".repeat(chars).as_bytes(), &[0]].concat();
    assert!(to_etf(&atom(255)).is_ok());
    assert_eq!(to_etf(&atom(256)), Err(KeyError::Malformed));
}

#[test]
fn depth_costs_no_stack() {
    let depth = 1_000_000;
    for open in [&[tag::CONS][..], &[tag::TUPLE, 1], &[tag::MAP, 1, tag::NIL]] {
        assert_eq!(to_etf(&open.repeat(depth)), Err(KeyError::Malformed));
    }
    let whole = [[tag::TUPLE, 1].repeat(depth), vec![tag::NIL]].concat();
    assert_eq!(to_etf(&whole).unwrap().len(), 1 + 2 * depth + 1);
    let heads = [vec![tag::CONS; depth], vec![tag::NIL; depth + 1]].concat();
    assert_eq!(to_etf(&heads).unwrap().len(), 1 + 5 * depth + depth + 1);
}

#[test]
fn maps_nest_in_map_keys_to_a_limit() {
    let nested = |depth| [[tag::MAP, 1].repeat(depth), vec![tag::NIL; depth + 1]].concat();
    assert!(to_etf(&nested(MAP_KEY_DEPTH_MAX)).is_ok());
    assert_eq!(to_etf(&nested(MAP_KEY_DEPTH_MAX + 1)), Err(KeyError::TooDeep));
}

#[test]
fn pairs_of_a_map_come_back_together() {
    let mut key = vec![tag::MAP, 2, 0x82, 0, tag::MAP, 1, 0x83, 0, tag::NIL];
    key.extend_from_slice(&[0x84, 0, 0x80, 0]);
    let etf =
        [&[131, 116, 0, 0, 0, 2][..], &[97, 1, 97, 4], &[116, 0, 0, 0, 1, 97, 2, 106], &[97, 0]];
    assert_eq!(to_etf(&key).unwrap(), etf.concat());
}

#[test]
fn a_binary_is_written_as_it_says() {
    let mut key = Vec::new();
    form::push_binary(&mut key, &[0, 1]);
    form::push_atom_latin1(&mut key, &[0xE9]);
    form::push_count(&mut key, 240);
    let expected = [tag::BITS, 0, 0xFF, 1, 0, 8, tag::ATOM, 0xC3, 0xA9, 0, 0xF0, 240];
    assert_eq!(key, expected);
}
