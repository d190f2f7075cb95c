//! Misfortunes, from the seed: one after the other and on top of each other, each with an end.
//!
//! Kept within what the product promises to survive: any number of crashes (a disk keeps what was
//! synced), but a disk is lost only while every member is in the cluster and up and no change of
//! the membership is under way: it counts against the majority until its host has joined again.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;
use turmoil::Sim;

use crate::cuts::{self, around, both_ways, for_each, set_latency};
use crate::entropy;
use crate::host::wipe;
use crate::invariants::Wall;
use crate::joining::Addition;
use crate::plan::{Timing, host_name, node_name, pick};
use crate::strikes::{Strike, Strikes, Victim};
use crate::world::{Order, State, World};

/// How long a fault may last.
const LAST_MIN_MS: u64 = 50;
const LAST_MAX_MS: u64 = 6000;
const ESTRANGED_MS: u64 = 2000;
/// Longer than a member that does not answer is waited for, and than the others may need.
const FIREWALL_MS: u64 = 12_000;
/// A removal that was asked for may still be proposed, and its change may need the former member.
const REMOVAL_SETTLES_NS: u64 = 10_000_000_000;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// Down for a while. After a power loss what was not synced is gone, or torn.
    Crash {
        hosts: Vec<usize>,
        power: bool,
    },
    Wipe(usize),
    /// No message passes from one to the other of these pairs.
    Cut {
        name: &'static str,
        pairs: Vec<(usize, usize)>,
    },
    /// Messages of these pairs wait until the end of the fault.
    Hold(Vec<(usize, usize)>),
    Delay {
        pairs: Vec<(usize, usize)>,
        latency_ms: u64,
    },
    SlowDisk {
        host: usize,
        delay_ms: u64,
    },
    FailingDisk(usize),
    Remove(usize),
    /// No message passes to or from the member that is just added, and nothing else happens: the
    /// others have to serve.
    Firewall {
        host: usize,
        pairs: Vec<(usize, usize)>,
    },
    /// One member hears nothing from the leader and would lead itself. It ends with the next.
    AsymmetricPartition {
        leader: usize,
        aside: usize,
        others: Vec<usize>,
    },
    /// The leader is cut off while others start again at once, and are asked for their votes: only
    /// they can know their vote holds.
    RestartOthers {
        pairs: Vec<(usize, usize)>,
        others: Vec<usize>,
    },
    /// The leader stops well and hands over the lead.
    Transfer(usize),
    /// A clock that is wrong by more than 1 %; by just that where leases are held.
    ClockRate {
        host: usize,
        percent: u64,
    },
}

pub struct Faults {
    rng: StdRng,
    next_at_ns: u64,
    removed_at_ns: u64,
    active: Vec<(u64, Fault)>,
    strikes: Strikes,
    pub counts: BTreeMap<String, u64>,
}

impl Faults {
    pub fn new(seed: u64) -> Faults {
        let rng = entropy::stream(seed, "faults", 0);
        Faults {
            rng,
            next_at_ns: 3_000_000_000,
            removed_at_ns: 0,
            active: Vec::new(),
            strikes: Strikes::new(seed),
            counts: BTreeMap::new(),
        }
    }

    /// Ends what is over, and maybe begins something. `is_whole`: all members are in and up.
    pub fn act(&mut self, sim: &mut Sim<'_>, world: &World, is_whole: bool) {
        let now_ns = world.borrow().now_ns;
        let mut over = Vec::new();
        self.active.retain(|(end_ns, fault)| {
            let is_over = *end_ns <= now_ns;
            if is_over {
                over.push(fault.clone());
            }
            !is_over
        });
        for fault in over {
            self.end(sim, world, &fault);
        }
        for strike in self.strikes.due(now_ns) {
            let struck = self.struck(&world.borrow(), strike);
            if let Some(fault) = struck {
                *self.counts.entry(strike.victim.name().into()).or_default() += 1;
                let last_ms = match fault {
                    Fault::Firewall { .. } => FIREWALL_MS,
                    _ => self.rng.random_range(LAST_MIN_MS..=LAST_MAX_MS),
                };
                self.start(sim, world, fault, last_ms);
            }
        }
        if now_ns < self.next_at_ns || self.wall().is_some() {
            return;
        }
        let gap_max_ms = world.borrow().plan.fault_gap_max_ms;
        self.next_at_ns = now_ns + self.rng.random_range(50..=gap_max_ms) * 1_000_000;
        let is_settled = now_ns >= self.removed_at_ns + REMOVAL_SETTLES_NS;
        let chosen = self.choose(&world.borrow(), is_whole && is_settled);
        if let Some(fault) = chosen {
            let last_ms = self.rng.random_range(LAST_MIN_MS..=LAST_MAX_MS);
            self.start(sim, world, fault, last_ms);
        }
    }

