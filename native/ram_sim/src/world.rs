//! What the hosts, the faults and the invariants of one run share. One thread, so no locks.

use bytes::Bytes;
use ram_check::accounts::Banking;
use ram_check::lists::Transaction;
use ram_check::{Calls, History, Ties};
use ram_core::handle::Handle;
use ram_core::observation::LeaseSight;
use ram_log::{CachedDisk, Log};
use ram_raft::types::Member;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::UnboundedSender;

use crate::client::Copy;
use crate::invariants::Once;
use crate::owning::{HostedRun, Owning};
use crate::plan::Plan;
use crate::report::Violation;

const COUNTERS: usize = 2;

pub type World = Rc<RefCell<State>>;

pub struct State {
    pub plan: Plan,
    pub keys: Vec<Bytes>,
    /// Keys that are counted with.
    pub counters: Vec<Bytes>,
    pub hosts: Vec<Host>,
    /// Virtual time at the last step, nanoseconds.
    pub now_ns: u64,
    pub clients_rest: bool,
    /// Ids of which a leader said that they were removed.
    pub refused: Arc<Mutex<BTreeSet<u64>>>,
    /// Ids that were in a committed membership, and are in the newest that was seen no more.
    pub gone: BTreeSet<u64>,
    /// Ids of which a member knew that they were removed; it may have crashed since.
    pub known_removed: BTreeSet<u64>,
    /// What the impostor has done, and how often.
    pub lies: BTreeMap<&'static str, u64>,
    pub history: History,
    pub accounts: Calls<Banking>,
    pub lists: Calls<Transaction>,
    /// How many numbers were appended to lists: each is another one.
    pub numbers: i64,
    /// Keys that were put with a time to live and are not known to have gone, in milliseconds.
    pub timed: BTreeMap<Bytes, u64>,
    /// What receivers have heard of the default table, by their hosts.
    pub copies: BTreeMap<usize, Copy>,
    /// How often such a copy was compared with the table.
    pub compared: u64,
    pub owning: Owning,
    pub once: Once,
    pub trace: Trace,
    pub violation: Option<Violation>,
}

/// A place for a member: what outlives its crashes, and the member that is there now.
pub struct Host {
    pub disk: CachedDisk,
    pub disk_delay_max_ms: Rc<Cell<u64>>,
    pub running: Option<RunningMember>,
    /// Counts the members that ever ran here.
    pub starts: u64,
    /// It has written and read since the faults ended.
    pub is_proven: bool,
}

#[derive(Clone)]
pub struct RunningMember {
    pub handle: Handle,
    pub start: u64,
    pub orders: UnboundedSender<Order>,
    pub log: LogSlot,
    /// What it held and had granted in the last step.
    pub leases: Rc<RefCell<LeaseSight>>,
}

/// Filled when the member opens its log.
pub type LogSlot = Arc<Mutex<Option<Log>>>;

/// What a host is told from outside.
#[derive(Debug, Clone)]
pub enum Order {
    Initialize(BTreeMap<u64, Member>),
    Join {
        id: u64,
        member: Member,
    },
    Remove {
        name: String,
    },
    /// Stop well, handing over the lead, and start again.
    Restart,
    ClockRate(f64),
    /// Write, and read every key.
    Prove,
}

impl State {
    pub fn new(plan: Plan) -> World {
        let host = |_| Host {
            disk: CachedDisk::default(),
            disk_delay_max_ms: Rc::new(Cell::new(plan.disk_delay_max_ms)),
            running: None,
            starts: 0,
            is_proven: false,
        };
        Rc::new(RefCell::new(State {
            keys: (0..plan.keys).map(|key| Bytes::from(format!("k{key}"))).collect(),
            counters: (0..COUNTERS).map(|counter| Bytes::from(format!("n{counter}"))).collect(),
            hosts: (0..plan.hosts).map(host).collect(),
            now_ns: 0,
            clients_rest: false,
            refused: Arc::default(),
            lies: BTreeMap::new(),
            gone: BTreeSet::new(),
            known_removed: BTreeSet::new(),
            history: History::new(Ties::Overlap),
            accounts: Calls::default(),
            lists: Calls::default(),
            numbers: 0,
            timed: BTreeMap::new(),
            copies: BTreeMap::new(),
            compared: 0,
            owning: Owning::new(plan.owner_timeout_ms),
            once: Once::default(),
            trace: Trace::default(),
            violation: None,
            plan,
        }))
    }

    pub fn order(&self, host: usize, order: Order) {
        if let Some(running) = &self.hosts[host].running {
            // A host that is just stopping needs no orders.
            let _ = running.orders.send(order);
        }
    }

    pub fn running(&self) -> impl Iterator<Item = (usize, &RunningMember)> {
        let hosts = self.hosts.iter().enumerate();
        hosts.filter_map(|(number, host)| Some((number, host.running.as_ref()?)))
    }

    /// Is the member of this host a voter, as any other member knows, committed or not?
    pub fn is_voter(&self, host: usize) -> bool {
        let id = self.running().find(|(number, _)| *number == host);
        let id = id.and_then(|(_, running)| Some(running.handle.observe()?.id));
        let knows = |id| {
            let others = self.running().filter(|(number, _)| *number != host);
            others.into_iter().any(|(_, other)| other.handle.seen_members().get(&id) == Some(&true))
        };
        id.is_some_and(knows)
    }

    /// Is it over, or was its member removed, as anybody knows?
    pub fn has_ended(&self, run: &HostedRun) -> bool {
        let HostedRun { host, start, member, .. } = *run;
        let is_it = |running: &RunningMember| running.start == start;
        let is_known = || self.running().any(|(_, other)| other.handle.knows_removed(member));
        !self.hosts[host].running.as_ref().is_some_and(is_it)
            || self.known_removed.contains(&member)
            || self.gone.contains(&member)
            || is_known()
    }

    pub fn violated(&mut self, invariant: &'static str, detail: String) {
        let at_ns = self.now_ns;
        self.violation.get_or_insert(Violation { invariant: invariant.into(), detail, at_ns });
    }
}

/// A hash over all events, and their number.
#[derive(Default)]
pub struct Trace {
    hasher: DefaultHasher,
    pub events: u64,
    pub is_printed: bool,
}

impl Trace {
    pub fn note(&mut self, at_ns: u64, event: impl std::fmt::Debug) {
        let line = format!("{:.3} {event:?}", at_ns as f64 / 1e9);
        line.hash(&mut self.hasher);
        self.events += 1;
        if self.is_printed {
            println!("{line}");
        }
    }

    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }
}
