//! All that is answered over HTTP: the API, the pages of the dashboard, and what stands around both.

use crate::api::error::ApiError;
use crate::api::{self, metrics, request};
use crate::app::App;
use crate::dashboard;
use axum::Router;
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;

/// Everything.
pub fn router(app: Arc<App>) -> Router {
    let (api, requests) = api::router();
    let around = (Arc::clone(&app), requests);
    api.merge(dashboard::router(&app))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(around, request::around))
        .with_state(app)
}

fn is_for_programs(uri: &Uri) -> bool {
    uri.path().starts_with("/api/") || ["/healthz", "/readyz", metrics::PATH].contains(&uri.path())
}

/// A program is told in JSON, a person on a page.
async fn not_found(uri: Uri) -> Response {
    if is_for_programs(&uri) {
        return ApiError::not_found("there is nothing at this address").into_response();
    }
    dashboard::not_found()
}

async fn method_not_allowed(uri: Uri) -> Response {
    if is_for_programs(&uri) {
        return ApiError::method_not_allowed().into_response();
    }
    dashboard::not_found()
}
