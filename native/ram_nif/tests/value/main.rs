//! What the replicated state knows of values, without Erlang: every way to write a term, corners of
//! counters, and bytes that are no value. test/ram_value_SUITE.erl has the virtual machine for a
//! judge.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod counters;
mod equality;
mod hostile;
mod key;
mod value;

/// A value whose term is written like this.
fn value(etf: &[u8]) -> Vec<u8> {
    [&[131], etf].concat()
}

/// A map of pairs that are written like this.
fn map(pairs: &[&[u8]]) -> Vec<u8> {
    [&[116][..], &(pairs.len() as u32).to_be_bytes(), &pairs.concat()].concat()
}

fn list(size: u32, elements: &[u8], tail: &[u8]) -> Vec<u8> {
    [&[108][..], &size.to_be_bytes(), elements, tail].concat()
}

/// Asked both ways.
fn same(one: &[u8], other: &[u8]) -> bool {
    let (one, other) = (value(one), value(other));
    let same = values_same(&one, &other);
    assert_eq!(values_same(&other, &one), same);
    assert!(values_same(&one, &one.clone()));
    same
}

/// Whatever it costs.
fn values_same(one: &[u8], other: &[u8]) -> bool {
    value::equal::same(one, other, &mut usize::MAX.clone()).unwrap()
}
