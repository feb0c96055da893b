//! Deliveries: the live list, and one with all of its attempts, which is sent again or cancelled.

use super::error::{PageError, sentence};
use super::frame::{self, Frame, Page, Room, Seat};
use super::list::{self, Pager};
use super::redelivery::{self, Shown};
use super::{call_flow, events};
use crate::app::App;
use crate::app::filter::DeliveryQuery;
use crate::app::health::Light;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use domain::Invalid;
use domain::call::Call;
use domain::call_flow::CallFlow;
use domain::delivery::{Attempt, Delivery, DeliveryKind, DeliveryStatus, Phases};
use domain::event::Event;
use domain::id::{BusinessId, CallFlowId, DeliveryId};
use domain::secret::MASK;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use store::StoreError;
use store::delivery::{DeliveryDetail, DeliveryFilter, Stage};

/// Rows of a page.
pub const ROWS: usize = 50;
/// Flows to choose from; another one is reached from its own page.
const FLOWS: usize = 100;
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
const TIMES: [&str; 2] = ["since", "until"];

/// The pages.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/b/{business}/deliveries", get(list))
        .route("/b/{business}/deliveries/events", get(events::stream))
        .route("/b/{business}/deliveries/{id}", get(read))
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

struct DeliveryRow {
    delivery: Delivery,
    flow: String,
}

impl DeliveryRow {
    const fn badge(&self) -> (&'static str, &'static str) {
        badge(&self.delivery.status)
    }

    fn is_test(&self) -> bool {
        self.delivery.kind == DeliveryKind::Test
    }

    fn host(&self) -> String {
        host(&self.delivery.url)
    }

    /// The last failure, in a word.
    fn why(&self) -> String {
        let delivery = &self.delivery;
        let reason = delivery.reason.clone().or_else(|| delivery.last_error.clone());
        reason.or_else(|| delivery.last_status_code.map(|code| code.to_string())).unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "delivery/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<DeliveryRow>,
    flows: Vec<(CallFlowId, String)>,
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
    let (filter, wrong) = match read_filter(&seat, &query) {
        Ok(filter) => (Some(filter), None),
        Err(refused) => (None, Some(sentence(&refused.to_string()))),
    };
    let business_id = seat.business_id();
    let page = match filter {
        Some(filter) => app.store.list_deliveries(business_id, filter, query.before()?, ROWS).await?,
        None => store::list::Page::cut(Vec::new(), 0),
    };
    let pager = query.pager(&seat.path("/deliveries"), page.next(|delivery| *delivery.id.as_bytes()));
    let flows = app.store.list_call_flows(business_id, None, None, FLOWS).await?.rows;
    let names = names(&app, business_id, &flows, &page.rows).await?;
    let under_way = app.store.redeliveries_under_way(business_id).await?.into_iter().map(Shown).collect();
    let row = |delivery: Delivery| DeliveryRow {
        flow: names.get(&delivery.call_flow_id).cloned().unwrap_or_else(|| "deleted flow".to_owned()),
        delivery,
    };
    let rows = page.rows.into_iter().map(row).collect();
    let mut frame = Frame::of(&app, seat, Room::Deliveries, "Deliveries").await?.saying(query.done());
    frame.said = frame.said.or_else(|| query.done().and_then(redelivery::said));
    let chosen = chosen(&frame.seat, &query, &names);
    let flows = flows.into_iter().map(|flow| (flow.id, flow.name)).collect();
    let status = frame::answered(wrong.is_some());
    Ok((status, Page(ListPage { frame, rows, flows, query, chosen, pager, wrong, under_way }))
        .into_response())
}

/// The names of the flows that rows name.
async fn names(
    app: &App,
    business_id: BusinessId,
    known: &[CallFlow],
    rows: &[Delivery],
) -> Result<HashMap<CallFlowId, String>, PageError> {
    let mut names: HashMap<_, _> = known.iter().map(|flow| (flow.id, flow.name.clone())).collect();
    for delivery in rows {
        if names.contains_key(&delivery.call_flow_id) {
            continue;
        }
        let flow = optional(app.store.call_flow(business_id, delivery.call_flow_id).await)?;
        let name = flow.map_or_else(|| "deleted flow".to_owned(), |flow| flow.name);
        names.insert(delivery.call_flow_id, name);
    }
    Ok(names)
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

/// What narrows the list, in words.
pub(super) fn chosen(
    seat: &Seat,
    query: &list::Query,
    flows: &HashMap<CallFlowId, String>,
) -> Vec<(&'static str, String)> {
    let clock = &seat.person.clock;
    query.chosen(&FILTERS, |name, text| match name {
        "call_flow_id" => flows.get(&text.parse().ok()?).cloned(),
        "status" => DeliveryStatus::from_word(text).map(|status| badge(&status).1.to_owned()),
        "since" => Some(query.begin(name, clock).replace('T', " ")),
        "until" => Some(query.end(name, clock).replace('T', " ")),
        "test" => Some(if text == "true" { "only tests" } else { "no tests" }.to_owned()),
        _ => None,
    })
}

#[derive(Template)]
#[template(path = "delivery/read.html")]
struct ReadPage {
    frame: Frame,
    delivery: Delivery,
    attempts: Vec<Attempt>,
    flow: Option<CallFlow>,
    call: Option<Call>,
    /// Of the flow's own headers; their values are nobody's to see.
    header_names: Vec<String>,
    body: Option<String>,
    curl: Option<String>,
    others_failed: Option<String>,
}

impl ReadPage {
    const fn badge(&self) -> (&'static str, &'static str) {
        badge(&self.delivery.status)
    }

    fn is_test(&self) -> bool {
        self.delivery.kind == DeliveryKind::Test
    }

    /// The names of an attempt that went with other headers of the flow's own than the last one, which stands below.
    fn other_headers<'a>(&self, attempt: &'a Attempt) -> Option<&'a [String]> {
        attempt.header_names.as_deref().filter(|names| *names != self.header_names)
    }

