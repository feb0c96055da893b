//! Every bound of the store, with its unit and its reason.

use std::time::Duration;

/// Reading connections: two cores' worth, and two for long exports.
pub const READERS: usize = 4;
/// Reading connections of the delivery engine and of authentication, which no reader of lists can occupy.
pub const ENGINE_READERS: usize = 2;
/// How long a read of a list, an export's page or statistics may take before its connection is wanted back.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one statement of a group of writes may take, where a server runs it: others wait behind it.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client waits for what it asked to be written: a phone system has given up by then. What is written all the same stands, and
/// what it makes due is sent.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How long outcomes are gathered before a server is asked to record them. Nobody waits for them, and a statement costs a server as much as
/// several rows; what a crash finds unrecorded is sent again.
pub const OUTCOME_WAIT: Duration = Duration::from_millis(20);
/// How long a database that is not there is tried for at the start.
pub const START_PATIENCE: Duration = Duration::from_secs(10);
/// How long one statement that brings tables up to date may take: an index over a large one takes minutes.
pub const TABLES_TIMEOUT: Duration = Duration::from_hours(2);
/// How long a start waits for another that brings the tables up to date.
pub const TABLES_TURN_TIMEOUT: Duration = Duration::from_mins(1);
/// How often the process that holds a database says that it is there.
pub const HOLDER_BEAT: Duration = Duration::from_secs(1);
/// How long a holder may be silent before another takes its place: it may be on another machine, and stand still for a while.
pub const HOLDER_GONE_AFTER: Duration = Duration::from_secs(15);
/// Pages of WAL after which it is copied into the database file: 32 MB, so that checkpoints are rare and restarts quick; less than 1 MB
/// where the tests want to meet them.
pub const CHECKPOINT_PAGES: u32 = if failpoint::ARMED { 100 } else { 4_000 };
/// How long the log is left alone after it was emptied for an erasure: others wait while that is done.
pub const WIPE_PAUSE: Duration = Duration::from_secs(1);
/// How long emptying the log waits for readers, and holds up the writer meanwhile: a backup reads one state for minutes.
pub const WIPE_PATIENCE: Duration = Duration::from_millis(50);
/// Operations that wait for the writer. Beyond it a caller is told to come again: memory stays flat.
pub const WRITER_QUEUE_MAX: usize = 4_096;
/// Operations of one group commit: some 20 ms of work.
pub const GROUP_OPERATIONS_MAX: usize = 512;
/// Rows after which a group takes no further operation: one may weigh as much as 500, and an acknowledgement waits for all.
pub const GROUP_ROWS_MAX: usize = 2_000;
/// What an operation weighs, in rows, that reads a call with its texts and writes it again: forty of them may hold 160 MB at the worst.
pub const CALL_CHANGED_ROWS: usize = 50;
/// Rows that one operation changes at the most; more is done by a job in steps.
pub const ROWS_CHANGED_MAX: usize = 500;
/// Calls that one step of retention looks at: each has some ten rows in all.
pub const PURGE_CALLS: u64 = 50;
/// Tests with sample data that one step of retention removes: a delivery, a body and an attempt each.
pub const PURGE_SAMPLES: u64 = 150;
/// Deliveries that one step of retention looks at: a few milliseconds of reading.
pub const PURGE_SCAN_ROWS: u64 = 5_000;
/// Pages that one step looks at for remains of what was erased: 2 MB, a millisecond or two.
pub const REMAINS_PAGES: u32 = 256;
/// Free pages that the file keeps for what is written next: 8 MB, so that it does not shrink and grow in turn; next to none where the
/// tests want to see some given back.
pub const FREE_PAGES_KEPT: u64 = if failpoint::ARMED { 4 } else { 1_024 };
/// Free pages that one step gives back to the file system: 2 MB.
pub const FREE_PAGES_STEP: u64 = 256;
/// How long a job whose step failed for its data waits at the least, and at the most: others have their turn.
pub const JOB_PAUSE_MIN: Duration = Duration::from_mins(1);
/// See [`JOB_PAUSE_MIN`].
pub const JOB_PAUSE_MAX: Duration = Duration::from_hours(1);
/// Rows of one page of a list.
pub const PAGE_ROWS_MAX: usize = 500;
/// Rows that one page of a filtered list, or one step of work on what matches, looks at: some 10 ms of reading.
pub const ROWS_LOOKED_AT_MAX: usize = 10_000;
/// How long one page looks for rows that match, where each takes long: a fifth of [`READ_TIMEOUT`].
pub const LOOK_TIME_MAX: Duration = Duration::from_secs(1);
/// Bytes of the texts of one page of calls: a page of long transcripts ends early instead of filling the memory.
pub const PAGE_BYTES_MAX: usize = 8 * 1_024 * 1_024;
/// Rows of a page that are asked for at once, so that a page of long transcripts is never in memory as a whole.
pub const ROWS_READ_AT_ONCE: usize = 25;
/// Bytes of the long values after which a step of a move takes no further row: one step is in memory while the next is read.
pub const TRANSFER_STEP_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// Call flows of a business: an agency has one a client, and some thousands are the most that were heard of.
pub const CALL_FLOWS_MAX: u64 = 100_000;
/// Queues of one node.
pub const QUEUES: u16 = 16;
/// Destinations whose opened settings the writer keeps; each is some 1 KB.
pub const DESTINATIONS_CACHED_MAX: usize = 4_096;
/// API keys whose scope is kept between requests.
pub const KEYS_CACHED_MAX: usize = 4_096;
/// Operations of a group commit, as they are counted: each bucket holds twice the one before, up to [`GROUP_OPERATIONS_MAX`].
pub const GROUP_OPERATIONS_BOUNDS: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
/// Microseconds of work on disk, as they are counted: from a good disk's sync to one that hangs.
pub const DURATION_MICROS_BOUNDS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

const _: () = assert!(GROUP_OPERATIONS_MAX <= WRITER_QUEUE_MAX, "a group is taken from the queue");
