//! Key bytes back to external term format.
//!
//! It accepts exactly the bytes that an encoder writes, so that equal terms never come from
//! different keys, and keeps what is open in a stack of its own: depth costs memory in proportion
//! to the key.
//!
//! Two things are not in the order in which external term format wants them. A list there begins
//! with its length, which is patched in at the end. A map there has each value behind its key, a
//! key has all keys first: they are set aside until their values come.

use super::cursor::Cursor;
use super::{
    KeyError, MAP_KEY_DEPTH_MAX, RECORD_DEPTH_MAX, etf, identity, number, record, tag,
    take_count_masked, text,
};

/// Erlang's limit.
const TUPLE_SIZE_MAX: usize = (1 << 24) - 1;

pub fn to_etf(key: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut etf = Vec::with_capacity(key.len() + 16);
    etf.push(etf::VERSION);
    let mut decoder = Decoder {
        source: key,
        key: Cursor::new(key),
        etf,
        open: Vec::new(),
        in_keys: 0,
        in_records: 0,
    };
    loop {
        if decoder.begin()? == Begun::Whole && decoder.complete()? {
            break;
        }
    }
    if decoder.key.is_empty() { Ok(decoder.etf) } else { Err(KeyError::Malformed) }
}

struct Decoder<'a> {
    source: &'a [u8],
    key: Cursor<'a>,
    etf: Vec<u8>,
    open: Vec<Open>,
    /// How many of `open` are reading keys: then floats carry the mark of map key order.
    in_keys: usize,
    /// How many of `open` are native records.
    in_records: usize,
}

enum Open {
    Tuple { left: usize },
    Record { left: usize },
    Head { count: u32, count_at: usize },
    Tail { count: u32, count_at: usize },
    Keys(Keys),
    Values(Values),
}

struct Keys {
    left: usize,
    /// Where this key and the one before begin in the source.
    source_at: usize,
    before_at: Option<usize>,
    etf_at: usize,
    ends: Vec<usize>,
}

struct Values {
    keys: Vec<u8>,
    taken: usize,
    ends: std::vec::IntoIter<usize>,
}

#[derive(PartialEq, Eq)]
enum Begun {
    Whole,
    Part,
}

