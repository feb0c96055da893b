//! Counts and measures that a hot path adds to without a lock and that are read as they stand. They know nothing of who reads them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts so many.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// All that was counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often a measured value lay between some bounds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    counts: Box<[Counter]>,
    sum: Counter,
}

/// A histogram at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// What each bucket but the last holds at the most, ascending.
    pub bounds: &'static [u64],
    /// How many values lie in each bucket; the last one has no bound.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: u64,
}

impl Histogram {
    /// A histogram with these upper bounds, which ascend; what is beyond the last is counted as well.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        debug_assert!(bounds.is_sorted_by(|one, next| one < next), "bounds ascend");
        let counts = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Self { bounds, counts, sum: Counter::default() }
    }

    /// Counts a value.
    pub fn add(&self, value: u64) {
        self.counts[self.bounds.partition_point(|bound| *bound < value)].add(1);
        self.sum.add(value);
    }

    /// Counts a duration in microseconds.
    pub fn add_duration(&self, duration: Duration) {
        self.add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// The histogram as it stands. A value that is being added may be in its bucket and not yet in the sum.
    #[must_use]
    pub fn read(&self) -> Distribution {
        Distribution {
            bounds: self.bounds,
            counts: self.counts.iter().map(Counter::total).collect(),
            sum: self.sum.total(),
        }
    }
}

impl Distribution {
    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        for (value, expected) in
            [(0, [1, 0, 0]), (10, [1, 0, 0]), (11, [0, 1, 0]), (20, [0, 1, 0]), (21, [0, 0, 1])]
        {
            let histogram = Histogram::new(&[10, 20]);
            histogram.add(value);
            assert_eq!(histogram.read().counts, expected, "{value}");
        }
    }

    #[test]
    fn durations_are_summed_in_microseconds() {
        let histogram = Histogram::new(&[1_000]);
        histogram.add_duration(Duration::from_micros(250));
        histogram.add_duration(Duration::from_millis(2));
        let read = histogram.read();
        assert_eq!((read.count(), read.sum, read.counts), (2, 2_250, vec![1, 1]));
    }
}
