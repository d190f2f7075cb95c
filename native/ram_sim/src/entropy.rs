//! All randomness of this process, from one seed.
//!
//! `mad_turmoil` stands in for the system's `getrandom` and clock, so this reaches what nobody can
//! hand a generator to: the keys of hash maps, tokio's choice among ready branches, the nonces and
//! ids that ram_core draws. Its clock stands still; virtual time is turmoil's.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// Call it first, once, and run on a new thread: the first hash map of a thread draws its keys.
pub fn seed(seed: u64) {
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(seed));
}

/// A generator of its own for one purpose, so that a change of one does not shift all others.
pub fn stream(seed: u64, purpose: &str, number: u64) -> StdRng {
    let mut mixed = seed ^ 0x9E37_79B9_7F4A_7C15;
    for byte in purpose.bytes().chain(number.to_le_bytes()) {
        mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    StdRng::seed_from_u64(mixed)
}
