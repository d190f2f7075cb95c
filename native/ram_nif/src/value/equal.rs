//! Erlang's `=:=` of two values, from their bytes alone: all members of a cluster answer alike,
//! whatever their OTP.
//!
//! Values of the same bytes are the same. Of all others the canonical form is compared, which is
//! the same for all ways to write a term in external term format:
//!
//! - integers have the fewest bytes; a list is its cells, never a string; atoms are in UTF-8;
//! - pids, ports, references and external funs are as in keys (`key/form/identity.rs`);
//! - the pairs of a map are sorted: its keys, by their canonical form, then the values;
//! - floats are their bits, so that 0.0 and -0.0 differ, as they do in Erlang from OTP 27 on;
//! - a local fun is its bytes: what it means depends on code.
//!
//! A value has no canonical form, and is the same as its own bytes alone, if it is malformed, of a
//! kind that this version does not know, compressed, or has maps nested through more than
//! `MAP_KEY_DEPTH_MAX` keys of maps.
//!
//! # Cost
//!
//! Nesting is kept in a stack of our own. Each byte is written once, and those of the key of a map
//! once more, for each key that it is in. The canonical form is at most three times as long as the
//! value (a string takes 3 bytes a character), and what is kept of a map that is open is 32 bytes a
//! pair.
//!
//! What a comparison may take is counted in steps: a term is one, and so are `COMPARED_STEP_BYTES`
//! of both values, and of the keys of a map each time that they are looked at to sort them.

use ram_limits::COMPARED_STEP_BYTES;

use super::extent::{self, Extents, length};
use crate::key::etf;
use crate::key::form::{self, Cursor, MAP_KEY_DEPTH_MAX, push_count, tag};

/// Are these two the external term format of the same term? `None`: the steps that are left do not
/// suffice to know.
pub fn same(one: &[u8], other: &[u8], steps_left: &mut usize) -> Option<bool> {
    if one == other {
        return Some(true);
    }
    if differ_at_the_head(one, other) {
        return Some(false);
    }
    let bytes = one.len().saturating_add(other.len());
    *steps_left = steps_left.checked_sub(bytes / COMPARED_STEP_BYTES)?;
    // The shorter first: where that has no form, the longer need not be looked at.
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    let short = match canonical(short, steps_left) {
        Ok(canonical) => canonical,
        Err(Unequal::NoForm) => return Some(false),
        Err(Unequal::Steps) => return None,
    };
    match canonical(long, steps_left) {
        Ok(long) => Some(short == long),
        Err(Unequal::NoForm) => Some(false),
        Err(Unequal::Steps) => None,
    }
}

/// What is written in one way alone, and tells large terms of which one was changed.
fn differ_at_the_head(one: &[u8], other: &[u8]) -> bool {
    match (one, other) {
        ([etf::VERSION, etf::BINARY, ..], [etf::VERSION, etf::BINARY, ..]) => true,
        ([etf::VERSION, etf::MAP, size @ ..], [etf::VERSION, etf::MAP, other_size @ ..]) => {
            size.first_chunk::<4>() != other_size.first_chunk::<4>()
        }
        _ => false,
    }
}

/// Why there is no canonical form.
enum Unequal {
    NoForm,
    Steps,
}

fn canonical(value: &[u8], steps_left: &mut usize) -> Result<Vec<u8>, Unequal> {
    let written = write_canonical(value, steps_left);
    written.ok_or(if *steps_left == 0 { Unequal::Steps } else { Unequal::NoForm })
}

/// `None` also when no step is left.
fn write_canonical(value: &[u8], steps_left: &mut usize) -> Option<Vec<u8>> {
    if value.first() != Some(&etf::VERSION) {
        return None;
    }
    let mut walk = Walk {
        value,
        at: 1,
        out: Vec::with_capacity(value.len()),
        open: Vec::new(),
        in_keys: 0,
        extents: Extents::default(),
        steps_left,
    };
    walk.term()?;
    while let Some(open) = walk.open.pop() {
        walk.next_of(open)?;
    }
    (walk.at == value.len()).then_some(walk.out)
}

struct Walk<'a> {
    value: &'a [u8],
    at: usize,
    out: Vec<u8>,
    open: Vec<Open>,
    /// How many of `open` are writing keys.
    in_keys: usize,
    extents: Extents,
    steps_left: &'a mut usize,
}