    /// The last failure in words.
    fn failure(&self) -> Option<&str> {
        let last = self.attempts.last().filter(|_| self.delivery.status != DeliveryStatus::Delivered);
        last.and_then(|attempt| attempt.error_detail.as_deref())
    }

    /// The words of an attempt that failed for another reason than the last one.
    fn other_failure<'a>(&self, attempt: &'a Attempt) -> Option<&'a str> {
        attempt.error_detail.as_deref().filter(|words| self.failure() != Some(words))
    }

    /// What an attempt spent its time with, in words.
    fn phases(&self, phases: &Phases) -> String {
        let first = if phases.connection_reused {
            "reused connection".to_owned()
        } else if self.delivery.url.starts_with("http:") && phases.tls_ms == 0 {
            format!("dns {} · connect {}", phases.dns_ms, phases.connect_ms)
        } else {
            format!("dns {} · connect {} · tls {}", phases.dns_ms, phases.connect_ms, phases.tls_ms)
        };
        format!("{first} · wait {} ms", phases.wait_ms)
    }

    /// The same as a bar, for the eye alone.
    fn bar(&self, phases: &Phases) -> String {
        let steps = [phases.dns_ms, phases.connect_ms, phases.tls_ms, phases.wait_ms];
        let whole: u32 = steps.iter().sum();
        if whole == 0 {
            return String::new();
        }
        let mut from = 0;
        let mut parts = String::new();
        for (step, name) in steps.into_iter().zip(["dns", "connect", "tls", "wait"]) {
            // Writing to a String cannot fail.
            let _ = write!(parts, "<rect class=\"{name}\" x=\"{from}\" width=\"{step}\" height=\"1\"/>");
            from += step;
        }
        format!(
            "<svg class=\"phases\" viewBox=\"0 0 {whole} 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{parts}</svg>"
        )
    }

    /// Whether an attempt is planned that another can take the place of.
    fn can_be_redelivered_now(&self) -> bool {
        let delivery = &self.delivery;
        delivery.status == DeliveryStatus::Scheduled
            && delivery.kind == DeliveryKind::Call
            && delivery.next_attempt_at.is_some_and(|at| at > self.frame.clock().now())
    }

    const fn can_be_redelivered(&self) -> bool {
        !self.delivery.status.is_pending() && matches!(self.delivery.kind, DeliveryKind::Call)
    }
}

