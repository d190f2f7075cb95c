//! The entry of the fast read, without what rustler's macro puts around a function: a vector of
//! arguments, counted references, a result in a box. It saves what a lookup itself costs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rustler::codegen_runtime::{c_int, inventory};
use rustler::sys::{self, ErlNifEnv, ErlNifTerm};
use rustler::{Env, Nif, Term};

const ARITY: usize = 3;

inventory::submit!(Nif {
    name: c"fetch_now".as_ptr(),
    arity: ARITY as u32,
    flags: 0,
    raw_func: fetch_now,
});

/// # Safety
/// Called by the virtual machine alone, with an environment and so many terms of it, which live
/// until it returns.
unsafe extern "C" fn fetch_now(
    raw_env: *mut ErlNifEnv,
    argc: c_int,
    argv: *const ErlNifTerm,
) -> ErlNifTerm {
    let lifetime = ();
    // SAFETY: by our own contract; the environment does not leave this call.
    let (env, arguments) = unsafe {
        let env = Env::new(&lifetime, raw_env);
        let argv = std::slice::from_raw_parts(argv, argc as usize);
        let term = |at: usize| argv.get(at).map(|word| Term::new(env, *word));
        (env, (term(0), term(1), term(2)))
    };
    let answer = AssertUnwindSafe(|| match arguments {
        (Some(member), Some(key), Some(reads)) => crate::fetch::now(env, member, key, reads).ok(),
        _ => None,
    });
    match catch_unwind(answer) {
        Ok(Some(term)) => term.as_c_arg(),
        // SAFETY: the environment is that of the call.
        _ => unsafe { sys::enif_make_badarg(raw_env) },
    }
}
