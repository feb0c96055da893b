//! API keys over HTTP; for admins.

use super::auth::Admin;
use super::body::Command;
use super::envelope::{Data, Reply};
use super::error::{ApiError, Reading, Writing};
use super::idempotency::{IdempotencyKey, reply};
use super::list::{ListQuery, Query, next_cursor};
use super::path::Id;
use crate::app::api_key::{ApiKeyDocument, RenderKey};
use crate::app::{self, App};
use axum::extract::State;
use axum::http::StatusCode;
use domain::Timestamp;
use domain::api_key::{ApiKey, KeyText, Role};
use domain::id::ApiKeyId;
use serde::Serialize;
use std::sync::Arc;
use store::api_key::KeyMaker;
use utoipa::ToSchema;

/// A key as it is listed; the key itself is not kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyView {
    /// Names the key for its revocation.
    #[schema(value_type = String, format = "uuid")]
    id: ApiKeyId,
    /// What its holder calls it.
    name: String,
    /// What it allows.
    role: Role,
    /// The first 8 characters after `ch_key_`.
    hint: String,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// From then on it opens nothing.
    #[schema(value_type = Option<String>, format = "date-time")]
    revoked_at: Option<Timestamp>,
}

/// A new key, shown once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewApiKey)]
pub struct NewApiKeyView {
    /// Names the key for its revocation.
    #[schema(value_type = String, format = "uuid")]
    id: ApiKeyId,
    /// What its holder calls it.
    name: String,
    /// What it allows.
    role: Role,
    /// The first 8 characters after `ch_key_`.
    hint: String,
    /// The key. It is not shown again.
    #[schema(examples("ch_key_…"))]
    key: String,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// Not yet.
    #[schema(value_type = Option<String>, format = "date-time")]
    revoked_at: Option<Timestamp>,
}

/// A new key.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewApiKeyData {
    /// The key.
    api_key: NewApiKeyView,
}

/// A page of keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKeyPage {
    /// Newest first, revoked ones included.
    api_keys: Vec<ApiKeyView>,
    /// The cursor of the next page.
    next_cursor: Option<String>,
}

impl From<&ApiKey> for ApiKeyView {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name.clone(),
            role: key.role,
            hint: key.hint.clone(),
            created_at: key.created_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// The business's keys.
#[utoipa::path(get, path = "/api-keys", tag = "API keys", params(ListQuery),
    responses((status = 200, body = Data<ApiKeyPage>), Reading))]
pub async fn list(
    State(app): State<Arc<App>>,
    Admin(scope): Admin,
    Query(query): Query<ListQuery>,
) -> Result<Reply, ApiError> {
    let position = query.position()?;
    let page = app.store.list_api_keys(scope.business_id, position.before, position.limit).await?;
    Ok(Reply::ok(ApiKeyPage {
        next_cursor: next_cursor(&page, |key| *key.id.as_bytes()),
        api_keys: page.rows.iter().map(Into::into).collect(),
    }))
}

/// Makes a key and shows it this once. 409 where the business has as many active keys as it may.
#[utoipa::path(post, path = "/api-keys", tag = "API keys", params(IdempotencyKey), request_body = ApiKeyDocument,
    responses((status = 201, body = Data<NewApiKeyData>), Writing))]
pub async fn create(
    State(app): State<Arc<App>>,
    Admin(scope): Admin,
    Command { body, once }: Command<ApiKeyDocument>,
) -> Result<Reply, ApiError> {
    let once = once.map(|once| {
        let render: RenderKey = Box::new(|key, text| shown(key, text).into());
        (once, render)
    });
    let (answer, text) =
        app::api_key::create(&app, scope.business_id, once, body, KeyMaker::ApiKey(scope.key_id)).await?;
    Ok(reply(answer, |key| shown(key, &text)))
}

/// Revokes a key: it opens nothing from the answer on.
#[utoipa::path(delete, path = "/api-keys/{id}", tag = "API keys", params(("id" = String, Path, format = "uuid")),
    responses((status = 204), Reading))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    Admin(scope): Admin,
    Id(id): Id<ApiKeyId>,
) -> Result<StatusCode, ApiError> {
    app.store.revoke_api_key(scope.business_id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(key: &ApiKey, text: &KeyText) -> Reply {
    let api_key = NewApiKeyView {
        id: key.id,
        name: key.name.clone(),
        role: key.role,
        hint: key.hint.clone(),
        key: text.reveal().to_owned(),
        created_at: key.created_at,
        revoked_at: key.revoked_at,
    };
    Reply::created(NewApiKeyData { api_key })
}
