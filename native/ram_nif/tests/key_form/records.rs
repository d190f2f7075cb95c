//! Native records, which OTP 29 has.

use super::form::{KeyError, RECORD_DEPTH_MAX, record, tag};
use super::{int, to_etf};

/// `#m:r{b = [], a = []}` as OTP 29 writes it, and its key.
const RECORD_ETF: &[u8] = b"\x83\x43\0\0\0\x02\x01\x77\x01m\x77\x01r\x77\x01b\x77\x01ajj";
const RECORD_KEY: &[u8] = b"\xE2m\0r\0\x01\x02b\0a\0\xE8\xE8";

#[test]
fn a_native_record_comes_back_from_its_key() {
    assert_eq!(to_etf(RECORD_KEY).unwrap(), RECORD_ETF);
    let mut key = Vec::new();
    let (fields, values) = record::push_head(&mut key, RECORD_ETF).unwrap();
    assert_eq!((fields, values), (2, &b"jj"[..]));
    assert_eq!(key, RECORD_KEY[..RECORD_KEY.len() - 2]);
    assert_eq!(record::tuple_of(fields, values), b"\x83\x69\0\0\0\x02jj");
    let none = b"\x83\x43\0\0\0\0\0\x77\x01m\x77\x01r";
    let mut key = Vec::new();
    assert_eq!(record::push_head(&mut key, none).unwrap(), (0, &b""[..]));
    assert_eq!(to_etf(&key).unwrap(), none);
}

#[test]
fn native_records_sort_between_tuples_and_maps_and_by_their_parts_in_turn() {
    let key = |module: &str, name: &str, exported: u8, fields: &str, value: i64| {
        let names: Vec<u8> = fields.chars().flat_map(|name| [name as u8, 0]).collect();
        let head = [&[tag::RECORD][..], module.as_bytes(), &[0], name.as_bytes(), &[0]].concat();
        [&head[..], &[exported, fields.len() as u8], &names, &int(value).repeat(fields.len())]
            .concat()
    };
    let ascending = [
        vec![tag::TUPLE, 0],
        vec![tag::TUPLE, 0xF3, 0xFF, 0xFF, 0xFF],
        key("a", "z", 1, "zy", 9),
        key("ab", "a", 1, "zy", 9),
        key("b", "a", 0, "a", 9),
        key("b", "a", 1, "z", 9),
        key("b", "a", 1, "ab", 9),
        key("b", "a", 1, "ac", 7),
        key("b", "a", 1, "ac", 8),
        vec![tag::MAP, 0],
    ];
    assert!(ascending.is_sorted_by(|left, right| left < right));
    for key in &ascending[2..9] {
        assert!(to_etf(key).is_ok());
    }
}

#[test]
fn what_is_no_native_record_of_this_format_is_unsupported() {
    let refused: &[&[u8]] = &[
        b"",
        b"\x83",
        b"\x83\x43\0\0",
        b"\x83\x68\0\0\0\0\0\x77\x01m\x77\x01r",
        b"\x83\x43\0\0\0\0\x02\x77\x01m\x77\x01r",
        b"\x83\x43\0\0\0\0\0\x77\x01m\x61\x01",
        b"\x83\x43\xFF\xFF\xFF\xFF\0\x77\x01m\x77\x01r\x77\x01a",
    ];
    for bytes in refused {
        assert_eq!(record::push_head(&mut Vec::new(), bytes), Err(KeyError::Unsupported));
    }
}

#[test]
fn native_records_nest_to_a_limit_and_lie_side_by_side_without_one() {
    let head = b"\xE2m\0r\0\0\x01a\0";
    let nested = |depth: usize| [head.repeat(depth), vec![tag::NIL]].concat();
    assert!(to_etf(&nested(RECORD_DEPTH_MAX)).is_ok());
    assert_eq!(to_etf(&nested(RECORD_DEPTH_MAX + 1)), Err(KeyError::TooDeep));
    let beside = [vec![tag::TUPLE, 200], nested(1).repeat(200)].concat();
    assert!(to_etf(&beside).is_ok());
}
