//! One run: the cluster is made, faults come and go, they end, the cluster heals, and the clients'
//! history is judged.

use bytes::Bytes;
use ram_check::{Budget, Calls, Outcome, Request, Verdict, accounts, check, lists};
use ram_lease::mode::ReadMode;
use ram_table::table::Item;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use turmoil::Sim;

use crate::faults::Faults;
use crate::host::{self, wipe};
use crate::impostor;
use crate::invariants::{NewCostsNothing, Wall};
use crate::joining::Joining;
use crate::plan::{DEFAULT_TIMEOUTS, Plan, Timing, host_name};
use crate::report::Report;
use crate::watch::Watch;
use crate::world::{Order, State, World};

const STEP_NS: u64 = 1_000_000;
/// After the faults end the cluster is whole and every member writes and reads within this time.
const HEAL_MAX_MS: u64 = 60_000;
const PROVE_EVERY_STEPS: u64 = 2_000;

static PANICKED: AtomicBool = AtomicBool::new(false);

pub struct Options {
    pub seed: u64,
    /// Virtual seconds with faults.
    pub seconds: u64,
    /// Print every event.
    pub is_traced: bool,
}

/// Runs a seed in this thread. The process must have been given its entropy before.
pub fn run(options: &Options) -> Report {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        PANICKED.store(true, Ordering::Relaxed);
    }));
    let world = State::new(Plan::of(options.seed));
    world.borrow_mut().trace.is_printed = options.is_traced;
    let mut sim = build(&world);
    let mut running = Run {
        world,
        watch: Watch::default(),
        joining: Joining::default(),
        new_costs_nothing: NewCostsNothing::default(),
        is_broken: false,
    };
    let mut faults = Faults::new(options.seed);
    let end_ns = options.seconds * 1_000_000_000;
    while running.goes_on() && running.world.borrow().now_ns < end_ns {
        let is_whole = running.joining.is_whole(&running.world.borrow());
        faults.act(&mut sim, &running.world, is_whole);
        running.look_at_ways(&faults);
        running.step(&mut sim);
        let now_ns = running.world.borrow().now_ns;
        let begun = running.joining.take_begun();
        begun.into_iter().for_each(|addition| faults.strike_at(now_ns, addition));
        running.look_behind_wall(faults.wall());
    }
    faults.end_all(&mut sim, &running.world);
    running.heal(&mut sim);
    running.judge();
    running.report(faults)
}

fn build<'a>(world: &World) -> Sim<'a> {
    let plan = world.borrow().plan.clone();
    let mut sim = turmoil::Builder::new()
        .rng_seed(plan.seed)
        .tick_duration(Duration::from_nanos(STEP_NS))
        .simulation_duration(Duration::from_secs(1_000_000))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(plan.latency_max_ms))
        .tcp_capacity(4096)
        .enable_random_order()
        .build();
    for number in 0..plan.hosts {
        let world = world.clone();
        sim.host(host_name(number), move || host::live(world.clone(), number));
    }
    let world = world.clone();
    sim.host(impostor::HOST, move || impostor::live(world.clone()));
    sim
}

struct Run {
    world: World,
    watch: Watch,
    joining: Joining,
    new_costs_nothing: NewCostsNothing,
    is_broken: bool,
}

impl Run {
    fn goes_on(&self) -> bool {
        !self.is_broken && self.world.borrow().violation.is_none()
    }

    fn step(&mut self, sim: &mut Sim<'_>) {
        if let Err(error) = sim.step() {
            self.is_broken = true;
            self.world.borrow_mut().violated("no_panic", error.to_string());
        }
        if PANICKED.load(Ordering::Relaxed) {
            self.world.borrow_mut().violated("no_panic", "see the standard error".into());
        }
        let removed = {
            let state = &mut *self.world.borrow_mut();
            state.now_ns += STEP_NS;
            self.watch.look(state);
            self.joining.act(state)
        };
        for host in removed {
            wipe(sim, &self.world, host);
            sim.bounce(host_name(host));
        }
    }

    /// Whom does a leader not reach?
    fn look_at_ways(&self, faults: &Faults) {
        let state = &mut *self.world.borrow_mut();
        let leads = |host: &usize| {
            let running = state.hosts[*host].running.as_ref();
            running.and_then(|member| member.handle.observe()).is_some_and(|seen| seen.leads)
        };
        let of = |(one, other)| [(one, other), (other, one)];
        let ways = faults.disturbed().flat_map(of).filter(|(leader, _)| leads(leader));
        let unreached = ways.map(|(_, host)| host).collect();
        state.owning.look_at_ways(state.now_ns, &unreached);
    }

    fn look_behind_wall(&mut self, wall: Option<Wall>) {
        let mut state = self.world.borrow_mut();
        let is_voter = wall.is_some_and(|wall| state.is_voter(wall.host));
        let committed = self.watch.invariants.committed_index();
        let checked = self.new_costs_nothing.check(state.now_ns, wall, committed, is_voter);
        if let Err(detail) = checked {
            state.violated(NewCostsNothing::NAME, detail);
        }
    }

