//! Every bound of the HTTP face, with its unit and its reason.

use std::time::Duration;

/// Bytes of a request body (wire contract, "Envelope").
pub const BODY_BYTES_MAX: usize = 1_048_576;
/// Bytes of a batch or an analysis: 500 calls with transcripts, or one long transcript (wire contract, "Envelope").
pub const LARGE_BODY_BYTES_MAX: usize = 16 * 1_048_576;
/// How long a request body may take to arrive.
pub const BODY_WITHIN: Duration = Duration::from_secs(30);
/// How long a large one may take: 16 MiB at little more than 1 Mbit/s.
pub const LARGE_BODY_WITHIN: Duration = Duration::from_mins(2);
/// Bytes of a phone system's callback: Twilio's have some 2 KB.
pub const CALLBACK_BYTES_MAX: usize = 65_536;
/// Characters in an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Rows of a page where the client names no limit (wire contract, "Lists").
pub const PAGE_ROWS_DEFAULT: usize = 50;
/// Rows of a page at the most (wire contract, "Lists").
pub const PAGE_ROWS_MAX: usize = 500;
/// How far back statistics go.
pub const STATISTICS_SPAN_MAX: Duration = domain::limits::STATISTICS_RETENTION;
/// How far back they go where the client names no time.
pub const STATISTICS_SPAN_DEFAULT: Duration = Duration::from_hours(24);
/// Buckets of a series: as many as a chart has columns.
pub const SERIES_BUCKETS_MAX: u64 = 100;
/// How long `/readyz` waits for the store's write: whoever asks gives up soon after.
pub const READY_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer of `/readyz` is given again: each costs the store a synced write, and needs no key.
pub const READY_KEPT: Duration = Duration::from_secs(1);
/// How soon a client should look for an expected recording again, in seconds.
pub const RECORDING_RETRY_SECONDS: u32 = 30;
/// How soon a client should come again when it cannot be taken now, in seconds.
pub const BUSY_RETRY_SECONDS: u32 = 1;

const _: () = assert!(PAGE_ROWS_DEFAULT <= PAGE_ROWS_MAX, "the default is a limit that may be asked for");
const _: () = assert!(PAGE_ROWS_MAX <= store::limits::PAGE_ROWS_MAX, "the store gives so many rows");
const _: () = assert!(
    domain::limits::TRANSCRIPTION_BYTES_MAX < LARGE_BODY_BYTES_MAX,
    "an analysis takes the longest transcript"
);
