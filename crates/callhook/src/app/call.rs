//! Calls: a report as a user sends it, checked and completed; corrections.

use super::document::{self, Change, within};
use super::{AddressCheck, App, checked_url, given};
use domain::analysis::Score;
use domain::attribution::Attribution;
use domain::call::{Call, CallStatus, Direction, EndedCall, Recording};
use domain::id::{BusinessId, CallFlowId, CallId};
use domain::limits::{CENTS_MAX, DURATION_SECONDS_MAX, SOURCE_CALL_ID_CHARS_MAX, TRANSCRIPTION_BYTES_MAX};
use domain::phone_number::{Country, Party, PhoneNumber};
use domain::secret::Secret;
use domain::{Invalid, Timestamp, sample, text};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use store::StoreResult;
use store::call::{CallCorrection, Recorded, Reporter};
use store::idempotency::Answer;
use utoipa::ToSchema;

/// The report of a call that has ended.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CallReport)]
pub struct CallDocument {
    /// The phone system's own id; the same one again is the same call.
    #[serde(default)]
    #[schema(max_length = 255, examples("CA123"))]
    pub source_call_id: Option<String>,
    /// The call flow that ran; wins over the tracking number. One of the two is required.
    #[serde(default)]
    #[schema(format = "uuid")]
    pub call_flow_id: Option<String>,
    /// The number that was called (inbound) or called from (outbound): E.164, or a national number of the business's country.
    #[serde(default)]
    #[schema(examples("+15735551234"))]
    pub tracking_number: Option<String>,
    /// The person outside: a number, or the phone system's word such as `anonymous`.
    #[schema(min_length = 1, max_length = 255, examples("+13055559876"))]
    pub caller_number: String,
    /// Where the call was forwarded to.
    #[serde(default)]
    #[schema(max_length = 255)]
    pub destination_number: Option<String>,
    /// Who called whom; `inbound` where it is left out.
    #[serde(default)]
    #[schema(value_type = Option<Direction>)]
    pub direction: Option<String>,
    /// How the call ended, as it was for the caller.
    #[schema(value_type = CallStatus)]
    pub status: String,
    /// How long it lasted; where it is left out, the time from start to end if both are given, else 0.
    #[serde(default, deserialize_with = "document::whole")]
    #[schema(value_type = Option<u32>, maximum = 604_800)]
    pub duration_seconds: Option<i64>,
    /// When it began; where it is left out, the end (or now) minus the duration.
    #[serde(default)]
    #[schema(format = "date-time")]
    pub started_at: Option<String>,
    /// When it ended; where it is left out, the start plus the duration.
    #[serde(default)]
    #[schema(format = "date-time")]
    pub ended_at: Option<String>,
    /// The recording, where it can be fetched already.
    #[serde(default, deserialize_with = "document::object_or_null")]
    pub recording: Option<RecordingDocument>,
    /// Whether a recording will come; where it is left out, as the call flow says for answered calls.
    #[serde(default)]
    pub recording_expected: Option<bool>,
    /// Full text of the call, where the phone system has it already.
    #[serde(default)]
    pub transcription: Option<String>,
    /// Where the call came from; what is left out is filled from the number, then from the call flow.
    #[serde(default, deserialize_with = "document::object_or_null")]
    pub attribution: Option<Attribution>,
    /// Assigned value.
    #[serde(default, deserialize_with = "document::whole")]
    #[schema(minimum = -100_000_000_000_i64, maximum = 100_000_000_000_i64)]
    pub value_cents: Option<i64>,
    /// Cost of the call.
    #[serde(default, deserialize_with = "document::whole")]
    #[schema(minimum = -100_000_000_000_i64, maximum = 100_000_000_000_i64)]
    pub cost_cents: Option<i64>,
    /// Likelihood that a machine called.
    #[serde(default, deserialize_with = "document::whole")]
    #[schema(value_type = Option<u8>, maximum = 100)]
    pub robo_score: Option<i64>,
}

/// A recording that lies with the phone system.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RecordingInput)]
pub struct RecordingDocument {
    /// Where it can be fetched: http or https, publicly routable. It is not shown again.
    #[schema(max_length = 2048)]
    pub url: String,
    /// Its length.
    #[serde(default, deserialize_with = "document::whole")]
    #[schema(value_type = Option<u32>, maximum = 604_800)]
    pub duration_seconds: Option<i64>,
}

