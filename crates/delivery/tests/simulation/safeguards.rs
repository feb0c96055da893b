//! Each safeguard is taken out in turn, and some world must then miss it: a simulation that finds nothing proves nothing.

use crate::model::Flaw;
use crate::scenario::Profile;
use crate::world::World;
use delivery::schedule::Safeguard;

/// Worlds in which a missing safeguard must show.
const SEEDS: u64 = 1_600;

/// The first world in which a promise is broken, and how.
fn first_broken(run: impl Fn(u64) -> World, seeds: u64) -> Option<(u64, String)> {
    (0..seeds).find_map(|seed| {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed).run()));
        match result {
            Ok(Ok(())) => None,
            Ok(Err(broken)) => Some((seed, broken)),
            Err(_) => Some((seed, "an assertion of the schedule".to_owned())),
        }
    })
}

#[test]
fn each_safeguard_is_missed_when_it_is_taken_out() {
    let mut unnoticed = Vec::new();
    for safeguard in Safeguard::ALL {
        let run = |seed| {
            World::new(seed, Profile::of(seed), |scenario, _| scenario.config.without = Some(safeguard))
        };
        match first_broken(run, SEEDS) {
            Some((seed, broken)) => println!("without {safeguard:?}, seed {seed}: {broken}"),
            None => unnoticed.push(safeguard),
        }
    }
    assert_eq!(unnoticed, [], "no world misses these");
}

#[test]
fn each_flaw_of_a_store_is_noticed() {
    for flaw in [Flaw::UnconditionalOutcome, Flaw::UnconditionalFallback] {
        let run = |seed| World::new(seed, Profile::of(seed), |_, model| model.flaw = Some(flaw));
        let (seed, broken) = first_broken(run, SEEDS).unwrap_or_else(|| panic!("no world notices {flaw:?}"));
        println!("with {flaw:?}, seed {seed}: {broken}");
    }
}
