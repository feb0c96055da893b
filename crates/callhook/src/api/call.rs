//! Calls over HTTP: reported, listed, corrected, erased.

use super::auth::{Member, Viewer};
use super::body::{Body, Command};
use super::envelope::{Data, Reply};
use super::error::{ApiError, ErrorDetail, Reading, Writing};
use super::idempotency::{IdempotencyKey, keep, reply};
use super::limits::LARGE_BODY_BYTES_MAX;
use super::list::{Position, Query, next_cursor};
use super::path::Id;
use super::trace::Traced;
use crate::app::call::{CallDocument, CorrectionDocument};
use crate::app::document::{self, Change, Refused};
use crate::app::filter::CallQuery;
use crate::app::{self, App};
use axum::extract::State;
use axum::http::StatusCode;
use domain::analysis::{AiCategory, Score};
use domain::attribution::Attribution;
use domain::call::{Call, CallStatus, Direction, EndedCall};
use domain::id::{CallFlowId, CallId, NumberId};
use domain::limits::BATCH_CALLS_MAX;
use domain::payload::recording_url;
use domain::{Invalid, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;
use store::api_key::Scope;
use store::call::{Recorded, Reporter};
use utoipa::ToSchema;

/// Who reports calls over this API, as the store names it.
const REPORTED_BY: &str = "api";

/// A call as it stands now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Call)]
pub struct CallView {
    /// The payload's `call_id`.
    #[schema(value_type = String, format = "uuid")]
    id: CallId,
    /// The phone system's own id.
    source_call_id: Option<String>,
    /// Who reported it: `api`, the id of a source, or `sample` where it is a sample call that was made in the dashboard.
    reported_by: String,
    /// The flow that it ran; null: no flow matched, and nothing was sent.
    #[schema(value_type = Option<String>, format = "uuid")]
    call_flow_id: Option<CallFlowId>,
    /// The flow's name when the call was reported.
    call_flow_name: Option<String>,
    /// The tracking number's id, where the business has it.
    #[schema(value_type = Option<String>, format = "uuid")]
    number_id: Option<NumberId>,
    /// The tracking number.
    tracking_number: Option<String>,
    /// The person outside: a number, or the phone system's word.
    caller_number: String,
    /// Where the call was forwarded to.
    destination_number: Option<String>,
    /// Who called whom.
    direction: Direction,
    /// How it ended.
    status: CallStatus,
    /// How long it lasted.
    duration_seconds: u32,
    /// When it began: the payload's `created_at`.
    #[schema(value_type = String, format = "date-time")]
    started_at: Timestamp,
    /// When it ended.
    #[schema(value_type = String, format = "date-time")]
    ended_at: Timestamp,
    /// The recording, where there is one or one is expected.
    recording: Option<CallRecording>,
    /// Full text of the call.
    transcription: Option<String>,
    /// What the call was about.
    summary: Option<String>,
    /// Quality of the call.
    #[schema(value_type = Option<u8>, maximum = 100)]
    ai_score: Option<Score>,
    /// Kind of call.
    ai_category: Option<AiCategory>,
    /// Whether AI takes it for a qualified lead.
    qualified_ai: Option<bool>,
    /// Why, or why not.
    qualification_reason: Option<String>,
    /// Likelihood that a machine called.
    #[schema(value_type = Option<u8>, maximum = 100)]
    robo_score: Option<Score>,
    /// Whether AI has completed.
    ai_processed: bool,
    /// Where the call came from.
    attribution: Attribution,
    /// Assigned value.
    value_cents: Option<i64>,
    /// Cost of the call.
    cost_cents: Option<i64>,
    /// When it was reported.
    #[schema(value_type = String, format = "date-time")]
    reported_at: Timestamp,
    /// When anything of it last changed.
    #[schema(value_type = String, format = "date-time")]
    updated_at: Timestamp,
}

/// A call's recording.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallRecording {
    /// callhook's own address of it, which needs no key. 404 with `Retry-After` until it is there.
    url: String,
    /// Its length.
    duration_seconds: Option<u32>,
}

/// One call.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallData {
    /// The call.
    call: CallView,
}

