//! Every bound of the domain, with its unit and its reason.

use std::time::Duration;

/// Characters in a name (call flow, number, key, business): what fits on a line of a list.
pub const NAME_CHARS_MAX: usize = 200;
/// Characters in an id that a source gives (`source_call_id`): SIP call ids reach some 200.
pub const SOURCE_CALL_ID_CHARS_MAX: usize = 255;
/// Characters in a caller that is no phone number ("anonymous", a SIP address).
pub const CALLER_CHARS_MAX: usize = 255;
/// Characters in an attribution value. Landing pages with click ids reach some 1,500.
pub const ATTRIBUTION_CHARS_MAX: usize = 2_048;
/// Bytes of a transcript: a call of eight hours at 180 words a minute has some 0.5 MB.
pub const TRANSCRIPTION_BYTES_MAX: usize = 4 * 1_048_576;
/// Bytes of a summary or a reason, which a model writes.
pub const SUMMARY_BYTES_MAX: usize = 65_536;

/// Characters in a destination's URL (product specification, "Sending").
pub const URL_CHARS_MAX: usize = 2_048;
/// Custom headers of a destination (product specification, "Sending").
pub const HEADERS_MAX: usize = 20;
/// Bytes of all custom headers, names and values (product specification, "Sending").
pub const HEADER_BYTES_MAX: usize = 4_096;

/// Attempts of one series of a delivery.
pub const ATTEMPTS_MAX: usize = 12;
/// All retry delays of a call flow's own schedule together.
pub const RETRY_SPAN_MAX: Duration = Duration::from_hours(72);
/// The longest wait that a receiver's `Retry-After` is granted.
pub const RETRY_AFTER_MAX: Duration = Duration::from_mins(15);
/// AI gets at least this long, however late a call was reported.
pub const AI_WAIT_MIN: Duration = Duration::from_mins(1);

/// Longest call: a week. More is a mistake of units.
pub const DURATION_SECONDS_MAX: u32 = 7 * 86_400;
/// Largest amount of money, in cents: a billion of the currency.
pub const CENTS_MAX: i64 = 100_000_000_000;

/// Active keys of a business: one for each program that uses it, with room for a rotation.
pub const ACTIVE_KEYS_MAX: usize = 10;
/// Calls in one batch.
pub const BATCH_CALLS_MAX: usize = 500;

/// How long a rotated signing secret still signs beside the new one.
pub const SECRET_ROTATION: Duration = Duration::from_hours(24);
/// How long an `Idempotency-Key` gives the first response again.
pub const IDEMPOTENCY_RETENTION: Duration = Duration::from_hours(24);
/// The longest retention that can be set, ten years: what is longer is kept for good.
pub const RETENTION_DAYS_MAX: u16 = 3_650;
/// How long a tombstone keeps a late repeat of an erased call's report away: phone systems repeat for days, people's imports for months.
pub const TOMBSTONE_RETENTION: Duration = Duration::from_hours(400 * 24);
/// How long counts of what ended are kept, and can be asked for.
pub const STATISTICS_RETENTION: Duration = Duration::from_hours(90 * 24);
/// How long an expected recording may still come; after it, its link says that there is none.
pub const RECORDING_WAIT: Duration = Duration::from_hours(24);
/// How long the legs of a call are remembered after their last callback: phone systems repeat for at most days.
pub const SOURCE_CALL_RETENTION: Duration = Duration::from_hours(7 * 24);

const _: () =
    assert!(AI_WAIT_MIN.as_secs() < 5 * 60, "AI's least wait lies inside the seed's fallback of 5 minutes");
const _: () =
    assert!(TRANSCRIPTION_BYTES_MAX < 16 * 1_048_576, "a transcript fits into a body that analyses may have");
