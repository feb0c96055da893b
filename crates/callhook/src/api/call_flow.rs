//! Call flows over HTTP.

use super::auth::{Admin, Member, Viewer};
use super::body::{Body, Command, OptionalCommand};
use super::delivery::RawPayload;
use super::envelope::{Data, Reply};
use super::error::{ApiError, Reading, Writing};
use super::idempotency::{IdempotencyKey, keep, reply};
use super::list::{ListQuery, Query, next_cursor};
use super::path::Id;
use crate::app::call_flow::{AiDocument, CallFlowDocument, PostCallWebhookDocument};
use crate::app::document::Change;
use crate::app::test_webhook::{TestDocument, TestResult};
use crate::app::{self, App};
use axum::extract::State;
use axum::http::StatusCode;
use domain::Timestamp;
use domain::call_flow::CallFlow;
use domain::id::{CallFlowId, DeliveryId};
use domain::payload::Payload;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// A call flow, its secrets masked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallFlow)]
pub struct CallFlowView {
    /// The payload's `call_flow_id`.
    #[schema(value_type = String, format = "uuid")]
    id: CallFlowId,
    /// What people call it.
    name: String,
    /// Traffic source of calls for which neither report nor number says one.
    source: Option<String>,
    /// Whether answered calls are recorded by the phone system.
    recording: bool,
    /// What AI does with its calls.
    ai: AiDocument,
    /// Where its calls go.
    post_call_webhook: PostCallWebhookDocument,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = "date-time")]
    updated_at: Timestamp,
}

impl From<&CallFlow> for CallFlowView {
    fn from(flow: &CallFlow) -> Self {
        let CallFlowDocument { name, source, recording, ai, post_call_webhook } = CallFlowDocument::of(flow);
        Self {
            id: flow.id,
            name,
            source,
            recording,
            ai,
            post_call_webhook,
            created_at: flow.created_at,
            updated_at: flow.updated_at,
        }
    }
}

/// One call flow.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallFlowData {
    /// The call flow.
    call_flow: CallFlowView,
}

impl From<&CallFlow> for CallFlowData {
    fn from(flow: &CallFlow) -> Self {
        Self { call_flow: flow.into() }
    }
}

/// A page of call flows.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallFlowPage {
    /// Newest first.
    call_flows: Vec<CallFlowView>,
    /// The cursor of the next page.
    next_cursor: Option<String>,
}

/// A signing secret, shown once.
#[derive(Debug, Serialize, ToSchema)]
pub struct SigningSecretData {
    /// The new secret.
    #[schema(examples("whsec_…"))]
    signing_secret: String,
}

/// What came of a test webhook.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestWebhookData {
    /// Its delivery, listed with `test: true`.
    #[schema(value_type = String, format = "uuid")]
    delivery_id: DeliveryId,
    /// Whether the endpoint took it.
    ok: bool,
    /// The endpoint's answer.
    status_code: Option<u16>,
    /// Why it failed, in a word.
    error: Option<String>,
    /// Why it failed, in words: what it usually means and what to do.
    error_detail: Option<String>,
    /// How long it took.
    duration_ms: u32,
    /// The first 4 KiB of the answer's body.
    response_excerpt: Option<String>,
    /// Exactly what was sent.
    #[schema(value_type = Payload)]
    payload: RawPayload,
}

/// What would be sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct PayloadSampleData {
    /// The payload.
    #[schema(value_type = Payload)]
    payload_sample: RawPayload,
}

/// The business's call flows.
#[utoipa::path(get, path = "/call-flows", tag = "Call flows", params(ListQuery),
    responses((status = 200, body = Data<CallFlowPage>), Reading))]
pub async fn list(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Query(query): Query<ListQuery>,
) -> Result<Reply, ApiError> {
    let position = query.position()?;
    let page = app.store.list_call_flows(scope.business_id, None, position.before, position.limit).await?;
    Ok(Reply::ok(CallFlowPage {
        next_cursor: next_cursor(&page, |flow| *flow.id.as_bytes()),
        call_flows: page.rows.iter().map(Into::into).collect(),
    }))
}

/// Makes a call flow.
#[utoipa::path(post, path = "/call-flows", tag = "Call flows", params(IdempotencyKey), request_body = CallFlowDocument,
    responses((status = 201, body = Data<CallFlowData>), Writing))]
pub async fn create(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Command { body, once }: Command<CallFlowDocument>,
) -> Result<Reply, ApiError> {
    let render = |flow: &CallFlow| Reply::created(CallFlowData::from(flow));
    let answer = app::call_flow::create(&app, scope.business_id, keep(once, render), body).await?;
    Ok(reply(answer, render))
}

/// A call flow.
#[utoipa::path(get, path = "/call-flows/{id}", tag = "Call flows", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = Data<CallFlowData>), Reading))]
pub async fn read(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Id(id): Id<CallFlowId>,
) -> Result<Reply, ApiError> {
    let flow = app.store.call_flow(scope.business_id, id).await?;
    Ok(Reply::ok(CallFlowData::from(&flow)))
}

