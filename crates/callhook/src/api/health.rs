//! Health, for whoever keeps the program running. Outside the versioned API, no key needed.

use super::envelope::Reply;
use super::error::ApiError;
use crate::app::App;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
struct HealthData {
    status: &'static str,
}

/// `/healthz`: the process lives. `/readyz`: the store takes writes.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready))
}

async fn alive() -> Reply {
    Reply::ok(HealthData { status: "alive" })
}

async fn ready(State(app): State<Arc<App>>) -> Result<Reply, ApiError> {
    app.store.check().await?;
    Ok(Reply::ok(HealthData { status: "ready" }))
}
