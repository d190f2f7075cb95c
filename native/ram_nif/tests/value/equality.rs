//! One term written in several ways is one value, and terms that only look alike are several.

use std::time::{Duration, Instant};

use super::key::form::MAP_KEY_DEPTH_MAX;
use super::{list, map, same, value, values_same};

/// All those of a row are the same, and nothing of another row is.
fn assert_classes(rows: &[&[&[u8]]]) {
    for (at, row) in rows.iter().enumerate() {
        for one in *row {
            for (other_at, other_row) in rows.iter().enumerate() {
                for other in *other_row {
                    let (expected, found) = (at == other_at, same(one, other));
                    assert_eq!(found, expected, "{one:02x?} and {other:02x?}");
                }
            }
        }
    }
}

#[test]
fn integers_are_the_same_however_many_bytes_they_take() {
    assert_classes(&[
        &[b"\x61\0", b"\x62\0\0\0\0", b"\x6E\0\0", b"\x6E\x01\x01\0", b"\x6F\0\0\0\0\x01"],
        &[b"\x61\x01", b"\x62\0\0\0\x01", b"\x6E\x01\0\x01", b"\x6E\x03\0\x01\0\0"],
        &[b"\x62\xFF\xFF\xFF\xFF", b"\x6E\x01\x01\x01", b"\x6F\0\0\0\x02\x01\x01\0"],
        &[b"\x61\xFF", b"\x62\0\0\0\xFF", b"\x6E\x01\0\xFF"],
        &[b"\x62\x80\0\0\0", b"\x6E\x04\x01\0\0\0\x80"],
        &[b"\x6E\x04\0\0\0\0\x80", b"\x6E\x05\0\0\0\0\x80\0", b"\x6F\0\0\0\x04\0\0\0\0\x80"],
        &[b"\x6E\x08\0\0\0\0\0\0\0\0\x80"],
        &[b"\x6E\x09\0\0\0\0\0\0\0\0\0\x01", b"\x6F\0\0\0\x0A\0\0\0\0\0\0\0\0\0\x01\0"],
        // 1.0, 0.0, -0.0
        &[b"\x46\x3F\xF0\0\0\0\0\0\0"],
        &[b"\x46\0\0\0\0\0\0\0\0"],
        &[b"\x46\x80\0\0\0\0\0\0\0"],
    ]);
}

#[test]
fn a_string_is_the_list_of_its_characters() {
    assert_classes(&[
        &[
            b"\x6B\0\x02ab",
            &list(2, b"\x61a\x61b", b"\x6A"),
            &list(1, b"\x61a", &list(1, b"\x61b", b"\x6A")),
            &list(1, b"\x62\0\0\0a", b"\x6B\0\x01b"),
            &list(0, b"", b"\x6B\0\x02ab"),
        ],
        &[b"\x6A", &list(0, b"", b"\x6A"), b"\x6B\0\0"],
        &[b"\x6B\0\x02ba"],
        &[&list(1, b"\x61a", b"\x61b"), &list(0, b"", &list(1, b"\x61a", b"\x61b"))],
        &[&list(1, b"\x6B\0\x02ab", b"\x6A")],
        &[&list(2, b"\x6B\0\x01a\x61b", b"\x6A")],
        &[b"\x68\x02\x61a\x61b", b"\x69\0\0\0\x02\x61a\x61b"],
        &[b"\x68\0", b"\x69\0\0\0\0"],
        &[b"\x6D\0\0\0\x02ab", b"\x4D\0\0\0\x02\x08ab"],
    ]);
}

#[test]
fn atoms_are_their_text() {
    assert_classes(&[
        &[b"\x77\x01a", b"\x73\x01a", b"\x64\0\x01a", b"\x76\0\x01a"],
        &["\x77\x02é".as_bytes(), b"\x73\x01\xE9", b"\x64\0\x01\xE9", "\x76\0\x02é".as_bytes()],
        &["\x77\x03€".as_bytes()],
        &[b"\x77\0", b"\x64\0\0"],
        // Characters that the canonical form writes in a way of their own.
        &[b"\x77\x01\0", b"\x73\x01\0"],
        &[b"\x77\x01\x01"],
        &[b"\x77\x02\x01\x01"],
        &[b"\x6D\0\0\0\x01a"],
        &[b"\x6B\0\x01a"],
    ]);
}

