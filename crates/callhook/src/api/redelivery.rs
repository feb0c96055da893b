//! Redeliveries over HTTP: all that match a filter are sent again, and what that came to so far is read.

use super::auth::{Member, Viewer};
use super::body::Command;
use super::envelope::{Data, Reply};
use super::error::{ApiError, Reading, Writing};
use super::idempotency::{IdempotencyKey, keep, reply};
use super::path::Id;
use crate::app::document;
use crate::app::filter::DeliveryFilterDocument;
use crate::app::{App, redelivery};
use axum::extract::State;
use axum::http::StatusCode;
use domain::Timestamp;
use domain::id::RedeliveryId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::delivery::{BegunBy, NotRedelivered, Redelivered, Redelivery, Stage};
use utoipa::ToSchema;

/// What is sent again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RedeliveryInput)]
pub struct RedeliveryDocument {
    /// Which deliveries; at least one condition.
    #[serde(deserialize_with = "document::object")]
    filter: DeliveryFilterDocument,
    /// Only count.
    #[serde(default)]
    #[schema(default = false)]
    dry_run: bool,
}

/// What sending again comes to.
#[derive(Debug, Serialize, ToSchema)]
pub struct RedeliveredData {
    /// Are sent again.
    redelivered: u64,
    /// Match, but are on their way already, are tests, have no destination or payload any more, or cannot be read.
    skipped: u64,
    /// Names the redelivery, whose progress can be read; only where it was begun.
    #[schema(value_type = Option<String>, format = "uuid")]
    #[serde(skip_serializing_if = "Option::is_none")]
    redelivery_id: Option<RedeliveryId>,
}

/// A sending again of all that match a filter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Redelivery)]
pub struct RedeliveryView {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: RedeliveryId,
    /// Which deliveries, as it was asked.
    filter: DeliveryFilterDocument,
    /// Where it stands.
    status: RedeliveryStatus,
    /// How many matched when it began.
    matched: u64,
    /// How many of them would have been sent again then.
    estimated: u64,
    /// How many are sent again so far.
    redelivered: u64,
    /// How many have had their turn and are not sent again.
    skipped: u64,
    /// Why those are not.
    skipped_for: SkippedView,
    /// When it began.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When it goes on, where it waits.
    #[schema(value_type = Option<String>, format = "date-time")]
    resumes_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = "date-time")]
    ended_at: Option<Timestamp>,
}

/// Where a redelivery stands.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedeliveryStatus {
    /// Goes on in the background.
    UnderWay,
    /// A step of it failed: it goes on by itself at `resumes_at`.
    Waiting,
    /// Has ended; what is sent again may still be on its way.
    Ended,
}

/// How many are not sent again for which reason.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RedeliverySkipped)]
pub struct SkippedView {
    /// Are tests.
    test: u64,
    /// Are on their way already.
    pending: u64,
    /// Have a webhook that is switched off, or no call flow any more.
    switched_off: u64,
    /// Have a payload that is past its retention.
    without_payload: u64,
    /// Cannot be read: the server's log says why.
    unreadable: u64,
}

/// One redelivery.
#[derive(Debug, Serialize, ToSchema)]
pub struct RedeliveryData {
    /// The redelivery.
    redelivery: RedeliveryView,
}

/// Sends again all that match; with `dry_run` it only counts them.
#[utoipa::path(post, path = "/webhook-deliveries/redeliver", tag = "Webhook deliveries", params(IdempotencyKey),
    request_body = RedeliveryDocument,
    responses((status = 202, body = Data<RedeliveredData>), (status = 200, body = Data<RedeliveredData>), Writing))]
pub async fn redeliver_matching(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Command { body, once }: Command<RedeliveryDocument>,
) -> Result<Reply, ApiError> {
    let filter = body.filter.filter().map_err(|refused| refused.within("filter"))?;
    let filter = redelivery::narrowed(filter)?;
    if body.dry_run {
        let counted = app.store.count_redeliverable(scope.business_id, filter).await?;
        return Ok(Reply::ok(RedeliveredData::from(&counted)));
    }
    let render = |begun: &Redelivery| Reply::new(StatusCode::ACCEPTED, RedeliveredData::from(begun));
    let by = BegunBy::ApiKey(scope.key_id);
    let answer = app.store.redeliver_matching(scope.business_id, by, keep(once, render), filter).await?;
    Ok(reply(answer, render))
}

/// A redelivery with what it has come to so far. It can be read for 30 days after its end.
#[utoipa::path(get, path = "/redeliveries/{id}", tag = "Webhook deliveries",
    params(("id" = String, Path, format = "uuid")), responses((status = 200, body = Data<RedeliveryData>), Reading))]
pub async fn read(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Id(id): Id<RedeliveryId>,
) -> Result<Reply, ApiError> {
    let redelivery = app.store.redelivery(scope.business_id, id).await?;
    Ok(Reply::ok(RedeliveryData { redelivery: (&redelivery).into() }))
}

impl From<&Redelivered> for RedeliveredData {
    fn from(counted: &Redelivered) -> Self {
        Self { redelivered: counted.redelivered, skipped: counted.left_out.sum(), redelivery_id: None }
    }
}

impl From<&Redelivery> for RedeliveredData {
    fn from(begun: &Redelivery) -> Self {
        let Redelivery { id, estimated, matched, .. } = begun;
        Self {
            redelivered: *estimated,
            skipped: matched.saturating_sub(*estimated),
            redelivery_id: Some(*id),
        }
    }
}

impl From<&NotRedelivered> for SkippedView {
    fn from(left_out: &NotRedelivered) -> Self {
        let NotRedelivered { tests, pending, switched_off, without_payload, unreadable, .. } = *left_out;
        Self { test: tests, pending, switched_off, without_payload, unreadable }
    }
}

impl From<&Redelivery> for RedeliveryView {
    fn from(redelivery: &Redelivery) -> Self {
        let Redelivered { redelivered, left_out } = &redelivery.so_far;
        let (status, resumes_at, ended_at) = match redelivery.stage {
            Stage::UnderWay => (RedeliveryStatus::UnderWay, None, None),
            Stage::Waiting(until) => (RedeliveryStatus::Waiting, Some(until), None),
            Stage::Ended(at) => (RedeliveryStatus::Ended, None, Some(at)),
        };
        Self {
            id: redelivery.id,
            filter: (&redelivery.filter).into(),
            status,
            matched: redelivery.matched,
            estimated: redelivery.estimated,
            redelivered: *redelivered,
            skipped: left_out.sum(),
            skipped_for: left_out.into(),
            created_at: redelivery.begun_at(),
            resumes_at,
            ended_at,
        }
    }
}
