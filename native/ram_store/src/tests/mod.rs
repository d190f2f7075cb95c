//! The store, fed with proposals.

mod commands;
mod content;
mod dump;
mod retries;

use super::command::{self, Answer, Command, Expect, Outcome, Stamp};
use super::sessions::{GROUPS_MAX, SESSIONS_MAX};
use super::*;
use crate::codec;
use bytes::Bytes;
use ram_limits::GROUP_WRITES_MAX;
use ram_table::table::{Revoked, TableSnapshot};
use ram_table::value::{Plain, Representation, SharedRepresentation, StoredValue, Values};
use std::collections::HashMap;

/// A store with an open session that numbers its groups.
struct Client {
    store: Store,
    index: u64,
    session: u64,
    sequence: u64,
}

impl Client {
    fn new() -> Self {
        Client::with(Arc::new(Plain))
    }

    fn with(values: Arc<dyn Values>) -> Self {
        let store = Store::empty(values);
        let mut client = Client { store, index: 0, session: 0, sequence: 0 };
        client.open();
        client
    }

    fn open(&mut self) {
        self.index += 1;
        match self.store.apply(self.index, &command::open_session()).unwrap() {
            Outcome::SessionOpened { session } => self.session = session,
            other => panic!("{other:?}"),
        }
    }

    fn stamp(&mut self) -> Stamp {
        self.sequence += 1;
        Stamp { session: self.session, sequence: self.sequence, acked_below: self.sequence }
    }

    fn send(&mut self, group: &Bytes) -> Outcome {
        self.index += 1;
        self.store.apply(self.index, group).unwrap()
    }

    fn run(&mut self, commands: &[Command<'_>]) -> Vec<Answer> {
        let stamp = self.stamp();
        match self.send(&group(stamp, commands)) {
            Outcome::Answers(answers) => answers,
            other => panic!("{other:?}"),
        }
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.store.table().get(key).map(|item| item.value().into_owned())
    }
}

fn group(stamp: Stamp, commands: &[Command<'_>]) -> Bytes {
    let commands: Vec<Vec<u8>> = commands.iter().map(Command::encode).collect();
    command::group(stamp, commands.iter().map(|command| (1, command)))
}

/// A group with one write of each of these lists of commands.
fn group_of_writes(stamp: Stamp, writes: &[&[Command<'_>]]) -> Bytes {
    let encoded = |write: &&[Command<'_>]| {
        let commands: Vec<Vec<u8>> = write.iter().map(Command::encode).collect();
        (write.len() as u32, commands.concat())
    };
    let writes: Vec<(u32, Vec<u8>)> = writes.iter().map(encoded).collect();
    command::group(stamp, writes.into_iter())
}

fn metadata_bytes(store: &Store) -> usize {
    let parts: Vec<sessions::Part> = store.metadata().sessions.parts().collect();
    codec::encode(&parts).len()
}

fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Command<'a> {
    Command::Put { key, value }
}