    fn start(&mut self, sim: &mut Sim<'_>, world: &World, fault: Fault, last_ms: u64) {
        let now_ns = world.borrow().now_ns;
        *self.counts.entry(name(&fault).into()).or_default() += 1;
        world.borrow_mut().trace.note(now_ns, ("begins", &fault, last_ms));
        self.begin(sim, world, &fault);
        self.active.push((now_ns + last_ms * 1_000_000, fault));
    }

    /// A change of the membership has begun: something may happen to those who make it.
    pub fn strike_at(&mut self, now_ns: u64, change: Addition) {
        self.strikes.plan(now_ns, change);
    }

    fn struck(&mut self, state: &State, strike: Strike) -> Option<Fault> {
        let Addition { host, caller } = strike.change;
        let leader = state.running().find(|(_, r)| r.handle.observe().is_some_and(|o| o.leads));
        let hosts: Vec<usize> = (0..state.plan.hosts).collect();
        let victim = match strike.victim {
            Victim::Leader => leader?.0,
            Victim::Caller => caller,
            Victim::Member => host,
            Victim::Removal => return Some(Fault::Remove(host)),
            Victim::Way if self.active.is_empty() && !state.is_voter(host) => {
                let pairs = both_ways(around(&hosts, host));
                return Some(Fault::Firewall { host, pairs });
            }
            Victim::Way => return None,
        };
        let is_up = state.hosts[victim].running.is_some() && !self.is_down(victim);
        let power = self.rng.random_bool(0.5);
        (is_up && self.wall().is_none()).then(|| Fault::Crash { hosts: vec![victim], power })
    }

    /// The firewall that is the only fault.
    pub fn wall(&self) -> Option<Wall> {
        match self.active.as_slice() {
            [(end_ns, Fault::Firewall { host, .. })] => {
                Some(Wall { host: *host, since_ns: end_ns.saturating_sub(FIREWALL_MS * 1_000_000) })
            }
            _ => None,
        }
    }

    /// Pairs whose messages do not come as they should.
    pub fn disturbed(&self) -> impl Iterator<Item = (usize, usize)> {
        self.active.iter().flat_map(|(_, fault)| disturbed(fault))
    }

    pub fn end_all(&mut self, sim: &mut Sim<'_>, world: &World) {
        // The end of one may be the begin of another.
        while let Some((_, fault)) = self.active.pop() {
            self.end(sim, world, &fault);
        }
    }

