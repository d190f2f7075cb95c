//! A member on threads of its own.
//!
//! "ram-core" runs a single-threaded Tokio runtime with Raft, the network and the queues; "ram-log"
//! writes and syncs the log (a log in memory needs none); "ram-snapshot" writes snapshots, and
//! writes and reads backups; "ram-transfer" receives and sends snapshots, which must not wait for
//! one that is written. A request comes from any thread, waits in one bounded queue, and is
//! answered by one call of its reply, on "ram-core". A caller may stop waiting at any time.
//!
//! A write: [`Handle::write`], `proposer`, `route`, Raft, the store, the reply.
//! A read with a lease: [`Handle::look`], `ram_lease`, the table.
//! A read without: [`Handle::read`], `ram_lease`, `route` for an index, the table, the reply.
//!
//! Stopping joins all four threads. A panic in them ends the member and is reported as its failure;
//! it never leaves them.

use parking_lot::Mutex;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::environment::Environment;
use crate::folder;
use crate::handle::Handle;
use crate::identity::ClusterId;
use crate::member::{Event, Member, OnEvent};
use crate::opening;
use crate::opening::Open;
use crate::{Error, Result};
use ram_log::Disk;
use ram_table::value::Values;

/// A running member, and the thread it runs on.
pub struct Node {
    handle: Handle,
    /// Guards the way to stop the runtime thread; taken by the first call of `stop`.
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
    /// Guards the data, with the lock of their folder, as long as the member holds them.
    disk: Mutex<Option<Arc<dyn Disk>>>,
    values: Arc<dyn Values>,
}

type Ready = std::sync::mpsc::Sender<Result<Handle>>;

impl Node {
    /// Opens the data, binds the socket and starts raft; blocks until that is done. The values in
    /// memory are held by `values`, which serve this member alone.
    pub fn start(
        config: Config,
        values: Arc<dyn Values>,
        open: Open,
        on_event: OnEvent,
    ) -> Result<Node> {
        config.check()?;
        let disk = Environment::disk(&config)?;
        Node::start_on(disk, config, values, open, on_event)
    }

    fn start_on(
        disk: Arc<dyn Disk>,
        config: Config,
        values: Arc<dyn Values>,
        open: Open,
        on_event: OnEvent,
    ) -> Result<Node> {
        let held = Mutex::new(Some(disk.clone()));
        let environment = Environment::real(disk, config.storage, values.clone())?;
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::channel();
        let run = move || run(config, open, environment, on_event, stopped, ready);
        let thread = ram_threads::spawn("ram-core", run).map_err(Error::failed)?;
        let handle = match started.recv() {
            Ok(Ok(handle)) => handle,
            failed => {
                // The thread ends by itself after a failed start.
                let _ = thread.join();
                return Err(match failed {
                    Ok(Err(error)) => error,
                    _ => Error::failed("the member panicked while starting"),
                });
            }
        };
        let thread = Mutex::new(Some((stop, thread)));
        Ok(Node { handle, thread, disk: held, values })
    }

    /// Stops this member of the cluster `old` and starts it as the only one of the cluster `new`,
    /// with the data it has: the way out of a lost majority. Blocks. Also returns the index of the
    /// last log entry that was kept.
    pub fn recover(
        &self,
        old: ClusterId,
        new: ClusterId,
        on_event: OnEvent,
    ) -> Result<(Node, u64)> {
        if self.status()?.cluster != old {
            return Err(Error::OtherCluster);
        }
        self.start_alone(self.handle.config().clone(), new, on_event)
    }

    /// Stops this member, if it is the only one of its cluster, and starts it under the name and
    /// with the settings of `config`, as the only one of the cluster `new`, with the data it has:
    /// nobody else knows it under its former name. Blocks. [`Error::Joined`], and nothing happened,
    /// when its cluster has, or is about to have, another member.
    pub fn rename(&self, config: Config, new: ClusterId, on_event: OnEvent) -> Result<Node> {
        config.check()?;
        if !self.handle.with(|running| running.replica.is_alone())? {
            return Err(Error::Joined);
        }
        self.start_alone(config, new, on_event).map(|(node, _)| node)
    }

    fn start_alone(
        &self,
        config: Config,
        new: ClusterId,
        on_event: OnEvent,
    ) -> Result<(Node, u64)> {
        let known_as = self.handle.config().name.clone();
        let disk = self.stop_holding()?;
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(Error::failed)?;
        let recovered = runtime.block_on(opening::recover(&known_as, &config, &disk, new));
        let last_log_index = recovered?;
        let node = Node::start_on(disk, config, self.values.clone(), Open::Existing, on_event)?;
        Ok((node, last_log_index))
    }

    /// Stops this member and removes its data. Blocks.
    pub fn erase(&self) -> Result<()> {
        folder::erase(&self.stop_holding()?)
    }

    /// Stops this member, which its cluster has removed, and moves its data aside. Blocks. Returns
    /// how the names of its files begin now.
    pub fn set_aside(&self) -> Result<String> {
        folder::set_aside(&self.stop_holding()?)
    }

    /// Stops this member, and removes its data if its log proves that it never was one: without an
    /// entry it has acknowledged nothing. [`Error::Joined`]: it was, and nothing is removed.
    pub fn abandon(&self) -> Result<()> {
        let disk = self.stop_holding()?;
        if folder::has_log(&disk)? { Err(Error::Joined) } else { folder::undo_join(&disk) }
    }

    /// Stops without letting anybody else at the data.
    fn stop_holding(&self) -> Result<Arc<dyn Disk>> {
        let disk = self.disk.lock().take().ok_or(Error::Stopped)?;
        self.stop();
        Ok(disk)
    }

    /// Hands over the lead if it has it, then ends and joins the threads. Later calls do nothing.
    pub fn stop(&self) {
        let thread = self.thread.lock().take();
        if let Some((stop, thread)) = thread {
            // The thread may have ended by itself.
            let _ = stop.send(());
            let _ = thread.join();
        }
        self.handle.release();
        // The last to hold it. Before what takes long, so that whoever starts next finds the folder
        // free.
        *self.disk.lock() = None;
        self.handle.free_table();
    }
}

/// What can be asked of a member is asked of a node.
impl Deref for Node {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

/// Runs the member until it is told to stop. `ready` hears once how the start went.
fn run(
    config: Config,
    open: Open,
    environment: Environment,
    on_event: OnEvent,
    stop: oneshot::Receiver<()>,
    ready: Ready,
) {
    let failed = on_event.clone();
    let life = AssertUnwindSafe(|| {
        let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match built {
            Ok(runtime) => {
                runtime.block_on(live(config, open, environment, on_event, stop, &ready))
            }
            Err(error) => report(&ready, Err(Error::failed(error))),
        }
    });
    if std::panic::catch_unwind(life).is_err() {
        failed(Event::Failed("the member panicked; see the standard error of the VM".into()));
    }
}

async fn live(
    config: Config,
    open: Open,
    environment: Environment,
    on_event: OnEvent,
    stop: oneshot::Receiver<()>,
    ready: &Ready,
) {
    match Member::open(config, open, environment, on_event).await {
        Ok(member) => {
            report(ready, Ok(member.handle()));
            // Told to, or the owner is gone.
            member.serve(async { _ = stop.await }).await;
        }
        Err(error) => report(ready, Err(error)),
    }
}

fn report(ready: &Ready, result: Result<Handle>) {
    // The starter waits for exactly this.
    let _ = ready.send(result);
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