/// A term with parts, and what is left of them.
enum Open {
    Terms(u64),
    /// Elements, and the tail behind them.
    List(usize),
    Keys(Box<Map>),
    Values(Box<Map>),
}

struct Map {
    pairs: Vec<Pair>,
    next: usize,
    end: usize,
}

/// Where a key and its value are, and where in `out` the canonical form of the key is.
struct Pair {
    key_at: usize,
    value_at: usize,
    from: usize,
    to: usize,
}

impl Walk<'_> {
    /// Writes the next part of a term, and leaves the term open while there are more.
    fn next_of(&mut self, open: Open) -> Option<()> {
        match open {
            Open::Terms(0) => Some(()),
            Open::Terms(left) => {
                self.open.push(Open::Terms(left - 1));
                self.term()
            }
            // Whatever the tail is, the list is not open any more: a tail that is a list, and so
            // on, takes no stack.
            Open::List(0) => self.term(),
            Open::List(left) => {
                self.out.push(tag::CONS);
                self.open.push(Open::List(left - 1));
                self.term()
            }
            Open::Keys(mut map) => {
                let written = map.next.checked_sub(1).and_then(|last| map.pairs.get_mut(last));
                if let Some(written) = written {
                    written.to = self.out.len();
                }
                let Some(pair) = map.pairs.get_mut(map.next) else { return self.sort(map) };
                pair.from = self.out.len();
                self.at = pair.key_at;
                map.next += 1;
                self.open.push(Open::Keys(map));
                self.term()
            }
            Open::Values(mut map) => {
                let Some(pair) = map.pairs.get(map.next) else {
                    self.at = map.end;
                    return Some(());
                };
                self.at = pair.value_at;
                map.next += 1;
                self.open.push(Open::Values(map));
                self.term()
            }
        }
    }

    /// `None`, and none is left, when there are not so many.
    fn take_steps(&mut self, steps: usize) -> Option<()> {
        let left = self.steps_left.checked_sub(steps);
        *self.steps_left = left.unwrap_or(0);
        left.map(|_| ())
    }

    /// Writes a leaf, or the beginning of a term that has parts.
    fn term(&mut self) -> Option<()> {
        self.take_steps(1)?;
        let rest = self.value.get(self.at..)?;
        let head = extent::head(rest)?;
        let bytes = rest.get(..head.bytes)?;
        let at = self.at;
        self.at += head.bytes;
        match *bytes {
            [etf::NIL] => self.out.push(tag::NIL),
            [etf::STRING, _, _, ref text @ ..] => self.string(text),
            [etf::LIST, a, b, c, d] => self.open.push(Open::List(length([a, b, c, d]))),
            [etf::SMALL_TUPLE | etf::LARGE_TUPLE, ..] => {
                self.out.push(tag::TUPLE);
                push_count(&mut self.out, head.terms as usize);
                self.open.push(Open::Terms(head.terms));
            }
            [etf::MAP, a, b, c, d] => self.map(at, length([a, b, c, d]))?,
            [etf::RECORD, _, _, _, _, is_exported] => {
                self.out.extend_from_slice(&[tag::RECORD, is_exported]);
                push_count(&mut self.out, head.terms as usize);
                self.open.push(Open::Terms(head.terms));
            }
            _ => push_leaf(&mut self.out, bytes)?,
        }
        Some(())
    }

    fn string(&mut self, text: &[u8]) {
        let elements = text.iter().flat_map(|byte| [tag::CONS, etf::SMALL_INTEGER, *byte]);
        self.out.extend(elements);
        self.out.push(tag::NIL);
    }

    fn map(&mut self, at: usize, size: usize) -> Option<()> {
        if self.in_keys == MAP_KEY_DEPTH_MAX {
            return None;
        }
        // This fails unless all pairs are there, so that `size` may be trusted below.
        let end = self.extents.map_end(self.value, at)?;
        self.out.push(tag::MAP);
        push_count(&mut self.out, size);
        let mut pairs = Vec::with_capacity(size);
        let mut key_at = self.at;
        for _ in 0..size {
            let value_at = self.extents.term_end(self.value, key_at)?;
            pairs.push(Pair { key_at, value_at, from: 0, to: 0 });
            key_at = self.extents.term_end(self.value, value_at)?;
        }
        self.in_keys += 1;
        self.open.push(Open::Keys(Box::new(Map { pairs, next: 0, end })));
        Some(())
    }

    /// Sorts the keys, which are all written, and goes on with the values in that order.
    fn sort(&mut self, mut map: Box<Map>) -> Option<()> {
        self.in_keys -= 1;
        map.next = 0;
        let keys_from = map.pairs.first().map_or(self.out.len(), |pair| pair.from);
        let looked_at = 1 + map.pairs.len().checked_ilog2().unwrap_or(0) as usize;
        self.take_steps((self.out.len() - keys_from) / COMPARED_STEP_BYTES * looked_at)?;
        let out = &self.out;
        let key = |pair: &Pair| out.get(pair.from..pair.to).unwrap_or_default();
        let is_ascending =
            |pairs: &[Pair]| pairs.is_sorted_by(|left, right| key(left) < key(right));
        if !is_ascending(&map.pairs) {
            map.pairs.sort_unstable_by(|left, right| key(left).cmp(key(right)));
            // Two keys that are the same: this is no map.
            is_ascending(&map.pairs).then_some(())?;
            let mut sorted = Vec::with_capacity(out.len() - keys_from);
            map.pairs.iter().for_each(|pair| sorted.extend_from_slice(key(pair)));
            self.out.truncate(keys_from);
            self.out.extend_from_slice(&sorted);
        }
        self.open.push(Open::Values(map));
        Some(())
    }
}