impl Decoder<'_> {
    fn at(&self) -> usize {
        self.source.len() - self.key.len()
    }

    /// Reads a leaf, or the beginning of a term that has parts.
    fn begin(&mut self) -> Result<Begun, KeyError> {
        match self.key.peek()? {
            number::FIRST..=number::LAST => self.number(false)?,
            kind => {
                self.key.u8()?;
                match kind {
                    tag::EXACT_FLOAT => self.number(true)?,
                    tag::ATOM => text::decode_name(&mut self.key, &mut self.etf)?,
                    tag::BITS => text::decode_bits(&mut self.key, &mut self.etf)?,
                    tag::NIL => self.etf.push(etf::NIL),
                    tag::TUPLE => return self.tuple(),
                    tag::RECORD => return self.record(),
                    tag::MAP => return self.map(),
                    tag::CONS => return self.cons(),
                    _ => identity::decode(kind, &mut self.key, &mut self.etf)?,
                }
            }
        }
        Ok(Begun::Whole)
    }

    fn number(&mut self, exact_float: bool) -> Result<(), KeyError> {
        let in_range = (number::FIRST..=number::LAST).contains(&self.key.peek()?);
        let float = in_range && number::decode(&mut self.key, &mut self.etf)?;
        let marked = float && self.in_keys > 0;
        if in_range && exact_float == marked { Ok(()) } else { Err(KeyError::Malformed) }
    }

    fn tuple(&mut self) -> Result<Begun, KeyError> {
        let size = take_count_masked(&mut self.key, 0)?;
        if size > TUPLE_SIZE_MAX {
            return Err(KeyError::Malformed);
        }
        if let Ok(size) = u8::try_from(size) {
            self.etf.extend_from_slice(&[etf::SMALL_TUPLE, size]);
        } else {
            self.etf.push(etf::LARGE_TUPLE);
            self.etf.extend_from_slice(&(size as u32).to_be_bytes());
        }
        Ok(self.parts(size, Open::Tuple { left: size }))
    }

    fn record(&mut self) -> Result<Begun, KeyError> {
        let fields = record::decode_head(&mut self.key, &mut self.etf)?;
        let begun = self.parts(fields, Open::Record { left: fields });
        if begun == Begun::Part {
            self.in_records += 1;
        }
        if self.in_records > RECORD_DEPTH_MAX { Err(KeyError::TooDeep) } else { Ok(begun) }
    }

    fn parts(&mut self, size: usize, open: Open) -> Begun {
        if size == 0 {
            return Begun::Whole;
        }
        self.open.push(open);
        Begun::Part
    }

    /// A cons is a new list, or one more element where the tail of a list was due.
    fn cons(&mut self) -> Result<Begun, KeyError> {
        if let Some(open) = self.open.last_mut()
            && let Open::Tail { count, count_at } = *open
        {
            let count = count.checked_add(1).ok_or(KeyError::Malformed)?;
            *open = Open::Head { count, count_at };
            return Ok(Begun::Part);
        }
        self.etf.push(etf::LIST);
        self.open.push(Open::Head { count: 1, count_at: self.etf.len() });
        self.etf.extend_from_slice(&[0; 4]);
        Ok(Begun::Part)
    }

    fn map(&mut self) -> Result<Begun, KeyError> {
        let size = take_count_masked(&mut self.key, 0)?;
        let count = u32::try_from(size).map_err(|_| KeyError::Malformed)?;
        self.etf.push(etf::MAP);
        self.etf.extend_from_slice(&count.to_be_bytes());
        let keys = Keys {
            left: size,
            source_at: self.at(),
            before_at: None,
            etf_at: self.etf.len(),
            ends: Vec::new(),
        };
        let begun = self.parts(size, Open::Keys(keys));
        if begun == Begun::Part {
            self.in_keys += 1;
        }
        if self.in_keys > MAP_KEY_DEPTH_MAX { Err(KeyError::TooDeep) } else { Ok(begun) }
    }

    /// A term has ended: what it was part of goes on, or ends too. True when nothing is left open.
    fn complete(&mut self) -> Result<bool, KeyError> {
        while let Some(open) = self.open.pop() {
            match open {
                Open::Tuple { left: 1 } => {}
                Open::Tuple { left } => return self.go_on(Open::Tuple { left: left - 1 }),
                Open::Record { left: 1 } => self.in_records -= 1,
                Open::Record { left } => return self.go_on(Open::Record { left: left - 1 }),
                Open::Head { count, count_at } => {
                    return self.go_on(Open::Tail { count, count_at });
                }
                Open::Tail { count, count_at } => self.patch(count_at, count)?,
                Open::Keys(keys) => {
                    let open = self.next_key(keys)?;
                    return self.go_on(open);
                }
                Open::Values(values) => {
                    if let Some(values) = self.next_value(values)? {
                        return self.go_on(Open::Values(values));
                    }
                }
            }
        }
        Ok(true)
    }

    fn go_on(&mut self, open: Open) -> Result<bool, KeyError> {
        self.open.push(open);
        Ok(false)
    }

    fn patch(&mut self, at: usize, count: u32) -> Result<(), KeyError> {
        let place = self.etf.get_mut(at..at + 4).ok_or(KeyError::Malformed)?;
        place.copy_from_slice(&count.to_be_bytes());
        Ok(())
    }

    fn next_key(&mut self, mut keys: Keys) -> Result<Open, KeyError> {
        let now = self.at();
        let key = self.source.get(keys.source_at..now);
        let before = keys.before_at.map(|at| self.source.get(at..keys.source_at));
        if before.is_some_and(|before| before >= key) {
            return Err(KeyError::Malformed);
        }
        keys.ends.push(self.etf.len() - keys.etf_at);
        keys.left -= 1;
        keys.before_at = Some(keys.source_at);
        keys.source_at = now;
        if keys.left > 0 {
            return Ok(Open::Keys(keys));
        }
        self.in_keys -= 1;
        let aside = self.etf.split_off(keys.etf_at);
        let values = Values { keys: aside, taken: 0, ends: keys.ends.into_iter() };
        self.next_value(values)?.map(Open::Values).ok_or(KeyError::Malformed)
    }

    /// Puts the next key where its value is about to follow; none when all pairs are there.
    fn next_value(&mut self, mut values: Values) -> Result<Option<Values>, KeyError> {
        let Some(end) = values.ends.next() else {
            return Ok(None);
        };
        let key = values.keys.get(values.taken..end).ok_or(KeyError::Malformed)?;
        self.etf.extend_from_slice(key);
        values.taken = end;
        Ok(Some(values))
    }
}
