//! The entries of the fast reads, without what rustler's macro puts around a function: a vector of
//! arguments, counted references, a result in a box. It saves what a lookup itself costs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rustler::codegen_runtime::{c_int, inventory};
use rustler::sys::{self, ErlNifEnv, ErlNifTerm};
use rustler::{Env, Nif, NifResult, Term};

use crate::fetch;

inventory::submit!(Nif { name: c"get_now".as_ptr(), arity: 4, flags: 0, raw_func: get_now });
inventory::submit!(Nif { name: c"fetch_now".as_ptr(), arity: 3, flags: 0, raw_func: fetch_now });

/// # Safety
/// Called by the virtual machine alone, with an environment and so many terms of it, which live
/// until it returns.
unsafe extern "C" fn get_now(
    env: *mut ErlNifEnv,
    argc: c_int,
    argv: *const ErlNifTerm,
) -> ErlNifTerm {
    // SAFETY: by our own contract.
    unsafe { answered(env, argc, argv, fetch::get_now) }
}

/// # Safety
/// As [`get_now`].
unsafe extern "C" fn fetch_now(
    env: *mut ErlNifEnv,
    argc: c_int,
    argv: *const ErlNifTerm,
) -> ErlNifTerm {
    // SAFETY: by our own contract.
    unsafe { answered(env, argc, argv, fetch::fetch_now) }
}

/// # Safety
/// The environment is that of a call, and so many terms of it are there, until this returns.
unsafe fn answered<const ARITY: usize>(
    raw_env: *mut ErlNifEnv,
    argc: c_int,
    argv: *const ErlNifTerm,
    answer: impl for<'a> FnOnce(Env<'a>, [Term<'a>; ARITY]) -> NifResult<Term<'a>>,
) -> ErlNifTerm {
    let lifetime = ();
    // SAFETY: by our own contract; the environment does not leave this call.
    let (env, words) = unsafe {
        let words = std::slice::from_raw_parts(argv, argc as usize);
        (Env::new(&lifetime, raw_env), words)
    };
    let answer = AssertUnwindSafe(|| {
        let words: &[ErlNifTerm; ARITY] = words.try_into().ok()?;
        // SAFETY: they are terms of this environment.
        answer(env, words.map(|word| unsafe { Term::new(env, word) })).ok()
    });
    match catch_unwind(answer) {
        Ok(Some(term)) => term.as_c_arg(),
        // SAFETY: the environment is that of the call.
        _ => unsafe { sys::enif_make_badarg(raw_env) },
    }
}
