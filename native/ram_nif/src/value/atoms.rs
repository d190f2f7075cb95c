//! Interned atoms: the atoms of compiled terms, each with an index.
//!
//! An index stands for one way to write an atom in external term format, so that what was compiled
//! comes back byte by byte. Atoms of the virtual machine stay for ever, and so do these. A reader
//! takes no lock: the entries lie in blocks that never move, each twice as long as the one before.

use dashmap::DashMap;
use foldhash::fast::RandomState;
use once_cell::sync::Lazy;
use rustler::env::OwnedEnv;
use rustler::{Atom, Env, Term};
use std::borrow::Cow;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::key::etf;
use crate::raw;

struct Interned {
    atom: Atom,
    etf: Box<[u8]>,
}

type Block = Box<[OnceLock<Interned>]>;

static BLOCKS: [OnceLock<Block>; u32::BITS as usize] =
    [const { OnceLock::new() }; u32::BITS as usize];
/// How many there are. Held while one is added.
static COUNT: Mutex<u32> = Mutex::new(0);
static INDEXES: Lazy<DashMap<Box<[u8]>, u32, RandomState>> = Lazy::new(DashMap::default);

/// In which block an entry lies, and where in there.
fn place(index: u32) -> Option<(usize, usize)> {
    let from_one = index.checked_add(1)?;
    let block = from_one.ilog2();
    Some((block as usize, (from_one - (1 << block)) as usize))
}

fn interned(index: u32) -> Option<&'static Interned> {
    let (block, at) = place(index)?;
    BLOCKS.get(block)?.get()?.get(at)?.get()
}

pub fn atom(index: u32) -> Option<Atom> {
    Some(interned(index)?.atom)
}

/// The external term format that the index stands for, without its version.
pub fn etf_of(index: u32) -> Option<&'static [u8]> {
    Some(&interned(index)?.etf)
}

/// The atom of an external term format, which is created as needed.
pub fn atom_of(env: Env, etf: &[u8]) -> Option<Atom> {
    if let Some(index) = index_of(etf) {
        return atom(index);
    }
    let atom = raw::term_of_etf(env, &[&[etf::VERSION], etf].concat())?.decode().ok()?;
    intern(etf, atom);
    Some(atom)
}

/// The index of an atom that this virtual machine has. None is created: nobody may fill the table
/// of atoms of a node with what is not read there.
pub fn index_if_there(etf: &[u8]) -> Option<u32> {
    thread_local! {
        static ENV: OwnedEnv = OwnedEnv::new();
    }
    index_of(etf).or_else(|| {
        let atom = ENV.with(|env| env.run(|env| existing(env, etf)?.decode::<Atom>().ok()))?;
        intern(etf, atom)
    })
}

fn index_of(etf: &[u8]) -> Option<u32> {
    INDEXES.get(etf).map(|index| *index)
}

fn intern(etf: &[u8], atom: Atom) -> Option<u32> {
    // A panic while it was held leaves nothing half done.
    let mut count = COUNT.lock().unwrap_or_else(PoisonError::into_inner);
    // Another thread may have been faster.
    if let Some(index) = index_of(etf) {
        return Some(index);
    }
    let index = *count;
    let (block, at) = place(index)?;
    let new_block = || (0..1u64 << block).map(|_| OnceLock::new()).collect();
    let entry = BLOCKS.get(block)?.get_or_init(new_block).get(at)?;
    entry.set(Interned { atom, etf: etf.into() }).ok()?;
    *count += 1;
    INDEXES.insert(etf.into(), index);
    Some(index)
}

fn existing<'a>(env: Env<'a>, etf: &[u8]) -> Option<Term<'a>> {
    match latin1_name(etf) {
        Some(name) => Some(Atom::existing_from_bytes(env, &name).ok()?.to_term(env)),
        // The NIF interface of version 2.16 looks up names in Latin-1 alone; the safe mode of the
        // external term format takes longer.
        None => Some(env.binary_to_term(&[&[etf::VERSION], etf].concat())?.0),
    }
}

/// The name of an atom in Latin-1, where it has one.
fn latin1_name(etf: &[u8]) -> Option<Cow<'_, [u8]>> {
    match *etf {
        [etf::SMALL_ATOM, _, ref name @ ..] | [etf::ATOM, _, _, ref name @ ..] => {
            Some(Cow::Borrowed(name))
        }
        [etf::SMALL_ATOM_UTF8, _, ref name @ ..] | [etf::ATOM_UTF8, _, _, ref name @ ..] => {
            if name.is_ascii() {
                return Some(Cow::Borrowed(name));
            }
            let characters = std::str::from_utf8(name).ok()?.chars();
            let latin1: Result<Vec<u8>, _> = characters.map(u8::try_from).collect();
            latin1.ok().map(Cow::Owned)
        }
        _ => None,
    }
}
