//! The payload against the seed document's own example.

use super::*;
use crate::id::DeliveryId;
use crate::sample;

/// The example of the seed document, its "uuid" placeholders replaced by the sample's ids.
const EXAMPLE: &str = r#"{"event":"call.completed","call_id":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","business_id":"0195e8a2-7c00-7000-8000-000000000001","call_flow_id":"0195e8a2-7c00-7000-8000-000000000002","call_flow_name":"Google Ads","tracking_number":"+15735551234","caller_number":"+13055559876","destination_number":"+13055554567","direction":"inbound","status":"completed","duration_seconds":145,"recording_url":"https://callscaler.com/api/v1/audio/abc123.mp3","recording_duration":138,"transcription":"Hi, I need a quote for a new AC unit...","summary":"Homeowner requesting HVAC quote for new installation.","ai_score":85,"ai_category":"lead","qualified_ai":true,"qualification_reason":"Strong buying intent — requesting pricing","source":"google","landing_page_url":"https://yoursite.com/hvac","referrer_url":"https://google.com","utm_source":"google","utm_medium":"cpc","utm_campaign":"hvac-tampa","utm_term":"ac repair near me","utm_content":null,"gclid":"abc123def456","fbclid":null,"msclkid":null,"value_cents":5000,"cost_cents":15,"robo_score":0,"ai_processed":true,"created_at":"2026-03-30T14:30:00Z","webhook_sent_at":"2026-03-30T14:31:15Z","delivery_id":"0195e8a2-7c00-7000-8000-000000000003","attempt":1}"#;

fn example_call() -> Call {
    let business = "0195e8a2-7c00-7000-8000-000000000001".parse().unwrap();
    let flow = "0195e8a2-7c00-7000-8000-000000000002".parse().unwrap();
    let mut call = sample::call(business, flow, "Google Ads", "2026-03-30T14:30:00Z".parse().unwrap());
    call.id = "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap();
    call.recording_token = Some("abc123".into());
    call
}

fn stamped(payload: &Payload) -> String {
    let delivery: DeliveryId = "0195e8a2-7c00-7000-8000-000000000003".parse().unwrap();
    let body = FrozenBody::freeze(payload).stamped("2026-03-30T14:31:15Z".parse().unwrap(), delivery, 1);
    String::from_utf8(body).unwrap()
}

#[test]
fn the_seeds_example_is_written_byte_for_byte() {
    let payload = Payload::of(&example_call(), AiFields::AsKnown, "https://callscaler.com");
    assert_eq!(stamped(&payload), EXAMPLE);
}

#[test]
fn the_body_reads_back_as_the_38_fields() {
    let payload: Payload = serde_json::from_str(EXAMPLE).unwrap();
    let fields: serde_json::Map<String, Value> = serde_json::from_str(EXAMPLE).unwrap();
    assert_eq!(fields.len(), 38);
    assert_eq!(payload.attempt, 1);
}

#[test]
fn an_immediate_payload_shows_no_ai_but_the_reports_own_transcription() {
    let payload = Payload::of(&example_call(), AiFields::AsReported, "https://callscaler.com");
    assert!(!payload.ai_processed);
    assert_eq!((payload.summary, payload.ai_score, payload.ai_category), (None, None, None));
    assert_eq!((payload.qualified_ai, payload.qualification_reason), (None, None));
    assert_eq!(payload.transcription.as_deref(), Some("Hi, I need a quote for a new AC unit..."));
    assert_eq!(payload.robo_score, Some(0));
}

#[test]
fn no_text_can_forge_the_stamp_or_break_the_body() {
    for text in [
        r#"","webhook_sent_at":"x","delivery_id":"y","attempt":9}"#,
        "quote \" backslash \\ newline \n nul-like \u{1} emoji 🦀 rtl \u{202e} שלום",
        r#"\",\"webhook_sent_at\":"#,
    ] {
        let mut call = example_call();
        call.analysis.transcription = Some(text.to_owned());
        call.call_flow_name = Some(text.to_owned());
        let body = stamped(&Payload::of(&call, AiFields::AsKnown, "https://callscaler.com"));
        let read: Payload = serde_json::from_str(&body).unwrap();
        assert_eq!(read.transcription.as_deref(), Some(text));
        assert_eq!((read.attempt, read.webhook_sent_at.as_str()), (1, "2026-03-30T14:31:15Z"));
        assert!(!body.bytes().any(|b| b < 0x20), "control characters are escaped");
    }
}
