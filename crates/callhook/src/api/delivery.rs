//! Webhook deliveries over HTTP: listed, looked into, sent again, cancelled.

use super::auth::{Member, Viewer};
use super::body::OptionalCommand;
use super::call_flow::Nothing;
use super::envelope::{Data, Reply};
use super::error::{ApiError, Reading, Writing};
use super::idempotency::{IdempotencyKey, keep, reply};
use super::list::{Position, Query, next_cursor};
use super::path::Id;
use crate::app::App;
use crate::app::filter::DeliveryQuery;
use axum::extract::State;
use axum::http::StatusCode;
use domain::Timestamp;
use domain::delivery::{Attempt, Delivery, DeliveryKind, DeliveryStatus, Phases};
use domain::event::Event;
use domain::id::{CallFlowId, CallId, DeliveryId};
use domain::payload::Payload;
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use store::delivery::DeliveryDetail;
use utoipa::ToSchema;

/// A payload exactly as it is sent.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct RawPayload(Option<Box<RawValue>>);

impl RawPayload {
    /// Takes a stamped body.
    #[must_use]
    pub fn new(json: Vec<u8>) -> Self {
        // Cannot fail: a stamped body is a JSON text that callhook itself has written.
        let json = String::from_utf8(json).ok();
        Self(json.and_then(|json| RawValue::from_string(json).ok()))
    }
}

/// One call, or a test, on its way to its destination.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct DeliveryView {
    /// The payload's `delivery_id`.
    #[schema(value_type = String, format = "uuid")]
    id: DeliveryId,
    /// The call; null for a test with the sample call.
    #[schema(value_type = Option<String>, format = "uuid")]
    call_id: Option<CallId>,
    /// The call flow.
    #[schema(value_type = String, format = "uuid")]
    call_flow_id: CallFlowId,
    /// The further destination; null: the Post-Call Webhook.
    #[schema(value_type = Option<String>, format = "uuid")]
    destination_id: Option<String>,
    /// Why it exists.
    kind: DeliveryKind,
    /// The payload's `event`.
    event: Event,
    /// Where it stands.
    status: DeliveryStatus,
    /// Whether it is a test.
    test: bool,
    /// Where the last attempt went, or the next one goes.
    url: String,
    /// Attempts so far.
    attempt_count: u32,
    /// When the next attempt, or the fallback of waiting for AI, is due.
    #[schema(value_type = Option<String>, format = "date-time")]
    next_attempt_at: Option<Timestamp>,
    /// The last answer's status.
    last_status_code: Option<u16>,
    /// The last failure, in a word.
    last_error: Option<String>,
    /// Why it was cancelled or skipped.
    reason: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When the receiver acknowledged it.
    #[schema(value_type = Option<String>, format = "date-time")]
    delivered_at: Option<Timestamp>,
}

/// A delivery with all that is known about it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDeliveryDetail)]
pub struct DeliveryDetailView {
    /// The delivery.
    #[serde(flatten)]
    delivery: DeliveryView,
    /// Exactly what the last attempt carried, or the first one will; null while it is not frozen yet.
    #[schema(value_type = Option<Payload>)]
    payload: RawPayload,
    /// Every attempt, in order.
    attempts: Vec<AttemptView>,
}

/// One exchange with the destination.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptView {
    /// From 1, counting on when it is sent again.
    attempt: u32,
    /// When it began, with milliseconds.
    #[schema(format = "date-time")]
    started_at: String,
    /// How long it took, redirects included.
    duration_ms: u32,
    /// The final answer's status.
    status_code: Option<u16>,
    /// The failure, in a word.
    error: Option<String>,
    /// The failure in words: what it usually means and what to do.
    error_detail: Option<String>,
    /// The address that gave the final answer.
    url: String,
    /// The address that was really connected.
    remote_address: Option<String>,
    /// The final answer's headers.
    response_headers: Vec<HeaderView>,
    /// The first 4 KiB of the final answer's body.
    response_excerpt: Option<String>,
    /// Whether the receiver may have got it twice: the process ended while the attempt was in flight.
    repeated: bool,
    /// What the time was spent with; null where nothing was sent, and for attempts of before this was kept.
    phases: Option<Phases>,
}

/// A header of an answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Header)]
pub struct HeaderView {
    /// Its name.
    name: String,
    /// Its value.
    value: String,
}

/// One delivery.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryData {
    /// The delivery.
    webhook_delivery: DeliveryView,
}

/// One delivery with all that is known about it.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryDetailData {
    /// The delivery.
    webhook_delivery: DeliveryDetailView,
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryPage {
    /// Newest first.
    webhook_deliveries: Vec<DeliveryView>,
    /// The cursor of the next page.
    next_cursor: Option<String>,
}

