//! Calls: the list with all filters and a search, one with all that is known and all that was sent, corrections, erasure.

use super::delivery::optional;
use super::error::{PageError, sentence};
use super::form::Form;
use super::frame::{self, Frame, Page, Room, Seat};
use super::list;
use crate::app::document::Change;
use crate::app::filter::CallQuery;
use crate::app::health::Light;
use crate::app::{self, App, parameter};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use domain::Invalid;
use domain::analysis::AiCategory;
use domain::attribution::Attribution;
use domain::call::{Call, CallStatus, Direction};
use domain::delivery::Delivery;
use domain::id::{CallFlowId, CallId};
use domain::payload::recording_url;
use serde_json::{Value, json};
use std::sync::Arc;
use store::call::CallFilter;
use store::delivery::DeliveryFilter;
use store::idempotency::Answer;

/// Rows of a page.
const ROWS: usize = 50;
/// Flows to choose from.
const FLOWS: usize = 100;
/// Deliveries that are shown of a call.
const DELIVERIES: usize = 100;
/// What narrows the list.
const FILTERS: [&str; 7] =
    ["start_date", "end_date", "status", "source", "call_flow_id", "number_id", "search"];
/// What narrows it more rarely, and is folded away.
const MORE_FILTERS: [&str; 8] = [
    "updated_since",
    "direction",
    "min_duration",
    "max_duration",
    "min_ai_score",
    "max_ai_score",
    "ai_category",
    "qualified",
];

/// The pages.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/b/{business}/calls", get(list))
        .route("/b/{business}/calls/export", get(export))
        .route("/b/{business}/calls/sample", post(send_sample).get(back_to_list))
        .route("/b/{business}/calls/{id}", get(read).post(correct))
        .route("/b/{business}/calls/{id}/erase", post(erase).get(back))
}

/// A length as people say it: `2:25`, `1:02:25`; nothing where nobody spoke.
pub fn length(seconds: &u32) -> String {
    let (hours, minutes, rest) = (seconds / 3_600, seconds % 3_600 / 60, seconds % 60);
    match (hours, *seconds) {
        (_, 0) => "–".to_owned(),
        (0, _) => format!("{minutes}:{rest:02}"),
        _ => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}

/// Cents as an amount: `50.00`.
fn amount(cents: Option<i64>) -> String {
    let Some(cents) = cents else { return String::new() };
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}

/// The cents of an amount: `50`, `50.5`, `-0,75`.
fn cents(text: &str) -> Result<Option<i64>, Invalid> {
    let text = text.trim().replace(',', ".");
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || Invalid::value("is an amount with at most two decimals, such as 50.00");
    let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || part.len() > 2 || !is_number(whole) || !is_number(part) {
        return Err(wrong());
    }
    let cents = format!("{whole}{part:0<2}").parse::<i64>().map_err(|_| wrong())?;
    Ok(Some(sign * cents))
}

#[derive(Template)]
#[template(path = "call/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Call>,
    flows: Vec<(CallFlowId, String)>,
    query: list::Query,
    is_narrowed: bool,
    has_more_filters: bool,
    next: Option<String>,
    wrong: Option<String>,
}

async fn list(State(app): State<Arc<App>>, seat: Seat, query: list::Query) -> Result<Response, PageError> {
    let (filter, wrong) = match read_filter(&seat, &query) {
        Ok(filter) => (filter, None),
        Err(refused) => (CallFilter::default(), Some(sentence(&refused.to_string()))),
    };
    let business_id = seat.business_id();
    let page = app.store.list_calls(business_id, filter, query.before()?, ROWS).await?;
    let next = page.next(|call| *call.id.as_bytes()).map(parameter::cursor);
    let flows = app.store.list_call_flows(business_id, None, FLOWS).await?.rows;
    let frame = Frame::of(&app, seat, Room::Calls, "Calls").await?.saying(query.done());
    let status = frame::answered(wrong.is_some());
    let page = ListPage {
        frame,
        rows: page.rows,
        flows: flows.into_iter().map(|flow| (flow.id, flow.name)).collect(),
        is_narrowed: query.is_narrowed(&FILTERS) || query.is_narrowed(&MORE_FILTERS),
        has_more_filters: query.is_narrowed(&MORE_FILTERS),
        query,
        next,
        wrong,
    };
    Ok((status, Page(page)).into_response())
}

fn read_filter(seat: &Seat, query: &list::Query) -> Result<CallFilter, Invalid> {
    let clock = &seat.person.clock;
    CallQuery {
        start_date: query.time("start_date", clock),
        end_date: query.time("end_date", clock),
        updated_since: query.time("updated_since", clock),
        status: query.owned("status"),
        direction: query.owned("direction"),
        source: query.owned("source"),
        call_flow_id: query.owned("call_flow_id"),
        number_id: query.owned("number_id"),
        min_duration: query.owned("min_duration"),
        max_duration: query.owned("max_duration"),
        min_ai_score: query.owned("min_ai_score"),
        max_ai_score: query.owned("max_ai_score"),
        ai_category: query.owned("ai_category"),
        qualified: query.owned("qualified"),
        search: query.owned("search"),
        ..CallQuery::default()
    }
    .filter()
}

async fn export(State(app): State<Arc<App>>, seat: Seat, query: list::Query) -> Result<Response, PageError> {
    let filter = read_filter(&seat, &query)?;
    Ok(crate::api::export::stream(app, seat.business_id(), filter).await?)
}

#[derive(Template)]
#[template(path = "call/read.html")]
struct ReadPage {
    frame: Frame,
    call: Call,
    deliveries: Vec<Delivery>,
    recording: Option<String>,
    flow_is_there: bool,
    typed: Option<Typed>,
    wrong: Option<String>,
}