/// Writes what has no parts. No two kinds begin with the same byte, and none is the beginning of
/// another.
fn push_leaf(out: &mut Vec<u8>, leaf: &[u8]) -> Option<()> {
    match *leaf {
        [etf::SMALL_INTEGER, byte] => push_integer(out, false, &[byte]),
        [etf::INTEGER, a, b, c, d] => {
            let int = i32::from_be_bytes([a, b, c, d]);
            push_integer(out, int < 0, &int.unsigned_abs().to_le_bytes());
        }
        [etf::SMALL_BIG, _, sign, ref magnitude @ ..]
        | [etf::LARGE_BIG, _, _, _, _, sign, ref magnitude @ ..] => {
            push_integer(out, sign != 0, magnitude);
        }
        [etf::NEW_FLOAT, ref bits @ ..] => {
            f64::from_be_bytes(bits.try_into().ok()?).is_finite().then_some(())?;
            out.extend_from_slice(leaf);
        }
        [etf::BINARY, _, _, _, _, ref bytes @ ..] => push_bits(out, bytes, 8)?,
        [etf::BIT_BINARY, _, _, _, _, last_bits, ref bytes @ ..] => {
            push_bits(out, bytes, last_bits)?;
        }
        [etf::NEW_FUN, ..] => out.extend_from_slice(leaf),
        [etf::ATOM | etf::SMALL_ATOM | etf::ATOM_UTF8 | etf::SMALL_ATOM_UTF8, ..] => {
            out.push(tag::ATOM);
            form::push_name(out, &mut Cursor::new(leaf)).ok()?;
        }
        _ => form::push_identity(out, &mut Cursor::new(leaf)).ok()?,
    }
    Some(())
}

/// `magnitude` is little endian, and may have zeros at its end.
fn push_integer(out: &mut Vec<u8>, is_negative: bool, magnitude: &[u8]) {
    let used = magnitude.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match *magnitude.get(..used).unwrap_or_default() {
        [] => out.extend_from_slice(&[etf::SMALL_INTEGER, 0]),
        [byte] if !is_negative => out.extend_from_slice(&[etf::SMALL_INTEGER, byte]),
        ref magnitude => {
            out.extend_from_slice(&[etf::SMALL_BIG, is_negative.into()]);
            push_count(out, magnitude.len());
            out.extend_from_slice(magnitude);
        }
    }
}

/// Of the last byte so many bits count, the upper ones.
fn push_bits(out: &mut Vec<u8>, bytes: &[u8], last_bits: u8) -> Option<()> {
    out.push(tag::BITS);
    push_count(out, bytes.len());
    let Some((last, whole)) = bytes.split_last() else {
        out.push(8);
        return matches!(last_bits, 0 | 8).then_some(());
    };
    let mask = match last_bits {
        1..=8 => 0xFFu8 << (8 - last_bits),
        _ => return None,
    };
    out.push(last_bits);
    out.extend_from_slice(whole);
    out.push(last & mask);
    Some(())
}