impl From<&Delivery> for DeliveryView {
    fn from(delivery: &Delivery) -> Self {
        Self {
            id: delivery.id,
            call_id: delivery.call_id,
            call_flow_id: delivery.call_flow_id,
            destination_id: None,
            kind: delivery.kind,
            event: delivery.event,
            status: delivery.status,
            test: delivery.kind == DeliveryKind::Test,
            url: delivery.url.clone(),
            attempt_count: delivery.attempt_count,
            next_attempt_at: delivery.next_attempt_at,
            last_status_code: delivery.last_status_code,
            last_error: delivery.last_error.clone(),
            reason: delivery.reason.clone(),
            created_at: delivery.created_at,
            delivered_at: delivery.delivered_at,
        }
    }
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> Self {
        let header =
            |(name, value): &(String, String)| HeaderView { name: name.clone(), value: value.clone() };
        Self {
            attempt: attempt.attempt,
            started_at: attempt.started_at.to_rfc3339_millis(),
            duration_ms: attempt.duration_ms,
            status_code: attempt.status_code,
            error: attempt.error.clone(),
            error_detail: attempt.error_detail.clone(),
            url: attempt.url.clone(),
            remote_address: attempt.remote_address.clone(),
            response_headers: attempt.response_headers.iter().map(header).collect(),
            response_excerpt: attempt.response_excerpt.clone(),
            repeated: attempt.repeated,
            phases: attempt.phases,
        }
    }
}

impl From<&DeliveryDetail> for DeliveryDetailView {
    fn from(detail: &DeliveryDetail) -> Self {
        Self {
            delivery: (&detail.delivery).into(),
            payload: detail.sent().map_or(RawPayload(None), RawPayload::new),
            attempts: detail.attempts.iter().map(Into::into).collect(),
        }
    }
}

/// The business's deliveries.
#[utoipa::path(get, path = "/webhook-deliveries", tag = "Webhook deliveries", params(DeliveryQuery),
    responses((status = 200, body = Data<DeliveryPage>), Reading))]
pub async fn list(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Query(query): Query<DeliveryQuery>,
) -> Result<Reply, ApiError> {
    let position = Position::read(query.limit.as_deref(), query.cursor.as_deref())?;
    let filter = query.filter()?;
    let page = app.store.list_deliveries(scope.business_id, filter, position.before, position.limit).await?;
    Ok(Reply::ok(DeliveryPage {
        next_cursor: next_cursor(&page, |delivery| *delivery.id.as_bytes()),
        webhook_deliveries: page.rows.iter().map(Into::into).collect(),
    }))
}

/// A delivery with its payload and attempts.
#[utoipa::path(get, path = "/webhook-deliveries/{id}", tag = "Webhook deliveries",
    params(("id" = String, Path, format = "uuid")), responses((status = 200, body = Data<DeliveryDetailData>), Reading))]
pub async fn read(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Id(id): Id<DeliveryId>,
) -> Result<Reply, ApiError> {
    let detail = app.store.delivery(scope.business_id, id).await?;
    Ok(Reply::ok(DeliveryDetailData { webhook_delivery: (&detail).into() }))
}

/// Starts a new series of attempts of a delivery that has ended: the same `delivery_id`, `attempt` counting on.
#[utoipa::path(post, path = "/webhook-deliveries/{id}/redeliver", tag = "Webhook deliveries",
    params(("id" = String, Path, format = "uuid"), IdempotencyKey),
    responses((status = 202, body = Data<DeliveryData>), Writing))]
pub async fn redeliver(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Id(id): Id<DeliveryId>,
    OptionalCommand { body: Nothing {}, once }: OptionalCommand<Nothing>,
) -> Result<Reply, ApiError> {
    let render = |delivery: &Delivery| {
        Reply::new(StatusCode::ACCEPTED, DeliveryData { webhook_delivery: delivery.into() })
    };
    let answer = app.store.redeliver(scope.business_id, keep(once, render), id).await?;
    Ok(reply(answer, render))
}

/// Cancels a delivery that waits. An attempt that is in flight ends as it ends.
#[utoipa::path(post, path = "/webhook-deliveries/{id}/cancel", tag = "Webhook deliveries",
    params(("id" = String, Path, format = "uuid"), IdempotencyKey),
    responses((status = 200, body = Data<DeliveryData>), Writing))]
pub async fn cancel(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Id(id): Id<DeliveryId>,
    OptionalCommand { body: Nothing {}, once }: OptionalCommand<Nothing>,
) -> Result<Reply, ApiError> {
    let render = |delivery: &Delivery| Reply::ok(DeliveryData { webhook_delivery: delivery.into() });
    let answer = app.store.cancel_delivery(scope.business_id, keep(once, render), id).await?;
    Ok(reply(answer, render))
}
