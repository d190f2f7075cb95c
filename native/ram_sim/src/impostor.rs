//! A peer on a host of its own that knows the cookie and follows no rule. It asks for votes in
//! terms that no election reaches, or as a candidate that no configuration has; and it says that
//! members are where it is, and tells who comes there that it was removed.
//!
//! What it gets is judged here and in `watch`: the invariants are named below.

use bytes::Bytes;
use ram_net::{Cookie, Inbound, Net, NetOptions, PeerId, Replies, Service};
use ram_raft::{forged, rpc};
use rand::RngExt;
use rand::rngs::StdRng;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

use crate::entropy;
use crate::network::SimTransport;
use crate::plan::{CLUSTER, COOKIE, address, pick};
use crate::world::{RunningMember, World};

pub const HOST: &str = "impostor";
/// A vote for an unknown candidate was given while the leader was heard.
const UNKNOWN: &str = "an_unknown_peer_moves_no_term_while_a_leader_is_heard";
/// No election reaches this one.
pub const FAR_TERM: u64 = 1 << 62;
const PORTS: std::ops::Range<u16> = 5000..60_000;
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// Much shorter than any election timeout.
const AT_ONCE: Duration = Duration::from_millis(40);
/// It waits for whom it has sent for.
const LISTENS: Duration = Duration::from_secs(6);
/// No member's id.
const UNKNOWN_ID: u64 = 3;

pub async fn live(world: World) -> turmoil::Result {
    let seed = world.borrow().plan.seed;
    let mut rng = entropy::stream(seed, "impostor", 0);
    for port in PORTS.cycle() {
        sleep(Duration::from_millis(rng.random_range(300..3000))).await;
        if world.borrow().clients_rest {
            continue;
        }
        let members = members(&world);
        let Some(target) = pick(&mut rng, &members).copied() else { continue };
        let named = members.iter().filter(|member| member.id != target.id);
        let named = pick(&mut rng, &named.collect::<Vec<_>>()).map_or(UNKNOWN_ID, |named| named.id);
        let lie = match rng.random_range(0..3) {
            0 => ask_far(&mut rng, port, target, named).await,
            1 => ask_as_unknown(&world, port, target).await,
            _ => remove(port, target, missing(&world, target).unwrap_or(named)).await,
        };
        if let Some(lie) = lie {
            *world.borrow_mut().lies.entry(lie).or_default() += 1;
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct Target {
    host: usize,
    id: u64,
    term: u64,
}

fn members(world: &World) -> Vec<Target> {
    let state = world.borrow();
    let members = state.running().filter_map(|(host, running)| {
        let now = running.handle.observe()?;
        Some(Target { host, id: now.id, term: now.term })
    });
    members.collect()
}

/// A member that the target knows and that is down: it does not say meanwhile where it really is.
fn missing(world: &World, target: Target) -> Option<u64> {
    let up: Vec<u64> = members(world).iter().map(|member| member.id).collect();
    let state = world.borrow();
    let known = state.hosts[target.host].running.as_ref()?.handle.seen_members();
    known.into_keys().find(|id| !up.contains(id))
}

/// Each returns what it has done.
async fn ask_far(rng: &mut StdRng, port: u16, target: Target, named: u64) -> Option<&'static str> {
    let id = if rng.random_bool(0.5) { named } else { UNKNOWN_ID };
    let net = start(port, id, target, false).await?;
    let request = forged::vote_request(FAR_TERM + target.term, id);
    // What comes of it is seen by `watch`.
    let _ = net.call(PeerId(target.id), rpc::VOTE, request, ANSWER_MAX).await;
    net.shutdown().await;
    Some("lie of a far term")
}

async fn ask_as_unknown(world: &World, port: u16, target: Target) -> Option<&'static str> {
    let net = start(port, UNKNOWN_ID, target, false).await?;
    // So that the request is on its way for a moment only.
    let is_connected =
        net.call(PeerId(target.id), rpc::PROGRESS, Bytes::new(), ANSWER_MAX).await.is_ok();
    let heard = world.borrow().hosts[target.host].running.clone();
    let is_led = heard.is_some_and(|running| running.leases.borrow().hears_leader);
    let asks = is_connected && is_led;
    if asks {
        let request = forged::vote_request(target.term + 1, UNKNOWN_ID);
        let asked = Instant::now();
        let answer = net.call(PeerId(target.id), rpc::VOTE, request, ANSWER_MAX).await;
        // A leader that was heard at that moment may be lost when the answer has taken longer, or
        // at once: whoever notices campaigns, and in its own new term may vote for an unknown peer.
        let is_of_then = asked.elapsed() < AT_ONCE && is_led_still(world, target);
        if is_of_then && answer.is_ok_and(|answer| forged::is_granted(&answer)) {
            world.borrow_mut().violated(UNKNOWN, format!("{target:?}"));
        }
    }
    net.shutdown().await;
    asks.then_some("lie of an unknown candidate")
}

fn is_led_still(world: &World, target: Target) -> bool {
    let seen = |running: &RunningMember| running.handle.observe();
    world
        .borrow()
        .running()
        .filter_map(|(_, running)| seen(running))
        .any(|now| now.leads && now.term == target.term)
}

/// Says that the member `named` is here, and waits for the target, to tell it that it was removed.
async fn remove(port: u16, target: Target, named: u64) -> Option<&'static str> {
    let net = start(port, named, target, true).await?;
    let _ = net.call(PeerId(target.id), rpc::PROGRESS, Bytes::new(), ANSWER_MAX).await;
    tokio::spawn(async move {
        sleep(LISTENS).await;
        net.shutdown().await;
    });
    Some("lie of a removal")
}

async fn start(port: u16, id: u64, target: Target, refuses: bool) -> Option<Net> {
    let mut options = NetOptions::new(PeerId(id), CLUSTER, "ram@impostor", Cookie::new(COOKIE));
    options.listen_host = "0.0.0.0".into();
    options.listen_port = port;
    options.advertise = Some(format!("{HOST}:{port}"));
    let net = Net::start(options, Arc::new(SimTransport), Arc::new(Liar { refuses })).await.ok()?;
    net.set_address(PeerId(target.id), address(target.host));
    Some(net)
}

struct Liar {
    refuses: bool,
}

impl Service for Liar {
    fn admit(&self, _: PeerId, _: &str) -> Result<(), u8> {
        if self.refuses { Err(rpc::REASON_REMOVED) } else { Ok(()) }
    }

    fn knows(&self, _: PeerId) -> bool {
        true
    }

    fn connected(&self, _: PeerId, _: Replies) -> Box<dyn Inbound> {
        Box::new(Silent)
    }

    fn refused_by(&self, _: PeerId, _: u8) {}
}

struct Silent;

impl Inbound for Silent {
    fn request(&mut self, _: u64, _: u8, _: Bytes) {}
}
