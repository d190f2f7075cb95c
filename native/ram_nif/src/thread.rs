//! Threads of members, told from those of the virtual machine.
//!
//! Only from the former may messages be sent without a process that sends them. The mark is set
//! where such a thread is made, and goes with it.

use std::cell::Cell;

use crate::raw;

thread_local! {
    static IS_OF_MEMBER: Cell<bool> = const { Cell::new(false) };
}

/// Runs what a thread of a member was made for.
pub fn run(thread: &mut dyn FnMut()) {
    IS_OF_MEMBER.set(true);
    raw::with_cache(thread);
}

pub fn is_of_member() -> bool {
    IS_OF_MEMBER.get()
}
