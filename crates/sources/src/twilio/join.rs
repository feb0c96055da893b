//! One call out of what its legs report: callbacks in any order and any number in, one ended call out.
//!
//! **Who is authoritative.** Twilio answers a forwarded call itself before it dials, so the parent leg is `completed`
//! even if nobody ever picked up. What the caller met with is known to the dialled legs: the `<Dial>`'s own verdict
//! (`DialCallStatus`) comes first, because only it knows whether an answered leg was connected (call screening); then the
//! child leg's status; the parent's status counts where no leg was dialled. Of several legs the most telling one
//! counts: answered by a person, by a machine, busy, no answer, failed. (Busy says more to the business than no answer:
//! somebody was there.) The caller who gives up (`canceled`) met with no answer.
//!
//! **Voicemail** is a machine that answered (`AnsweredBy`), or a `<Record>` after a dial that nobody answered.
//! Where the source does not forward (`dial: false`) a `<Record>` is the call's purpose and changes nothing.
//!
//! **When a call has ended.** Its parent must have ended; with `dial: false` that is all, and what the legs said until
//! then counts. With `dial: true`
//! - a dial that was answered, with its leg's own report, ends it at once: nothing can change any more;
//! - any other outcome waits until [`SETTLE_WAIT`](limits::SETTLE_WAIT) passed without news, because the reports of one
//!   moment overtake one another: the leg names the destination, and another leg may have been answered;
//! - no outcome yet, or a call that went on after an unanswered dial (a mailbox, whose recording is reported last) waits
//!   [`LEG_WAIT`](limits::LEG_WAIT) in all.
//!
//! **When the parent never reports** (its callback is not set up), no lead may be lost: after a dial the call is taken as
//! ended after [`END_WAIT_AFTER_DIAL`](limits::END_WAIT_AFTER_DIAL), or `LEG_WAIT` if the dial's action said that the
//! caller is gone; after child legs alone, after [`END_WAIT`](limits::END_WAIT). A child leg does not know the
//! number that was called, so such a call is recorded without one. A recording alone names nobody and never makes a call.
//!
//! **What it never does.** It ends a call once: what legs report later changes nothing, since the webhook may have
//! left. Only a recording that comes later, or a better one, is passed on to be attached to the call.

mod state;
mod verdict;

pub use state::LegState;

use super::callback::Callback;
use crate::limits;
use domain::Timestamp;
use domain::call::{Direction, EndedCall, Recording};
use domain::phone_number::{Party, PhoneNumber};
use std::time::Duration;

/// What the source's owner said of its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinSettings {
    /// The number forwards calls by `<Dial>`, so that a child leg belongs to each call.
    pub dial: bool,
}

/// What is to be done after a callback or an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Keep the state and call [`expire`] then. A later decision replaces the alarm of an earlier one.
    Wait {
        /// When the call is taken as ended with what is known.
        until: Timestamp,
    },
    /// The call has ended; said once for each call. Record it in the transaction that keeps the state.
    Ended(Box<EndedCall>),
    /// A recording that came after the end, to be attached to the call in place of what it has.
    Recording {
        /// The call's [`EndedCall::source_call_id`].
        source_call_id: String,
        /// The recording.
        recording: Recording,
    },
    /// Keep the state, and no alarm.
    Nothing,
}

/// Takes a callback in. `state` is what was kept for its call (`callback.call_sid`), `None` for the first one.
///
/// Idempotent by the callback's own content: the same callback again changes neither the state nor the alarm.
#[must_use]
pub fn apply(
    state: Option<LegState>,
    callback: Callback,
    settings: JoinSettings,
    now: Timestamp,
) -> (LegState, Decision) {
    let mut state = state.unwrap_or_else(|| LegState::new(callback.call_sid.clone(), now));
    if state.is_ended() {
        let decision = late(&mut state, callback, now);
        return (state, decision);
    }
    state.is_dial_expected = settings.dial;
    state.take(callback, now);
    expire(state, now)
}

/// Looks at a call whose alarm has rung. Too early an alarm is no harm: the decision is to wait on.
#[must_use]
pub fn expire(mut state: LegState, now: Timestamp) -> (LegState, Decision) {
    if state.is_ended() {
        return (state, Decision::Nothing);
    }
    let until = due(&state);
    if until > now {
        return (state, Decision::Wait { until });
    }
    let decision = ended_call(&state).map_or(Decision::Nothing, |call| {
        state.end(call.status, call.recording.clone(), now);
        Decision::Ended(Box::new(call))
    });
    (state, decision)
}

/// A callback for a call that has ended.
fn late(state: &mut LegState, callback: Callback, now: Timestamp) -> Decision {
    let Some(ended) = state.ended.clone() else {
        return Decision::Nothing;
    };
    state.take_recording(callback.recording, now);
    let best = verdict::recording(state, ended.status);
    match best.filter(|best| Some(best) != ended.recording().as_ref()) {
        None => Decision::Nothing,
        Some(recording) => {
            state.end(ended.status, Some(recording.clone()), now);
            Decision::Recording { source_call_id: state.call_sid.clone(), recording }
        }
    }
}

