//! Sources over HTTP; for admins, because their addresses and tokens are secrets.

use super::auth::Admin;
use super::body::{Body, Command};
use super::envelope::{Data, Reply};
use super::error::{ApiError, Reading, Writing};
use super::idempotency::{IdempotencyKey, keep, reply};
use super::list::{ListQuery, Query, next_cursor};
use super::path::Id;
use crate::app::document::Change;
use crate::app::source::{SourceDocument, SourceKind, SourceUrls};
use crate::app::{self, App};
use axum::extract::State;
use axum::http::StatusCode;
use domain::Timestamp;
use domain::id::SourceId;
use domain::secret::MASK;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use store::source::Source;
use utoipa::ToSchema;

/// A phone system that reports calls.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Source)]
pub struct SourceView {
    /// Names the source here.
    #[schema(value_type = String, format = "uuid")]
    id: SourceId,
    /// The kind of phone system.
    kind: SourceKind,
    /// What people call it.
    name: String,
    /// Always masked.
    #[schema(examples("••••"))]
    auth_token: &'static str,
    /// Whether its numbers forward calls by `<Dial>`.
    dial: bool,
    /// The addresses to be entered at the phone system. They are secrets.
    urls: SourceUrls,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = "date-time")]
    updated_at: Timestamp,
}

impl SourceView {
    fn of(source: &Source, public_url: &str) -> Self {
        Self {
            id: source.id,
            kind: SourceKind::Twilio,
            name: source.name.clone(),
            auth_token: MASK,
            dial: source.dial,
            urls: SourceUrls::of(source, public_url),
            created_at: source.created_at,
            updated_at: source.updated_at,
        }
    }
}

/// One source.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourceData {
    /// The source.
    source: SourceView,
}

/// A page of sources.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourcePage {
    /// Newest first.
    sources: Vec<SourceView>,
    /// The cursor of the next page.
    next_cursor: Option<String>,
}

/// The business's sources.
#[utoipa::path(get, path = "/sources", tag = "Sources", params(ListQuery),
    responses((status = 200, body = Data<SourcePage>), Reading))]
pub async fn list(
    State(app): State<Arc<App>>,
    Admin(scope): Admin,
    Query(query): Query<ListQuery>,
) -> Result<Reply, ApiError> {
    let position = query.position()?;
    let page = app.store.list_sources(scope.business_id, position.before, position.limit).await?;
    Ok(Reply::ok(SourcePage {
        next_cursor: next_cursor(&page, |source| *source.id.as_bytes()),
        sources: page.rows.iter().map(|source| SourceView::of(source, &app.public_url)).collect(),
    }))
}

/// Makes a source: enter its `urls` at the phone system.
#[utoipa::path(post, path = "/sources", tag = "Sources", params(IdempotencyKey), request_body = SourceDocument,
    responses((status = 201, body = Data<SourceData>), Writing))]
pub async fn create(
    State(app): State<Arc<App>>,
    Admin(scope): Admin,
    Command { body, once }: Command<SourceDocument>,
) -> Result<Reply, ApiError> {
    let base = app.public_url.clone();
    let render = move |source: &Source| Reply::created(SourceData { source: SourceView::of(source, &base) });
    let once = keep(once, render.clone());
    let answer = app::source::create(&app, scope.business_id, once, body).await?;
    Ok(reply(answer, render))
}

/// A source.
#[utoipa::path(get, path = "/sources/{id}", tag = "Sources", params(("id" = String, Path, format = "uuid")),
    responses((status = 200, body = Data<SourceData>), Reading))]
pub async fn read(
    State(app): State<Arc<App>>,
    Admin(scope): Admin,
    Id(id): Id<SourceId>,
) -> Result<Reply, ApiError> {
    let source = app.store.source(scope.business_id, id).await?;
    Ok(Reply::ok(SourceData { source: SourceView::of(&source, &app.public_url) }))
}

/// Changes a source by a JSON merge patch (RFC 7386).
#[utoipa::path(patch, path = "/sources/{id}", tag = "Sources", params(("id" = String, Path, format = "uuid")),
    request_body(content = Object, description = "A merge patch of `SourceInput`: what is left out stays."),
    responses((status = 200, body = Data<SourceData>), Writing))]
pub async fn patch(
    State(app): State<Arc<App>>,
    Admin(scope): Admin,
    Id(id): Id<SourceId>,
    Body(body): Body<Value>,
) -> Result<Reply, ApiError> {
    let source = app::source::update(&app, scope.business_id, id, Change::Patch(body)).await?;
    Ok(Reply::ok(SourceData { source: SourceView::of(&source, &app.public_url) }))
}

/// Removes a source: its addresses answer no longer, its calls stay.
#[utoipa::path(delete, path = "/sources/{id}", tag = "Sources", params(("id" = String, Path, format = "uuid")),
    responses((status = 204), Reading))]
pub async fn delete(
    State(app): State<Arc<App>>,
    Admin(scope): Admin,
    Id(id): Id<SourceId>,
) -> Result<StatusCode, ApiError> {
    app.store.delete_source(scope.business_id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
