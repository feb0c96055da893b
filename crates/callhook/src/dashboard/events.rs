//! Changes of deliveries and redeliveries for pages that are open: a hint, upon which a page fetches itself again.

use super::error::PageError;
use super::frame::Seat;
use crate::app::App;
use crate::app::changes::{Changes, Heard, KEEP_ALIVE};
use crate::app::places::Place;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use domain::id::{BusinessId, UserId};
use domain::secret::Secret;
use futures_util::{Stream, stream};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use store::queue::Change;

/// Between two hints: a page that changes more often is not read.
const PAUSE: Duration = Duration::from_millis(500);

/// Says when a delivery of the business changes, or a redelivery gets on.
pub async fn stream(
    State(app): State<Arc<App>>,
    seat: Seat,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, PageError> {
    let full = StoreError::Busy("too many pages of yours are open: close some");
    let place = app.streams.enter(seat.person.signed_in.user.id).ok_or(full)?;
    let reader = Reader {
        _place: place,
        changes: Changes::of(&app, seat.business_id()),
        business_id: seat.business_id(),
        token: super::cookie::session(&app.public_url, &headers).unwrap_or_default(),
        app,
    };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Reader {
    _place: Place<UserId>,
    app: Arc<App>,
    business_id: BusinessId,
    token: String,
    changes: Changes,
}

impl Reader {
    /// The next event; `None` when the program or the session ends, or the person is not in the business any more.
    async fn next(&mut self) -> Option<Event> {
        let event = match self.changes.next().await? {
            Heard::Change(Change::Delivery(change)) => {
                Event::default().event("delivery").data(change.delivery_id.to_string())
            }
            Heard::Change(Change::Redelivery(_)) => Event::default().event("redelivery").data("{}"),
            Heard::Lagged => Event::default().event("lagged").data("{}"),
        };
        // One hint is as good as many, and who is signed in is asked once for all of them.
        tokio::time::sleep(PAUSE).await;
        self.changes.skip();
        // Not as a use of the session: a page that is left open must not keep it alive.
        let signed_in = self.app.store.session(Secret::new(&self.token)).await.ok().flatten()?;
        let is_in = signed_in.memberships.iter().any(|membership| membership.business_id == self.business_id);
        is_in.then_some(event)
    }
}
