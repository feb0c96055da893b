//! Changes of deliveries for pages that are open: a hint, upon which a page fetches itself again.

use super::frame::Seat;
use crate::api::limits::KEEP_ALIVE;
use crate::app::App;
use crate::app::sign_in;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use domain::id::BusinessId;
use futures_util::{Stream, stream};
use std::convert::Infallible;
use std::sync::Arc;
use store::queue::DeliveryChange;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::watch;

/// Says when a delivery of the business changes.
pub async fn stream(
    State(app): State<Arc<App>>,
    seat: Seat,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let reader = Reader {
        changes: app.changes.subscribe(),
        shutdown: app.shutdown.clone(),
        business_id: seat.business_id(),
        token: super::cookie::session(&headers).unwrap_or_default(),
        app,
    };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

struct Reader {
    app: Arc<App>,
    business_id: BusinessId,
    token: String,
    changes: Receiver<DeliveryChange>,
    shutdown: watch::Receiver<bool>,
}

impl Reader {
    /// The next event; `None` when the program or the session ends, or the person is not in the business any more.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let received = tokio::select! {
                biased;
                // An error means that the sender is gone, so the program ends as well.
                _ = self.shutdown.wait_for(|is_ending| *is_ending) => return None,
                received = self.changes.recv() => received,
            };
            let event = match received {
                Ok(change) if change.business_id == self.business_id => {
                    Event::default().event("delivery").data(change.delivery_id.to_string())
                }
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => Event::default().event("lagged").data("{}"),
                Err(RecvError::Closed) => return None,
            };
            let signed_in = sign_in::signed_in(&self.app, &self.token).await.ok().flatten()?;
            let is_in =
                signed_in.memberships.iter().any(|membership| membership.business_id == self.business_id);
            return is_in.then_some(event);
        }
    }
}
