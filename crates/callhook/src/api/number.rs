//! Tracking numbers over HTTP.

use super::auth::{Member, Viewer};
use super::body::{Body, Command};
use super::envelope::{Data, Reply};
use super::error::{ApiError, Reading, Writing};
use super::idempotency::{IdempotencyKey, keep, reply};
use super::list::{ListQuery, Query, next_cursor};
use super::path::Id;
use crate::app::document::Change;
use crate::app::number::NumberDocument;
use crate::app::{self, App};
use axum::extract::State;
use axum::http::StatusCode;
use domain::Timestamp;
use domain::id::{CallFlowId, NumberId};
use domain::number::TrackingNumber;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// A tracking number.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Number)]
pub struct NumberView {
    /// Names the number here.
    #[schema(value_type = String, format = "uuid")]
    id: NumberId,
    /// E.164.
    phone_number: String,
    /// What people call it.
    friendly_name: Option<String>,
    /// What it runs; without one its calls are recorded as unmatched.
    #[schema(value_type = Option<String>, format = "uuid")]
    call_flow_id: Option<CallFlowId>,
    /// Default traffic source of its calls.
    source: Option<String>,
    /// Default UTM source.
    utm_source: Option<String>,
    /// Default UTM medium.
    utm_medium: Option<String>,
    /// Default UTM campaign.
    utm_campaign: Option<String>,
    /// Default UTM term.
    utm_term: Option<String>,
    /// Default UTM content.
    utm_content: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = "date-time")]
    updated_at: Timestamp,
}

impl From<&TrackingNumber> for NumberView {
    fn from(number: &TrackingNumber) -> Self {
        let attribution = number.attribution.clone();
        Self {
            id: number.id,
            phone_number: number.phone_number.to_string(),
            friendly_name: number.friendly_name.clone(),
            call_flow_id: number.call_flow_id,
            source: attribution.source,
            utm_source: attribution.utm_source,
            utm_medium: attribution.utm_medium,
            utm_campaign: attribution.utm_campaign,
            utm_term: attribution.utm_term,
            utm_content: attribution.utm_content,
            created_at: number.created_at,
            updated_at: number.updated_at,
        }
    }
}

/// One number.
#[derive(Debug, Serialize, ToSchema)]
pub struct NumberData {
    /// The number.
    number: NumberView,
}

impl From<&TrackingNumber> for NumberData {
    fn from(number: &TrackingNumber) -> Self {
        Self { number: number.into() }
    }
}

/// A page of numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct NumberPage {
    /// Newest first.
    numbers: Vec<NumberView>,
    /// The cursor of the next page.
    next_cursor: Option<String>,
}

/// The business's numbers.
#[utoipa::path(get, path = "/numbers", tag = "Numbers", params(ListQuery),
    responses((status = 200, body = Data<NumberPage>), Reading))]
pub async fn list(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Query(query): Query<ListQuery>,
) -> Result<Reply, ApiError> {
    let position = query.position()?;
    let page = app.store.list_numbers(scope.business_id, None, position.before, position.limit).await?;
    Ok(Reply::ok(NumberPage {
        next_cursor: next_cursor(&page, |number| *number.id.as_bytes()),
        numbers: page.rows.iter().map(Into::into).collect(),
    }))
}

/// Adds a number. 409 where the business has it already.
#[utoipa::path(post, path = "/numbers", tag = "Numbers", params(IdempotencyKey), request_body = NumberDocument,
    responses((status = 201, body = Data<NumberData>), Writing))]
pub async fn create(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Command { body, once }: Command<NumberDocument>,
) -> Result<Reply, ApiError> {
    let render = |number: &TrackingNumber| Reply::created(NumberData::from(number));
    let settings = body.settings(scope.default_country)?;
    let answer = app.store.create_number(scope.business_id, keep(once, render), settings).await?;
    Ok(reply(answer, render))
}

/// A number.
#[utoipa::path(get, path = "/numbers/{id}", tag = "Numbers", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = Data<NumberData>), Reading))]
pub async fn read(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Id(id): Id<NumberId>,
) -> Result<Reply, ApiError> {
    let number = app.store.number(scope.business_id, id).await?;
    Ok(Reply::ok(NumberData::from(&number)))
}

/// Changes a number by a JSON merge patch (RFC 7386).
#[utoipa::path(patch, path = "/numbers/{id}", tag = "Numbers", params(("id" = String, Path, format = "uuid")),
    request_body(content = Object, description = "A merge patch of `NumberInput`: what is left out stays, null takes a value away."),
    responses((status = 200, body = Data<NumberData>), Writing))]
pub async fn patch(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Id(id): Id<NumberId>,
    Body(body): Body<Value>,
) -> Result<Reply, ApiError> {
    let change = Change::Patch(body);
    let number = app::number::update(&app, scope.business_id, scope.default_country, id, change).await?;
    Ok(Reply::ok(NumberData::from(&number)))
}

/// Removes a number; its calls stay.
#[utoipa::path(delete, path = "/numbers/{id}", tag = "Numbers", params(("id" = String, Path, format = "uuid")),
    responses((status = 204), Reading))]
pub async fn delete(
    State(app): State<Arc<App>>,
    Member(scope): Member,
    Id(id): Id<NumberId>,
) -> Result<StatusCode, ApiError> {
    app.store.delete_number(scope.business_id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