    fn choose(&mut self, state: &State, is_whole: bool) -> Option<Fault> {
        let hosts: Vec<usize> = (0..state.plan.hosts).collect();
        let is_up = |host: &usize| state.hosts[*host].running.is_some() && !self.is_down(*host);
        let up: Vec<usize> = hosts.iter().copied().filter(is_up).collect();
        let leader = state.running().find(|(_, r)| r.handle.observe().is_some_and(|o| o.leads));
        let leader = leader.map(|(host, _)| host);
        if self.counts.is_empty() && !matches!(state.plan.timing, Timing::Equal(_)) {
            return Some(first_of_other_timeouts(state.plan.timing, &hosts, leader?));
        }
        // The same fault on a random host, or on the one that hurts most.
        let rng = &mut self.rng;
        let favourite = if rng.random_bool(0.4) { leader } else { None };
        let victim = favourite.filter(|host| up.contains(host)).or(pick(rng, &up).copied())?;
        let is_cut = self.active.iter().any(|(_, fault)| {
            !matches!(fault, Fault::Delay { .. }) && !disturbed(fault).is_empty()
        });
        Some(match rng.random_range(0..100) {
            0..18 => Fault::Crash { hosts: vec![victim], power: rng.random_bool(0.7) },
            18..24 => {
                let mut down = up.clone();
                down.shuffle(rng);
                down.truncate(rng.random_range(1..=up.len()));
                Fault::Crash { hosts: down, power: rng.random_bool(0.8) }
            }
            24..29 if is_whole => Fault::Wipe(victim),
            29..60 if !is_cut => {
                let (name, pairs) = cuts::cut(rng, &hosts, victim);
                Fault::Cut { name, pairs }
            }
            60..66 if !is_cut => Fault::Hold(around(&hosts, victim)),
            66..74 => {
                let latency_ms = rng.random_range(30..400);
                Fault::Delay { pairs: around(&hosts, victim), latency_ms }
            }
            74..79 => Fault::SlowDisk { host: victim, delay_ms: rng.random_range(20..500) },
            79..82 if !is_cut => {
                let leader = leader?;
                let mut others: Vec<usize> =
                    up.into_iter().filter(|host| *host != leader).collect();
                Fault::AsymmetricPartition { leader, aside: others.pop()?, others }
            }
            82..87 => Fault::FailingDisk(victim),
            87..91 if is_whole => Fault::Remove(victim),
            91..96 => Fault::Transfer(leader?),
            96..100 => {
                let percent = state.plan.clock_fault(rng.random_range(60..160));
                Fault::ClockRate { host: victim, percent }
            }
            _ => return None,
        })
    }

    fn is_down(&self, host: usize) -> bool {
        self.active.iter().any(|(_, fault)| match fault {
            Fault::Crash { hosts, .. } => hosts.contains(&host),
            Fault::Wipe(down) => *down == host,
            _ => false,
        })
    }

    fn begin(&mut self, sim: &mut Sim<'_>, world: &World, fault: &Fault) {
        match fault {
            Fault::Crash { hosts, power } => {
                for host in hosts {
                    self.crash(sim, world, *host, *power);
                }
            }
            Fault::Wipe(host) => wipe(sim, world, *host),
            Fault::Cut { pairs, .. } => for_each(pairs, |a, b| sim.partition_oneway(a, b)),
            Fault::AsymmetricPartition { leader, aside, .. } => {
                for_each(&both_ways(vec![(*leader, *aside)]), |a, b| sim.partition_oneway(a, b));
            }
            Fault::RestartOthers { pairs, others } => {
                for_each(pairs, |a, b| sim.partition_oneway(a, b));
                let is_up = |host: &&usize| world.borrow().hosts[**host].running.is_some();
                for host in others.iter().filter(is_up) {
                    self.crash(sim, world, *host, false);
                    sim.bounce(host_name(*host));
                }
            }
            Fault::Firewall { pairs, .. } => for_each(pairs, |a, b| sim.partition_oneway(a, b)),
            Fault::Hold(pairs) => for_each(pairs, |a, b| sim.hold(a, b)),
            Fault::Delay { pairs, latency_ms } => set_latency(sim, pairs, *latency_ms),
            Fault::SlowDisk { host, delay_ms } => {
                world.borrow().hosts[*host].disk_delay_max_ms.set(*delay_ms);
            }
            Fault::FailingDisk(host) => world.borrow().hosts[*host].disk.fail_next_sync(),
            Fault::Remove(host) => {
                let state = world.borrow();
                self.removed_at_ns = state.now_ns;
                let by = (0..state.hosts.len()).find(|by| by != host).unwrap_or(0);
                state.order(by, Order::Remove { name: node_name(*host) });
                self.strikes.plan(state.now_ns, Addition { host: *host, caller: by });
            }
            Fault::Transfer(host) => world.borrow().order(*host, Order::Restart),
            Fault::ClockRate { host, percent } => {
                world.borrow().order(*host, Order::ClockRate(*percent as f64 / 100.0));
            }
        }
    }