/// A page of calls.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallPage {
    /// The latest report first.
    calls: Vec<CallView>,
    /// The cursor of the next page.
    next_cursor: Option<String>,
}

/// Several reports.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CallBatch)]
pub struct BatchDocument {
    /// At most 500. A wrong one is refused alone.
    #[schema(value_type = Vec<CallDocument>, max_items = 500)]
    calls: Vec<Box<RawValue>>,
}

/// What became of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchData {
    /// One for each call, in order.
    results: Vec<BatchResult>,
}

/// What became of one report of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum BatchResult {
    /// It is recorded: 201 for a new call, 200 for a known one.
    Recorded {
        /// The status that it would have had alone.
        status: u16,
        /// The call as it stands.
        call: Box<CallView>,
    },
    /// It is refused.
    Refused {
        /// The status that it would have had alone.
        status: u16,
        /// What is wrong.
        error: ErrorDetail,
    },
}

impl CallView {
    /// A call, with callhook's own recording link.
    #[must_use]
    pub fn of(call: Call, public_url: &str) -> Self {
        let analysis = call.analysis;
        let recording = call.recording_token.as_deref().map(|token| CallRecording {
            url: recording_url(public_url, token),
            duration_seconds: call.recording.as_ref().and_then(|recording| recording.duration_seconds),
        });
        Self {
            id: call.id,
            source_call_id: call.source_call_id,
            reported_by: call.reported_by,
            call_flow_id: call.call_flow_id,
            call_flow_name: call.call_flow_name,
            number_id: call.number_id,
            tracking_number: call.tracking_number.as_ref().map(ToString::to_string),
            caller_number: call.caller_number.to_string(),
            destination_number: call.destination_number.as_ref().map(ToString::to_string),
            direction: call.direction,
            status: call.status,
            duration_seconds: call.duration_seconds,
            started_at: call.started_at,
            ended_at: call.ended_at,
            recording,
            transcription: analysis.transcription,
            summary: analysis.summary,
            ai_score: analysis.ai_score,
            ai_category: analysis.ai_category,
            qualified_ai: analysis.qualified_ai,
            qualification_reason: analysis.qualification_reason,
            robo_score: analysis.robo_score,
            ai_processed: call.ai_processed,
            attribution: call.attribution,
            value_cents: call.value_cents,
            cost_cents: call.cost_cents,
            reported_at: call.reported_at,
            updated_at: call.updated_at,
        }
    }
}

/// The answer that shows one call.
#[must_use]
pub fn shown(call: Call, public_url: &str) -> Reply {
    Reply::ok(CallData { call: CallView::of(call, public_url) })
}

/// The business's calls.
#[utoipa::path(get, path = "/calls", tag = "Calls", params(CallQuery),
    responses((status = 200, body = Data<CallPage>), Reading))]
pub async fn list(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Query(query): Query<CallQuery>,
) -> Result<Reply, ApiError> {
    let position = Position::read(query.limit.as_deref(), query.cursor.as_deref())?;
    let filter = query.filter()?;
    let page = app.store.list_calls(scope.business_id, filter, position.before, position.limit).await?;
    Ok(Reply::ok(CallPage {
        next_cursor: next_cursor(&page, |call| *call.id.as_bytes()),
        calls: page.rows.into_iter().map(|call| CallView::of(call, &app.public_url)).collect(),
    }))
}

/// Reports a call that has ended. The same `source_call_id` again changes nothing: 200 and the call as it stands.
#[utoipa::path(post, path = "/calls", tag = "Calls", params(IdempotencyKey), request_body = CallDocument,
    responses((status = 201, body = Data<CallData>), (status = 200, body = Data<CallData>), Writing))]
pub async fn report(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    mut traced: Traced,
    Command { body, once }: Command<CallDocument>,
) -> Result<Reply, ApiError> {
    let ended = body.ended_call(scope.default_country, app.now(), &app.address_check)?;
    let for_store = Arc::clone(&app);
    let once = keep(once, move |recorded| recorded_reply(recorded, &for_store.public_url));
    traced.read();
    let answer = app.store.record_call(reporter(&scope), once, ended).await?;
    traced.recorded(answer.done_now());
    Ok(reply(answer, |recorded| recorded_reply(recorded, &app.public_url)))
}

