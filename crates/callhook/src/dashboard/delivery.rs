//! Deliveries: the live list, and one with all of its attempts, which is sent again or cancelled.

mod read;

use super::call::caller;
use super::error::PageError;
use super::flow_choice::{FlowChoice, Narrowed};
use super::frame::{self, Frame, Page, Room, Seat};
use super::list::{self, Pager};
use super::redelivery::{self, Shown};
use super::{events, short};
use crate::app::App;
use crate::app::filter::DeliveryQuery;
use crate::app::health::Light;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use domain::Invalid;
use domain::delivery::{Delivery, DeliveryKind, DeliveryStatus};
use domain::event::Event;
use domain::failure::brief;
use domain::id::DeliveryId;
use std::sync::Arc;
use store::StoreError;
use store::delivery::{DeliveryFilter, Stage};

/// Rows of a page.
pub const ROWS: usize = 25;
/// What narrows the list.
pub const FILTERS: [list::Filter; 8] = [
    ("call_flow_id", "Call flow"),
    ("call_id", "Call"),
    ("status", "State"),
    ("event", "Event"),
    ("error", "Failure"),
    ("since", "From"),
    ("until", "Until"),
    ("test", "Tests"),
];
/// Those of them that are times.
pub const TIMES: [&str; 2] = ["since", "until"];

/// The pages.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/b/{business}/deliveries", get(list))
        .route("/b/{business}/deliveries/events", get(events::stream))
        .route("/b/{business}/deliveries/{id}", get(read::read))
        .route("/b/{business}/deliveries/{id}/body", get(read::body))
        .route("/b/{business}/deliveries/{id}/attempts", get(read::attempts))
        .route("/b/{business}/deliveries/{id}/redeliver", post(redeliver).get(back))
        .route("/b/{business}/deliveries/{id}/redeliver-now", post(redeliver_now).get(back))
        .route("/b/{business}/deliveries/{id}/cancel", post(cancel).get(back))
}

/// How a state is shown: its class, and its word.
pub const fn badge(status: &DeliveryStatus) -> (&'static str, &'static str) {
    match status {
        DeliveryStatus::WaitingForAi => ("waiting", "waits for AI"),
        DeliveryStatus::Scheduled => ("waiting", "waiting"),
        DeliveryStatus::Delivered => ("delivered", "delivered"),
        DeliveryStatus::Failed => ("failed", "failed"),
        DeliveryStatus::Cancelled => ("ended", "cancelled"),
        DeliveryStatus::Skipped => ("ended", "skipped"),
    }
}