    fn end(&mut self, sim: &mut Sim<'_>, world: &World, fault: &Fault) {
        let plan = world.borrow().plan.clone();
        match fault {
            Fault::Crash { hosts, .. } => {
                hosts.iter().for_each(|host| sim.bounce(host_name(*host)));
            }
            Fault::Wipe(host) => sim.bounce(host_name(*host)),
            Fault::AsymmetricPartition { leader, others, .. } => {
                let hosts: Vec<usize> = (0..plan.hosts).collect();
                let pairs = both_ways(around(&hosts, *leader));
                let next = Fault::RestartOthers { pairs, others: others.clone() };
                self.begin(sim, world, &next);
                let end_ns = world.borrow().now_ns + ESTRANGED_MS * 1_000_000;
                self.active.push((end_ns, next));
            }
            Fault::Cut { pairs, .. }
            | Fault::Hold(pairs)
            | Fault::Firewall { pairs, .. }
            | Fault::RestartOthers { pairs, .. } => {
                for_each(pairs, |a, b| sim.release(a, b));
            }
            Fault::Delay { pairs, .. } => set_latency(sim, pairs, plan.latency_max_ms),
            Fault::SlowDisk { host, .. } => {
                world.borrow().hosts[*host].disk_delay_max_ms.set(plan.disk_delay_max_ms);
            }
            Fault::ClockRate { host, .. } => {
                world.borrow().order(*host, Order::ClockRate(plan.rates[*host]));
            }
            Fault::FailingDisk(_) | Fault::Remove(_) | Fault::Transfer(_) => {}
        }
    }

    fn crash(&mut self, sim: &mut Sim<'_>, world: &World, host: usize, power: bool) {
        let member = world.borrow_mut().hosts[host].running.take();
        if power {
            let disk = world.borrow().hosts[host].disk.clone();
            disk.cut_power();
            // What waits for the disk is just being written when the power goes.
            let log = member.and_then(|member| member.log.lock().unwrap().clone());
            if let Some(log) = log {
                log.flush();
            }
            let rng = &mut self.rng;
            let left = disk.after_power_loss(|bytes| match rng.random_range(0..4) {
                0 => 0,
                1 => bytes,
                _ => rng.random_range(0..=bytes),
            });
            world.borrow_mut().hosts[host].disk = left;
        }
        sim.crash(host_name(host));
    }
}

fn disturbed(fault: &Fault) -> Vec<(usize, usize)> {
    match fault {
        Fault::Cut { pairs, .. }
        | Fault::Hold(pairs)
        | Fault::Delay { pairs, .. }
        | Fault::Firewall { pairs, .. }
        | Fault::RestartOthers { pairs, .. } => pairs.clone(),
        Fault::AsymmetricPartition { leader, aside, .. } => vec![(*leader, *aside)],
        _ => Vec::new(),
    }
}

fn name(fault: &Fault) -> &'static str {
    match fault {
        Fault::Crash { hosts, .. } if hosts.len() > 1 => "fault crash of many",
        Fault::Crash { power: true, .. } => "fault power loss",
        Fault::Crash { .. } => "fault crash",
        Fault::Wipe(_) => "fault wipe",
        Fault::Cut { name, .. } => name,
        Fault::Firewall { .. } => "fault new member behind a firewall",
        Fault::Hold(_) => "fault held messages",
        Fault::Delay { .. } => "fault delay",
        Fault::SlowDisk { .. } => "fault slow disk",
        Fault::FailingDisk(_) => "fault failing disk",
        Fault::Remove(_) => "fault removal",
        Fault::AsymmetricPartition { .. } => "fault asymmetric partition",
        Fault::RestartOthers { .. } => "fault others start again",
        Fault::Transfer(_) => "fault leader transfer",
        Fault::ClockRate { .. } => "fault clock rate",
    }
}

/// Later those with short timeouts lead. So while the first leader has long ones it is cut off from
/// others with short ones, or with such as start again with short ones.
fn first_of_other_timeouts(timing: Timing, hosts: &[usize], leader: usize) -> Fault {
    let around = around(hosts, leader);
    let others = around.iter().map(|(_, other)| *other).collect();
    let pairs = both_ways(around);
    match timing {
        Timing::LongAtFirst => Fault::RestartOthers { pairs, others },
        _ => Fault::Cut { name: "fault isolation", pairs },
    }
}
