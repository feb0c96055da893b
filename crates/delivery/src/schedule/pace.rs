//! How many attempts a second may begin in all lanes that are only probed.
//!
//! Slots bound what hangs. What is refused ends in a millisecond, and a backlog of it would take the whole machine for attempts that
//! fail again.

use std::time::Duration;

/// A bucket that leaks evenly: it holds a burst, then one more each interval.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Up to when the time was given away.
    spent_until: Duration,
}

impl Pace {
    /// From when on one more may begin.
    pub fn opens_at(self, per_second: u32, burst: u32) -> Duration {
        // The burst is what may begin at once when nothing has for a while.
        self.spent_until.saturating_sub(interval(per_second) * burst.saturating_sub(1))
    }

    /// One more has begun.
    pub fn begin(&mut self, now: Duration, per_second: u32) {
        self.spent_until = self.spent_until.max(now) + interval(per_second);
    }
}

fn interval(per_second: u32) -> Duration {
    Duration::from_secs(1) / per_second.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_begins_at_once_and_then_one_each_interval() {
        let mut pace = Pace::default();
        let begun = (0..1_000_u64)
            .map(Duration::from_millis)
            .filter(|&now| {
                let is_open = pace.opens_at(10, 3) <= now;
                if is_open {
                    pace.begin(now, 10);
                }
                is_open
            })
            .map(|now| u64::try_from(now.as_millis()).unwrap())
            .collect::<Vec<_>>();
        assert_eq!(begun, [0, 1, 2, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    }
}
