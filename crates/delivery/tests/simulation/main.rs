//! The schedule in thousands of worlds: every promise is checked at every step, and a failing seed says how to replay it.
//!
//! `CALLHOOK_SIM_SEEDS=100000` runs more worlds; `CALLHOOK_SIM_SEED=42` replays one with its trace.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its stand-ins too")]

mod model;
mod promises;
mod random;
mod safeguards;
mod scenario;
mod world;

use scenario::Profile;
use std::sync::atomic::{AtomicU64, Ordering};
use world::World;

/// Worlds of the default run: some 20 s on two cores in the dev profile.
const SEEDS: u64 = 2_000;

/// Worlds that once found a fault: a lane that changed while a fallback was made due; a redelivery during an attempt,
/// with a jump of the clock, and with a lost hand-over.
const FOUND_FAULTS: [u64; 3] = [12_276, 27_754, 39_989];

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

#[test]
fn worlds_that_once_found_a_fault_stay_well() {
    for seed in FOUND_FAULTS {
        assert_eq!(World::new(seed, Profile::of(seed), |_, _| {}).run(), Ok(()), "seed {seed}");
    }
}

#[test]
fn every_promise_holds_in_every_world() {
    if let Some(seed) = number_from("CALLHOOK_SIM_SEED") {
        let mut world = World::new(seed, Profile::of(seed), |_, _| {}).traced();
        let result = world.run();
        println!("{}", world.trace());
        assert_eq!(result, Ok(()), "seed {seed}, {:?}", Profile::of(seed));
        return;
    }
    let seeds = number_from("CALLHOOK_SIM_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let run = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                break;
            }
            let result = World::new(seed, Profile::of(seed), |_, _| {}).run();
            if let Err(broken) = result {
                let mut world = World::new(seed, Profile::of(seed), |_, _| {}).traced();
                world.run().expect_err("the same seed gives the same world");
                let trace = world.trace();
                let tail: Vec<&str> = trace.lines().rev().take(40).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                panic!(
                    "{:?} world: {broken}\n{}\nreplay: CALLHOOK_SIM_SEED={seed} cargo test -p delivery --test simulation \
                     every_promise -- --nocapture",
                    Profile::of(seed),
                    tail.join("\n")
                );
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).map(|_| scope.spawn(run)).for_each(drop));
}
