//! The key's own business over HTTP.

use super::auth::{Admin, Viewer};
use super::body::Body;
use super::envelope::{Data, Reply};
use super::error::{ApiError, Reading, Writing};
use crate::app::business::RetentionDocument;
use crate::app::document::Change;
use crate::app::{self, App};
use axum::extract::State;
use domain::Timestamp;
use domain::business::Business;
use domain::id::BusinessId;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// A business.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Business)]
pub struct BusinessView {
    /// The payload's `business_id`.
    #[schema(value_type = String, format = "uuid")]
    id: BusinessId,
    /// Its name on this server.
    name: String,
    /// How numbers without `+` are read.
    default_country: String,
    /// How long what has ended is kept.
    retention: RetentionDocument,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
}

/// The key's business.
#[derive(Debug, Serialize, ToSchema)]
pub struct BusinessData {
    /// The business.
    business: BusinessView,
}

impl From<Business> for BusinessData {
    fn from(business: Business) -> Self {
        Self {
            business: BusinessView {
                id: business.id,
                default_country: business.default_country.code().to_owned(),
                name: business.name,
                retention: business.retention.into(),
                created_at: business.created_at,
            },
        }
    }
}

/// The business that the key belongs to.
#[utoipa::path(get, path = "/business", tag = "Business", responses((status = 200, body = Data<BusinessData>), Reading))]
pub async fn read(State(app): State<Arc<App>>, Viewer(scope): Viewer) -> Result<Reply, ApiError> {
    Ok(Reply::ok(BusinessData::from(app.store.business(scope.business_id).await?)))
}

/// Changes how long the business keeps what has ended, by a JSON merge patch (RFC 7386). Needs the role admin.
#[utoipa::path(patch, path = "/business", tag = "Business",
    request_body(content = Object, description = "A merge patch of `BusinessInput`: what is left out stays, null keeps for good."),
    responses((status = 200, body = Data<BusinessData>), Writing))]
pub async fn patch(
    State(app): State<Arc<App>>,
    Admin(scope): Admin,
    Body(body): Body<Value>,
) -> Result<Reply, ApiError> {
    let business = app::business::update(&app, scope.business_id, Change::Patch(body)).await?;
    Ok(Reply::ok(BusinessData::from(business)))
}
