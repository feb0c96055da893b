//! The built-in sample call, for tests of a webhook before the first real call. It is the seed document's example.

use crate::analysis::{AiCategory, Analysis, Score};
use crate::attribution::Attribution;
use crate::call::{Call, CallStatus, Direction, Recording};
use crate::id::{BusinessId, CallFlowId, CallId};
use crate::phone_number::{Country, Party, PhoneNumber};
use crate::secret::Secret;
use crate::time::Timestamp;
use std::time::Duration;

/// The sample's id in every payload: nobody takes it for a call of theirs.
const CALL_ID: CallId = CallId::from_bytes([0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1]);

/// Who reports a sample that is recorded like a call: it is known by that.
pub const REPORTED_BY: &str = "sample";

/// Whether the call is a sample.
#[must_use]
pub fn is_sample(call: &Call) -> bool {
    call.reported_by == REPORTED_BY
}

/// A call of 145 seconds that began at `started_at`.
#[must_use]
pub fn call(
    business_id: BusinessId,
    call_flow_id: CallFlowId,
    call_flow_name: &str,
    started_at: Timestamp,
) -> Call {
    let text = |text: &str| Some(text.to_owned());
    let ended_at = started_at.after(Duration::from_secs(145));
    Call {
        id: CALL_ID,
        business_id,
        reported_by: REPORTED_BY.to_owned(),
        source_call_id: None,
        call_flow_id: Some(call_flow_id),
        call_flow_name: text(call_flow_name),
        number_id: None,
        tracking_number: PhoneNumber::parse("+15735551234", Country::US).ok(),
        caller_number: party("+13055559876"),
        destination_number: Some(party("+13055554567")),
        direction: Direction::Inbound,
        status: CallStatus::Completed,
        duration_seconds: 145,
        started_at,
        ended_at,
        recording_token: text("sample"),
        recording: Some(Recording {
            url: Secret::new("https://example.com/sample.mp3"),
            duration_seconds: Some(138),
        }),
        analysis: Analysis {
            transcription: text("Hi, I need a quote for a new AC unit..."),
            summary: text("Homeowner requesting HVAC quote for new installation."),
            ai_score: Score::new(85).ok(),
            ai_category: Some(AiCategory::Lead),
            qualified_ai: Some(true),
            qualification_reason: text("Strong buying intent — requesting pricing"),
            robo_score: Score::new(0).ok(),
        },
        ai_processed: true,
        attribution: Attribution {
            source: text("google"),
            landing_page_url: text("https://yoursite.com/hvac"),
            referrer_url: text("https://google.com"),
            utm_source: text("google"),
            utm_medium: text("cpc"),
            utm_campaign: text("hvac-tampa"),
            utm_term: text("ac repair near me"),
            utm_content: None,
            gclid: text("abc123def456"),
            fbclid: None,
            msclkid: None,
        },
        value_cents: Some(5_000),
        cost_cents: Some(15),
        reported_at: ended_at,
        updated_at: ended_at,
    }
}

fn party(number: &str) -> Party {
    PhoneNumber::parse(number, Country::US).map_or_else(|_| Party::Word(number.to_owned()), Party::Number)
}
