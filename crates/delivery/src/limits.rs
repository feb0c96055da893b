//! Every bound of the delivery engine, with its unit and its reason.

use std::time::Duration;

/// Attempts in flight at once, those being prepared included. At 64 KB each they take 16 MB; at 10 ms each they make
/// 25,000 attempts/s, more than one core sends.
pub const SLOTS: usize = 256;
/// The share of the slots that one host may take, as a divisor: three dead hosts leave a quarter to the others.
pub const HOST_SHARE: usize = 4;
/// The share of its host's slots that one lane may take, as a divisor: two lanes of a host never shut each other out.
pub const LANE_SHARE: usize = 2;
/// The share of the slots that is closed to a business which holds more than its equal share, as a divisor.
pub const RESERVE_SHARE: usize = 4;
/// The share of the slots that lanes may take together which are new or whose last attempt failed, as a divisor.
pub const UNPROVEN_SHARE: usize = 2;
/// The share of the slots that lanes may take together whose last attempt failed, as a divisor: what they leave is for new ones, each of
/// which has one attempt in flight until it is known better. After a restart all are new, and a healthy one waits for its first attempt
/// only where more than a hundred others hang.
pub const FAILING_SHARE: usize = 4;
/// Attempts that begin each second in all lanes that are only probed: a fifth of what one core sends. What is refused ends in
/// a millisecond, and a backlog of it would take the machine from who is well.
pub const PROBES_PER_SECOND: u32 = 2_000;
/// Failures in a row after which a lane is only probed: one more than a receiver's restart costs.
pub const PROBE_AFTER_FAILURES: u32 = 5;
/// Attempts in flight of a lane that is only probed: one that hangs does not stop the other from finding it well.
pub const PROBES_IN_FLIGHT_MAX: usize = 2;

/// Rows in memory over all lanes (ids and times, some 300 bytes each: 15 MB).
pub const ROWS_MAX: usize = 50_000;
/// Rows of one lane that wait in memory: half a second's work at full speed, so that a burst is sent without being read again.
pub const LANE_ROWS_MAX: usize = 10_000;
/// Rows that a refill asks for at least, beyond what is in work.
pub const LANE_REFILL_MIN: usize = 16;
/// A lane with more in the store is refilled when less than this part of a refill waits in memory, as a divisor.
pub const LANE_REFILL_SHARE: usize = 4;
/// Lanes in memory, idle ones included: as many as rows, so that each row could be of its own lane.
pub const LANES_MAX: usize = ROWS_MAX;
/// How long a lane without work is remembered, for what is known of its health.
pub const IDLE_LANE_RETENTION: Duration = Duration::from_mins(10);
/// Bytes of bodies that handed-over jobs hold while they wait for a slot.
pub const BODY_BYTES_MAX: usize = 64 * 1_048_576;
/// What left hand is remembered while a read is under way; beyond it the oldest reads are repeated.
pub const LEFT_HAND_MAX: usize = 100_000;

/// A job older than this is read again before it is sent: cancelled work is not sent later than that.
pub const JOB_AGE_MAX: Duration = Duration::from_secs(5);
/// Between two sweeps: work in nobody's memory is found within it.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// Between two sweeps that were asked for at once.
pub const SWEEP_PAUSE: Duration = Duration::from_millis(500);
/// How far ahead of its time a sweep finds work, so that it is in memory when it is due.
pub const SWEEP_AHEAD: Duration = Duration::from_secs(25);
/// Lanes on one page of a sweep.
pub const SWEEP_PAGE_ROWS: usize = 500;
/// Loads of lanes under way at once: the store's readers are few.
pub const LOADS_MAX: usize = 4;
/// Batches of rows being read again at once.
pub const PREPARES_MAX: usize = 2;
/// Rows of one batch: no operation of the store changes more.
pub const BATCH_ROWS_MAX: usize = 500;
/// Outcomes that wait to be recorded; no attempt starts beyond it.
pub const OUTCOMES_MAX: usize = 2_000;

/// First wait after the store failed.
pub const STORE_RETRY_MIN: Duration = Duration::from_millis(100);
/// Longest wait after the store failed: sending is back within 5 s of its return.
pub const STORE_RETRY_MAX: Duration = Duration::from_secs(2);
/// First pause of a lane of which a row's secrets or values cannot be read.
pub const UNREADABLE_PAUSE_MIN: Duration = Duration::from_secs(10);
/// Longest pause of such a lane.
pub const UNREADABLE_PAUSE_MAX: Duration = Duration::from_mins(5);
/// A switched-off row is looked at again this long after its cancelling was committed.
pub const SWITCHED_OFF_PAUSE: Duration = Duration::from_secs(1);
/// The wait before an attempt is made again whose task broke off without a report.
pub const BROKEN_ATTEMPT_PAUSE: Duration = Duration::from_secs(30);
/// The wait before an attempt is made again whose outcome the store could not record for its data.
pub const UNRECORDED_PAUSE: Duration = Duration::from_hours(1);

/// Messages of the committer that wait for the dispatcher; beyond it they are dropped and a sweep finds their work.
pub const HAND_OVER_MAX: usize = 4_096;
/// Hints that wait for the slowest dashboard before it lags.
pub const CHANGES_MAX: usize = 1_024;
/// Microseconds between due and start, as they are counted: from a hand-over in memory to an hour behind.
pub const LATENESS_MICROS_BOUNDS: [u64; 14] = [
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    10_000_000,
    60_000_000,
    600_000_000,
    3_600_000_000,
];
/// Microseconds of an attempt, as they are counted: from a receiver next door to the default of `--response-timeout`.
pub const ATTEMPT_MICROS_BOUNDS: [u64; 11] =
    [5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000];

const _: () = assert!(SLOTS / HOST_SHARE / LANE_SHARE >= 1, "a lane may always have an attempt in flight");
const _: () = assert!(FAILING_SHARE > UNPROVEN_SHARE, "failing lanes leave room for new ones");
const _: () = assert!(PROBES_IN_FLIGHT_MAX <= SLOTS / HOST_SHARE / LANE_SHARE, "a probed lane takes less");
const _: () = assert!(
    SWEEP_AHEAD.as_secs() >= 2 * SWEEP_INTERVAL.as_secs(),
    "two sweeps look at each row ahead of time"
);
const _: () = assert!(LANE_ROWS_MAX * 4 <= ROWS_MAX, "one lane cannot take all memory");
const _: () = assert!(LANE_REFILL_MIN <= LANE_ROWS_MAX, "a refill fits into a lane");
const _: () = assert!(SLOTS <= BATCH_ROWS_MAX, "all slots can be prepared in one batch");
const _: () = assert!(OUTCOMES_MAX >= BATCH_ROWS_MAX, "a whole batch of outcomes can gather");
const _: () = assert!(STORE_RETRY_MAX.as_secs() < 5, "sending is back within 5 s of the store's return");
