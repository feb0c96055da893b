//! Changes of deliveries as server-sent events: hints for dashboards and `callhook tail`. Who needs all reads the list.

use super::auth::{self, Viewer};
use super::error::{ApiError, Reading};
use crate::app::App;
use crate::app::changes::{Changes, Heard, KEEP_ALIVE};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::sse::{Event, KeepAlive, Sse};
use domain::api_key::KeyText;
use domain::delivery::DeliveryStatus;
use domain::id::{CallFlowId, CallId, DeliveryId};
use futures_util::{Stream, stream};
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use store::queue::{Change, DeliveryChange};
use utoipa::ToSchema;

/// A change of a delivery.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryEvent)]
pub struct ChangeView {
    /// The delivery.
    #[schema(value_type = String, format = "uuid")]
    delivery_id: DeliveryId,
    /// Its call.
    #[schema(value_type = Option<String>, format = "uuid")]
    call_id: Option<CallId>,
    /// Its flow.
    #[schema(value_type = String, format = "uuid")]
    call_flow_id: CallFlowId,
    /// Where it stands now.
    status: DeliveryStatus,
    /// Attempts so far.
    attempt_count: u32,
}

/// The key that opened the stream: it is asked again before each event, so that a revoked one hears no more.
pub struct Key(KeyText);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        auth::key(parts).map(Self)
    }
}

/// Changes of the business's deliveries: `event: delivery`; `event: lagged` where some were dropped for a slow reader.
#[utoipa::path(get, path = "/webhook-deliveries/events", tag = "Webhook deliveries",
    responses((status = 200, body = ChangeView, content_type = "text/event-stream"), Reading))]
pub async fn stream(
    State(app): State<Arc<App>>,
    Viewer(scope): Viewer,
    Key(key): Key,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let subscriber = Subscriber { changes: Changes::of(&app, scope.business_id), app, key };
    let events = stream::unfold(subscriber, |mut subscriber| async move {
        let event = subscriber.next().await?;
        Some((Ok(event), subscriber))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

struct Subscriber {
    app: Arc<App>,
    key: KeyText,
    changes: Changes,
}

impl Subscriber {
    /// The next event; `None` when the program ends or the key was revoked.
    async fn next(&mut self) -> Option<Event> {
        let event = loop {
            match self.changes.next().await? {
                Heard::Change(Change::Delivery(change)) => break delivery(&change),
                // What it sends again is told of each delivery.
                Heard::Change(Change::Redelivery(_)) => {}
                Heard::Lagged => break Event::default().event("lagged").data("{}"),
            }
        };
        let is_valid = matches!(self.app.store.authenticate(&self.key).await, Ok(Some(_)));
        is_valid.then_some(event)
    }
}

fn delivery(change: &DeliveryChange) -> Event {
    let view = ChangeView {
        delivery_id: change.delivery_id,
        call_id: change.call_id,
        call_flow_id: change.call_flow_id,
        status: change.status,
        attempt_count: change.attempt_count,
    };
    // Cannot fail: plain data with string keys; and JSON has no line feed, which would end the event.
    let json = serde_json::to_string(&view).unwrap_or_default();
    Event::default().event("delivery").data(json)
}
