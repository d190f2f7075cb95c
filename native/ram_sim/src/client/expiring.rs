//! Keys with a time to live, each put once: none goes before its time, and what has gone does not
//! come back.

use bytes::Bytes;
use ram_lease::mode::ReadMode;
use ram_store::write::{Command, Condition, Place, Setting, State};
use ram_table::table::Item;
use rand::RngExt;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::{Asked, Client};
use crate::host::now_ns;

const TTL_MAX_MS: u64 = 1500;
/// In percent: what a majority of clocks may be wrong by, and a little.
const ERROR: u64 = 2;

impl Client {
    /// Puts a key, looks for it later, and if it has gone asks the log whether it has.
    pub async fn put_for_a_while(&mut self) {
        let key = Bytes::from([b"t", &*self.fresh_value()].concat());
        let ttl_ms = self.rng.random_range(50..TTL_MAX_MS);
        let begun = now_ns();
        let (at, value) = (Place::of(&key), b"v");
        let put = Command::put_lasting(at, value, Setting::To(ttl_ms));
        self.world.borrow_mut().timed.insert(key.clone(), ttl_ms);
        if self.decide(None, &put).await.is_none() {
            return;
        }
        // About when it goes, most of the time.
        let wait_ms = self.rng.random_range(ttl_ms * 3 / 4..ttl_ms + 800);
        sleep(Duration::from_millis(wait_ms)).await;
        let Some(None) = self.look_for(&key).await else { return };
        let passed_ms = (now_ns() - begun) / 1_000_000;
        if passed_ms * (100 + ERROR) / 100 < ttl_ms {
            let what = format!("{key:?} went after {passed_ms} of {ttl_ms} ms");
            self.world.borrow_mut().violated("nothing_expires_early", what);
        }
        let is_there = Condition::Key { at, is: State::Present };
        if let Some(true) =
            self.decide(Some(is_there), &Command::Touch { at, ttl_ms: Some(1) }).await
        {
            let what = format!("{key:?} was not there, and is");
            self.world.borrow_mut().violated("what_has_expired_is_gone", what);
        }
    }

    /// `None`: it was not answered, or what it answers may be old.
    pub async fn look_for(&self, key: &Bytes) -> Option<Option<Item>> {
        let (handle, key) = (self.handle.clone(), key.clone());
        let mode = handle.config().reads;
        if mode == ReadMode::Local {
            return None;
        }
        let share = |item: Option<&Item>| Some(item.cloned());
        let asked = self.ask(move |deadline: Instant, sender: oneshot::Sender<_>| {
            match handle.look(mode, &key, share)? {
                Some(found) => _ = sender.send(Ok(found)),
                None => {
                    let reply = Box::new(move |read| _ = sender.send(read));
                    handle.read(mode, key, deadline.into_std(), reply)?;
                }
            }
            Ok(())
        });
        match asked.await {
            Asked::Done(found) => Some(found),
            _ => None,
        }
    }
}