/// Reports up to 500 calls in one transaction; a wrong one is refused alone.
#[utoipa::path(post, path = "/calls/batch", tag = "Calls", params(IdempotencyKey), request_body = BatchDocument,
    responses((status = 200, body = Data<BatchData>), Writing))]
pub async fn report_batch(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    mut traced: Traced,
    Command { body, once }: Command<BatchDocument, LARGE_BODY_BYTES_MAX>,
) -> Result<Reply, ApiError> {
    if body.calls.len() > BATCH_CALLS_MAX {
        let reason = format!("has too many entries: at most {BATCH_CALLS_MAX}");
        return Err(Invalid::field("calls", reason).into());
    }
    let now = app.now();
    let calls = body.calls.iter().map(|call| read_one(call, &scope, now, &app)).collect();
    let for_store = Arc::clone(&app);
    let once = keep(once, move |results: &Vec<_>| batch_reply(results, &for_store.public_url));
    traced.read();
    let answer = app.store.record_calls(reporter(&scope), once, calls).await?;
    traced.recorded(answer.done_now().into_iter().flatten().flatten());
    Ok(reply(answer, |results| batch_reply(results, &app.public_url)))
}

/// A call.
#[utoipa::path(get, path = "/calls/{id}", tag = "Calls", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = Data<CallData>), Reading))]
pub async fn read(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Id(id): Id<CallId>,
) -> Result<Reply, ApiError> {
    let call = app.store.call(scope.business_id, id).await?;
    Ok(shown(call, &app.public_url))
}

/// Corrects a call by a JSON merge patch (RFC 7386). Webhooks that have left keep what they said.
#[utoipa::path(patch, path = "/calls/{id}", tag = "Calls", params(("id" = String, Path, format = "uuid")),
    request_body = CorrectionDocument, responses((status = 200, body = Data<CallData>), Writing))]
pub async fn patch(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Id(id): Id<CallId>,
    Body(body): Body<Value>,
) -> Result<Reply, ApiError> {
    let call = app::call::correct(&app, scope.business_id, id, Change::Patch(body), None).await?;
    Ok(shown(call, &app.public_url))
}

/// Erases a call with its recording link, transcript, deliveries and payloads. A late repeat of its report is refused.
#[utoipa::path(delete, path = "/calls/{id}", tag = "Calls", params(("id" = String, Path, format = "uuid")),
    responses((status = 204), Reading))]
pub async fn erase(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Id(id): Id<CallId>,
) -> Result<StatusCode, ApiError> {
    app.store.erase_call(scope.business_id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn reporter(scope: &Scope) -> Reporter {
    Reporter {
        business_id: scope.business_id,
        key_id: Some(scope.key_id),
        reported_by: REPORTED_BY.to_owned(),
    }
}

fn read_one(call: &RawValue, scope: &Scope, now: Timestamp, app: &App) -> Result<EndedCall, Invalid> {
    let document: CallDocument = document::read(call.get().as_bytes()).map_err(|refused| match refused {
        Refused::Invalid(refused) => refused,
        Refused::Malformed(reason) => Invalid::value(reason),
    })?;
    document.ended_call(scope.default_country, now, &app.address_check)
}

const fn status_of(recorded: &Recorded) -> StatusCode {
    if recorded.is_new { StatusCode::CREATED } else { StatusCode::OK }
}

fn recorded_reply(recorded: &Recorded, public_url: &str) -> Reply {
    Reply::new(status_of(recorded), CallData { call: CallView::of(recorded.call.clone(), public_url) })
}

fn batch_reply(results: &[Result<Recorded, Invalid>], public_url: &str) -> Reply {
    let result = |result: &Result<Recorded, Invalid>| match result {
        Ok(recorded) => BatchResult::Recorded {
            status: status_of(recorded).as_u16(),
            call: Box::new(CallView::of(recorded.call.clone(), public_url)),
        },
        Err(refused) => BatchResult::Refused {
            status: StatusCode::UNPROCESSABLE_ENTITY.as_u16(),
            error: ApiError::from(refused.clone()).into_detail(),
        },
    };
    Reply::ok(BatchData { results: results.iter().map(result).collect() })
}
