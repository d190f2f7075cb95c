//! Values as readers want them: nothing has to be decoded to answer a get.
//!
//! What is held is decided by the external term format of the value, once, by the thread that
//! applies:
//!
//! - an integer of 32 bits, a float, `[]`, a binary up to 64 bytes: the bytes, in the item of the
//!   table, from which the term is made in a few steps;
//! - an atom: itself, and bytes that all values share which are this atom;
//! - a longer binary: a resource. Readers get a reference to it, and share its bytes;
//! - any other term: alive on a heap of ours, from which it is copied as a message would be. Small
//!   ones share a heap;
//! - a term of more than `ETF_BYTES_MAX`: its bytes, as a resource. Decoding and copying it takes
//!   longer than a scheduler may be held; `binary_to_term` in the caller can be interrupted;
//! - a term with a map of more than 32 keys in it: its bytes too. To build such a map the virtual
//!   machine sorts, with a random number that it takes from the data of its scheduler (erts_qsort,
//!   from 129 keys on): on a thread of ours that is the end of it.

use bytes::Buf;
use ram_core::store::table::Item;
use ram_core::store::value::{Held, Keep, Values};
use rustler::env::OwnedEnv;
use rustler::{Atom, Encoder, Env, NewBinary, Term};
use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::key::etf as tag;
use crate::raw::{self, BlobPart, HeapTerm, HeapWriter};
use crate::terms;

/// The virtual machine itself puts binaries up to this size on the heap of a process.
const HEAP_BINARY_BYTES_MAX: usize = 64;
/// Copying out such a term takes below a millisecond even when a byte is a list cell.
const ETF_BYTES_MAX: usize = 64 * 1024;
/// A term with more bytes has a heap of its own: what is beside it on the heap is small then.
const SHARED_ETF_BYTES_MAX: usize = 2 * 1024;
/// A heap is closed when it has so many terms, or was made from so many bytes.
const HEAP_TERMS: usize = 64;
const HEAP_ETF_BYTES: usize = 16 * 1024;
/// The virtual machine has maps of more keys as trees.
const FLAT_MAP_KEYS_MAX: u16 = 32;
/// Not worth a walk through the table.
const DEAD_TERMS_MIN: usize = 4096;

/// Version, tag, size.
const BINARY_HEAD_BYTES: usize = 6;

/// A value that is kept outside of its item.
enum Kept {
    /// A binary: readers share its bytes.
    Binary(BlobPart),
    /// Its external term format, which readers decode.
    Encoded(BlobPart),
    Atom(HeldAtom),
    Term {
        term: HeapTerm,
        etf_bytes: usize,
    },
}

/// An atom, and bytes that all values share which are this atom.
#[derive(Clone)]
struct HeldAtom {
    atom: Atom,
    etf: Arc<[u8]>,
}

impl Keep for Kept {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Kept::Binary(part) | Kept::Encoded(part) => part.whole().to_vec(),
            Kept::Atom(held) => held.etf.to_vec(),
            // The virtual machine encodes whatever it has decoded.
            Kept::Term { term, .. } => term.etf().map_or_else(Vec::new, |etf| etf.to_vec()),
        }
    }

    fn length_bytes(&self) -> usize {
        match self {
            Kept::Binary(part) | Kept::Encoded(part) => part.whole().len(),
            Kept::Atom(held) => held.etf.len(),
            Kept::Term { etf_bytes, .. } => *etf_bytes,
        }
    }

    fn is_shared(&self) -> bool {
        matches!(self, Kept::Term { term, .. } if term.heap().capacity() > 1)
    }
}

/// Holds the values of one member.
#[derive(Default)]
pub struct Terms {
    /// Guards the heap that is being filled; locked by the one thread that changes the table.
    open: Mutex<Open>,
    /// How many terms are on heaps that are shared, dead ones included.
    on_heaps: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Open {
    /// Known by the bytes; as an atom stays for ever, so does what holds it.
    atoms: HashMap<Arc<[u8]>, HeldAtom>,
    /// Where a term is decoded, to be copied in one piece.
    desk: OwnedEnv,
    heap: Option<HeapWriter>,
    heap_etf_bytes: usize,
}

impl Values for Terms {
    fn hold(&self, bytes: &[u8]) -> Held {
        use tag::{ATOM, ATOM_UTF8, SMALL_ATOM, SMALL_ATOM_UTF8};
        match bytes {
            [tag::VERSION, tag::BINARY, ..]
                if bytes.len() > BINARY_HEAD_BYTES + HEAP_BINARY_BYTES_MAX =>
            {
                Held::by(Kept::Binary(BlobPart::new(bytes, BINARY_HEAD_BYTES)))
            }
            [tag::VERSION, ATOM | SMALL_ATOM | ATOM_UTF8 | SMALL_ATOM_UTF8, ..] => {
                self.atom(bytes).unwrap_or_else(Held::by_item)
            }
            _ if is_made_in_steps(bytes) => Held::by_item(),
            _ if bytes.len() > ETF_BYTES_MAX || may_have_hash_map(bytes) => {
                Held::by(Kept::Encoded(BlobPart::new(bytes, 0)))
            }
            // Bytes that are no term stay bytes; whoever reads them is told.
            _ => self.on_heap(bytes).unwrap_or_else(Held::by_item),
        }
    }

    fn is_wasteful(&self, sharing: u64) -> bool {
        let on_heaps = self.on_heaps.load(Ordering::Relaxed);
        on_heaps > 2 * sharing as usize + DEAD_TERMS_MIN
    }

