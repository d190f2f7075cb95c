//! Random writes of all kinds, for the model.

use super::number;
use crate::write::{Comparison, Setting};
use proptest::collection::vec;
use proptest::prelude::*;
use std::ops::Bound;

pub const TABLES: [&str; 4] = ["", "set", "ordered", "other"];

pub type Key = u8;
pub type Bounds = (Bound<Key>, Bound<Key>);

#[derive(Debug, Clone)]
pub enum Change {
    Put(Key, Vec<u8>, Setting<u64>),
    Delete(Key),
}

/// Tables are indexes of [`TABLES`]; that of a place may be none.
#[derive(Debug, Clone)]
pub enum Step {
    Change(Option<usize>, Change),
    Get(Option<usize>, Key),
    Count(Option<usize>, Key, i64),
    Touch(Option<usize>, Key, Option<u64>),
}

#[derive(Debug, Clone)]
pub enum Expected {
    Absent,
    Present,
    Value(Vec<u8>),
    Revision(Comparison, u64),
    /// Whatever the revision is then.
    Newest,
}

#[derive(Debug, Clone)]
pub enum Check {
    Key(Option<usize>, Key, Expected),
    /// So many revisions ago; with so many entries more than there are.
    Unchanged(Option<usize>, Bounds, u64, u64),
}

#[derive(Debug, Clone)]
pub enum Kind {
    Batch(Vec<Change>),
    Transaction(Vec<Check>, Vec<Step>, Vec<Step>),
    DeleteRange(Bounds),
    Create(bool),
    Drop,
}

#[derive(Debug, Clone)]
pub struct Planned {
    pub table: usize,
    pub kind: Kind,
}

fn key() -> impl Strategy<Value = Key> {
    0..6u8
}

/// Half of them are numbers.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![(0..4i64).prop_map(|i| number(i).to_vec()), vec(0..3u8, 0..3)]
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let bound = || {
        prop_oneof![
            Just(Bound::Unbounded),
            key().prop_map(Bound::Included),
            key().prop_map(Bound::Excluded)
        ]
    };
    (bound(), bound())
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => (key(), value(), ttl()).prop_map(|(key, value, ttl)| Change::Put(key, value, ttl)),
        1 => key().prop_map(Change::Delete),
    ]
}

fn ttl() -> impl Strategy<Value = Setting<u64>> {
    prop_oneof![
        2 => Just(Setting::Clear),
        1 => Just(Setting::Keep),
        1 => (1..1000u64).prop_map(Setting::To)
    ]
}

/// Mostly that of the write: `None`.
fn named() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![5 => Just(None), 1 => (0..TABLES.len()).prop_map(Some)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (named(), change()).prop_map(|(table, change)| Step::Change(table, change)),
        (named(), key()).prop_map(|(table, key)| Step::Get(table, key)),
        (named(), key(), -2..3i64).prop_map(|(table, key, by)| Step::Count(table, key, by)),
        (named(), key(), proptest::option::of(1..1000u64))
            .prop_map(|(table, key, ttl_ms)| Step::Touch(table, key, ttl_ms)),
    ]
}

fn check() -> impl Strategy<Value = Check> {
    let comparison =
        prop_oneof![Just(Comparison::Less), Just(Comparison::Equal), Just(Comparison::Greater)];
    let expected = prop_oneof![
        Just(Expected::Absent),
        Just(Expected::Present),
        value().prop_map(Expected::Value),
        (comparison, 0..40u64).prop_map(|(comparison, at)| Expected::Revision(comparison, at)),
        Just(Expected::Newest),
    ];
    prop_oneof![
        3 => (named(), key(), expected).prop_map(|(table, key, is)| Check::Key(table, key, is)),
        1 => (named(), bounds(), 0..3u64, prop_oneof![4 => Just(0u64), 1 => 1..3u64])
            .prop_map(|(table, range, ago, more)| Check::Unchanged(table, range, ago, more)),
    ]
}

pub fn planned() -> impl Strategy<Value = Planned> {
    let kind = prop_oneof![
        4 => vec(change(), 1..6).prop_map(Kind::Batch),
        8 => (vec(check(), 0..3), vec(step(), 0..6), vec(step(), 0..4))
            .prop_map(|(checks, then, otherwise)| Kind::Transaction(checks, then, otherwise)),
        1 => bounds().prop_map(Kind::DeleteRange),
        2 => any::<bool>().prop_map(Kind::Create),
        1 => Just(Kind::Drop),
    ];
    (0..TABLES.len(), kind).prop_map(|(table, kind)| Planned { table, kind })
}
