//! Every bound of this crate, with its unit and its reason.

use std::time::Duration;

/// Characters in an id of a call or a leg: Twilio's have 34, `SignalWire`'s (UUIDs) 36, Telnyx's some 60.
pub const SID_CHARS_MAX: usize = 64;
/// Characters in the address of a recording.
pub const RECORDING_URL_CHARS_MAX: usize = 2_048;
/// Legs that are remembered of one call. Twilio rings at most 10 numbers at once.
pub const LEGS_MAX: usize = 50;
/// Recordings that are remembered of one call.
pub const RECORDINGS_MAX: usize = 20;

/// After the call's end: how long its dialled legs may take to be reported (`api.md`, "Sources").
pub const LEG_WAIT: Duration = Duration::from_secs(10);
/// After the last news, once the outcome is known: how long the other reports of the same moment may take. A phone
/// system sends them at once, over different connections, so that they overtake one another by milliseconds.
pub const SETTLE_WAIT: Duration = Duration::from_secs(2);
/// A call that lives on so much longer than its unanswered dial did something else: a mailbox, a menu.
pub const WENT_ON_AFTER: Duration = Duration::from_secs(3);
/// After the dial: how long the call's own end may take to be reported. Time enough for a long voicemail.
pub const END_WAIT_AFTER_DIAL: Duration = Duration::from_mins(10);
/// After a leg or a recording: how long the call's own end may take. Twilio ends a call after four hours.
pub const END_WAIT: Duration = Duration::from_hours(4);

const _: () =
    assert!(SETTLE_WAIT.as_secs() < LEG_WAIT.as_secs(), "settling lies inside the wait for the legs");
const _: () = assert!(END_WAIT_AFTER_DIAL.as_secs() < END_WAIT.as_secs(), "a dial says more than a leg");
const _: () = assert!(
    END_WAIT.as_secs() < domain::limits::RECORDING_WAIT.as_secs(),
    "a state is kept longer than any of its waits"
);
