// Much of it is of no use here: it is for keys.
#[allow(dead_code, unused_imports)]
#[path = "../../src/key/form/mod.rs"]
pub mod form;

pub use form::etf;
