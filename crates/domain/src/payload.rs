//! The payload: the fields of the seed document, in the order of its example, and the body that is frozen of it.

use crate::analysis::AiCategory;
use crate::call::{Call, CallStatus, Direction};
use crate::event::Event;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

/// What a webhook carries. Every field is always present, `null` where unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// What has happened.
    pub event: Event,
    /// Unique id of the call.
    #[schema(format = "uuid")]
    pub call_id: String,
    /// The business that owns the call.
    #[schema(format = "uuid")]
    pub business_id: String,
    /// The call flow that ran.
    #[schema(format = "uuid")]
    pub call_flow_id: Option<String>,
    /// Its name when the call was reported.
    pub call_flow_name: Option<String>,
    /// The tracking number.
    pub tracking_number: Option<String>,
    /// The caller's number, or the phone system's word for it.
    pub caller_number: Option<String>,
    /// Where the call was forwarded to.
    pub destination_number: Option<String>,
    /// Who called whom.
    pub direction: Direction,
    /// How the call ended.
    pub status: CallStatus,
    /// How long it lasted.
    pub duration_seconds: u32,
    /// Where the recording can be fetched.
    pub recording_url: Option<String>,
    /// Length of the recording in seconds.
    pub recording_duration: Option<u32>,
    /// Full text of the call.
    pub transcription: Option<String>,
    /// What the call was about.
    pub summary: Option<String>,
    /// Quality of the call.
    #[schema(minimum = 0, maximum = 100)]
    pub ai_score: Option<u8>,
    /// Kind of call.
    pub ai_category: Option<AiCategory>,
    /// Whether AI takes it for a qualified lead.
    pub qualified_ai: Option<bool>,
    /// Why, or why not.
    pub qualification_reason: Option<String>,
    /// Traffic source.
    pub source: Option<String>,
    /// The page on which the visitor arrived.
    pub landing_page_url: Option<String>,
    /// The page from which the visitor came.
    pub referrer_url: Option<String>,
    /// UTM source.
    pub utm_source: Option<String>,
    /// UTM medium.
    pub utm_medium: Option<String>,
    /// UTM campaign.
    pub utm_campaign: Option<String>,
    /// UTM term.
    pub utm_term: Option<String>,
    /// UTM content.
    pub utm_content: Option<String>,
    /// Google's click id.
    pub gclid: Option<String>,
    /// Meta's click id.
    pub fbclid: Option<String>,
    /// Microsoft's click id.
    pub msclkid: Option<String>,
    /// Assigned value.
    pub value_cents: Option<i64>,
    /// Cost of the call.
    pub cost_cents: Option<i64>,
    /// Likelihood that a machine called.
    #[schema(minimum = 0, maximum = 100)]
    pub robo_score: Option<u8>,
    /// Whether AI has completed.
    pub ai_processed: bool,
    /// When the call began, RFC 3339 UTC in whole seconds.
    #[schema(format = "date-time")]
    pub created_at: String,
    /// When this attempt was sent, RFC 3339 UTC in whole seconds.
    #[schema(format = "date-time")]
    pub webhook_sent_at: String,
    /// Stays the same over all attempts.
    #[schema(format = "uuid")]
    pub delivery_id: String,
    /// Number of this attempt, from 1.
    #[schema(minimum = 1)]
    pub attempt: u32,
}

/// Which AI results a payload shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AiFields {
    /// None but a transcription that came with the report: the firing mode is immediate.
    AsReported,
    /// Whatever is there.
    AsKnown,
}

/// The part of a body that never changes once a delivery is due: all but the last three fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrozenBody(Vec<u8>);

/// Where the changing fields begin. Inside a JSON string the quotes would be escaped, so it occurs once.
const STAMP: &[u8] = b",\"webhook_sent_at\":";

