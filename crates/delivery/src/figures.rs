//! What the dispatcher counts of its attempts: plain counts that whoever shows them reads as they stand.

use crate::limits::{ATTEMPT_MICROS_BOUNDS, LATENESS_MICROS_BOUNDS};
use domain::delivery::Attempt;
use domain::failure::{self, KINDS};
use domain::measure::{Counter, Histogram};
use std::time::Duration;

/// Counts since the dispatcher was started.
#[derive(Debug)]
pub struct Figures {
    /// Attempts that were acknowledged.
    pub attempts_succeeded: Counter,
    /// Microseconds between the moment at which an attempt was due and its start.
    pub lateness: Histogram,
    /// Microseconds of each attempt.
    pub attempt_duration: Histogram,
    /// Attempts that may be a repetition, because a process before this one ended while they may have been in flight.
    pub attempts_repeated: Counter,
    failed: [Counter; KINDS.len()],
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            attempts_succeeded: Counter::default(),
            lateness: Histogram::new(&LATENESS_MICROS_BOUNDS),
            attempt_duration: Histogram::new(&ATTEMPT_MICROS_BOUNDS),
            attempts_repeated: Counter::default(),
            failed: Default::default(),
        }
    }
}

impl Figures {
    /// Attempts that failed, by the kind of failure.
    pub fn attempts_failed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KINDS.into_iter().zip(self.failed.iter().map(Counter::total))
    }

    pub(crate) fn started(&self, late: Duration, repeated: bool) {
        self.lateness.add_duration(late);
        self.attempts_repeated.add(repeated.into());
    }

    pub(crate) fn ended(&self, attempt: &Attempt) {
        self.attempt_duration.add_duration(Duration::from_millis(attempt.duration_ms.into()));
        let kind = attempt.error.as_deref().map(failure::kind);
        match kind.and_then(|kind| KINDS.into_iter().position(|known| known == kind)) {
            Some(index) => self.failed[index].add(1),
            None => self.attempts_succeeded.add(1),
        }
    }
}
