//! What a client does with several keys of a table at once, in all the ways that the product has:
//! reads of one moment, transactions that read, scans page by page; and transactions that write.

use bytes::Bytes;
use ram_core::Error;
use ram_core::reading::Freshness;
use ram_core::scans::{self, Cursor, Scan};
use ram_lease::mode::Scope;
use ram_store::answer::{Answer, Failure, Found};
use ram_store::write::{Command, Condition, Place, Write};
use ram_table::table::Item;
use ram_table::tables::Tables;
use rand::RngExt;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::{Asked, Client};

/// How several keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Together,
    InTransaction,
    ByScan,
}

const SCANNED_AT_ONCE: usize = 2;
const BETWEEN_PAGES_MAX_MS: u64 = 12;

/// What a key holds.
#[derive(Debug, Clone)]
pub struct Seen {
    pub value: Vec<u8>,
    pub revision: u64,
}

/// What keys held at one moment: those that were there.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub keys: BTreeMap<Bytes, Seen>,
    /// The state's, where the way tells it.
    pub revision: Option<u64>,
}

impl View {
    fn of(items: impl IntoIterator<Item = Item>) -> View {
        let keys = items.into_iter().map(|item| {
            let value = item.value().into_owned();
            (Bytes::copy_from_slice(item.key()), Seen { value, revision: item.revision() })
        });
        View { keys: keys.collect(), revision: None }
    }
}

impl Client {
    pub fn some_way(&mut self) -> How {
        [How::Together, How::InTransaction, How::ByScan][self.rng.random_range(0..3)]
    }

    /// What these keys hold, by a scan of what begins as they do. A table that is not there is
    /// empty. `None`: no answer.
    pub async fn view(
        &mut self,
        table: &'static str,
        keys: &[Bytes],
        begin: &[u8],
        how: How,
    ) -> Option<View> {
        match how {
            How::Together => self.view_together(table, keys).await,
            How::InTransaction => self.view_in_transaction(table, keys).await,
            How::ByScan => self.view_by_scan(table, begin).await,
        }
    }

    async fn view_together(&self, table: &'static str, keys: &[Bytes]) -> Option<View> {
        let scope: Vec<&[u8]> = keys.iter().map(|key| &**key).collect();
        let asked = keys.to_vec();
        let look = move |tables: &Tables| {
            let table = tables.get(table);
            View::of(table.iter().flat_map(|table| asked.iter().filter_map(|key| table.get(key))))
        };
        self.look(Scope::Keys(&scope), look).await
    }

    async fn look<T: Send + 'static>(
        &self,
        scope: Scope<'_>,
        look: impl Fn(&Tables) -> T + Clone + Send + 'static,
    ) -> Option<T> {
        let freshness = Freshness { mode: self.handle.config().reads, at_least: 0 };
        let ask = |deadline: Instant, sender: oneshot::Sender<_>| {
            if let Some(found) = self.handle.look_now(freshness, scope, &look)? {
                _ = sender.send(Ok(found));
                return Ok(());
            }
            let (limits, reply) = ((0, deadline.into_std()), |found| _ = sender.send(found));
            self.handle.look_later(freshness, scope, limits, look.clone(), Box::new(reply))
        };
        match self.ask(ask).await {
            Asked::Done(found) => Some(found),
            Asked::Unknown | Asked::Failed => None,
        }
    }

    async fn view_in_transaction(&self, table: &'static str, keys: &[Bytes]) -> Option<View> {
        let gets: Vec<_> = keys.iter().map(|key| Command::Get { at: Place::of(key) }).collect();
        let Asked::Done(answer) = self.transact(table, &[], &gets).await else { return None };
        let (results, revision) = match answer {
            Answer::Ran { results: Some(results), revision, .. } => (results, revision),
            Answer::Failed(Failure::NoTable(_)) => return Some(View::default()),
            _ => return None,
        };
        let seen = |found: Found| Seen { value: found.value.to_vec(), revision: found.revision };
        let keys = keys.iter().zip(results);
        let keys = keys.filter_map(|(key, found)| Some((key.clone(), seen(found?)))).collect();
        Some(View { keys, revision: Some(revision) })
    }

    async fn view_by_scan(&mut self, table: &'static str, begin: &[u8]) -> Option<View> {
        let open = move |tables: &Tables| scans::begin(tables, Some(table));
        let (snapshots, revision) = match self.look(Scope::All, open).await? {
            Ok(begun) => begun,
            Err(Error::Unfit(Failure::NoTable(_))) => return Some(View::default()),
            Err(_) => return None,
        };
        let scan = self.handle.scans().open(snapshots, revision);
        let items = self.pages(table, &scan, begin).await?;
        Some(View { revision: Some(revision), ..View::of(items) })
    }

    /// Writes go on between two pages.
    async fn pages(&mut self, table: &str, scan: &Arc<Scan>, begin: &[u8]) -> Option<Vec<Item>> {
        let end = end_of(begin);
        let bounds = (Bound::Included(begin), Bound::Excluded(&*end));
        let (mut items, mut next) = (Vec::new(), Some(Cursor::Start));
        while let Some(cursor) = next {
            if !items.is_empty() {
                let pause_ms = self.rng.random_range(0..=BETWEEN_PAGES_MAX_MS);
                sleep(Duration::from_millis(pause_ms)).await;
            }
            let page = scan.page(table, &cursor, bounds, false, SCANNED_AT_ONCE).ok()?;
            items.extend(page.items);
            next = page.next;
        }
        // A hash table is scanned as a whole.
        items.retain(|item| item.key().starts_with(begin));
        Some(items)
    }

    /// Runs the commands if the conditions hold.
    pub async fn transact(
        &self,
        table: &'static str,
        conditions: &[Condition<'_>],
        commands: &[Command<'_>],
    ) -> Asked<Answer> {
        let (then, count) = (commands.len() as u32, conditions.len() as u32);
        let head = Write::Transaction { table, conditions: count, then, otherwise: 0 };
        let ask = |deadline: Instant, sender: oneshot::Sender<_>| {
            let mut writing = self.handle.writing(&head)?;
            conditions.iter().try_for_each(|condition| writing.condition(condition))?;
            commands.iter().try_for_each(|command| writing.command(command))?;
            writing.submit(deadline.into_std(), Box::new(|answer| _ = sender.send(answer)))
        };
        self.ask(ask).await
    }

    /// Whoever comes first makes it.
    pub async fn create_table(&self, table: &'static str, ordered: bool) {
        let ask = |deadline: Instant, sender: oneshot::Sender<ram_core::Result<Answer>>| {
            let writing = self.handle.writing(&Write::CreateTable { table, ordered })?;
            writing.submit(deadline.into_std(), Box::new(|answer| _ = sender.send(answer)))
        };
        _ = self.ask(ask).await;
    }
}

/// What comes after all keys that begin so.
pub fn end_of(begin: &[u8]) -> Vec<u8> {
    let mut end = begin.to_vec();
    end.push(u8::MAX);
    end
}

/// The results of a transaction that was run; `None`: it changed nothing.
pub fn ran(answer: Answer) -> Option<Vec<Option<Found>>> {
    match answer {
        Answer::Ran { succeeded: true, results, .. } => Some(results.unwrap_or_default()),
        _ => None,
    }
}
