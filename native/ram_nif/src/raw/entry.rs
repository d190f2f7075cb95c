//! Entries of the library without what rustler's macro puts around a function: a vector of
//! arguments, counted references, a result in a box. Meant for calls as short as a lookup.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustler::codegen_runtime::c_int;
use rustler::sys::{self, ErlNifEnv, ErlNifTerm};
use rustler::{Env, Nif, NifResult, Term};

/// A function of Erlang with so many arguments.
pub trait Entry<const ARITY: usize> {
    /// An error raises `badarg`, and so does a panic.
    fn call<'a>(env: Env<'a>, arguments: [Term<'a>; ARITY]) -> NifResult<Term<'a>>;
}

/// What the virtual machine is told of an entry, for `inventory::submit!`.
pub const fn nif<E: Entry<ARITY>, const ARITY: usize>(name: &'static CStr) -> Nif {
    Nif { name: name.as_ptr(), arity: ARITY as u32, flags: 0, raw_func: enter::<E, ARITY> }
}

/// # Safety
/// Called by the virtual machine alone, with an environment and so many terms of it, which live
/// until it returns.
unsafe extern "C" fn enter<E: Entry<ARITY>, const ARITY: usize>(
    raw_env: *mut ErlNifEnv,
    argc: c_int,
    argv: *const ErlNifTerm,
) -> ErlNifTerm {
    let lifetime = ();
    // SAFETY: by our own contract; the environment does not leave this call.
    let (env, terms) = unsafe {
        let terms = std::slice::from_raw_parts(argv, argc as usize);
        (Env::new(&lifetime, raw_env), terms)
    };
    let call = AssertUnwindSafe(|| {
        let terms: &[ErlNifTerm; ARITY] = terms.try_into().ok()?;
        // SAFETY: they are terms of this environment.
        E::call(env, terms.map(|term| unsafe { Term::new(env, term) })).ok()
    });
    match catch_unwind(call) {
        Ok(Some(term)) => term.as_c_arg(),
        // SAFETY: the environment is that of the call.
        _ => unsafe { sys::enif_make_badarg(raw_env) },
    }
}