#[test]
fn bits_beyond_the_end_of_a_bitstring_do_not_count() {
    assert_classes(&[
        &[b"\x4D\0\0\0\x01\x01\x80", b"\x4D\0\0\0\x01\x01\xFF"],
        &[b"\x4D\0\0\0\x01\x02\x80"],
        &[b"\x6D\0\0\0\x01\x80", b"\x4D\0\0\0\x01\x08\x80"],
        &[b"\x6D\0\0\0\x02\x80\0"],
        &[b"\x6D\0\0\0\0", b"\x4D\0\0\0\0\0"],
    ]);
}

#[test]
fn names_of_things_are_the_same_in_old_and_new_forms() {
    assert_classes(&[
        &[
            b"\x67\x64\0\x03a@b\0\0\0\x07\0\0\0\x01\x02",
            b"\x58\x77\x03a@b\0\0\0\x07\0\0\0\x01\0\0\0\x02",
        ],
        &[b"\x58\x77\x03a@b\0\0\0\x07\0\0\0\x01\0\0\0\x03"],
        &[
            b"\x66\x64\0\x03a@b\0\0\0\x07\x02",
            b"\x59\x77\x03a@b\0\0\0\x07\0\0\0\x02",
            b"\x78\x73\x03a@b\0\0\0\0\0\0\0\x07\0\0\0\x02",
        ],
        &[
            b"\x72\0\x03\x64\0\x03a@b\x02\0\0\0\x01\0\0\0\x02\0\0\0\0",
            b"\x5A\0\x03\x77\x03a@b\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\0\0\0",
            b"\x5A\0\x02\x77\x03a@b\0\0\0\x02\0\0\0\x01\0\0\0\x02",
        ],
        &[b"\x5A\0\x02\x77\x03a@b\0\0\0\x02\0\0\0\x02\0\0\0\x01"],
        &[b"\x71\x77\x01m\x77\x01f\x61\x02", b"\x71\x64\0\x01m\x73\x01f\x61\x02"],
        &[b"\x71\x77\x01m\x77\x01f\x61\x03"],
        &[b"\x71\x77\x01f\x77\x01m\x61\x02"],
    ]);
}

#[test]
fn maps_are_the_same_in_whatever_order_their_pairs_are() {
    let (a, b): (&[u8], &[u8]) = (b"\x77\x01a\x61\x01", b"\x77\x01b\x61\x02");
    let ab = [map(&[a, b]), map(&[b, a]), map(&[b"\x64\0\x01b\x62\0\0\0\x02", a])];
    let in_key = |inner: &[u8]| map(&[&[inner, b"\x61\0"].concat(), a]);
    let in_value = |inner: &[u8]| map(&[a, &[b"\x61\0", inner].concat()]);
    let key_and_value = |key: &[u8], value: &[u8]| map(&[a, &[key, value].concat(), b]);
    assert_classes(&[
        &[&ab[0], &ab[1], &ab[2]],
        &[&map(&[b"\x77\x01a\x61\x02", b"\x77\x01b\x61\x01"])],
        &[&map(&[a])],
        &[&map(&[])],
        &[&in_key(&ab[0]), &in_key(&ab[1]), &map(&[a, &[&ab[2], &b"\x61\0"[..]].concat()])],
        &[&in_value(&ab[0]), &in_value(&ab[1])],
        &[&key_and_value(&ab[0], &ab[1]), &key_and_value(&ab[1], &ab[2])],
        // Behind a map the walk goes on where the map ends.
        &[
            &[b"\x68\x03", &ab[0][..], b"\x61\x07", &ab[1]].concat(),
            &[b"\x68\x03", &ab[1][..], b"\x61\x07", &ab[2]].concat(),
        ],
        &[&[b"\x68\x03", &ab[0][..], b"\x61\x08", &ab[1]].concat()],
        &[&map(&[b"\x61\x01\x61\0"])],
        &[&map(&[b"\x46\x3F\xF0\0\0\0\0\0\0\x61\0"])],
    ]);
}

#[test]
fn local_funs_are_their_bytes() {
    let fun = |last: u8, size: u8| [&[112, 0, 0, 0, size], &[7; 20][..], &[last]].concat();
    assert_classes(&[&[&fun(1, 25)], &[&fun(2, 25)]]);
    let beside = |other: &[u8]| [b"\x68\x02", &fun(1, 25)[..], other].concat();
    assert_classes(&[
        &[&beside(b"\x77\x01a"), &beside(b"\x64\0\x01a")],
        &[&beside(b"\x77\x01b")],
        &[&[b"\x68\x02", &fun(2, 25)[..], b"\x64\0\x01a"].concat()],
    ]);
    // Beyond what there is, and not even its own size: no values, so their bytes alone count.
    assert!(!same(&[b"\x68\x02", &fun(1, 26)[..], b"\x61\0"].concat(), &beside(b"\x61\0")));
    assert!(!same(b"\x70\0\0\0\x03", b"\x70\0\0\0\x02"));
}

