//! Which word an atom is, and which bytes stood for it. Atoms stay for ever, and so do these.

use dashmap::DashMap;
use foldhash::fast::RandomState;
use once_cell::sync::Lazy;
use rustler::env::OwnedEnv;
use rustler::sys::ErlNifTerm;
use rustler::{Atom, Env, Term};
use std::borrow::Cow;
use std::sync::Arc;

use super::super::term_of_etf;
use crate::key::etf;

type Map<K, V> = Lazy<DashMap<K, V, RandomState>>;

static WORDS: Map<Arc<[u8]>, ErlNifTerm> = Lazy::new(DashMap::default);
/// By tag and word: one atom may be written in several ways.
static TOKENS: Map<(u8, ErlNifTerm), Arc<[u8]>> = Lazy::new(DashMap::default);

/// The word of an atom in external term format, which is created as needed.
pub fn word(env: Env, token: &[u8]) -> Option<ErlNifTerm> {
    known(token).or_else(|| {
        let atom = term_of_etf(env, &[&[etf::VERSION], token].concat())?;
        remember(token, atom)
    })
}

/// The word of an atom that this virtual machine has. None is created: nobody may fill the table of
/// atoms of a node with what is not read there.
pub fn word_if_there(token: &[u8]) -> Option<ErlNifTerm> {
    thread_local! {
        static ENV: OwnedEnv = OwnedEnv::new();
    }
    known(token).or_else(|| ENV.with(|env| env.run(|env| remember(token, existing(env, token)?))))
}

fn known(token: &[u8]) -> Option<ErlNifTerm> {
    WORDS.get(token).map(|word| *word)
}

fn remember(token: &[u8], atom: Term) -> Option<ErlNifTerm> {
    let word = atom.is_atom().then(|| atom.as_c_arg())?;
    let token = Arc::<[u8]>::from(token);
    TOKENS.insert((*token.first()?, word), token.clone());
    WORDS.insert(token, word);
    Some(word)
}

fn existing<'a>(env: Env<'a>, token: &[u8]) -> Option<Term<'a>> {
    match latin1_name(token) {
        Some(name) => Some(Atom::existing_from_bytes(env, &name).ok()?.to_term(env)),
        // The NIF interface of version 2.16 looks up names in Latin-1 alone; the safe mode of the
        // external term format takes longer.
        None => Some(env.binary_to_term(&[&[etf::VERSION], token].concat())?.0),
    }
}

/// The name of an atom in Latin-1, where it has one.
fn latin1_name(token: &[u8]) -> Option<Cow<'_, [u8]>> {
    match *token {
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

/// The external term format with this tag that this word was made from.
pub fn token(tag: u8, word: ErlNifTerm) -> Option<Arc<[u8]>> {
    TOKENS.get(&(tag, word)).map(|token| token.clone())
}
