//! Safe wrappers around calls of the virtual machine for which rustler has none, or only slower
//! ones, and the allocator of the library.
//!
//! These are the only files of the crate with `unsafe` in them. Every function that they show to
//! the rest of the crate is safe to call, with any arguments that were not forged from the memory
//! of this process (`unsealed`). They name nothing of the crate.

mod allocator;
mod build;
mod cache;
mod entry;
mod heap;
mod ints;
mod resource;
mod shared;
mod term;

pub use allocator::with_cache;
pub use build::{FLAT_MAP_KEYS_MAX, RawTerm, Stack, with_stack};
pub use entry::{Entry, nif};
pub use heap::{HeapTerm, HeapWriter};
pub use resource::{Held, Monitor, Type};
pub use shared::{SEALED_BYTES, SharedBytes, open_shared, unsealed};
pub use term::{Elements, binary, elements, etf_of, term_of_etf, with_latin1_name};
