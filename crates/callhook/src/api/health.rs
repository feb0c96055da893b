//! Health, for whoever keeps the program running. Outside the versioned API, no key needed.

use super::envelope::Reply;
use super::error::ApiError;
use super::limits::READY_KEPT;
use crate::app::App;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use domain::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::Mutex;

#[derive(Serialize)]
struct HealthData {
    status: &'static str,
    /// Only where it is so: calls are taken and kept, and nothing is sent until the operator says so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sending_paused: bool,
}

/// The last answer of the store, with its time; who asks while one is awaited shares it.
#[derive(Default)]
struct Readiness(Mutex<Option<(Timestamp, Result<(), ApiError>)>>);

/// `/healthz`: the process lives. `/readyz`: the store takes writes.
pub fn router() -> Router<Arc<App>> {
    let readiness = Arc::new(Readiness::default());
    let answer = move |State(app): State<Arc<App>>| async move { ready(&app, &readiness).await };
    Router::new().route("/healthz", get(alive)).route("/readyz", get(answer))
}

async fn alive() -> Reply {
    Reply::ok(HealthData { status: "alive", sending_paused: false })
}

async fn ready(app: &App, readiness: &Readiness) -> Result<Reply, ApiError> {
    let check = async || Ok(app.store.check().await?);
    readiness.answer(|| app.now(), check).await?;
    // A server that sends nothing is ready all the same: whoever asks decides whether it gets calls, and it keeps them.
    let sending_paused = *app.sending_paused.borrow();
    Ok(Reply::ok(HealthData { status: "ready", sending_paused }))
}

impl Readiness {
    async fn answer(
        &self,
        now: impl Fn() -> Timestamp,
        check: impl AsyncFnOnce() -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let mut kept = self.0.lock().await;
        // A clock that was set back must not keep an answer for longer.
        let is_fresh = |at: Timestamp| (at..at.after(READY_KEPT)).contains(&now());
        if let Some((at, answer)) = &*kept
            && is_fresh(*at)
        {
            return answer.clone();
        }
        let answer = check().await;
        *kept = Some((now(), answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_of_the_store_is_kept_for_a_second() {
        let readiness = Readiness::default();
        let mut checks = 0;
        for (now_ms, is_ready, expected_checks) in
            [(5_000, true, 1), (5_999, true, 1), (6_000, false, 2), (6_500, false, 2), (5_900, true, 3)]
        {
            let check = async || {
                checks += 1;
                if is_ready { Ok(()) } else { Err(ApiError::unavailable("the disk is full")) }
            };
            let answer = readiness.answer(|| Timestamp::from_millis(now_ms), check).await;
            assert_eq!((answer.is_ok(), checks), (is_ready, expected_checks), "at {now_ms}");
        }
    }
}