impl Payload {
    /// The payload of a call; `public_url` is the base of its recording link, without a slash at the end.
    #[must_use]
    pub fn of(call: &Call, ai: AiFields, public_url: &str) -> Self {
        let analysis = &call.analysis;
        let known = (ai == AiFields::AsKnown).then_some(analysis);
        let party = |party: &crate::phone_number::Party| party.as_str().to_owned();
        let attribution = call.attribution.clone();
        Self {
            event: Event::of(call.status),
            call_id: call.id.to_string(),
            business_id: call.business_id.to_string(),
            call_flow_id: call.call_flow_id.map(|id| id.to_string()),
            call_flow_name: call.call_flow_name.clone(),
            tracking_number: call.tracking_number.as_ref().map(ToString::to_string),
            caller_number: Some(party(&call.caller_number)),
            destination_number: call.destination_number.as_ref().map(party),
            direction: call.direction,
            status: call.status,
            duration_seconds: call.duration_seconds,
            recording_url: call.recording_token.as_deref().map(|token| recording_url(public_url, token)),
            recording_duration: call.recording.as_ref().and_then(|recording| recording.duration_seconds),
            transcription: analysis.transcription.clone(),
            summary: known.and_then(|a| a.summary.clone()),
            ai_score: known.and_then(|a| a.ai_score).map(crate::analysis::Score::get),
            ai_category: known.and_then(|a| a.ai_category),
            qualified_ai: known.and_then(|a| a.qualified_ai),
            qualification_reason: known.and_then(|a| a.qualification_reason.clone()),
            source: attribution.source,
            landing_page_url: attribution.landing_page_url,
            referrer_url: attribution.referrer_url,
            utm_source: attribution.utm_source,
            utm_medium: attribution.utm_medium,
            utm_campaign: attribution.utm_campaign,
            utm_term: attribution.utm_term,
            utm_content: attribution.utm_content,
            gclid: attribution.gclid,
            fbclid: attribution.fbclid,
            msclkid: attribution.msclkid,
            value_cents: call.value_cents,
            cost_cents: call.cost_cents,
            robo_score: analysis.robo_score.map(crate::analysis::Score::get),
            ai_processed: known.is_some() && call.ai_processed,
            created_at: call.started_at.to_string(),
            webhook_sent_at: String::new(),
            delivery_id: String::new(),
            attempt: 0,
        }
    }
}

impl Payload {
    /// The JSON Schema (draft 2020-12) of the payload, complete in itself.
    #[must_use]
    pub fn json_schema() -> Value {
        let mut parts = Vec::new();
        <Self as ToSchema>::schemas(&mut parts);
        let definitions: serde_json::Map<String, Value> =
            parts.into_iter().map(|(name, schema)| (name, json!(schema))).collect();
        let mut schema = json!(<Self as PartialSchema>::schema());
        let fields: Vec<Value> = schema["properties"]
            .as_object()
            .map(|properties| properties.keys().map(|name| json!(name)).collect())
            .unwrap_or_default();
        schema["required"] = fields.into();
        schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        schema["title"] = json!("callhook payload");
        schema["$defs"] = definitions.into();
        relink(&mut schema);
        schema
    }
}

/// Points references at the schema's own definitions instead of an OpenAPI document's.
fn relink(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get_mut("$ref") {
                *target = target.replace("#/components/schemas/", "#/$defs/");
            }
            members.values_mut().for_each(relink);
        }
        Value::Array(items) => items.iter_mut().for_each(relink),
        _ => {}
    }
}

/// The own address of a call's recording.
#[must_use]
pub fn recording_url(public_url: &str, token: &str) -> String {
    format!("{public_url}/api/v1/audio/{token}.mp3")
}

impl FrozenBody {
    /// Freezes all of the payload but its last three fields.
    #[must_use]
    pub fn freeze(payload: &Payload) -> Self {
        // Cannot fail: the payload is plain data with string keys, written to memory.
        let mut body = serde_json::to_vec(payload).unwrap_or_default();
        let stamp = body.windows(STAMP.len()).rposition(|window| window == STAMP);
        body.truncate(stamp.unwrap_or(body.len()));
        Self(body)
    }

    /// A frozen body as it lies in the store.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The frozen bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The body of one attempt.
    #[must_use]
    pub fn stamped(&self, sent_at: Timestamp, delivery_id: crate::id::DeliveryId, attempt: u32) -> Vec<u8> {
        let stamp = format!("\"{sent_at}\",\"delivery_id\":\"{delivery_id}\",\"attempt\":{attempt}}}");
        [&self.0, STAMP, stamp.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests;
