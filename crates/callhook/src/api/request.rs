//! Around every request: an id, a count, one log line for each fault of ours, and an answer even where a handler panicked.

use super::error::ApiError;
use crate::app::App;
use crate::logging::Cause;
use crate::telemetry::Requests;
use crate::telemetry::requests::UNMATCHED;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::time::Instant;

/// The header that names the request in the log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs a request.
pub async fn around(
    State((app, requests)): State<(Arc<App>, Arc<Requests>)>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    // The route, not the path: a path may hold a secret.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let id = new_id(&app);
    let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        // What was panicked about, the panic hook has printed.
        Err(_) => ApiError::internal("the handler panicked").into_response(),
    };
    let route = route.as_ref().map(MatchedPath::as_str);
    requests.add(&method, route, response.status(), began.elapsed());
    log(&response, &id, &method, route.unwrap_or(UNMATCHED));
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn new_id(app: &App) -> String {
    app.world.random::<8>().iter().fold(String::with_capacity(16), |mut id, byte| {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
        id
    })
}

fn log(response: &Response, id: &str, method: &Method, route: &str) {
    let status = response.status();
    if !status.is_server_error() {
        return;
    }
    let cause = response.extensions().get::<Cause>().map_or("unknown", |cause| cause.0.as_str());
    tracing::error!(request_id = id, %method, route, status = status.as_u16(), cause, "A request failed");
}
