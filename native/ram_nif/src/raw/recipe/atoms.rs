//! Which word an atom is, and which bytes stood for it. Atoms stay for ever, and so do these.

use dashmap::DashMap;
use foldhash::fast::RandomState;
use once_cell::sync::Lazy;
use rustler::env::OwnedEnv;
use rustler::sys::ErlNifTerm;
use std::sync::Arc;

use crate::key::etf;

type Map<K, V> = Lazy<DashMap<K, V, RandomState>>;

static WORDS: Map<Arc<[u8]>, ErlNifTerm> = Lazy::new(DashMap::default);
/// By tag and word: one atom may be written in several ways.
static TOKENS: Map<(u8, ErlNifTerm), Arc<[u8]>> = Lazy::new(DashMap::default);

/// The word of an atom in external term format, which is created as needed.
pub fn word(token: &[u8]) -> Option<ErlNifTerm> {
    if let Some(word) = WORDS.get(token) {
        return Some(*word);
    }
    let made = OwnedEnv::new().run(|env| {
        let term = super::super::term_of_etf(env, &[&[etf::VERSION], token].concat())?;
        term.is_atom().then(|| term.as_c_arg())
    });
    let (word, token) = (made?, Arc::<[u8]>::from(token));
    TOKENS.insert((*token.first()?, word), token.clone());
    WORDS.insert(token, word);
    Some(word)
}

/// The external term format with this tag that this word was made from.
pub fn token(tag: u8, word: ErlNifTerm) -> Option<Arc<[u8]>> {
    TOKENS.get(&(tag, word)).map(|token| token.clone())
}
