//! Calls as CSV.

use super::auth::Viewer;
use super::error::{ApiError, Reading};
use super::list::Query;
use crate::app::filter::CallQuery;
use crate::app::{App, export};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::Invalid;
use std::sync::Arc;

/// The business's calls as CSV, the latest report first. The same filters as the list.
#[utoipa::path(get, path = "/calls/export", tag = "Calls", params(CallQuery),
    responses((status = 200, body = String, content_type = "text/csv"), Reading))]
pub async fn export(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Query(query): Query<CallQuery>,
) -> Result<Response, ApiError> {
    let filter = query.filter()?;
    for (field, value) in [("limit", &query.limit), ("cursor", &query.cursor)] {
        if value.is_some() {
            return Err(Invalid::field(field, "is not known here: an export has all that match").into());
        }
    }
    let rows = export::calls(app, scope.business_id, filter).await?;
    Ok((export::HEADERS, Body::from_stream(rows)).into_response())
}
