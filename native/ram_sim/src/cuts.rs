//! Pairs of hosts, and what becomes of the messages from one to the other.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::time::Duration;
use turmoil::Sim;

use crate::plan::host_name;

/// One of the ways to cut a network: its name, and the pairs that are cut.
pub fn cut(
    rng: &mut StdRng,
    hosts: &[usize],
    victim: usize,
) -> (&'static str, Vec<(usize, usize)>) {
    let mut order = hosts.to_vec();
    order.shuffle(rng);
    let (left, right) = order.split_at(order.len() / 2);
    let across = |left: &[usize], right: &[usize]| -> Vec<(usize, usize)> {
        left.iter().flat_map(|a| right.iter().map(move |b| (*a, *b))).collect()
    };
    match rng.random_range(0..6) {
        0 => ("fault halves", both_ways(across(left, right))),
        1 => ("fault isolation", both_ways(around(hosts, victim))),
        2 => ("fault deaf member", around(hosts, victim).iter().map(|(a, b)| (*b, *a)).collect()),
        3 => ("fault mute member", around(hosts, victim)),
        // One sees both halves.
        4 => ("fault bridge", both_ways(across(left, right.get(1..).unwrap_or_default()))),
        // Each sees its neighbours only; of three, one pair is cut.
        _ => {
            let far = |a: usize, b: usize| (b + order.len() - a) % order.len();
            let places = 0..order.len();
            let pairs = places.clone().flat_map(|a| places.clone().map(move |b| (a, b)));
            let pairs = pairs.filter(|(a, b)| match order.len() {
                3 => *a == 0 && *b == 2,
                _ => (2..=order.len() - 2).contains(&far(*a, *b)),
            });
            let pairs = pairs.map(|(a, b)| (order[a], order[b])).collect();
            ("fault ring", both_ways(pairs))
        }
    }
}

pub fn both_ways(pairs: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]).collect()
}

/// From one host to every other.
pub fn around(hosts: &[usize], host: usize) -> Vec<(usize, usize)> {
    hosts.iter().filter(|other| **other != host).map(|other| (host, *other)).collect()
}

pub fn for_each(pairs: &[(usize, usize)], act: impl Fn(String, String)) {
    pairs.iter().for_each(|(a, b)| act(host_name(*a), host_name(*b)));
}

pub fn set_latency(sim: &Sim<'_>, pairs: &[(usize, usize)], latency_ms: u64) {
    let latency = Duration::from_millis(latency_ms);
    for_each(pairs, |a, b| sim.set_link_max_message_latency(a, b, latency));
}
