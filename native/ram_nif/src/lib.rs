//! The NIF library of `ram`: terms in, messages out, no decisions.

rustler::init!("ram_nif");
