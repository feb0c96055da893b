//! What a webhook says has happened.

use crate::call::CallStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The payload's `event`, which follows from the call's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum Event {
    /// The call was answered.
    #[serde(rename = "call.completed")]
    Completed,
    /// Nobody answered, or the line was busy.
    #[serde(rename = "call.missed")]
    Missed,
    /// A mailbox answered.
    #[serde(rename = "call.voicemail")]
    Voicemail,
    /// The call could not be connected.
    #[serde(rename = "call.failed")]
    Failed,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Completed, Self::Missed, Self::Voicemail, Self::Failed];

    /// The event of a call that ended so (product specification, "From a call to a delivery", 2).
    #[must_use]
    pub const fn of(status: CallStatus) -> Self {
        match status {
            CallStatus::Completed => Self::Completed,
            CallStatus::NoAnswer | CallStatus::Busy => Self::Missed,
            CallStatus::Voicemail => Self::Voicemail,
            CallStatus::Failed => Self::Failed,
        }
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "call.completed",
            Self::Missed => "call.missed",
            Self::Voicemail => "call.voicemail",
            Self::Failed => "call.failed",
        }
    }

    /// The event of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_event_of_the_specification() {
        for (status, event) in [
            ("completed", "call.completed"),
            ("no-answer", "call.missed"),
            ("busy", "call.missed"),
            ("voicemail", "call.voicemail"),
            ("failed", "call.failed"),
        ] {
            assert_eq!(Event::of(CallStatus::from_word(status).unwrap()).as_str(), event);
            assert_eq!(Event::from_word(event).unwrap().as_str(), event);
        }
    }
}