    /// Without faults and with resting clients: all in, all writing, all the same.
    fn heal(&mut self, sim: &mut Sim<'_>) {
        self.world.borrow_mut().clients_rest = true;
        for step in 0..HEAL_MAX_MS {
            if !self.goes_on() || self.is_healed() {
                return;
            }
            if step.is_multiple_of(PROVE_EVERY_STEPS) {
                let state = self.world.borrow();
                let left = (0..state.hosts.len()).filter(|host| !state.hosts[*host].is_proven);
                left.for_each(|host| state.order(host, Order::Prove));
            }
            self.step(sim);
        }
        let mut state = self.world.borrow_mut();
        let proven = state.hosts.iter().filter(|host| host.is_proven).count();
        let whole = self.joining.is_whole(&state);
        let dead = dead_keys(&state);
        let mut detail = format!("{proven} members serve, all voters: {whole}");
        detail.push_str(&format!(", owners of these have ended: {dead:?}"));
        for (host, running) in state.running() {
            let status = running.handle.status();
            detail.push_str(&format!("\n  {}: {status:?}", host_name(host)));
        }
        let is_served = proven == state.hosts.len() && whole;
        let name = if is_served && !dead.is_empty() { "what_is_owned_goes" } else { "heals" };
        state.violated(name, detail);
    }

    fn is_healed(&self) -> bool {
        let state = self.world.borrow();
        let applied: Vec<_> = state
            .running()
            .map(|(_, running)| running.handle.observe().map(|now| now.applied_index))
            .collect();
        let is_same = applied.windows(2).all(|pair| pair[0] == pair[1]);
        let is_proven = state.hosts.iter().all(|host| host.is_proven);
        is_proven && is_same && self.joining.is_whole(&state) && dead_keys(&state).is_empty()
    }

    fn judge(&mut self) {
        let state = &mut *self.world.borrow_mut();
        if state.violation.is_some() {
            return;
        }
        let judged = [
            judge_keys(state),
            accounts::check(&state.accounts)
                .map(|violation| ("a_bank_is_seen_whole", violation.explain(&state.accounts))),
            lists::check(&state.lists)
                .map(|anomaly| ("strictly_serializable", anomaly.explain(&state.lists))),
        ];
        let mut violated = judged.into_iter().flatten();
        let Some((invariant, mut detail)) = violated.next() else { return };
        for (also, more) in violated {
            detail.push_str(&format!("\nalso {also}: {more}"));
        }
        state.violated(invariant, detail);
    }

    fn report(self, faults: Faults) -> Report {
        let state = self.world.borrow();
        let mut report = Report {
            seed: state.plan.seed,
            trace: state.trace.hash(),
            virtual_ms: state.now_ns / 1_000_000,
            counts: faults.counts,
            violation: state.violation.clone(),
        };
        let outcomes = state.history.records().map(|(_, record)| record.outcome());
        let unknown = outcomes.filter(|outcome| **outcome == Outcome::Unknown).count();
        report.count("operations", state.history.len() as u64);
        report.count("unknown outcomes", unknown as u64);
        count_calls(&mut report, "of the bank", &state.accounts);
        count_calls(&mut report, "of lists", &state.lists);
        report.count("copies compared with the table", state.compared);
        state.owning.counts.iter().for_each(|(what, count)| report.count(*what, *count));
        report.count("elections", self.watch.invariants.elections() as u64);
        report.count("promotions", self.watch.invariants.promotions());
        report.count("entries", self.watch.invariants.committed_index());
        let timing = state.plan.timing;
        let is_default = timing == Timing::Equal(DEFAULT_TIMEOUTS);
        report.count("runs with the default timeouts", u64::from(is_default));
        let are_equal = matches!(timing, Timing::Equal(_));
        report.count("runs with timeouts that differ", u64::from(!are_equal));
        let mut by_lease = 0;
        let mut by_quorum = 0;
        for status in state.running().filter_map(|(_, running)| running.handle.status().ok()) {
            by_lease += status.reads.local + status.reads.waited;
            by_quorum += status.reads.quorum;
        }
        report.count("reads by lease (of the last members)", by_lease);
        report.count("reads by quorum (of the last members)", by_quorum);
        if state.plan.reads == ReadMode::Lease {
            report.count("member ms that read by lease", self.watch.lived_steps);
            report.count("member ms with a lease", self.watch.leased_steps);
        }
        for (lie, count) in &state.lies {
            report.count(*lie, *count);
        }
        report.count("events", state.trace.events);
        report
    }
}

/// What members hold, of owners that have ended.
fn dead_keys(state: &State) -> Vec<Item> {
    let keys: Vec<Bytes> = state.owning.keys().cloned().collect();
    let held = state.running().filter_map(|(_, running)| running.handle.items(&keys));
    let held = held.flat_map(|(_, items)| items.into_iter().flatten());
    held.filter(|item| state.owning.is_dead(&item.value(), &|run| state.has_ended(run))).collect()
}

fn judge_keys(state: &State) -> Option<(&'static str, String)> {
    let violation = match check(&state.history, &Budget::default()) {
        Verdict::Linearizable(_) => return None,
        Verdict::Undecided(keys) => return Some(("decided", format!("{keys:?}"))),
        Verdict::Violation(violation) => violation,
    };
    let lines = violation.core.iter().filter_map(|id| {
        let record = state.history.get(*id)?;
        let called = record.called.at_ns as f64 / 1e9;
        let returned = record.returned.as_ref().map(|(_, at)| at.at_ns as f64 / 1e9);
        let returned = returned.map_or("never".into(), |at| format!("{at:.3}"));
        Some(format!("{called:.3} to {returned} on {}: {record}", record.node))
    });
    let lines: Vec<String> = lines.collect();
    Some(("linearizable", format!("key {}:\n  {}", violation.key, lines.join("\n  "))))
}

fn count_calls<R: Request>(report: &mut Report, what: &str, calls: &Calls<R>) {
    let done = calls.iter().filter(|(_, call)| call.done().is_some()).count();
    let unknown = calls.iter().filter(|(_, call)| call.is_unknown()).count();
    report.count(format!("transactions and reads {what}"), calls.len() as u64);
    report.count(format!("done {what}"), done as u64);
    report.count(format!("unknown outcomes {what}"), unknown as u64);
}
