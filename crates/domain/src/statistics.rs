//! Latencies counted in buckets that grow by an eighth of a doubling: a percentile is true to within an eighth.

/// Counts of latencies by bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyHistogram(std::collections::BTreeMap<u16, u64>);

/// The bucket of what has no latency.
pub const NO_LATENCY: u16 = u16::MAX;
/// Below it, each millisecond has its own bucket.
const LINEAR_MS: u32 = 16;
/// Buckets of one doubling.
const STEPS: u32 = 8;

/// The bucket of a latency.
#[must_use]
pub fn latency_bucket(duration_ms: u32) -> u16 {
    if duration_ms < LINEAR_MS {
        return u16::try_from(duration_ms).unwrap_or(0);
    }
    let doubling = duration_ms.ilog2();
    let step = (duration_ms >> (doubling - 3)) & (STEPS - 1);
    u16::try_from(LINEAR_MS + (doubling - 4) * STEPS + step).unwrap_or(NO_LATENCY)
}

/// The highest latency of a bucket, in milliseconds.
#[must_use]
pub fn bucket_limit_ms(bucket: u16) -> u32 {
    let bucket = u32::from(bucket);
    if bucket < LINEAR_MS {
        return bucket;
    }
    let (doubling, step) = ((bucket - LINEAR_MS) / STEPS + 4, (bucket - LINEAR_MS) % STEPS);
    let limit = (u64::from(STEPS + step) + 1) << (doubling - 3);
    u32::try_from(limit - 1).unwrap_or(u32::MAX)
}

impl LatencyHistogram {
    /// Counts so many latencies of a bucket.
    pub fn add(&mut self, bucket: u16, count: u64) {
        if bucket != NO_LATENCY {
            *self.0.entry(bucket).or_default() += count;
        }
    }

    /// The latency in milliseconds that `percent` of all do not exceed; `None` where there are none.
    #[must_use]
    pub fn percentile_ms(&self, percent: u64) -> Option<u32> {
        let total: u64 = self.0.values().sum();
        let rank = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        self.0.iter().find_map(|(bucket, count)| {
            seen += count;
            (seen >= rank).then(|| bucket_limit_ms(*bucket))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_lies_in_its_bucket_and_within_an_eighth_of_its_limit() {
        let mut last = 0;
        for ms in (0..5_000).chain([10_000, 65_535, 65_536, 10_250_000, u32::MAX]) {
            let bucket = latency_bucket(ms);
            assert!(bucket >= last, "{ms}");
            last = bucket;
            let limit = bucket_limit_ms(bucket);
            assert!(limit >= ms && u64::from(limit) <= u64::from(ms) * 9 / 8 + 1, "{ms} {limit}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_counted_latencies() {
        let mut histogram = LatencyHistogram::default();
        assert_eq!(histogram.percentile_ms(50), None);
        for ms in 1..=10 {
            histogram.add(latency_bucket(ms), 1);
        }
        histogram.add(NO_LATENCY, 1_000);
        assert_eq!(histogram.percentile_ms(50), Some(5));
        assert_eq!(histogram.percentile_ms(99), Some(10));
    }
}
