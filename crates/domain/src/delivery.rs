//! A delivery's states and the one function that moves it between them.
//!
//! ```text
//!                  AI done, fallback             2xx
//! waiting_for_ai ───────────────────> scheduled ─────> delivered
//!       │                              │  ^  │ last attempt failed
//!       │ switched off, deleted        │  │  └─────> failed
//!       └──────> cancelled <───────────┘  │             │
//!                    └────────────────────┴── redeliver ┘   (also from delivered and skipped)
//! ```

use crate::event::Event;
use crate::id::{BusinessId, CallFlowId, CallId, DeliveryId, DestinationId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Due when AI is done, or at the fallback.
    WaitingForAi,
    /// Due, or waiting for its next attempt.
    Scheduled,
    /// The receiver has it.
    Delivered,
    /// Every attempt failed.
    Failed,
    /// Will not be sent: switched off, deleted, or cancelled by a person.
    Cancelled,
    /// Did not meet the destination's conditions.
    Skipped,
}

impl DeliveryStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::WaitingForAi, Self::Scheduled, Self::Delivered, Self::Failed, Self::Cancelled, Self::Skipped];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WaitingForAi => "waiting_for_ai",
            Self::Scheduled => "scheduled",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether something is still to be done.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::WaitingForAi | Self::Scheduled)
    }
}

/// What can happen to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryEvent {
    /// AI is done, will not happen, or the fallback has come.
    BecameDue,
    /// An attempt had a final 2xx.
    AttemptSucceeded,
    /// An attempt failed, another one follows.
    AttemptFailed,
    /// The last attempt of the series failed.
    LastAttemptFailed,
    /// The destination was switched off, the flow deleted, or a person cancelled.
    Cancelled,
    /// A person asked for a new series.
    Redelivered,
}

/// The state after `event`; `None` where it cannot happen there.
#[must_use]
pub const fn transition(status: DeliveryStatus, event: DeliveryEvent) -> Option<DeliveryStatus> {
    use DeliveryEvent as E;
    use DeliveryStatus as S;
    match (status, event) {
        (S::WaitingForAi, E::BecameDue)
        | (S::Scheduled, E::AttemptFailed)
        | (S::Delivered | S::Failed | S::Cancelled | S::Skipped, E::Redelivered) => Some(S::Scheduled),
        // A 2xx of an attempt that was in flight when a person cancelled: the receiver has it.
        (S::Scheduled | S::Cancelled, E::AttemptSucceeded) => Some(S::Delivered),
        (S::Scheduled, E::LastAttemptFailed) => Some(S::Failed),
        (S::WaitingForAi | S::Scheduled, E::Cancelled) => Some(S::Cancelled),
        _ => None,
    }
}

/// Why a delivery exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryKind {
    /// A call ended.
    Call,
    /// A person pressed the test button.
    Test,
}

impl DeliveryKind {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Test => "test",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Call, Self::Test].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A delivery as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The payload's `delivery_id`.
    pub id: DeliveryId,
    /// Its owner.
    pub business_id: BusinessId,
    /// The call that it is about; `None` for a test with the sample call.
    pub call_id: Option<CallId>,
    /// The flow that named the destination.
    pub call_flow_id: CallFlowId,
    /// Where it goes.
    pub destination_id: DestinationId,
    /// Why it exists.
    pub kind: DeliveryKind,
    /// The payload's `event`.
    pub event: Event,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Where the last attempt went, or the next one goes.
    pub url: String,
    /// Attempts made so far, over all series.
    pub attempt_count: u32,
    /// When the next attempt, or the fallback, is due. Set while it is pending, never else.
    pub next_attempt_at: Option<Timestamp>,
    /// The last answer's status.
    pub last_status_code: Option<u16>,
    /// The last failure's code.
    pub last_error: Option<String>,
    /// Why it was cancelled or skipped.
    pub reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the receiver acknowledged it. Set when it is delivered, never else.
    pub delivered_at: Option<Timestamp>,
}

/// One exchange with a destination, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 1, counting on over series; the payload's `attempt`.
    pub attempt: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, redirects included.
    pub duration_ms: u32,
    /// The final answer's status; `None` where there was none.
    pub status_code: Option<u16>,
    /// The failure's code; `None` for a success.
    pub error: Option<String>,
    /// The failure in words: what happened, what it usually means, what to do.
    pub error_detail: Option<String>,
    /// The address that gave the final answer.
    pub url: String,
    /// The address that was really connected.
    pub remote_address: Option<String>,
    /// The final answer's headers.
    pub response_headers: Vec<(String, String)>,
    /// The first 4 KiB of the final answer's body, as text.
    pub response_excerpt: Option<String>,
    /// Whether it may be a repetition: the process ended while this attempt was in flight, and it was made again.
    pub repeated: bool,
    /// The names of the destination's own headers in the request; their values are secret. `None` where nothing was sent, and for attempts of
    /// before this was kept.
    pub header_names: Option<Vec<String>>,
    /// What the time was spent with; `None` where nothing was sent, and for attempts of before this was kept.
    pub phases: Option<Phases>,
}

/// How long the steps of an attempt took, over all its redirects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AttemptPhases)]
pub struct Phases {
    /// Asking for addresses.
    pub dns_ms: u32,
    /// Connecting.
    pub connect_ms: u32,
    /// Agreeing on encryption.
    pub tls_ms: u32,
    /// Sending, and waiting for the status.
    pub wait_ms: u32,
    /// Whether no connection had to be made.
    pub connection_reused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use DeliveryEvent as E;
    use DeliveryStatus as S;

    const EVENTS: [E; 6] = [
        E::BecameDue,
        E::AttemptSucceeded,
        E::AttemptFailed,
        E::LastAttemptFailed,
        E::Cancelled,
        E::Redelivered,
    ];

    #[test]
    fn every_state_and_event_leads_where_the_drawing_says() {
        let allowed = [
            (S::WaitingForAi, E::BecameDue, S::Scheduled),
            (S::WaitingForAi, E::Cancelled, S::Cancelled),
            (S::Scheduled, E::AttemptSucceeded, S::Delivered),
            (S::Scheduled, E::AttemptFailed, S::Scheduled),
            (S::Scheduled, E::LastAttemptFailed, S::Failed),
            (S::Scheduled, E::Cancelled, S::Cancelled),
            (S::Delivered, E::Redelivered, S::Scheduled),
            (S::Failed, E::Redelivered, S::Scheduled),
            (S::Cancelled, E::Redelivered, S::Scheduled),
            (S::Cancelled, E::AttemptSucceeded, S::Delivered),
            (S::Skipped, E::Redelivered, S::Scheduled),
        ];
        for status in S::ALL {
            for event in EVENTS {
                let expected = allowed
                    .iter()
                    .find(|(from, on, _)| (*from, *on) == (status, event))
                    .map(|(_, _, to)| *to);
                assert_eq!(transition(status, event), expected, "{status:?} {event:?}");
            }
        }
    }

    #[test]
    fn words_are_read_back() {
        for status in S::ALL {
            assert_eq!(S::from_word(status.as_str()), Some(status));
        }
        assert_eq!(S::from_word("pending"), None);
    }
}