/// Replaces a call flow's settings: what is left out takes its default.
#[utoipa::path(put, path = "/call-flows/{id}", tag = "Call flows", params(("id" = String, Path, format = "uuid")),
    request_body = CallFlowDocument, responses((status = 200, body = Data<CallFlowData>), Writing))]
pub async fn replace(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Id(id): Id<CallFlowId>,
    Body(body): Body<Value>,
) -> Result<Reply, ApiError> {
    let flow = app::call_flow::update(&app, scope.business_id, id, Change::Replace(body), None).await?;
    Ok(Reply::ok(CallFlowData::from(&flow)))
}

/// Changes a call flow by a JSON merge patch (RFC 7386).
#[utoipa::path(patch, path = "/call-flows/{id}", tag = "Call flows", params(("id" = String, Path, format = "uuid")),
    request_body(content = Object, description = "A merge patch of `CallFlowInput`: what is left out stays, null goes back to its default."),
    responses((status = 200, body = Data<CallFlowData>), Writing))]
pub async fn patch(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Id(id): Id<CallFlowId>,
    Body(body): Body<Value>,
) -> Result<Reply, ApiError> {
    let flow = app::call_flow::update(&app, scope.business_id, id, Change::Patch(body), None).await?;
    Ok(Reply::ok(CallFlowData::from(&flow)))
}

/// Deletes a call flow: its numbers run nothing, what is pending is cancelled, its calls stay.
#[utoipa::path(delete, path = "/call-flows/{id}", tag = "Call flows", params(("id" = String, Path, format = "uuid")),
    responses((status = 204), Reading))]
pub async fn delete(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Id(id): Id<CallFlowId>,
) -> Result<StatusCode, ApiError> {
    app.store.delete_call_flow(scope.business_id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a new signing secret and shows it this once; the old one stays valid for 24 hours.
#[utoipa::path(post, path = "/call-flows/{id}/webhook-secret/rotate", tag = "Call flows",
    params(("id" = String, Path, format = "uuid"), IdempotencyKey),
    responses((status = 200, body = Data<SigningSecretData>), Writing))]
pub async fn rotate_secret(
    State(app): State<Arc<App>>,
    Admin(scope): Admin,
    Id(id): Id<CallFlowId>,
    OptionalCommand { body: Nothing {}, once }: OptionalCommand<Nothing>,
) -> Result<Reply, ApiError> {
    let secret = app::call_flow::new_signing_secret(&app);
    let shown = secret.clone();
    let render = move |(): &()| Reply::ok(SigningSecretData { signing_secret: shown.reveal().to_owned() });
    let once = keep(once, render.clone());
    let answer = app.store.rotate_signing_secret(scope.business_id, once, id, secret, None).await?;
    Ok(reply(answer, render))
}

/// Sends a test webhook now. 200 also when the endpoint failed: the test worked, the endpoint did not.
#[utoipa::path(post, path = "/call-flows/{id}/test-webhook", tag = "Call flows",
    params(("id" = String, Path, format = "uuid"), IdempotencyKey),
    request_body(content = Option<TestDocument>, description = "Nothing, or settings that are not saved yet."),
    responses((status = 200, body = Data<TestWebhookData>), Writing))]
pub async fn test_webhook(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Id(id): Id<CallFlowId>,
    OptionalCommand { body, once }: OptionalCommand<TestDocument>,
) -> Result<Reply, ApiError> {
    let render = |result: &TestResult| Reply::ok(TestWebhookData::from(result));
    let once = once.map(|once| {
        let render: app::test_webhook::RenderTest = Box::new(move |result| render(result).into());
        (once, render)
    });
    let answer = app::test_webhook::run(&app, scope.business_id, once, id, body).await?;
    Ok(reply(answer, render))
}

/// What would be sent, with the data of the flow's latest call or of a sample call.
#[utoipa::path(get, path = "/call-flows/{id}/payload-sample", tag = "Call flows",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = Data<PayloadSampleData>), Reading))]
pub async fn payload_sample(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Id(id): Id<CallFlowId>,
) -> Result<Reply, ApiError> {
    let payload = app::test_webhook::payload_sample(&app, scope.business_id, id).await?;
    Ok(Reply::ok(PayloadSampleData { payload_sample: RawPayload::new(payload) }))
}

/// A body that says nothing: none, or an empty object.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl From<&TestResult> for TestWebhookData {
    fn from(result: &TestResult) -> Self {
        let attempt = &result.attempt;
        Self {
            delivery_id: result.delivery_id,
            ok: attempt.error.is_none(),
            status_code: attempt.status_code,
            error: attempt.error.clone(),
            error_detail: attempt.error_detail.clone(),
            duration_ms: attempt.duration_ms,
            response_excerpt: attempt.response_excerpt.clone(),
            payload: RawPayload::new(result.payload.clone()),
        }
    }
}
