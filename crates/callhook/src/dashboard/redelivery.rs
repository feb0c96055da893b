//! Redeliveries: those chosen from the list are sent again at once; all that match after an estimate, with a page that shows how far it is.

use super::delivery::{self, FILTERS, ROWS};
use super::error::PageError;
use super::flow_choice;
use super::form::Form;
use super::frame::{Frame, Page, Room, Said, Seat};
use super::list::{self, Pager};
use crate::app::filter::DeliveryFilterDocument;
use crate::app::health::Light;
use crate::app::{self, App};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use domain::Invalid;
use domain::id::{CallFlowId, DeliveryId, RedeliveryId};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use store::delivery::{Beginner, BegunBy, DeliveryFilter, NotRedelivered, Redelivered, Redelivery, Stage};
use store::idempotency::{Answer, Once, Render, StoredResponse};

/// The word of an address after those chosen were sent again, and where none was.
const CHOSEN: &str = "redelivered";
const NONE: &str = "none-redelivered";

/// The pages.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/b/{business}/deliveries/redeliver", get(estimate).post(redeliver))
        .route("/b/{business}/redeliveries", get(list))
        .route("/b/{business}/redeliveries/{id}", get(read))
}

/// What names a form has some 43.
const ONCE_CHARS_MAX: usize = 64;

#[derive(Template)]
#[template(path = "redelivery/estimate.html")]
struct EstimatePage {
    frame: Frame,
    query: list::Query,
    chosen: Vec<(&'static str, String)>,
    counted: Redelivered,
    /// Names the form, so that it is taken once.
    once: String,
}

impl EstimatePage {
    fn left_out(&self) -> Vec<(u64, &'static str)> {
        reasons(&self.counted.left_out)
    }
}

/// What sending again all that match comes to, before it is done.
async fn estimate(
    State(app): State<Arc<App>>,
    seat: Seat,
    query: list::Query,
) -> Result<Response, PageError> {
    seat.check_member()?;
    let here = seat.path("/deliveries/redeliver");
    if let Some(settled) = query.settled(&here, &delivery::TIMES, &seat.person.clock) {
        return Ok(Redirect::to(&settled).into_response());
    }
    let filter = meant(&seat, &query)?;
    let names =
        app.store.call_flow_names(seat.business_id(), filter.call_flow_id.into_iter().collect()).await?;
    let chosen = chosen(&seat, &query, &filter, &names);
    let counted = app.store.count_redeliverable(seat.business_id(), filter).await?;
    let frame = Frame::of(&app, seat, Room::Deliveries, "Redeliver").await?;
    Ok(Page(EstimatePage { frame, query, chosen, counted, once: app.random_text() }).into_response())
}

/// What the address asks for, and no more.
fn meant(seat: &Seat, query: &list::Query) -> Result<DeliveryFilter, Invalid> {
    flow_choice::check_settled(query)?;
    app::redelivery::narrowed(delivery::read_filter(seat, query)?)
}

/// Sends again what was chosen, or all that match.
async fn redeliver(
    State(app): State<Arc<App>>,
    seat: Seat,
    query: list::Query,
    form: Form,
) -> Result<Redirect, PageError> {
    seat.check_member()?;
    if form.is_ticked("all") {
        return redeliver_matching(&app, &seat, &query, &form).await;
    }
    let chosen: Vec<DeliveryId> = form.all("id").filter_map(|id| id.parse().ok()).take(ROWS).collect();
    let done = if chosen.is_empty() {
        "none-chosen".to_owned()
    } else {
        let (again, left_out) = app.store.redeliver_chosen(seat.business_id(), chosen).await?;
        word(again, &left_out)
    };
    Ok(Redirect::to(&format!("{}?{}&done={done}", seat.path("/deliveries"), query.filters())))
}

async fn redeliver_matching(
    app: &App,
    seat: &Seat,
    query: &list::Query,
    form: &Form,
) -> Result<Redirect, PageError> {
    let filter = meant(seat, query)?;
    let pages = seat.path("/redeliveries");
    let once = form.given("once").filter(|key| key.len() <= ONCE_CHARS_MAX).map(|key| {
        let request_hash = Sha256::digest(format!("{pages}?{}", query.filters())).into();
        let render: Render<Redelivery> =
            Box::new(|begun| StoredResponse { status: 303, body: begun.id.to_string().into_bytes() });
        (Once { key, request_hash }, render)
    });
    let by = BegunBy::User(seat.person.signed_in.user.id);
    let id = match app.store.redeliver_matching(seat.business_id(), by, once, filter).await? {
        Answer::New(begun) => begun.id.to_string(),
        Answer::Repeated(kept) => String::from_utf8_lossy(&kept.body).into_owned(),
    };
    Ok(Redirect::to(&format!("{pages}/{id}")))
}

/// A redelivery as pages show it.
pub struct Shown(pub Redelivery);

impl Shown {
    const fn badge(&self) -> (&'static str, &'static str) {
        match self.0.stage {
            Stage::UnderWay => ("waiting", "under way"),
            Stage::Waiting(_) => ("waiting", "waits"),
            Stage::Ended(_) => ("ended", "ended"),
        }
    }