    fn moved(&self, held: &Held) -> Option<Held> {
        let kept: &dyn Any = held.kept()?;
        let Kept::Term { term, .. } = kept.downcast_ref()? else { return None };
        let heap = term.heap();
        let is_heap = |open: &HeapWriter| Arc::ptr_eq(open.heap(), heap);
        let is_open = self.open.lock().ok()?.heap.as_ref().is_some_and(is_heap);
        if is_open || heap.capacity() == 1 || 2 * Arc::strong_count(heap) > heap.used() {
            return None;
        }
        self.on_heap(&held.kept()?.bytes())
    }
}

impl Terms {
    fn atom(&self, etf: &[u8]) -> Option<Held> {
        let mut open = self.open.lock().ok()?;
        if let Some(known) = open.atoms.get(etf) {
            return Some(Held::by(Kept::Atom(known.clone())));
        }
        let atom = open.with_term(etf, |_, term| term.decode().ok())?;
        let held = HeldAtom { atom, etf: etf.into() };
        open.atoms.insert(held.etf.clone(), held.clone());
        Some(Held::by(Kept::Atom(held)))
    }

    fn on_heap(&self, etf: &[u8]) -> Option<Held> {
        let mut open = self.open.lock().ok()?;
        if etf.len() > SHARED_ETF_BYTES_MAX {
            let mut own = HeapWriter::new(1, Arc::default())?;
            return own.decode(etf).map(|term| held(term, etf));
        }
        if open.heap_etf_bytes >= HEAP_ETF_BYTES
            || open.heap.as_ref().is_none_or(HeapWriter::is_full)
        {
            open.heap = HeapWriter::new(HEAP_TERMS, self.on_heaps.clone());
            open.heap_etf_bytes = 0;
        }
        open.heap_etf_bytes += etf.len();
        open.with_term(etf, |heap, term| Some(held(heap.as_mut()?.add(term)?, etf)))
    }
}

impl Open {
    /// Calls `with` with a term that is decoded on the desk, and clears the desk.
    fn with_term<T>(
        &mut self,
        etf: &[u8],
        with: impl FnOnce(&mut Option<HeapWriter>, Term) -> Option<T>,
    ) -> Option<T> {
        let heap = &mut self.heap;
        let result = self.desk.run(|env| with(heap, raw::term_of_etf(env, etf)?));
        self.desk.clear();
        result
    }
}

fn held(term: HeapTerm, etf: &[u8]) -> Held {
    Held::by(Kept::Term { term, etf_bytes: etf.len() })
}

fn is_made_in_steps(etf: &[u8]) -> bool {
    use tag::{BINARY, INTEGER, NEW_FLOAT, NIL, SMALL_INTEGER};
    matches!(etf, [_, SMALL_INTEGER | INTEGER | NIL | NEW_FLOAT | BINARY, ..])
}

/// Could there be a map of more than `FLAT_MAP_KEYS_MAX` keys, in at most `ETF_BYTES_MAX` bytes?
/// Other bytes may look like one; a map never looks like anything else.
fn may_have_hash_map(etf: &[u8]) -> bool {
    let is_compressed = etf.get(1) == Some(&tag::COMPRESSED);
    is_compressed
        || etf.windows(5).any(|window| {
            // So few bytes hold no map of more keys than two bytes can count.
            matches!(*window, [tag::MAP, 0, 0, high, low]
                if u16::from_be_bytes([high, low]) > FLAT_MAP_KEYS_MAX)
        })
}

/// A value that was found.
pub enum Found<'a> {
    Term(Term<'a>),
    /// Its external term format, which the caller has to decode.
    Encoded(Term<'a>),
}

/// Is the value copied in so short a time that others may wait for it?
pub fn is_short(item: &Item) -> bool {
    item.value_bytes() <= SHARED_ETF_BYTES_MAX
}

/// The value of an item, for a process or a message.
pub fn found<'a>(env: Env<'a>, item: &Item) -> Found<'a> {
    let Some(kept) = item.held().kept() else {
        return Found::Term(own_term(env, item));
    };
    let kept: &dyn Any = kept;
    match kept.downcast_ref() {
        Some(Kept::Binary(part)) => Found::Term(part.binary(env)),
        Some(Kept::Encoded(part)) => Found::Encoded(part.binary(env)),
        Some(Kept::Atom(held)) => Found::Term(held.atom.to_term(env)),
        Some(Kept::Term { term, .. }) => Found::Term(term.copy(env)),
        None => Found::Encoded(terms::binary(env, &item.value())),
    }
}

/// The term of a value whose bytes are in the item.
fn own_term<'a>(env: Env<'a>, item: &Item) -> Term<'a> {
    let bytes = item.own_bytes();
    made_in_steps(env, bytes)
        .or_else(|| raw::term_of_etf(env, bytes))
        .unwrap_or_else(|| terms::none(env))
}

fn made_in_steps<'a>(env: Env<'a>, etf: &[u8]) -> Option<Term<'a>> {
    let (head, mut rest) = etf.split_at_checked(2)?;
    Some(match head {
        [_, tag::BINARY] => {
            let bytes = rest.get(4..)?;
            let mut binary = NewBinary::new(env, bytes.len());
            binary.as_mut_slice().copy_from_slice(bytes);
            binary.into()
        }
        [_, tag::SMALL_INTEGER] => rest.try_get_u8().ok()?.encode(env),
        [_, tag::INTEGER] => rest.try_get_i32().ok()?.encode(env),
        [_, tag::NEW_FLOAT] => rest.try_get_f64().ok()?.encode(env),
        [_, tag::NIL] => Term::list_new_empty(env),
        _ => return None,
    })
}