/// When the call is taken as ended with what is known now; a time that has passed means at once.
fn due(state: &LegState) -> Timestamp {
    let Some(parent) = &state.parent else {
        return due_without_parent(state);
    };
    let latest = parent.arrived_at.after(limits::LEG_WAIT);
    if !state.is_dial_expected || verdict::is_settled(state) {
        parent.arrived_at
    } else if !state.has_legs() || may_become_voicemail(state) {
        latest
    } else {
        latest.min(state.changed_at.after(limits::SETTLE_WAIT))
    }
}

fn due_without_parent(state: &LegState) -> Timestamp {
    let hung_up =
        state.dials.iter().filter(|dial| dial.report.is_call_over).map(|dial| dial.arrived_at).min();
    match hung_up {
        Some(hung_up) => hung_up.after(limits::LEG_WAIT),
        None if state.dials.is_empty() => state.changed_at.after(limits::END_WAIT),
        None => state.changed_at.after(limits::END_WAIT_AFTER_DIAL),
    }
}

/// Nobody answered, and yet the call went on: a mailbox's recording may be on its way.
fn may_become_voicemail(state: &LegState) -> bool {
    let status = verdict::status(state);
    status.is_some_and(|status| !status.is_answered()) && went_on(state)
}

/// Whether the call lived on after its last leg, by the phone system's clock or by the order in which we heard of it.
fn went_on(state: &LegState) -> bool {
    let Some(parent) = &state.parent else {
        return false;
    };
    let after = |ended_at: Option<Timestamp>, leg: Option<Timestamp>| match (ended_at, leg) {
        (Some(ended_at), Some(leg)) => ended_at.since(leg),
        _ => Duration::ZERO,
    };
    let leg_ended_at = state.children.iter().filter_map(|child| child.report.ended_at).max();
    let by_clock = after(parent.report.ended_at, leg_ended_at);
    let by_arrival = after(Some(parent.arrived_at), state.legs_arrived_at().max());
    by_clock.max(by_arrival) > limits::WENT_ON_AFTER
}

/// The call as it is known; `None` as long as nobody is known to have called.
fn ended_call(state: &LegState) -> Option<EndedCall> {
    let (direction, caller_number, tracking_number) = parties(state)?;
    let status = verdict::status(state)?;
    let (ended_at, duration_seconds) = span(state);
    let recording = verdict::recording(state, status);
    Some(EndedCall {
        source_call_id: Some(state.call_sid.clone()),
        call_flow_id: None,
        tracking_number,
        caller_number,
        destination_number: verdict::destination(state),
        direction,
        status,
        duration_seconds,
        started_at: ended_at.before(Duration::from_secs(duration_seconds.into())),
        ended_at,
        // Where Twilio said that there is none, nobody need wait for it.
        recording_expected: (recording.is_none() && state.is_recording_missing).then_some(false),
        recording,
        transcription: None,
        attribution: domain::attribution::Attribution::default(),
        value_cents: None,
        cost_cents: None,
        robo_score: None,
    })
}

fn parties(state: &LegState) -> Option<(Direction, Party, Option<PhoneNumber>)> {
    let parent = state.parent.as_ref().map(|parent| &parent.report.line);
    let line = parent.or_else(|| state.dials.first().map(|dial| &dial.report.line));
    if let Some(line) = line {
        return Some((line.direction, line.caller_number.clone(), line.tracking_number.clone()));
    }
    // A leg alone does not say which number was called; what it shows its destination is mostly the caller.
    let caller = state.children.iter().find_map(|child| child.report.from.clone())?;
    Some((Direction::Inbound, caller, None))
}

/// When the call ended and how long it lasted: as the parent says, or else as its best leg does.
fn span(state: &LegState) -> (Timestamp, u32) {
    let leg_seconds = verdict::leg_seconds(state);
    if let Some(parent) = &state.parent {
        let ended_at = parent.report.ended_at.unwrap_or(parent.arrived_at);
        return (ended_at, parent.report.duration_seconds.or(leg_seconds).unwrap_or(0));
    }
    let of_legs = state.children.iter().filter_map(|child| child.report.ended_at).max();
    let ended_at = of_legs.or_else(|| state.legs_arrived_at().max());
    (ended_at.unwrap_or(state.changed_at), leg_seconds.unwrap_or(0))
}

impl state::Ended {
    fn recording(&self) -> Option<Recording> {
        let made = self.recording.as_ref()?;
        Some(Recording { url: made.url.clone(), duration_seconds: made.duration_seconds })
    }
}

#[cfg(test)]
mod tests;