/// What can be corrected of a call. As a merge patch: what is left out stays, null takes a value away.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = CallPatch)]
pub struct CorrectionDocument {
    /// Where the call came from.
    #[serde(deserialize_with = "document::object")]
    pub attribution: Attribution,
    /// Assigned value.
    #[serde(deserialize_with = "document::whole")]
    #[schema(minimum = -100_000_000_000_i64, maximum = 100_000_000_000_i64)]
    pub value_cents: Option<i64>,
    /// Cost of the call.
    #[serde(deserialize_with = "document::whole")]
    #[schema(minimum = -100_000_000_000_i64, maximum = 100_000_000_000_i64)]
    pub cost_cents: Option<i64>,
}

/// Which field a refusal is about.
trait Named<T> {
    fn named(self, field: &str) -> Result<T, Invalid>;
}

impl<T> Named<T> for Result<T, Invalid> {
    fn named(self, field: &str) -> Self {
        self.map_err(|refused| refused.within(field))
    }
}

impl CallDocument {
    /// Checks every field and completes what can be told from the others. `country` is the business's.
    pub fn ended_call(
        self,
        country: Country,
        now: Timestamp,
        check: &AddressCheck,
    ) -> Result<EndedCall, Invalid> {
        let span = self.span(now)?;
        let source_call_id = given(self.source_call_id)
            .map(|id| text::line(&id, SOURCE_CALL_ID_CHARS_MAX))
            .transpose()
            .named("source_call_id")?;
        let call_flow_id = given(self.call_flow_id).map(|id| id.parse()).transpose().named("call_flow_id")?;
        let tracking_number = given(self.tracking_number)
            .map(|number| PhoneNumber::parse(&number, country))
            .transpose()
            .named("tracking_number")?;
        if call_flow_id.is_none() && tracking_number.is_none() {
            let reason = "is required where call_flow_id is not given: one of the two says what the call ran";
            return Err(Invalid::field("tracking_number", reason));
        }
        Ok(EndedCall {
            source_call_id,
            call_flow_id,
            tracking_number,
            caller_number: Party::parse(&self.caller_number, country).named("caller_number")?,
            destination_number: given(self.destination_number)
                .map(|number| Party::parse(&number, country))
                .transpose()
                .named("destination_number")?,
            direction: self
                .direction
                .as_deref()
                .map_or(Ok(Direction::Inbound), direction)
                .named("direction")?,
            status: status(&self.status).named("status")?,
            duration_seconds: span.duration_seconds,
            started_at: span.started_at,
            ended_at: span.ended_at,
            recording: self.recording.map(|sent| sent.recording(check)).transpose().named("recording")?,
            recording_expected: self.recording_expected,
            transcription: given(self.transcription)
                .map(|words| text::free(words, TRANSCRIPTION_BYTES_MAX))
                .transpose()
                .named("transcription")?,
            attribution: self.attribution.unwrap_or_default().checked().named("attribution")?,
            value_cents: self.value_cents.map(cents).transpose().named("value_cents")?,
            cost_cents: self.cost_cents.map(cents).transpose().named("cost_cents")?,
            robo_score: self.robo_score.map(Score::new).transpose().named("robo_score")?,
        })
    }

    fn span(&self, now: Timestamp) -> Result<Span, Invalid> {
        let time = |text: &Option<String>| text.as_deref().map(str::parse::<Timestamp>).transpose();
        let started_at = time(&self.started_at).named("started_at")?;
        let ended_at = time(&self.ended_at).named("ended_at")?;
        let duration = self.duration_seconds.map(seconds).transpose().named("duration_seconds")?;
        if let (Some(start), Some(end)) = (started_at, ended_at) {
            if end < start {
                return Err(Invalid::field("ended_at", "lies before started_at"));
            }
            let between = i64::try_from(end.since(start).as_secs()).unwrap_or(i64::MAX);
            let duration_seconds = match duration {
                Some(duration) => duration,
                None => seconds(between)
                    .map_err(|_| Invalid::field("ended_at", "lies more than a week after started_at"))?,
            };
            return Ok(Span { started_at: start, ended_at: end, duration_seconds });
        }
        let duration_seconds = duration.unwrap_or(0);
        let length = Duration::from_secs(duration_seconds.into());
        let started_at = started_at.unwrap_or_else(|| ended_at.unwrap_or(now).before(length));
        let ended_at = ended_at.unwrap_or_else(|| started_at.after(length));
        Ok(Span { started_at, ended_at, duration_seconds })
    }
}

struct Span {
    started_at: Timestamp,
    ended_at: Timestamp,
    duration_seconds: u32,
}

impl RecordingDocument {
    /// Checks both fields.
    pub fn recording(self, check: &AddressCheck) -> Result<Recording, Invalid> {
        let url = checked_url(&self.url, check).named("url")?;
        Ok(Recording {
            url: Secret::new(url.as_str()),
            duration_seconds: self.duration_seconds.map(seconds).transpose().named("duration_seconds")?,
        })
    }
}

