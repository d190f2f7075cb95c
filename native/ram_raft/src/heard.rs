//! When each other member was last heard: a request of it, or an answer.
//!
//! Written by `service`, `network` and `acks`; read for the status and for the warning about a lost
//! majority. No decision rests on it.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ram_lease::clock::{Clock, Time};

/// Members are few; ids that somebody makes up shall take no memory.
const MEMBERS_MAX: usize = 256;

/// Clones share what was heard.
#[derive(Debug, Clone)]
pub struct Heard {
    clock: Arc<dyn Clock>,
    /// Guards the times; held for moments.
    times: Arc<Mutex<BTreeMap<u64, Time>>>,
}

impl Heard {
    pub fn new(clock: Arc<dyn Clock>) -> Heard {
        Heard { clock, times: Arc::default() }
    }

    pub fn from(&self, id: u64) {
        let now = self.clock.now();
        let mut times = self.times.lock();
        if times.len() < MEMBERS_MAX || times.contains_key(&id) {
            times.insert(id, now);
        }
    }

    /// How long ago; `None`: never since the start.
    pub fn ago(&self, id: u64) -> Option<Duration> {
        let at = *self.times.lock().get(&id)?;
        Some(self.clock.now().since(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ram_lease::manual::ManualClock;

    #[test]
    fn who_was_heard_is_known_with_the_time_and_ids_without_end_take_no_memory() {
        let clock = Arc::new(ManualClock::default());
        let heard = Heard::new(clock.clone());
        heard.from(7);
        clock.advance(Duration::from_millis(30));
        assert_eq!((heard.ago(7), heard.ago(8)), (Some(Duration::from_millis(30)), None));
        (1000..2000).for_each(|id| heard.from(id));
        assert_eq!(heard.times.lock().len(), MEMBERS_MAX);
        heard.from(7);
        assert_eq!(heard.ago(7), Some(Duration::ZERO));
    }
}