struct Typed {
    value: String,
    source: String,
}

impl ReadPage {
    fn stored_value(&self) -> String {
        amount(self.call.value_cents)
    }

    fn stored_source(&self) -> &str {
        self.call.attribution.source.as_deref().unwrap_or_default()
    }

    fn value(&self) -> String {
        self.typed.as_ref().map_or_else(|| self.stored_value(), |typed| typed.value.clone())
    }

    fn cost(&self) -> String {
        amount(self.call.cost_cents)
    }

    fn source(&self) -> &str {
        self.typed.as_ref().map_or(self.stored_source(), |typed| &typed.source)
    }

    /// What is known of where the call came from, but its source.
    fn journey(&self) -> Vec<(&'static str, &str)> {
        let values = self.call.attribution.values();
        let known =
            Attribution::FIELDS.iter().zip(values).filter_map(|(field, value)| Some((*field, value?)));
        known.filter(|(field, _)| *field != "source").collect()
    }
}

async fn read(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    query: list::Query,
) -> Result<Response, PageError> {
    read_page(&app, seat, list::id(&id)?, query.done(), None, None).await
}

async fn read_page(
    app: &App,
    seat: Seat,
    id: CallId,
    done: Option<&str>,
    typed: Option<Typed>,
    wrong: Option<String>,
) -> Result<Response, PageError> {
    let business_id = seat.business_id();
    let call = app.store.call(business_id, id).await?;
    let about = DeliveryFilter { call_id: Some(id), ..DeliveryFilter::default() };
    let mut deliveries = app.store.list_deliveries(business_id, about, None, DELIVERIES).await?.rows;
    deliveries.reverse();
    let flow = match call.call_flow_id {
        Some(flow) => optional(app.store.call_flow(business_id, flow).await)?,
        None => None,
    };
    let recording = call.recording.as_ref().and(call.recording_token.as_deref());
    let recording = recording.map(|token| recording_url("", token));
    let title = format!("Call from {}", call.caller_number.grouped());
    let frame = Frame::of(app, seat, Room::Calls, title).await?.saying(done);
    let status = frame::answered(wrong.is_some());
    let page = ReadPage { frame, deliveries, recording, flow_is_there: flow.is_some(), call, typed, wrong };
    Ok((status, Page(page)).into_response())
}

async fn correct(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    form: Form,
) -> Result<Response, PageError> {
    seat.check_member()?;
    let id: CallId = list::id(&id)?;
    let typed = Typed { value: form.text("value").to_owned(), source: form.text("source").to_owned() };
    let source = form.given("source").map_or(Value::Null, Value::String);
    let refused = match cents(&typed.value) {
        Ok(value) => {
            // What the page did not change may have been changed elsewhere meanwhile.
            let mut patch = json!({});
            if form.text("value") != form.text("value_before") {
                patch["value_cents"] = json!(value);
            }
            if form.text("source") != form.text("source_before") {
                patch["attribution"] = json!({ "source": source });
            }
            match app::call::correct(&app, seat.business_id(), id, Change::Patch(patch)).await {
                Ok(_) => {
                    return Ok(
                        Redirect::to(&seat.path(&format!("/calls/{id}?done=corrected"))).into_response()
                    );
                }
                Err(error) => PageError::of_form(error)?,
            }
        }
        Err(refused) => refused,
    };
    let field = if refused.field.ends_with("source") { "traffic source" } else { "value" };
    let wrong = sentence(&format!("the {field} {}", refused.reason));
    read_page(&app, seat, id, None, Some(typed), Some(wrong)).await
}

/// Whoever reloads the answer to a form, or signs in again in its middle, gets the page that the form stands on.
async fn back(seat: Seat, Path((_, id)): Path<(String, String)>) -> Result<Redirect, PageError> {
    Ok(Redirect::to(&seat.path(&format!("/calls/{}", list::id::<CallId>(&id)?))))
}

async fn back_to_list(seat: Seat) -> Redirect {
    Redirect::to(&seat.path("/calls"))
}

async fn erase(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
) -> Result<Redirect, PageError> {
    seat.check_member()?;
    app.store.erase_call(seat.business_id(), list::id(&id)?).await?;
    Ok(Redirect::to(&seat.path("/calls?done=erased")))
}

/// Reports a call such as a phone system would, so that somebody who has none yet sees what happens.
async fn send_sample(State(app): State<Arc<App>>, seat: Seat, form: Form) -> Result<Redirect, PageError> {
    seat.check_member()?;
    let flow: CallFlowId = list::id(form.text("call_flow_id"))?;
    match app::call::report_sample(&app, seat.business_id(), flow).await? {
        Answer::New(recorded) => {
            Ok(Redirect::to(&seat.path(&format!("/calls/{}?done=sample-sent", recorded.call.id))))
        }
        Answer::Repeated(_) => Ok(Redirect::to(&seat.path("/calls"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_as_people_say_them() {
        assert_eq!([0, 5, 145, 3_745].map(|seconds| length(&seconds)), ["–", "0:05", "2:25", "1:02:25"]);
    }

    #[test]
    fn amounts_go_to_cents_and_back() {
        let check = |text, expected| assert_eq!(cents(text).ok(), expected, "{text}");
        check("50", Some(Some(5_000)));
        check("50.5", Some(Some(5_050)));
        check(" -0,75 ", Some(Some(-75)));
        check("", Some(None));
        for wrong in ["x", "1.234", "1.2.3", ".5", "1e3", "--1", "9999999999999999999"] {
            check(wrong, None);
        }
        assert_eq!([Some(5_000), Some(-75), None].map(amount), ["50.00", "-0.75", ""]);
    }
}
