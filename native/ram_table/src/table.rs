//! The names that users of a table need.

pub use super::hash::HashTable as Table;
pub use super::item::{Item, Meta};
pub use super::snapshot::{Revoked, Snapshot as TableSnapshot};
