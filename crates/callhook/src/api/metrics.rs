//! `/metrics`, for Prometheus. Outside the versioned API, no key needed: it shows counts, and no business, host, number or secret.

use super::error::ApiError;
use super::kept::Kept;
use crate::app::App;
use crate::telemetry::limits::{BACKLOG_KEPT, BACKLOG_READ_WITHIN, DELIVERIES_COUNTED_MAX};
use crate::telemetry::{Requests, Snapshot, page};
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use std::fmt::Display;
use std::sync::Arc;
use store::StoreResult;
use store::delivery::Backlog;

/// Where it is.
pub const PATH: &str = "/metrics";

/// The page, of these requests among other things.
pub fn router(requests: Arc<Requests>) -> Router<Arc<App>> {
    let backlog = Arc::new(Kept::new(BACKLOG_KEPT));
    let answer = move |State(app): State<Arc<App>>| async move { show(&app, &requests, &backlog).await };
    Router::new().route(PATH, get(answer))
}

async fn show(app: &App, requests: &Requests, kept: &Kept<Option<Backlog>>) -> Result<Response, ApiError> {
    let backlog =
        kept.answer(|| app.now(), async || in_time(app.store.backlog(DELIVERIES_COUNTED_MAX)).await).await;
    let snapshot = Snapshot::take(app.now(), backlog, &app.store, app.observer.as_ref(), requests).await;
    let text = page::render(snapshot).map_err(|_| ApiError::internal("the metrics could not be written"))?;
    Ok(([(header::CONTENT_TYPE, page::CONTENT_TYPE)], text).into_response())
}

/// A store that cannot be read, or not in time, is a figure as well: the page shows it, and everything else.
async fn in_time(read: impl Future<Output = StoreResult<Backlog>>) -> Option<Backlog> {
    let unread =
        |error: &dyn Display| tracing::warn!(%error, "The store's backlog could not be read for /metrics");
    match tokio::time::timeout(BACKLOG_READ_WITHIN, read).await {
        Ok(backlog) => backlog.inspect_err(|error| unread(error)).ok(),
        Err(late) => {
            unread(&late);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_does_not_keep_the_page() {
        assert_eq!(in_time(std::future::pending()).await, None);
        assert_eq!(in_time(async { Ok(Backlog::default()) }).await, Some(Backlog::default()));
    }
}
