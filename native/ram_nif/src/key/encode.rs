//! The walk over a live term that writes its key.
//!
//! Lists and nesting may be a million deep, so what is open is kept in a stack of our own; a term
//! without parts, or a key of a few numbers, atoms and binaries, touches it little or not at all.
//! The walk stops as soon as the key is longer than allowed, or takes more steps than allowed, and
//! leaves `out` as it was.

use std::vec;

use rustler::{Binary, Env, MapIterator, Term};

use super::form::{
    self, ETF_PER_KEY_BYTE_MAX, KeyError, MAP_KEY_DEPTH_MAX, RECORD_DEPTH_MAX, etf, record, tag,
};
use crate::raw::{self, Elements, Type};

/// What a caller on a scheduler may take: below half a millisecond, at some 50 ns for a step.
pub const STEPS_MAX: usize = 8 * 1024;
/// What a map takes beyond its keys and values.
const MAP_STEPS: usize = 16;
/// What is encoded and decoded again.
const FOREIGN_STEPS: usize = 8;
/// So many bytes are copied, or compared, in less than a step.
const BYTES_PER_STEP: usize = 16;

/// Keys that took longer than that, encoded on another thread: such a term stands for the key that
/// it holds. They never leave the modules that make requests.
pub static LONG_KEYS: Type<Vec<u8>> = Type::new();

/// Appends the key of `term` to `out`, in at most so many steps, and returns how many are left; an
/// element of a list is one.
pub fn encode(
    term: Term,
    key_bytes_max: usize,
    steps_max: usize,
    out: &mut Vec<u8>,
) -> Result<usize, KeyError> {
    if let Some(steps_left) = push_integer(term, key_bytes_max, steps_max, out) {
        return Ok(steps_left);
    }
    let start = out.len();
    let end = start.saturating_add(key_bytes_max);
    let mut walk =
        Walk { out, end, steps_left: steps_max, open: Vec::new(), in_keys: 0, in_records: 0 };
    let walked = walk.term(term).and_then(|()| walk.rest());
    let steps_left = walk.steps_left;
    if walked.is_err() {
        out.truncate(start);
    }
    walked.map(|()| steps_left)
}

/// Many keys are integers of a word, which take no walk. Returns the steps that are left; `None`:
/// this is another term, or the limits are such that it has to be looked at closely.
fn push_integer(
    term: Term,
    key_bytes_max: usize,
    steps_max: usize,
    out: &mut Vec<u8>,
) -> Option<usize> {
    // The longest have a head, 63 bits by sevens, and the kind.
    const BYTES_MAX: usize = 1 + 9 + 1;
    if key_bytes_max < BYTES_MAX {
        return None;
    }
    let steps_left = steps_max.checked_sub(1)?;
    form::push_int(out, term.decode::<i64>().ok()?);
    Some(steps_left)
}

struct Walk<'a, 'o> {
    out: &'o mut Vec<u8>,
    /// `out` may not become longer than this.
    end: usize,
    steps_left: usize,
    open: Vec<Open<'a>>,
    /// How many of `open` are writing keys: then floats carry the mark of map key order.
    in_keys: usize,
    /// How many of `open` are values of native records.
    in_records: usize,
}