#[test]
fn native_records_are_their_parts() {
    let record = |exported: u8, atoms: &[u8], values: &[u8]| {
        [&[67, 0, 0, 0, 2, exported], atoms, values].concat()
    };
    let (new, old) =
        (b"\x77\x01m\x77\x01r\x77\x01b\x77\x01a", b"\x64\0\x01m\x73\x01r\x73\x01b\x73\x01a");
    assert_classes(&[
        &[&record(1, new, b"\x61\x01\x6A"), &record(1, old, b"\x62\0\0\0\x01\x6A")],
        &[&record(0, new, b"\x61\x01\x6A")],
        &[&record(1, new, b"\x6A\x61\x01")],
        &[&record(1, b"\x77\x01m\x77\x01r\x77\x01a\x77\x01b", b"\x61\x01\x6A")],
        &[b"\x43\0\0\0\0\0\x77\x01m\x77\x01r", b"\x43\0\0\0\0\0\x77\x01m\x73\x01r"],
    ]);
}

#[test]
fn what_is_malformed_is_the_same_as_its_own_bytes_alone() {
    let twice: &[u8] = b"\x77\x01a\x61\x01";
    let twice_too: &[u8] = b"\x73\x01a\x61\x01";
    let malformed: [[&[u8]; 2]; 12] = [
        [b"\x61\0\x61\0", b"\x62\0\0\0\0\x61\0"],
        [b"", b"\x61\0"],
        [b"\x61", b"\x62\0\0\0"],
        [b"\x77\x01\xFF", b"\x76\0\x01\xFF"],
        [b"\x68\x02\x61\0", b"\x69\0\0\0\x02\x61\0"],
        [&map(&[twice, twice_too]), &map(&[twice_too, twice])],
        [b"\x4D\0\0\0\x01\0\x80", b"\x4D\0\0\0\x01\x09\x80"],
        [b"\x4D\0\0\0\0\x01", b"\x6D\0\0\0\0"],
        [b"\x71\x77\x01m\x77\x01f\x62\x02", b"\x71\x77\x01m\x77\x01f\x61\x02"],
        [b"\x68\x01\x46\x7F\xF0\0\0\0\0\0\0", b"\x69\0\0\0\x01\x46\x7F\xF0\0\0\0\0\0\0"],
        [b"\x50\0\0\0\x01\x61\0", b"\x61\0"],
        [b"\x68\x01\x79\x61\0", b"\x69\0\0\0\x01\x79\x61\0"],
    ];
    for [one, other] in malformed {
        assert!(!same(one, other), "{one:02x?} and {other:02x?}");
    }
    assert!(!values_same(b"\x82\x61\0", b"\x82\x62\0\0\0\0"));
    assert!(values_same(b"\x82\x61\0", b"\x82\x61\0"));
    assert!(values_same(b"", b""));
}

#[test]
fn maps_nest_in_keys_of_maps_to_a_limit() {
    let nested = |depth: usize, zero: &[u8]| {
        let ends = b"\x6A".repeat(depth);
        [&b"\x74\0\0\0\x01".repeat(depth)[..], zero, &ends].concat()
    };
    let max = MAP_KEY_DEPTH_MAX;
    assert!(same(&nested(max, b"\x61\0"), &nested(max, b"\x62\0\0\0\0")));
    assert!(!same(&nested(max, b"\x61\0"), &nested(max, b"\x61\x01")));
    assert!(!same(&nested(max + 1, b"\x61\0"), &nested(max + 1, b"\x62\0\0\0\0")));
}

/// Two maps with as many pairs, in opposite orders: with every key, and with one value changed.
fn opposite_maps(pairs: u32) -> [Vec<u8>; 3] {
    let pair = |key: u32, value: u8| [&[98][..], &key.to_be_bytes(), &[97, value]].concat();
    let head = [&[116][..], &pairs.to_be_bytes()].concat();
    let all = |keys: &mut dyn Iterator<Item = u32>, changed: u32| {
        let value = |key: u32| if key == changed { 2 } else { 1 };
        [head.clone(), keys.flat_map(|key| pair(key, value(key))).collect()].concat()
    };
    let (up, down) = (0..pairs, (0..pairs).rev());
    [all(&mut up.clone(), pairs), all(&mut down.clone(), pairs), all(&mut down.clone(), 7)]
}

