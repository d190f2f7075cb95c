//! Small integers as immediates, without a call of the virtual machine for each.
//!
//! An immediate is a term that refers to no memory, so it is the same in all environments; those of
//! small integers are as far from the one of zero as the integer says. The virtual machine does not
//! promise that. So it is looked at, at zero and around every power of two, before anyone relies on
//! it; were it otherwise, the virtual machine would be asked for every integer.

use std::mem;

use once_cell::sync::Lazy;
use rustler::sys::ErlNifTerm;
use rustler::{Encoder, OwnedEnv};

#[derive(Clone, Copy)]
pub struct SmallInts {
    zero: usize,
    step: usize,
}

impl SmallInts {
    /// `None`: the virtual machine has to be asked.
    pub fn learned() -> Option<SmallInts> {
        static LEARNED: Lazy<Option<SmallInts>> = Lazy::new(SmallInts::learn);
        *LEARNED
    }

    /// A term of any environment.
    pub fn immediate(self, int: i32) -> ErlNifTerm {
        let from_zero = (int as isize as usize).wrapping_mul(self.step);
        // SAFETY: a term is a number in a transparent wrapper. That this number is the integer was
        // found at both ends of the range and between.
        unsafe { mem::transmute::<usize, ErlNifTerm>(self.zero.wrapping_add(from_zero)) }
    }

    fn learn() -> Option<SmallInts> {
        let zero = number_everywhere(0)?;
        let ints = SmallInts { zero, step: number_everywhere(1)?.wrapping_sub(zero) };
        let around = |bit| [-1, 0, 1].map(|by| (1i64 << bit) + by);
        let samples = (0..i32::BITS).flat_map(around).flat_map(|int| [int, -int]);
        let mut samples = samples.filter_map(|int| i32::try_from(int).ok());
        let is_right = |int| number_everywhere(int) == Some(number_of(ints.immediate(int)));
        samples.all(is_right).then_some(ints)
    }
}

/// The term of an integer as a number, if it is the same in two environments that are there
/// at once.
fn number_everywhere(int: i32) -> Option<usize> {
    OwnedEnv::new().run(|one| {
        OwnedEnv::new().run(|other| {
            let (term, same) = (int.encode(one).as_c_arg(), int.encode(other).as_c_arg());
            (term == same).then(|| number_of(term))
        })
    })
}

fn number_of(term: ErlNifTerm) -> usize {
    // SAFETY: a term is a number in a transparent wrapper.
    unsafe { mem::transmute::<ErlNifTerm, usize>(term) }
}
