//! The demo's receiver: endpoints as they are in the world, one path each.

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, post};
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpListener;

/// Longer than the demo's response time-out.
const HANG: Duration = Duration::from_secs(5);

/// Takes everything, as Zapier does.
pub const ZAPIER: &str = "/zapier";
/// Refuses each first attempt with 503.
pub const FLAKY_CRM: &str = "/crm";
/// Answers the first attempt of every other call too late.
pub const SLOW_PARTNER: &str = "/partner";
/// Answers with a redirect to another host, as Google Apps Script does.
pub const APPS_SCRIPT: &str = "/apps-script";
/// Was moved away: always 404.
pub const OLD_CRM: &str = "/old-crm";

/// Starts the receiver on a free port; answers its base address.
pub async fn start() -> std::io::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    // Another name of the same machine is another origin: the redirect crosses hosts, as it does at Google.
    let echo = format!("http://127.0.0.2:{port}/echo");
    let router = Router::new()
        .route(ZAPIER, post(|| async { "{\"status\":\"success\"}" }))
        .route(FLAKY_CRM, post(|body: Bytes| async move { first_fails(&body) }))
        .route(SLOW_PARTNER, post(slow))
        .route(APPS_SCRIPT, post(move || async move { (StatusCode::FOUND, [(header::LOCATION, echo)]) }))
        .route("/echo", any(|| async { "{\"ok\":true}" }));
    let other = TcpListener::bind(("127.0.0.2", port)).await?;
    tokio::spawn(axum::serve(listener, router.clone()).into_future());
    tokio::spawn(axum::serve(other, router).into_future());
    Ok(format!("http://127.0.0.1:{port}"))
}

fn first_fails(body: &[u8]) -> Response {
    if attempt(body) == 1 {
        (StatusCode::SERVICE_UNAVAILABLE, "the database is locked").into_response()
    } else {
        StatusCode::CREATED.into_response()
    }
}

async fn slow(body: Bytes) -> Response {
    let payload: Value = serde_json::from_slice(&body).unwrap_or_default();
    let is_long = payload["duration_seconds"].as_u64().is_some_and(|seconds| seconds >= 60);
    if attempt(&body) == 1 && is_long {
        tokio::time::sleep(HANG).await;
    }
    StatusCode::ACCEPTED.into_response()
}

fn attempt(body: &[u8]) -> u64 {
    let payload: Value = serde_json::from_slice(body).unwrap_or_default();
    payload["attempt"].as_u64().unwrap_or(0)
}
