//! The one place that reads the machine's clocks and its source of randomness.

use delivery::dispatcher::Clock;
use delivery::schedule::Now;
use domain::{Timestamp, World};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The machine's two clocks: the wall's, and one that never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Clocks(Instant);

impl Clocks {
    /// Begins to count.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that may read the monotonic clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Clocks {
    fn now(&self) -> Now {
        Now { wall: System.now(), elapsed: self.0.elapsed() }
    }
}

/// The machine's wall clock and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl World for System {
    #[expect(clippy::disallowed_methods, reason = "this is the place that may read the wall clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place that may read randomness")]
    #[expect(
        clippy::expect_used,
        reason = "a machine without randomness cannot make keys: going on would make guessable ones"
    )]
    fn fill_random(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives no randomness");
    }
}
