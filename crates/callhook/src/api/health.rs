//! Health, for whoever keeps the program running. Outside the versioned API, no key needed.

use super::envelope::Reply;
use super::error::ApiError;
use super::kept::Kept;
use super::limits::{READY_KEPT, READY_WITHIN};
use crate::app::App;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::Serialize;
use std::sync::Arc;
use store::StoreError;

#[derive(Serialize)]
struct HealthData {
    status: &'static str,
    /// Only where it is so: calls are taken and kept, and nothing is sent until the operator says so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sending_paused: bool,
}

/// `/healthz`: the process lives. `/readyz`: the store takes writes.
pub fn router() -> Router<Arc<App>> {
    let readiness = Arc::new(Kept::new(READY_KEPT));
    let answer = move |State(app): State<Arc<App>>| async move { ready(&app, &readiness).await };
    Router::new().route("/healthz", get(alive)).route("/readyz", get(answer))
}

async fn alive() -> Reply {
    Reply::ok(HealthData { status: "alive", sending_paused: false })
}

async fn ready(app: &App, readiness: &Kept<Result<(), ApiError>>) -> Result<Reply, ApiError> {
    let check = async || {
        let checked = tokio::time::timeout(READY_WITHIN, app.store.check()).await;
        Ok(checked
            .unwrap_or_else(|_| Err(StoreError::Unavailable("it does not write in time".to_owned())))?)
    };
    readiness.answer(|| app.now(), check).await?;
    // A server that sends nothing is ready all the same: whoever asks decides whether it gets calls, and it keeps them.
    let sending_paused = *app.sending_paused.borrow();
    Ok(Reply::ok(HealthData { status: "ready", sending_paused }))
}