enum Open<'a> {
    Elements(Elements<'a>),
    Fields(Elements<'a>),
    Tail(Term<'a>),
    Keys(Keys<'a>),
    Values(vec::IntoIter<Term<'a>>),
}

struct Keys<'a> {
    keys: vec::IntoIter<Term<'a>>,
    values: Vec<Term<'a>>,
    /// Where each key begins in `out`.
    starts: Vec<usize>,
}

impl<'a> Walk<'a, '_> {
    fn rest(&mut self) -> Result<(), KeyError> {
        while let Some(open) = self.open.last_mut() {
            let next = match open {
                Open::Elements(elements) | Open::Fields(elements) => elements.next(),
                Open::Values(values) => values.next(),
                Open::Keys(keys) => {
                    let key = keys.keys.next();
                    keys.starts.extend(key.map(|_| self.out.len()));
                    key
                }
                Open::Tail(tail) => {
                    let tail = *tail;
                    self.open.pop();
                    self.term(tail)?;
                    continue;
                }
            };
            match next {
                Some(term) => self.term(term)?,
                None => self.close()?,
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), KeyError> {
        match self.open.pop() {
            Some(Open::Keys(keys)) => {
                self.in_keys -= 1;
                let bytes = self.out.len() - keys.starts.first().unwrap_or(&self.out.len());
                let rounds = keys.starts.len().max(1).ilog2() as usize;
                self.spend(bytes / BYTES_PER_STEP * (1 + rounds))?;
                let values = sort_pairs(self.out, keys);
                self.open.push(Open::Values(values.into_iter()));
            }
            Some(Open::Fields(_)) => self.in_records -= 1,
            _ => {}
        }
        Ok(())
    }

    fn spend(&mut self, steps: usize) -> Result<(), KeyError> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(KeyError::Long)?;
        Ok(())
    }

    /// Writes a leaf, or the beginning of a term that has parts.
    ///
    /// Every kind of term is tried in turn. The virtual machine is never asked which kind it is:
    /// `enif_term_type` ends the whole virtual machine at one that it does not know, such as the
    /// native records of OTP 29.
    fn term(&mut self, mut term: Term<'a>) -> Result<(), KeyError> {
        // A list whose head is a list, and so on, is a loop and not a recursion.
        loop {
            self.spend(1)?;
            if let Ok(value) = term.decode::<i64>() {
                form::push_int(self.out, value);
            } else if let Some(elements) = raw::elements(term) {
                self.tuple(elements)?;
            } else if self.latin1_atom(term) {
            } else if let Ok(binary) = Binary::from_term(term) {
                self.room(binary.len())?;
                self.spend(binary.len() / BYTES_PER_STEP)?;
                form::push_binary(self.out, &binary);
            } else if let Ok((head, tail)) = term.list_get_cell() {
                self.out.push(tag::CONS);
                self.room(0)?;
                self.open.push(Open::Tail(tail));
                term = head;
                continue;
            } else if term.is_empty_list() {
                self.out.push(tag::NIL);
            } else if let Ok(size) = term.map_size() {
                self.map(term, size)?;
            } else if term.is_float() {
                self.float(term)?;
            } else {
                self.foreign(term)?;
            }
            return self.room(0);
        }
    }

    /// Fails unless so many bytes more are allowed.
    fn room(&self, bytes: usize) -> Result<(), KeyError> {
        match self.end.checked_sub(self.out.len()) {
            Some(left) if bytes <= left => Ok(()),
            _ => Err(KeyError::TooLarge),
        }
    }

    fn float(&mut self, term: Term) -> Result<(), KeyError> {
        let value = term.decode::<f64>().map_err(|_| KeyError::Unsupported)?;
        if self.in_keys > 0 {
            self.out.push(tag::EXACT_FLOAT);
        }
        form::push_float(self.out, value);
        Ok(())
    }

    /// False: it is no atom, or one whose text is not Latin-1.
    fn latin1_atom(&mut self, term: Term) -> bool {
        let out = &mut *self.out;
        raw::with_latin1_name(term, |name| form::push_atom_latin1(out, name)).is_some()
    }

    /// A term that only the virtual machine can take apart.
    fn foreign(&mut self, term: Term<'a>) -> Result<(), KeyError> {
        if let Some(key) = LONG_KEYS.object(term).filter(|_| self.open.is_empty()) {
            self.out.extend_from_slice(key);
            return Ok(());
        }
        let has_bound = term.is_number() || term.is_atom() || is_identity(term);
        // A fun or a native record may hold anything, of which all is copied here.
        self.spend(if has_bound { FOREIGN_STEPS } else { STEPS_MAX })?;
        let bytes = raw::etf_of(term).ok_or(KeyError::TooLarge)?;
        match bytes.get(1) {
            Some(&etf::RECORD) => self.record(term.get_env(), &bytes),
            _ => form::push_leaf(self.out, &bytes),
        }
    }

    fn tuple(&mut self, elements: Elements<'a>) -> Result<(), KeyError> {
        self.out.push(tag::TUPLE);
        form::push_count(self.out, elements.len());
        self.room(elements.len())?;
        self.open.push(Open::Elements(elements));
        Ok(())
    }

    /// Its values become terms again, as elements of a tuple.
    fn record(&mut self, env: Env<'a>, bytes: &[u8]) -> Result<(), KeyError> {
        let (fields, values) = record::push_head(self.out, bytes)?;
        self.room(fields.max(values.len() / ETF_PER_KEY_BYTE_MAX))?;
        if fields == 0 {
            return Ok(());
        }
        if self.in_records == RECORD_DEPTH_MAX {
            return Err(KeyError::TooDeep);
        }
        let tuple = raw::term_of_etf(env, &record::tuple_of(fields, values));
        let values = tuple.and_then(raw::elements).ok_or(KeyError::Unsupported)?;
        self.in_records += 1;
        self.open.push(Open::Fields(values));
        Ok(())
    }

    fn map(&mut self, term: Term<'a>, size: usize) -> Result<(), KeyError> {
        self.out.push(tag::MAP);
        form::push_count(self.out, size);
        // Before the pairs are collected: a key or a value takes at least a byte.
        self.room(size.saturating_mul(2))?;
        if size == 0 {
            return Ok(());
        }
        if self.in_keys == MAP_KEY_DEPTH_MAX {
            return Err(KeyError::TooDeep);
        }
        // The keys and values too, before they are gathered.
        self.spend(MAP_STEPS + size)?;
        let pairs = MapIterator::new(term).ok_or(KeyError::Unsupported)?;
        let (keys, values): (Vec<_>, Vec<_>) = pairs.unzip();
        self.in_keys += 1;
        let starts = Vec::with_capacity(size);
        self.open.push(Open::Keys(Keys { keys: keys.into_iter(), values, starts }));
        Ok(())
    }
}

fn is_identity(term: Term) -> bool {
    term.is_pid() || term.is_port() || term.is_ref()
}

/// Sorts the keys at the end of `out`, and answers the values in the order of their keys.
fn sort_pairs<'a>(out: &mut Vec<u8>, keys: Keys<'a>) -> Vec<Term<'a>> {
    let Keys { values, starts, .. } = keys;
    let Some(&first) = starts.first() else {
        return values;
    };
    let ends = starts.iter().copied().skip(1).chain([out.len()]);
    let spans = starts.iter().copied().zip(ends);
    let mut pairs: Vec<(&[u8], Term)> =
        spans.map(|(start, end)| out.get(start..end).unwrap_or_default()).zip(values).collect();
    if pairs.is_sorted_by(|left, right| left.0 < right.0) {
        return pairs.into_iter().map(|(_, value)| value).collect();
    }
    pairs.sort_unstable_by(|left, right| left.0.cmp(right.0));
    let sorted: Vec<u8> = pairs.iter().flat_map(|(key, _)| key.iter().copied()).collect();
    let values = pairs.into_iter().map(|(_, value)| value).collect();
    out.truncate(first);
    out.extend_from_slice(&sorted);
    values
}
