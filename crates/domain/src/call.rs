//! One phone call: how its end is reported, and how it is kept.

use crate::analysis::{Analysis, Score};
use crate::attribution::Attribution;
use crate::id::{BusinessId, CallFlowId, CallId, NumberId};
use crate::phone_number::{Party, PhoneNumber};
use crate::secret::Secret;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a call ended, as it was for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallStatus {
    /// Answered.
    Completed,
    /// Nobody answered, or the caller gave up.
    NoAnswer,
    /// A mailbox answered.
    Voicemail,
    /// The line was busy.
    Busy,
    /// Could not be connected.
    Failed,
}

impl CallStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Completed, Self::NoAnswer, Self::Voicemail, Self::Busy, Self::Failed];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::NoAnswer => "no-answer",
            Self::Voicemail => "voicemail",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether somebody or something answered, so that a recording can be expected.
    #[must_use]
    pub const fn is_answered(self) -> bool {
        matches!(self, Self::Completed | Self::Voicemail)
    }
}

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A caller called the tracking number.
    Inbound,
    /// The business called.
    Outbound,
}

impl Direction {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }

    /// The direction of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Inbound, Self::Outbound].into_iter().find(|direction| direction.as_str() == word)
    }
}

/// Where the source keeps a call's recording. The address may hold a token of the source's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The source's address, fetched only through the address guard.
    pub url: Secret,
    /// Its length.
    pub duration_seconds: Option<u32>,
}

/// A call that has ended, as every source reports it, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedCall {
    /// The source's own id; the same one again is the same call.
    pub source_call_id: Option<String>,
    /// The call flow that ran; wins over the number.
    pub call_flow_id: Option<CallFlowId>,
    /// The number that was called (inbound) or called from (outbound).
    pub tracking_number: Option<PhoneNumber>,
    /// The person outside.
    pub caller_number: Party,
    /// Where the call was forwarded to.
    pub destination_number: Option<Party>,
    /// Who called whom.
    pub direction: Direction,
    /// How it ended.
    pub status: CallStatus,
    /// How long it lasted.
    pub duration_seconds: u32,
    /// When it began: the payload's `created_at`.
    pub started_at: Timestamp,
    /// When it ended: from then the fallback of waiting for AI counts.
    pub ended_at: Timestamp,
    /// The recording, where it is known already.
    pub recording: Option<Recording>,
    /// Whether one will come; `None` leaves it to the flow.
    pub recording_expected: Option<bool>,
    /// A transcription that came with the report.
    pub transcription: Option<String>,
    /// What the source knows about where the call came from.
    pub attribution: Attribution,
    /// Assigned value.
    pub value_cents: Option<i64>,
    /// Cost of the call.
    pub cost_cents: Option<i64>,
    /// Likelihood that a machine called.
    pub robo_score: Option<Score>,
}

/// A call as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The payload's `call_id`.
    pub id: CallId,
    /// Its owner.
    pub business_id: BusinessId,
    /// Who reported it: `api`, or the id of a source.
    pub reported_by: String,
    /// The source's own id.
    pub source_call_id: Option<String>,
    /// The flow that it ran; `None`: unmatched.
    pub call_flow_id: Option<CallFlowId>,
    /// The flow's name when the call was reported.
    pub call_flow_name: Option<String>,
    /// The number's row, where the business has it.
    pub number_id: Option<NumberId>,
    /// See [`EndedCall`].
    pub tracking_number: Option<PhoneNumber>,
    /// See [`EndedCall`].
    pub caller_number: Party,
    /// See [`EndedCall`].
    pub destination_number: Option<Party>,
    /// See [`EndedCall`].
    pub direction: Direction,
    /// See [`EndedCall`].
    pub status: CallStatus,
    /// See [`EndedCall`].
    pub duration_seconds: u32,
    /// See [`EndedCall`].
    pub started_at: Timestamp,
    /// See [`EndedCall`].
    pub ended_at: Timestamp,
    /// The unguessable part of the recording link; `None` where no recording exists or is expected.
    pub recording_token: Option<String>,
    /// The recording, once it is known.
    pub recording: Option<Recording>,
    /// What AI found, and a transcription that came with the report.
    pub analysis: Analysis,
    /// Whether AI has completed.
    pub ai_processed: bool,
    /// Filled from number and flow when the call was reported.
    pub attribution: Attribution,
    /// Assigned value.
    pub value_cents: Option<i64>,
    /// Cost of the call.
    pub cost_cents: Option<i64>,
    /// When it was reported to callhook.
    pub reported_at: Timestamp,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
}
