//! What the legs' reports add up to: the caller's truth. None of it depends on the order in which they came.

use super::state::LegState;
use crate::twilio::callback::{ChildEnd, DialEnd, LegStatus};
use domain::call::{CallStatus, Recording};
use domain::phone_number::Party;
use std::collections::BTreeSet;

/// One dialled leg: what its `<Dial>` and its own callback say together.
struct Leg<'a> {
    sid: Option<&'a str>,
    dial: Option<&'a DialEnd>,
    child: Option<&'a ChildEnd>,
}

/// How the call ended for the caller; `None` as long as nothing has ended.
pub(super) fn status(state: &LegState) -> Option<CallStatus> {
    let of_legs = best_leg(state).map(|leg| leg.status());
    let of_parent =
        state.parent.as_ref().map(|parent| call_status(parent.report.status, parent.report.is_machine));
    let is_unanswered = of_legs.map_or(state.is_dial_expected, |status| !status.is_answered());
    let status = of_legs.or(of_parent)?;
    let has_mailbox = state.recordings.iter().any(|recording| recording.is_mailbox);
    Some(if is_unanswered && has_mailbox { CallStatus::Voicemail } else { status })
}

/// Whether no later report can change the outcome: a person answered, was connected, and the leg told its details.
pub(super) fn is_settled(state: &LegState) -> bool {
    let is_final =
        |leg: Leg<'_>| leg.dial.is_some() && leg.is_told() && leg.status() == CallStatus::Completed;
    best_leg(state).is_some_and(is_final)
}

/// Where the call was forwarded to.
pub(super) fn destination(state: &LegState) -> Option<Party> {
    let leg = best_leg(state)?;
    let of_child = leg.child.and_then(|child| child.to.clone());
    of_child.or_else(|| leg.dial.and_then(|dial| dial.destination.clone()))
}

/// How long the best leg lasted.
pub(super) fn leg_seconds(state: &LegState) -> Option<u32> {
    best_leg(state)?.seconds()
}

/// The recording that shows what the call came to: the mailbox's of a voicemail, else the conversation's; of several
/// the longest.
pub(super) fn recording(state: &LegState, status: CallStatus) -> Option<Recording> {
    let best = state.recordings.iter().max_by_key(|made| {
        let fits = made.is_mailbox == (status == CallStatus::Voicemail);
        (fits, made.duration_seconds, made.url.reveal())
    })?;
    Some(Recording { url: best.url.clone(), duration_seconds: best.duration_seconds })
}

fn best_leg(state: &LegState) -> Option<Leg<'_>> {
    legs(state).max_by_key(|leg| (rank(leg.status()), leg.dial.is_some(), leg.seconds(), leg.sid))
}

fn legs(state: &LegState) -> impl Iterator<Item = Leg<'_>> {
    let of_dials = state.dials.iter().map(|dial| dial.report.child_sid.as_deref());
    let of_children = state.children.iter().map(|child| Some(child.report.sid.as_str()));
    let sids: BTreeSet<_> = of_dials.chain(of_children).collect();
    sids.into_iter().map(|sid| Leg {
        sid,
        dial: state.dials.iter().map(|dial| &dial.report).find(|dial| dial.child_sid.as_deref() == sid),
        child: state.children.iter().map(|child| &child.report).find(|child| Some(child.sid.as_str()) == sid),
    })
}

impl Leg<'_> {
    fn status(&self) -> CallStatus {
        let of_child = self.child.map(|child| child.status);
        let status = self.dial.map(|dial| dial.status).or(of_child).unwrap_or(LegStatus::NoAnswer);
        call_status(status, self.child.is_some_and(|child| child.is_machine))
    }

    /// Whether the leg's own callback is here, if it has one: a conference is no leg.
    const fn is_told(&self) -> bool {
        self.child.is_some() || self.sid.is_none()
    }

    fn seconds(&self) -> Option<u32> {
        let of_dial = self.dial.and_then(|dial| dial.duration_seconds);
        of_dial.or_else(|| self.child.and_then(|child| child.duration_seconds))
    }
}

const fn call_status(status: LegStatus, is_machine: bool) -> CallStatus {
    match status {
        LegStatus::Completed if is_machine => CallStatus::Voicemail,
        LegStatus::Completed => CallStatus::Completed,
        LegStatus::Busy => CallStatus::Busy,
        LegStatus::NoAnswer | LegStatus::Canceled => CallStatus::NoAnswer,
        LegStatus::Failed => CallStatus::Failed,
    }
}

/// Which of several legs is the most telling.
const fn rank(status: CallStatus) -> u8 {
    match status {
        CallStatus::Completed => 4,
        CallStatus::Voicemail => 3,
        CallStatus::Busy => 2,
        CallStatus::NoAnswer => 1,
        CallStatus::Failed => 0,
    }
}