/// The host of an address: the rest may be a secret, and is long.
pub fn host(url: &str) -> String {
    url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// The same, as a list has it.
pub fn short_host(url: &str) -> String {
    short::line(&host(url)).into_owned()
}

struct DeliveryRow {
    delivery: Delivery,
    flow: String,
    /// Who called; nobody in a test, or where the call was erased.
    caller: Option<String>,
}

impl DeliveryRow {
    const fn badge(&self) -> (&'static str, &'static str) {
        badge(&self.delivery.status)
    }

    fn is_test(&self) -> bool {
        self.delivery.kind == DeliveryKind::Test
    }

    fn host(&self) -> String {
        short_host(&self.delivery.url)
    }

    /// The last answer, or why there is none, in a few words.
    fn answer(&self) -> String {
        let delivery = &self.delivery;
        let failure = || delivery.last_error.as_deref().map(brief);
        let status = || delivery.last_status_code.map(|code| code.to_string());
        delivery.reason.clone().or_else(failure).or_else(status).unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "delivery/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<DeliveryRow>,
    choice: FlowChoice,
    query: list::Query,
    /// What narrows it, in words.
    chosen: Vec<(&'static str, String)>,
    pager: Pager,
    wrong: Option<String>,
    under_way: Vec<Shown>,
}

async fn list(State(app): State<Arc<App>>, seat: Seat, query: list::Query) -> Result<Response, PageError> {
    if let Some(settled) = query.settled(&seat.path("/deliveries"), &TIMES, &seat.person.clock) {
        return Ok(Redirect::to(&settled).into_response());
    }
    let business_id = seat.business_id();
    let choice = match FlowChoice::of_list(&app, business_id, &seat.path("/deliveries"), &query).await? {
        Narrowed::Here(choice) => choice,
        Narrowed::At(address) => return Ok(Redirect::to(&address).into_response()),
    };
    let (filter, wrong) = choice.narrow(read_filter(&seat, &query));
    let page = match filter {
        Some(filter) => app.store.list_deliveries(business_id, filter, query.before()?, ROWS).await?,
        None => store::list::Page::cut(Vec::new(), 0),
    };
    let pager = query.pager(&seat.path("/deliveries"), page.next(|delivery| *delivery.id.as_bytes()));
    let flows = page.rows.iter().map(|delivery| delivery.call_flow_id).collect();
    let names = app.store.call_flow_names(business_id, flows).await?;
    let calls = page.rows.iter().filter_map(|delivery| delivery.call_id).collect();
    let callers = app.store.callers(business_id, calls).await?;
    let under_way = app.store.redeliveries_under_way(business_id).await?.into_iter().map(Shown).collect();
    let row = |delivery: Delivery| DeliveryRow {
        flow: names.get(&delivery.call_flow_id).cloned().unwrap_or_else(|| "deleted flow".to_owned()),
        caller: delivery.call_id.and_then(|id| callers.get(&id)).map(caller),
        delivery,
    };
    let rows = page.rows.into_iter().map(row).collect();
    let mut frame = Frame::of(&app, seat, Room::Deliveries, "Deliveries").await?.saying(query.done());
    frame.said = frame.said.or_else(|| query.done().and_then(redelivery::said));
    let chosen = chosen(&frame.seat, &query, choice.name());
    let status = frame::answered(wrong.is_some());
    Ok((status, Page(ListPage { frame, rows, choice, query, chosen, pager, wrong, under_way }))
        .into_response())
}

pub(super) fn read_filter(seat: &Seat, query: &list::Query) -> Result<DeliveryFilter, Invalid> {
    let clock = &seat.person.clock;
    query.check(&FILTERS)?;
    DeliveryQuery {
        call_flow_id: query.owned("call_flow_id"),
        call_id: query.owned("call_id"),
        status: query.owned("status"),
        event: query.owned("event"),
        test: query.owned("test"),
        since: query.time("since", clock),
        until: query.time("until", clock),
        error: query.owned("error"),
        ..DeliveryQuery::default()
    }
    .filter()
    .map_err(|refused| list::labelled(&FILTERS, refused))
}

/// What narrows the list, in words; `flow` is what the call flow is called.
pub(super) fn chosen(seat: &Seat, query: &list::Query, flow: Option<&str>) -> Vec<(&'static str, String)> {
    let clock = &seat.person.clock;
    query.chosen(&FILTERS, |name, text| match name {
        "call_flow_id" => flow.map(str::to_owned),
        "status" => DeliveryStatus::from_word(text).map(|status| badge(&status).1.to_owned()),
        "since" => Some(query.begin(name, clock).replace('T', " ")),
        "until" => Some(query.end(name, clock).replace('T', " ")),
        "test" => Some(if text == "true" { "only tests" } else { "no tests" }.to_owned()),
        _ => None,
    })
}

/// What may be gone.
pub fn optional<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn redeliver(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
) -> Result<Redirect, PageError> {
    seat.check_member()?;
    let id: DeliveryId = list::id(&id)?;
    app.store.redeliver(seat.business_id(), None, id).await?;
    Ok(Redirect::to(&seat.path(&format!("/deliveries/{id}?done=redelivered-one"))))
}

async fn redeliver_now(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
) -> Result<Redirect, PageError> {
    seat.check_member()?;
    let id: DeliveryId = list::id(&id)?;
    app.store.redeliver_now(seat.business_id(), id).await?;
    Ok(Redirect::to(&seat.path(&format!("/deliveries/{id}?done=redelivered-one"))))
}

async fn cancel(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
) -> Result<Redirect, PageError> {
    seat.check_member()?;
    let id: DeliveryId = list::id(&id)?;
    app.store.cancel_delivery(seat.business_id(), None, id).await?;
    Ok(Redirect::to(&seat.path(&format!("/deliveries/{id}?done=cancelled"))))
}

/// Whoever reloads the answer to a form gets the page that the form stands on.
async fn back(seat: Seat, Path((_, id)): Path<(String, String)>) -> Result<Redirect, PageError> {
    Ok(Redirect::to(&seat.path(&format!("/deliveries/{}", list::id::<DeliveryId>(&id)?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_an_address_is_shown() {
        assert_eq!(host("https://hooks.example.com/secret?t=1"), "hooks.example.com");
        assert_eq!(host("nonsense"), "");
    }
}
