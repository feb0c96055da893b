//! Every bound of what is shown, with its unit and its reason.

use std::time::Duration;

/// Pending deliveries that are counted for one answer, of those due and of those not yet due: some 10 ms of reading.
pub const DELIVERIES_COUNTED_MAX: u64 = 100_000;
/// How long the store's backlog is shown again: whoever asks all the time costs no more than who asks every 5 s.
pub const BACKLOG_KEPT: Duration = Duration::from_secs(5);
/// How long the store may take to say what waits: less than Prometheus waits for the page, which shows that as well.
pub const BACKLOG_READ_WITHIN: Duration = Duration::from_secs(3);
/// How long the dispatcher may take to say how it stands: it does in microseconds, unless it hangs, which is to be seen.
pub const DISPATCHER_ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// Microseconds of a request, as they are counted: from a read in memory to a large body over a slow line.
pub const REQUEST_MICROS_BOUNDS: [u64; 12] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 30_000_000,
];
