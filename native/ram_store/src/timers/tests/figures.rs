//! What the lists cost.

use super::*;

/// A million keys; the longest that any call took, in time of a processor. In a build that is
/// optimised none takes 10 ms.
#[test]
#[ignore = "a figure: cargo test --release -p ram_store -- --ignored --nocapture a_million"]
fn a_million_keys_take_24_bytes_each_and_no_call_takes_10_ms() {
    const KEYS: u64 = 1_000_000;
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    };
    let worked_us = || {
        let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        times.split(' ').next().unwrap().parse::<u64>().unwrap() / 1000
    };
    let bytes = |ttl: &dyn Fn(u64) -> Setting<u64>| {
        let (before, mut leader) = (resident(), Leader::new());
        let mut random_state = 1;
        for n in 0..KEYS {
            // Two days after the start of the member.
            leader.now_ms = 2 * 86_400_000 + n / 100;
            let ttl_ms = ttl(random(&mut random_state, 600_000));
            leader.put(&n.to_be_bytes(), b"value", ttl_ms);
            if n % 1000 == 0 {
                leader.begin_round();
            }
        }
        (resident() - before, leader)
    };
    let (plain, _without) = bytes(&|_| Setting::Clear);
    let (timed, mut leader) = bytes(&|random| Setting::To(3_600_000 + random));
    let each = timed.saturating_sub(plain) as f64 / KEYS as f64;
    println!("{each:.1} bytes more for each of {KEYS} keys");
    let mut longest = HashMap::new();
    let mut timing = |name: &'static str, call: &mut dyn FnMut() -> bool| loop {
        let begun = worked_us();
        let goes_on = call();
        let most = longest.entry(name).or_insert(0u64);
        *most = (worked_us() - begun).max(*most);
        if !goes_on {
            break;
        }
    };
    let now_ms = leader.now_ms;
    timing("begin anew", &mut || {
        leader.timers(Timers::begin_anew);
        false
    });
    timing("begin a round", &mut || {
        leader.timers(Timers::begin_round);
        false
    });
    timing("place", &mut || leader.timers(|timers| timers.place(now_ms, 4096)) > 0);
    leader.now_ms += 4_300_000;
    let tables = leader.store.tables().clone();
    timing("take and expire", &mut || {
        let mut taken = Vec::new();
        let now_ms = leader.now_ms;
        let is_all = leader.timers(|timers| timers.take_due(now_ms, &tables, ALL, &mut taken));
        if !taken.is_empty() {
            leader.expire(&taken);
        }
        !is_all
    });
    assert_eq!((leader.store.table().entries(), leader.timers(|timers| timers.entries())), (0, 0));
    println!("longest, in microseconds: {longest:?}");
    assert!(each <= 24.0 && longest.values().all(|us| *us < 10_000));
}
