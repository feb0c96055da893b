//! The one place that reads the machine's clocks and its source of randomness.

use delivery::dispatcher::Clock;
use delivery::schedule::Now;
use domain::{Timestamp, World};
use rand::Rng as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The two clocks of a server: the wall's, and one that never goes back.
pub struct Clocks {
    wall: Arc<dyn World>,
    started: Instant,
}

impl Clocks {
    /// Begins to count.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that may read the monotonic clock")]
    pub fn start(wall: Arc<dyn World>) -> Self {
        Self { wall, started: Instant::now() }
    }
}

impl Clock for Clocks {
    fn now(&self) -> Now {
        Now { wall: self.wall.now(), elapsed: self.started.elapsed() }
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

/// The machine's, with a wall clock that is set right by another: by the database's, which all that work on it share.
#[derive(Debug, Default)]
pub struct FollowingSystem {
    ahead_ms: AtomicI64,
}

impl World for FollowingSystem {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(System.now().as_millis() + self.ahead_ms.load(Ordering::Relaxed))
    }

    fn follow(&self, ahead_ms: i64) {
        self.ahead_ms.fetch_add(ahead_ms, Ordering::Relaxed);
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        System.fill_random(bytes);
    }
}
