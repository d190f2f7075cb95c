//! The life of a host: a member on its disk, its clients, and the orders from outside.

use ram_core::Reply;
use ram_core::environment::Environment;
use ram_core::folder::{self, Contents};
use ram_core::handle::{Change, Handle};
use ram_core::member::{Event, Member};
use ram_core::observation::LeaseSight;
use ram_core::opening::Open;
use ram_log::FlushMode;
use ram_log::{Disk, Log, LogOptions};
use ram_raft::clock;
use ram_raft::rpc::MemberChange;
use ram_raft::worker::Worker;
use ram_table::value::Plain;
use rand::RngExt;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use turmoil::Sim;

use crate::client;
use crate::entropy;
use crate::network::SimTransport;
use crate::plan::{CLUSTER, host_name};
use crate::world::{LogSlot, Order, RunningMember, World};

const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);
const LEASES_SHOWN_EVERY: Duration = Duration::from_millis(1);
const START_PAUSE: Duration = Duration::from_millis(200);

/// Runs members on this host, one after the other, until the host is crashed.
pub async fn live(world: World, host: usize) -> turmoil::Result {
    let rate = world.borrow().plan.rates[host];
    clock::run_at(rate);
    loop {
        if let Err(error) = one_member(&world, host).await {
            let now_ns = now_ns();
            world.borrow_mut().trace.note(now_ns, ("did not start", host, error.to_string()));
        }
        world.borrow_mut().hosts[host].running = None;
        sleep(START_PAUSE).await;
    }
}

/// Down, with an empty disk.
pub fn wipe(sim: &mut Sim<'_>, world: &World, host: usize) {
    let at_ns = world.borrow().now_ns;
    let mut state = world.borrow_mut();
    state.trace.note(at_ns, ("wiped", host));
    state.hosts[host].running = None;
    state.hosts[host].disk = Default::default();
    drop(state);
    sim.crash(host_name(host));
}

pub fn now_ns() -> u64 {
    turmoil::sim_elapsed().map_or(0, |elapsed| elapsed.as_nanos() as u64)
}

async fn one_member(world: &World, host: usize) -> ram_core::Result<()> {
    let (config, disk, start, delay, environment, log) = prepare(world, host);
    let open = match folder::contents(&disk)? {
        Contents::Member(_) => Open::Existing,
        Contents::Nothing => Open::New(CLUSTER),
    };
    // All of the host's tasks, so that they end with the member.
    let mut tasks = JoinSet::new();
    let seed = world.borrow().plan.seed;
    tasks.spawn_local(drive_log(log.clone(), delay, entropy::stream(seed, "disk", start)));
    let (events, mut happened) = mpsc::unbounded_channel();
    let on_event = Arc::new(move |event: Event| _ = events.send(event));
    let member = Member::open(config, open, environment, on_event).await?;
    let handle = member.handle();
    let (orders, ordered) = mpsc::unbounded_channel();
    let leases = Rc::new(RefCell::default());
    tasks.spawn_local(show_leases(handle.clone(), leases.clone()));
    let running = RunningMember { handle: handle.clone(), start, orders, log, leases };
    world.borrow_mut().hosts[host].running = Some(running);
    let clients = world.borrow().plan.clients_per_host;
    for number in 0..clients {
        tasks.spawn_local(client::run(world.clone(), handle.clone(), host, start, number));
    }
    tasks.spawn_local(client::receive(world.clone(), handle.clone(), host, start));
    tasks.spawn_local(client::own(world.clone(), handle.clone(), host, start));
    let id = handle.status()?.id;
    let told = obey(world.clone(), handle, host, ordered);
    member.serve(told).await;
    while let Ok(event) = happened.try_recv() {
        world.borrow_mut().trace.note(now_ns(), (host, &event));
        if event == Event::Removed {
            judge_removal(world, id);
        }
    }
    tasks.shutdown().await;
    Ok(())
}

/// A member that believes that it was removed was: others know it, or did a moment ago.
fn judge_removal(world: &World, id: u64) {
    let mut state = world.borrow_mut();
    let knows = state.running().any(|(_, other)| other.handle.knows_removed(id))
        || state.known_removed.contains(&id);
    if !knows && !state.gone.contains(&id) {
        state.violated("only_what_was_removed_is_given_up", format!("member {id}"));
    }
}

type Prepared = (ram_core::config::Config, Arc<dyn Disk>, u64, Rc<Cell<u64>>, Environment, LogSlot);

fn prepare(world: &World, host: usize) -> Prepared {
    let mut state = world.borrow_mut();
    let segment_bytes = state.plan.segment_bytes;
    let place = &mut state.hosts[host];
    place.starts += 1;
    let start = place.starts * 100 + host as u64;
    let (place, config) = (&state.hosts[host], state.plan.config(host, state.hosts[host].starts));
    let disk: Arc<dyn Disk> = Arc::new(place.disk.clone());
    let log = LogSlot::default();
    let slot = log.clone();
    let open_log = Box::new(move |disk| {
        let flush = FlushMode::Manual;
        let log = Log::open(disk, LogOptions { segment_bytes, flush, ..LogOptions::default() })?;
        *slot.lock().unwrap() = Some(log.clone());
        Ok(log)
    });
    let environment = Environment {
        disk: disk.clone(),
        transport: Arc::new(SimTransport),
        open_log,
        worker: Worker::inline(),
        transfer: Worker::inline(),
        values: Arc::new(Plain),
        clock: Arc::new(clock::MemberClock::default()),
    };
    (config, disk, start, place.disk_delay_max_ms.clone(), environment, log)
}

/// The disk takes its time: what is asked meanwhile becomes the next batch.
async fn drive_log(log: LogSlot, delay_max_ms: Rc<Cell<u64>>, mut rng: rand::rngs::StdRng) {
    loop {
        let delay_ms = rng.random_range(1..=delay_max_ms.get());
        sleep(Duration::from_millis(delay_ms)).await;
        let log = log.lock().unwrap().clone();
        if let Some(log) = log {
            log.flush();
        }
    }
}

/// Only here can the member's clock be read.
async fn show_leases(handle: Handle, leases: Rc<RefCell<LeaseSight>>) {
    loop {
        leases.replace(handle.observe_leases());
        sleep(LEASES_SHOWN_EVERY).await;
    }
}

/// Returns when the member is to stop.
async fn obey(world: World, handle: Handle, host: usize, mut orders: UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        let at_ns = now_ns();
        world.borrow_mut().trace.note(at_ns, ("order", host, &order));
        match order {
            Order::Initialize(members) => {
                change(&handle, Change::Initialize(members), Box::new(|_| {}));
            }
            Order::Join { id, member } => {
                let refused = world.borrow().refused.clone();
                let reply = Box::new(move |added| {
                    if matches!(added, Err(ram_core::Error::Removed(_))) {
                        refused.lock().unwrap().insert(id);
                    }
                });
                change(&handle, Change::Member(MemberChange::Add { id, member }), reply);
            }
            Order::Remove { name } => {
                let remove = Change::Member(MemberChange::Remove { name });
                change(&handle, remove, Box::new(|_| {}));
            }
            Order::ClockRate(rate) => clock::run_at(rate),
            Order::Prove => {
                tokio::task::spawn_local(client::prove(world.clone(), handle.clone(), host));
            }
            Order::Restart => return,
        }
    }
}

fn change(handle: &Handle, change: Change, reply: Reply<()>) {
    let deadline = Instant::now() + CHANGE_TIMEOUT;
    // Whoever orders looks at the membership, and orders again.
    let _ = handle.change(change, deadline.into_std(), reply);
}
