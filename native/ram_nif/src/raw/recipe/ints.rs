//! Integers as words, without a call of the virtual machine for each.
//!
//! The word of a small integer refers to no memory, so it is the same in all environments; and such
//! words are as many steps from the word of zero as the integer says. The virtual machine does not
//! promise that. So it is looked at, at zero and around every power of two, before anyone relies on
//! it; were it otherwise, the virtual machine would be asked for every integer.

use once_cell::sync::Lazy;
use rustler::sys::ErlNifTerm;
use rustler::{Encoder, OwnedEnv};

use super::{bytes_of, word_of};

#[derive(Clone, Copy)]
pub struct Words {
    zero: usize,
    step: usize,
}

/// `None`: the virtual machine has to be asked.
pub fn words() -> Option<Words> {
    static WORDS: Lazy<Option<Words>> = Lazy::new(Words::learn);
    *WORDS
}

impl Words {
    pub fn word(self, int: i32) -> ErlNifTerm {
        let from_zero = (int as isize as usize).wrapping_mul(self.step);
        word_of(self.zero.wrapping_add(from_zero).to_ne_bytes())
    }

    fn learn() -> Option<Words> {
        let zero = word_everywhere(0)?;
        let words = Words { zero, step: word_everywhere(1)?.wrapping_sub(zero) };
        let around = |bit| [-1, 0, 1].map(|by| (1i64 << bit) + by);
        let ints = (0..i32::BITS).flat_map(around).flat_map(|int| [int, -int]);
        let mut ints = ints.filter_map(|int| i32::try_from(int).ok());
        let is_as_told = |int| word_everywhere(int) == Some(as_number(words.word(int)));
        ints.all(is_as_told).then_some(words)
    }
}

/// The word of an integer, if it is the same in two environments that are there at once.
fn word_everywhere(int: i32) -> Option<usize> {
    OwnedEnv::new().run(|one| {
        OwnedEnv::new().run(|other| {
            let (word, same) = (int.encode(one).as_c_arg(), int.encode(other).as_c_arg());
            (word == same).then(|| as_number(word))
        })
    })
}

fn as_number(word: ErlNifTerm) -> usize {
    usize::from_ne_bytes(bytes_of(word))
}