    /// How many have had their turn. More may match by then than did when it began.
    pub fn done(&self) -> u64 {
        self.0.so_far.matched().min(self.of())
    }

    /// Of how many.
    pub fn of(&self) -> u64 {
        self.0.matched.max(1)
    }

    /// How many are left out so far, for which reason.
    pub fn left_out(&self) -> Vec<(u64, &'static str)> {
        reasons(&self.0.so_far.left_out)
    }

    /// How many that matched when it began did so no longer when their turn came.
    fn fewer(&self) -> u64 {
        self.0.matched.saturating_sub(self.0.so_far.matched())
    }

    fn begun_by(&self) -> String {
        match &self.0.begun_by {
            Some(Beginner::User(name)) => name.clone(),
            Some(Beginner::ApiKey(name)) => format!("the API key {name}"),
            None => "somebody who is not here any more".to_owned(),
        }
    }

    /// What it was asked for, as the parameters of the list's address.
    fn query(&self) -> list::Query {
        let filter = DeliveryFilterDocument::from(&self.0.filter);
        let test = filter.test.map(|test| test.to_string());
        let DeliveryFilterDocument { call_flow_id, call_id, status, event, error, since, until, .. } = filter;
        let texts = [call_flow_id, call_id, status, event, error, since, until, test];
        list::Query::of(FILTERS.iter().zip(texts).filter_map(|((name, _), text)| Some((*name, text?))))
    }
}

#[derive(Template)]
#[template(path = "redelivery/read.html")]
struct ReadPage {
    frame: Frame,
    shown: Shown,
    chosen: Vec<(&'static str, String)>,
    /// The list with those that are sent again, which have lost their state and will lose their failure.
    deliveries: String,
}

/// How far one is, or what it came to.
async fn read(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let id: RedeliveryId = list::id(&id)?;
    let shown = Shown(app.store.redelivery(seat.business_id(), id).await?);
    let names = app
        .store
        .call_flow_names(seat.business_id(), shown.0.filter.call_flow_id.into_iter().collect())
        .await?;
    let query = shown.query();
    let chosen = chosen(&seat, &query, &shown.0.filter, &names);
    let deliveries = format!("{}?{}", seat.path("/deliveries"), query.filters_but(&["status", "error"]));
    let frame = Frame::of(&app, seat, Room::Deliveries, "Redelivery").await?;
    Ok(Page(ReadPage { frame, shown, chosen, deliveries }).into_response())
}

#[derive(Template)]
#[template(path = "redelivery/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<(Shown, Vec<(&'static str, String)>)>,
    pager: Pager,
}

/// Those that are on record.
async fn list(State(app): State<Arc<App>>, seat: Seat, query: list::Query) -> Result<Response, PageError> {
    let page = app.store.list_redeliveries(seat.business_id(), query.before()?, ROWS).await?;
    let pager = query.pager(&seat.path("/redeliveries"), page.next(|redelivery| *redelivery.id.as_bytes()));
    let flows = page.rows.iter().filter_map(|redelivery| redelivery.filter.call_flow_id).collect();
    let names = app.store.call_flow_names(seat.business_id(), flows).await?;
    let row = |redelivery| {
        let shown = Shown(redelivery);
        let chosen = chosen(&seat, &shown.query(), &shown.0.filter, &names);
        (shown, chosen)
    };
    let rows = page.rows.into_iter().map(row).collect();
    let frame = Frame::of(&app, seat, Room::Deliveries, "Redeliveries").await?;
    Ok(Page(ListPage { frame, rows, pager }).into_response())
}

/// What was asked for, in words.
fn chosen(
    seat: &Seat,
    query: &list::Query,
    filter: &DeliveryFilter,
    names: &HashMap<CallFlowId, String>,
) -> Vec<(&'static str, String)> {
    let flow = filter.call_flow_id.map(|id| names.get(&id).map_or("deleted flow", String::as_str));
    delivery::chosen(seat, query, flow)
}

/// The word of an address that says what became of those chosen, with all counts: `redelivered.3.0.1.0.0.0.0`.
fn word(sent: u64, left_out: &NotRedelivered) -> String {
    let NotRedelivered { tests, pending, switched_off, without_payload, unreadable, gone } = left_out;
    let word = if sent == 0 { NONE } else { CHOSEN };
    format!("{word}.{sent}.{tests}.{pending}.{switched_off}.{without_payload}.{unreadable}.{gone}")
}

/// What such a word says.
pub fn said(word: &str) -> Option<Said> {
    let (word, counts) = word.split_once('.')?;
    let counts: Vec<u64> = counts.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [sent, tests, pending, switched_off, without_payload, unreadable, gone] = counts[..] else {
        return None;
    };
    let left_out = NotRedelivered { tests, pending, switched_off, without_payload, unreadable, gone };
    let why: Vec<_> =
        reasons(&left_out).into_iter().map(|(count, words)| format!("{count} {words}")).collect();
    let (why, are) = (why.join(", "), if sent == 1 { "is" } else { "are" });
    Some(match word {
        NONE => Said::nothing(format!("None is sent again: {why}.")),
        CHOSEN if why.is_empty() => Said::done(format!("{sent} {are} sent again.")),
        CHOSEN => Said::done(format!("{sent} {are} sent again. Left out: {why}.")),
        _ => return None,
    })
}

/// How many are left out for which reason: 2 on the way already, 1 test.
fn reasons(left_out: &NotRedelivered) -> Vec<(u64, &'static str)> {
    let NotRedelivered { tests, pending, switched_off, without_payload, unreadable, gone } = *left_out;
    let reasons = [
        (pending, "on the way already"),
        (tests, if tests == 1 { "test" } else { "tests" }),
        (switched_off, "with a webhook that is switched off or deleted"),
        (without_payload, "with a payload that is past its retention"),
        (unreadable, "that cannot be read (the log says why)"),
        (gone, "not there any more"),
    ];
    reasons.into_iter().filter(|(count, _)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;
    use domain::delivery::DeliveryStatus;

    #[test]
    fn what_became_of_those_chosen_is_said_with_each_reason() {
        let say = |sent, left_out| {
            let said = said(&word(sent, &left_out)).unwrap();
            assert_eq!(said.is_done, sent > 0);
            said.words
        };
        let none = NotRedelivered::default();
        let some = NotRedelivered { tests: 1, pending: 2, ..none };
        assert_eq!(say(3, none), "3 are sent again.");
        assert_eq!(say(1, some), "1 is sent again. Left out: 2 on the way already, 1 test.");
        assert_eq!(
            say(0, NotRedelivered { switched_off: 2, ..none }),
            "None is sent again: 2 with a webhook that is switched off or deleted."
        );
        for nonsense in ["redelivered", "redelivered.1", "redelivered.x.0.0.0.0.0.0", "saved.1.0.0.0.0.0.0"] {
            assert_eq!(said(nonsense), None, "{nonsense}");
        }
    }

    fn shown(matched: u64, redelivered: u64, pending: u64) -> Shown {
        let filter = DeliveryFilter {
            status: Some(DeliveryStatus::Failed),
            since_ms: Some(1_774_880_000_500),
            test: Some(false),
            ..DeliveryFilter::default()
        };
        let left_out = NotRedelivered { pending, ..NotRedelivered::default() };
        Shown(Redelivery {
            id: RedeliveryId::floor(Timestamp::default()),
            filter,
            begun_by: None,
            estimated: matched,
            matched,
            so_far: Redelivered { redelivered, left_out },
            stage: Stage::UnderWay,
        })
    }

    #[test]
    fn progress_stays_within_its_bounds_whatever_matches_by_now() {
        let check = |matched, redelivered, pending, expected: (u64, u64, u64)| {
            let shown = shown(matched, redelivered, pending);
            assert_eq!((shown.done(), shown.of(), shown.fewer()), expected);
        };
        check(1_200, 500, 2, (502, 1_200, 698));
        check(3, 3, 1, (3, 3, 0));
        check(0, 0, 0, (0, 1, 0));
    }

    #[test]
    fn what_it_was_asked_for_leads_to_the_same_list() {
        let query = shown(1, 1, 0).query();
        assert_eq!(query.filters(), "status=failed&since=2026-03-30T14%3A13%3A20.500Z&test=false");
        assert!(query.check(&FILTERS).is_ok());
    }
}
