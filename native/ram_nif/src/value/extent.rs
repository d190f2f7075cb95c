//! Where the terms of an external term format end: for a walk that takes the pairs of a map in
//! another order than they are written in.
//!
//! Skipping a term means reading all that is in it. So that maps in maps in maps are not read once
//! for each level, [`Extents`] reads everything in the outermost map once and keeps where each map
//! ends: two numbers a map, which itself takes 5 bytes at least.

use super::etf::{atom_bytes, head_bytes};
use crate::key::etf;

/// The part of a term that is not other terms: its bytes, and how many terms follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub bytes: usize,
    pub terms: u64,
}

/// Of the term that begins here; `None` for a tag that is not known, or when the head is not all
/// there. The atoms of a native record are terms of it.
pub fn head(etf: &[u8]) -> Option<Head> {
    let leaf = |bytes: usize| (bytes <= etf.len()).then_some(Head { bytes, terms: 0 });
    let past_atom = |at: usize| Some(at + atom_bytes(etf.get(at..)?)?);
    match *etf {
        [etf::NEW_FUN, a, b, c, d, ..] => leaf(1 + length([a, b, c, d])),
        [etf::PID, ..] => leaf(past_atom(1)? + 9),
        [etf::PORT, ..] => leaf(past_atom(1)? + 5),
        [etf::NEW_REFERENCE, high, low, ..] => {
            leaf(past_atom(3)? + 1 + 4 * usize::from(u16::from_be_bytes([high, low])))
        }
        [etf::RECORD, a, b, c, d, _, ..] => {
            Some(Head { bytes: 6, terms: 2 + 2 * length([a, b, c, d]) as u64 })
        }
        _ => Some(Head { bytes: head_bytes(etf)?, terms: terms_behind(etf) }),
    }
}

fn terms_behind(etf: &[u8]) -> u64 {
    match *etf {
        [etf::SMALL_TUPLE, size, ..] => size.into(),
        [etf::LARGE_TUPLE, a, b, c, d, ..] => length([a, b, c, d]) as u64,
        [etf::LIST, a, b, c, d, ..] => length([a, b, c, d]) as u64 + 1,
        [etf::MAP, a, b, c, d, ..] => 2 * length([a, b, c, d]) as u64,
        _ => 0,
    }
}

pub fn length(bytes: [u8; 4]) -> usize {
    u32::from_be_bytes(bytes) as usize
}

/// Where the maps end, of the outermost map that was asked for last.
#[derive(Default)]
pub struct Extents {
    /// Where each map begins and ends, ascending.
    maps: Vec<(usize, usize)>,
    known_to: usize,
}

impl Extents {
    /// The end of the map that begins at `at`, for places that ascend but for those inside of what
    /// was read already.
    pub fn map_end(&mut self, value: &[u8], at: usize) -> Option<usize> {
        if at >= self.known_to {
            self.read_map(value, at)?;
        }
        self.known_map_end(at)
    }

    /// The end of a term inside of a map that was asked for.
    pub fn term_end(&self, value: &[u8], mut at: usize) -> Option<usize> {
        let mut left: u64 = 1;
        while left > 0 {
            let rest = value.get(at..)?;
            left -= 1;
            if rest.first() == Some(&etf::MAP) {
                at = self.known_map_end(at)?;
            } else {
                let head = head(rest)?;
                left = left.checked_add(head.terms)?;
                at += head.bytes;
            }
        }
        Some(at)
    }

    fn known_map_end(&self, at: usize) -> Option<usize> {
        let index = self.maps.binary_search_by_key(&at, |(start, _)| *start).ok()?;
        self.maps.get(index).map(|(_, end)| *end)
    }

    fn read_map(&mut self, value: &[u8], mut at: usize) -> Option<()> {
        self.maps.clear();
        // Of each open map its index, and how many terms are still to be read when it ends.
        let mut open: Vec<(usize, u64)> = Vec::new();
        let mut left: u64 = 1;
        while left > 0 {
            let rest = value.get(at..)?;
            let head = head(rest)?;
            left -= 1;
            if rest.first() == Some(&etf::MAP) {
                open.push((self.maps.len(), left));
                self.maps.push((at, at));
            }
            left = left.checked_add(head.terms)?;
            at += head.bytes;
            while let Some((index, _)) = open.pop_if(|(_, then_left)| *then_left == left) {
                self.maps.get_mut(index)?.1 = at;
            }
        }
        self.known_to = at;
        Some(())
    }
}
