//! The one place that reads the machine's clocks and its source of randomness.

use delivery::dispatcher::Clock;
use delivery::schedule::Now;
use domain::{Timestamp, World};
use rand::Rng as _;
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

    /// From the thread's own generator (`ChaCha`, seeded and seeded anew by the operating system): a call takes several ids and
    /// tokens, and a system call for each would be felt. A machine without randomness ends the program: it could only make
    /// guessable keys.
    #[expect(clippy::disallowed_methods, reason = "this is the place that may read randomness")]
    fn fill_random(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}
