//! Why a request is not queued, told while it is decoded.

use ram_core::Error;
use rustler::{Env, NifResult, Term};

use crate::terms;

pub enum Refusal<'a> {
    /// `{error, Reason}`, as the caller is told.
    Told(Term<'a>),
    Core(Error),
    /// A defect of the caller's module.
    Raised(rustler::Error),
}

impl From<Error> for Refusal<'_> {
    fn from(cause: Error) -> Self {
        Refusal::Core(cause)
    }
}

impl From<rustler::Error> for Refusal<'_> {
    fn from(error: rustler::Error) -> Self {
        Refusal::Raised(error)
    }
}

/// What the call of the library returns.
pub fn refused<'a>(env: Env<'a>, result: Result<Term<'a>, Refusal<'a>>) -> NifResult<Term<'a>> {
    match result {
        Ok(queued) => Ok(queued),
        Err(Refusal::Told(told)) => Ok(told),
        Err(Refusal::Core(cause)) => Ok(terms::error(env, &cause)),
        Err(Refusal::Raised(error)) => Err(error),
    }
}
