//! A request is applied at most once: a value is written by one request of the run, so it never
//! stands under two revisions, neither in an answer nor in a table.

use std::collections::HashMap;

#[derive(Default)]
pub struct Once {
    revisions: HashMap<Vec<u8>, u64>,
}

impl Once {
    pub const NAME: &'static str = "at_most_once";

    pub fn saw(&mut self, value: &[u8], revision: u64) -> Result<(), String> {
        let known = *self.revisions.entry(value.to_vec()).or_insert(revision);
        if known == revision {
            return Ok(());
        }
        let value = String::from_utf8_lossy(value);
        Err(format!("the write of {value} was applied at revisions {known} and {revision}"))
    }
}