/// How long the sample call lasts: it ends now.
const SAMPLE_LENGTH: Duration = Duration::from_secs(145);

/// Reports a sample call over a flow, as a phone system would report a real one: it is recorded, and sent where the flow says, when it
/// says. Its traffic source says what it is, to receivers as well.
pub async fn report_sample(
    app: &App,
    business_id: BusinessId,
    id: CallFlowId,
) -> StoreResult<Answer<Recorded>> {
    let flow = app.store.call_flow(business_id, id).await?;
    let sample = sample::call(business_id, id, &flow.name, app.now().before(SAMPLE_LENGTH));
    let source = Some(sample::REPORTED_BY.to_owned());
    let call = EndedCall {
        source_call_id: None,
        call_flow_id: Some(id),
        tracking_number: sample.tracking_number,
        caller_number: sample.caller_number,
        destination_number: sample.destination_number,
        direction: sample.direction,
        status: sample.status,
        duration_seconds: sample.duration_seconds,
        started_at: sample.started_at,
        ended_at: sample.ended_at,
        recording: None,
        recording_expected: Some(false),
        transcription: sample.analysis.transcription.clone(),
        attribution: Attribution { source, ..sample.attribution },
        value_cents: sample.value_cents,
        cost_cents: sample.cost_cents,
        robo_score: sample.analysis.robo_score,
    };
    let reported_by = sample::REPORTED_BY.to_owned();
    let reporter = Reporter { business_id, key_id: None, reported_by };
    let recorded = app.store.record_call(reporter, None, call).await?;
    if let (Answer::New(Recorded { call, .. }), true) = (&recorded, flow.ai_enabled) {
        // What AI would find comes along: nobody should wait for that of a sample.
        if let Err(error) = app.store.finish_analysis(business_id, call.id, sample.analysis).await {
            tracing::error!(%error, call_id = %call.id, "A sample call is recorded and waits for AI, which it was to bring along");
        }
    }
    Ok(recorded)
}

/// Corrects a call. `seen` has what was known of the fields that change, where that is known: where one was changed by somebody else
/// since, nothing is.
pub async fn correct(
    app: &App,
    business_id: BusinessId,
    id: CallId,
    change: Change,
    seen: Option<Value>,
) -> StoreResult<Call> {
    let correct = move |call: &Call| {
        let current = CorrectionDocument {
            attribution: call.attribution.clone(),
            value_cents: call.value_cents,
            cost_cents: call.cost_cents,
        };
        // Cannot fail: plain data with string keys.
        let current = serde_json::to_value(current).unwrap_or_default();
        let wanted: CorrectionDocument = change.apply(current.clone(), &[])?;
        if let Some(seen) = &seen {
            let wanted = serde_json::to_value(&wanted).unwrap_or_default();
            check_not_overtaken(seen, &current, &wanted)?;
        }
        Ok(CallCorrection {
            attribution: Some(wanted.attribution.checked().named("attribution")?),
            value_cents: Some(wanted.value_cents.map(cents).transpose().named("value_cents")?),
            cost_cents: Some(wanted.cost_cents.map(cents).transpose().named("cost_cents")?),
        })
    };
    app.store.correct_call(business_id, id, correct).await
}

/// Refuses where a field is neither what was seen of it nor what it is to be: somebody else has changed it meanwhile.
fn check_not_overtaken(seen: &Value, current: &Value, wanted: &Value) -> Result<(), Invalid> {
    for (name, seen) in seen.as_object().into_iter().flatten() {
        if seen.is_object() {
            check_not_overtaken(seen, &current[name], &wanted[name]).named(name)?;
        } else if current[name] != *seen && current[name] != wanted[name] {
            let reason = "was changed by somebody else meanwhile: save again to put yours in its place, or reload the page to keep theirs";
            return Err(Invalid::field(name, reason));
        }
    }
    Ok(())
}

fn status(word: &str) -> Result<CallStatus, Invalid> {
    document::word(word, CallStatus::from_word, &CallStatus::ALL.map(CallStatus::as_str))
}

fn direction(word: &str) -> Result<Direction, Invalid> {
    document::word(word, Direction::from_word, &["inbound", "outbound"])
}

fn seconds(value: i64) -> Result<u32, Invalid> {
    within(value, 0, DURATION_SECONDS_MAX.into())
}

fn cents(value: i64) -> Result<i64, Invalid> {
    within(value, -CENTS_MAX, CENTS_MAX)
}

#[cfg(test)]
mod tests;
