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

impl<'a> Refusal<'a> {
    /// What the call of the library returns.
    pub fn answer(self, env: Env<'a>) -> NifResult<Term<'a>> {
        match self {
            Refusal::Told(told) => Ok(told),
            Refusal::Core(cause) => Ok(terms::error(env, &cause)),
            Refusal::Raised(error) => Err(error),
        }
    }
}