async fn read(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    query: list::Query,
) -> Result<Response, PageError> {
    let business_id = seat.business_id();
    let detail = app.store.delivery(business_id, list::id(&id)?).await?;
    let body = detail.sent();
    let DeliveryDetail { delivery, attempts, .. } = detail;
    let flow = optional(app.store.call_flow(business_id, delivery.call_flow_id).await)?;
    let call = match delivery.call_id {
        Some(call_id) => optional(app.store.call(business_id, call_id).await)?,
        None => None,
    };
    let header_names = header_names(&delivery, &attempts, flow.as_ref());
    let curl = body.as_ref().map(|body| curl(&delivery, &header_names, body));
    let others_failed = others_failed(&app, &delivery).await?;
    let title = format!("{} → {}", delivery.event.as_str(), host(&delivery.url));
    let frame = Frame::of(&app, seat, Room::Deliveries, title).await?.saying(query.done());
    let body = body.map(|body| call_flow::pretty(&body));
    let page = ReadPage { frame, delivery, attempts, flow, call, header_names, body, curl, others_failed };
    Ok(Page(page).into_response())
}

/// Of the last attempt's headers, whatever the flow has by now; of those that the first one will have. Where they were not kept yet, the
/// flow's are the best that is known.
fn header_names(delivery: &Delivery, attempts: &[Attempt], flow: Option<&CallFlow>) -> Vec<String> {
    let of_flow = || flow.map(|flow| flow.post_call_webhook.settings.headers.names());
    match attempts.last() {
        Some(Attempt { header_names: Some(names), .. }) => names.clone(),
        None if !delivery.status.is_pending() => Vec::new(),
        _ => of_flow().unwrap_or_default(),
    }
}

/// What may be gone.
pub fn optional<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How many of the flow failed as this one did, as far as one page shows.
async fn others_failed(app: &App, delivery: &Delivery) -> Result<Option<String>, PageError> {
    if delivery.status != DeliveryStatus::Failed {
        return Ok(None);
    }
    let filter = DeliveryFilter {
        call_flow_id: Some(delivery.call_flow_id),
        status: Some(DeliveryStatus::Failed),
        ..DeliveryFilter::default()
    };
    let page = app.store.list_deliveries(delivery.business_id, filter, None, ROWS).await?;
    let others = page.rows.iter().filter(|other| other.id != delivery.id).count();
    let more = if page.more { "more than " } else { "" };
    Ok((others > 0).then(|| format!("{more}{others}")))
}

/// The request as a command that a person runs. Headers whose values are secret, and the signature, are for them to fill in.
fn curl(delivery: &Delivery, header_names: &[String], body: &[u8]) -> String {
    let mut command = format!("curl -X POST {}", quoted(&delivery.url));
    for header in ["Content-Type: application/json".to_owned(), format!("webhook-id: {}", delivery.id)] {
        // Writing to a String cannot fail.
        let _ = write!(command, " \\\n  -H {}", quoted(&header));
    }
    for name in header_names {
        let _ = write!(command, " \\\n  -H {}", quoted(&format!("{name}: {MASK}")));
    }
    let _ = write!(command, " \\\n  --data-binary {}", quoted(&String::from_utf8_lossy(body)));
    command
}

/// A word of a shell, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
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
    fn a_shell_takes_a_text_as_one_word() {
        assert_eq!(quoted("it's $(rm -rf) `x`"), r"'it'\''s $(rm -rf) `x`'");
    }

    #[test]
    fn only_the_host_of_an_address_is_shown() {
        assert_eq!(host("https://hooks.example.com/secret?t=1"), "hooks.example.com");
        assert_eq!(host("nonsense"), "");
    }
}