#[test]
fn large_maps_are_compared_in_little_time() {
    let [up, down, changed] = opposite_maps(100_000);
    let started = Instant::now();
    assert!(same(&up, &down));
    assert!(!same(&up, &changed));
    assert_within(started, 30);
}

/// The steps that it takes to compare these, if so many are enough.
fn steps(one: &[u8], other: &[u8], most: usize) -> Option<usize> {
    let mut left = most;
    let same = super::value::equal::same(&value(one), &value(other), &mut left);
    same.map(|_| most - left)
}

#[test]
fn what_takes_more_steps_than_there_are_is_not_known() {
    let [up, down, changed] = opposite_maps(1000);
    for (one, other) in [(&up, &down), (&up, &changed)] {
        let taken = steps(one, other, usize::MAX).unwrap();
        assert!((4000..6000).contains(&taken), "{taken}");
        assert_eq!(steps(one, other, taken), Some(taken));
        for less in [0, 1, taken / 2, taken - 1] {
            assert_eq!(steps(one, other, less), None, "{less} of {taken}");
        }
    }
}

#[test]
fn equal_bytes_binaries_and_maps_of_other_sizes_take_no_steps() {
    let [up, _, _] = opposite_maps(1000);
    let [less, _, _] = opposite_maps(999);
    let binary = |last: u8| [&b"\x6D\0\0\x10\0"[..], &[last; 4096]].concat();
    for (one, other) in [(&up, &up), (&up, &less), (&binary(1), &binary(2))] {
        assert_eq!(steps(one, other, 0), Some(0));
    }
}

/// The keys, each in the next one, are sorted again at each level.
#[test]
fn keys_that_are_sorted_again_and_again_are_counted_each_time() {
    let leaf = |last: u8| [&b"\x6D\0\x01\0\0"[..], &[last; 65536]].concat();
    let level = |key: &[u8]| [&b"\x74\0\0\0\x01"[..], key, b"\x6A"].concat();
    let nested = |levels: usize, last: u8| (0..levels).fold(leaf(last), |key, _| level(&key));
    let taken = |levels: usize| steps(&nested(levels, 1), &nested(levels, 2), usize::MAX).unwrap();
    // Of 64 KiB in each of the two.
    let a_level = 2 * 65536 / 512;
    assert!(taken(16) - taken(1) > 15 * a_level, "{} {}", taken(16), taken(1));
}

/// Where every level would be read, or sorted, once for each one above it, this took hours.
#[test]
fn deep_nesting_takes_little_time_and_no_stack() {
    let started = Instant::now();
    let deep = |head: &[u8], foot: &[u8], depth: usize, core: &[u8]| {
        [&head.repeat(depth)[..], core, &foot.repeat(depth)].concat()
    };
    let depth = 100_000;
    for (head, foot) in [
        (&b"\x68\x01"[..], &b""[..]),
        (b"\x6C\0\0\0\x01", b"\x6A"),
        (b"\x6C\0\0\0\x01\x6A", b""),
        (b"\x74\0\0\0\x01\x6A", b""),
        (b"\x43\0\0\0\x01\x01\x77\x01m\x77\x01r\x77\x01f", b""),
    ] {
        let all = [&b"\x61\0"[..], b"\x62\0\0\0\0", b"\x61\x01"];
        let [one, same_one, other] = all.map(|core| deep(head, foot, depth, core));
        assert!(same(&one, &same_one), "{head:02x?}");
        assert!(!same(&one, &other), "{head:02x?}");
    }
    // Two pairs a level, in the order that has to be changed.
    let [one, other] = [&b"\x61\0"[..], b"\x62\0\0\0\0"]
        .map(|core| deep(b"\x74\0\0\0\x02\x77\x01b\x6A\x77\x01a", b"", depth, core));
    assert!(same(&one, &other));
    assert_within(started, 30);
}

/// The tests are not optimized, and machines are busy.
fn assert_within(started: Instant, seconds: u64) {
    let took = started.elapsed();
    assert!(took < Duration::from_secs(seconds), "took {took:?}");
}
