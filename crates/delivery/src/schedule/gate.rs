//! Waits while the store is away: each failure doubles the wait, a success opens at once.

use crate::limits;
use std::time::Duration;

/// One for reads, one for writes: a full disk still answers reads.
#[derive(Debug, Default)]
pub(super) struct Gate {
    wait: Option<Duration>,
    opens_at: Duration,
}

impl Gate {
    pub fn is_failing(&self) -> bool {
        self.wait.is_some()
    }

    pub fn is_open(&self, elapsed: Duration) -> bool {
        self.wait.is_none() || elapsed >= self.opens_at
    }

    pub fn opens_at(&self) -> Duration {
        self.opens_at
    }

    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Further failures while the gate is shut belong to the same fault and do not lengthen the wait.
    pub fn failed(&mut self, elapsed: Duration) {
        if self.wait.is_some() && elapsed < self.opens_at {
            return;
        }
        let wait = self.wait.map_or(limits::STORE_RETRY_MIN, |wait| (wait * 2).min(limits::STORE_RETRY_MAX));
        self.wait = Some(wait);
        self.opens_at = elapsed + wait;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_bound_and_a_success_ends_it() {
        let mut gate = Gate::default();
        let mut elapsed = Duration::ZERO;
        for expected_ms in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
            gate.failed(elapsed);
            gate.failed(elapsed);
            assert_eq!(gate.opens_at(), elapsed + Duration::from_millis(expected_ms));
            assert!(!gate.is_open(elapsed));
            elapsed = gate.opens_at();
            assert!(gate.is_open(elapsed) && gate.is_failing());
        }
        gate.succeeded();
        assert!(gate.is_open(Duration::ZERO) && !gate.is_failing());
    }
}
