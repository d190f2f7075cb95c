//! Values as readers want them: nothing has to be decoded to answer a get.

use ram_core::store::table::Item;
use ram_core::store::value::{Held, Values};

use crate::raw::recipe;
pub use crate::raw::recipe::{Found, found};

/// Making the term of a shorter recipe takes so short a time that others may wait for it.
const SHORT_BYTES_MAX: usize = 2 * 1024;

/// Holds values as recipes.
pub struct Recipes;

impl Values for Recipes {
    fn hold<'a>(&self, value: &'a [u8]) -> Held<'a> {
        recipe::hold(value)
    }
}

/// Is the value made in so short a time that others may wait for it?
pub fn is_short(item: &Item) -> bool {
    item.held_bytes().len() <= SHORT_BYTES_MAX
}
