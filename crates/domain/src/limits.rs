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

/// Characters of an e-mail address: what SMTP carries (RFC 5321, section 4.5.3.1.3, less the brackets).
pub const EMAIL_CHARS_MAX: usize = 254;
/// Characters of a person's name: what fits on a line of a list.
pub const USER_NAME_CHARS_MAX: usize = 100;
/// Characters of a password at the least: shorter ones are guessed from a stolen store.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Characters of a password at the most: more than any phrase has, and hashing them costs nothing yet.
pub const PASSWORD_CHARS_MAX: usize = 200;
/// Characters that are kept of what a browser calls itself: enough to tell one's own browsers apart.
pub const USER_AGENT_CHARS_MAX: usize = 200;
/// Open sessions of a user: some browsers on some machines. Beyond it the one that was seen longest ago ends.
pub const SESSIONS_MAX: usize = 20;
/// Recovery codes that are made at once: enough for years of lost and forgotten phones, and few enough to be written down.
pub const RECOVERY_CODES: usize = 10;
/// People of a business: a list of them is read as a whole.
pub const MEMBERS_MAX: usize = 500;
/// Open invitations of a business.
pub const INVITATIONS_MAX: usize = 100;
/// A session ends when it was not used for so long.
pub const SESSION_IDLE_MAX: Duration = Duration::from_hours(14 * 24);
/// A session ends after so long, however much it is used.
pub const SESSION_LIFE_MAX: Duration = Duration::from_hours(90 * 24);
/// How much older a session's last use may look than it is, so that not every request writes.
pub const SESSION_TOUCH_EVERY: Duration = Duration::from_mins(5);
/// How long a password counts that was given before the code of the second factor: as long as it takes to find the phone.
pub const PASSWORD_PROOF_LIFE: Duration = Duration::from_mins(5);
/// How long an invitation can be accepted: a week, so that a holiday is no reason for another one.
pub const INVITATION_LIFE: Duration = Duration::from_hours(7 * 24);
/// How long the link for the first user works; a restart makes another, and so does the operator.
pub const SETUP_LINK_LIFE: Duration = Duration::from_hours(7 * 24);
/// How long a link for another password works.
pub const RESET_LINK_LIFE: Duration = Duration::from_hours(24);

/// How long a rotated signing secret still signs beside the new one.
pub const SECRET_ROTATION: Duration = Duration::from_hours(24);
/// How long an `Idempotency-Key` gives the first response again.
pub const IDEMPOTENCY_RETENTION: Duration = Duration::from_hours(24);
/// The longest retention that can be set, ten years: what is longer is kept for good.
pub const RETENTION_DAYS_MAX: u16 = 3_650;
/// How long a tombstone keeps a late repeat of an erased call's report away: phone systems repeat for days, people's imports for months.
pub const TOMBSTONE_RETENTION: Duration = Duration::from_hours(400 * 24);
/// How long what a redelivery came to can be read after its end: whoever began it looks within days, an audit within weeks.
pub const REDELIVERY_RETENTION: Duration = Duration::from_hours(30 * 24);
/// How long counts of what ended are kept, and can be asked for.
pub const STATISTICS_RETENTION: Duration = Duration::from_hours(90 * 24);
/// How long an expected recording may still come; after it, its link says that there is none.
pub const RECORDING_WAIT: Duration = Duration::from_hours(24);
/// How long the legs of a call are remembered after their last callback: phone systems repeat for at most days.
pub const SOURCE_CALL_RETENTION: Duration = Duration::from_hours(7 * 24);

const _: () =
    assert!(AI_WAIT_MIN.as_secs() < 5 * 60, "AI's least wait lies inside the seed's fallback of 5 minutes");
const _: () = assert!(
    SESSION_TOUCH_EVERY.as_secs() * 100 < SESSION_IDLE_MAX.as_secs(),
    "a session in use never ends for what is not written of it"
);
const _: () =
    assert!(TRANSCRIPTION_BYTES_MAX < 16 * 1_048_576, "a transcript fits into a body that analyses may have");
