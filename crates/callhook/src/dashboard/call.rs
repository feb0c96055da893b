//! Calls: the list with all filters and a search, one with all that is known and all that was sent, corrections, erasure.

mod form;

use super::delivery::optional;
use super::error::PageError;
use super::flow_choice::{self, FlowChoice, Narrowed};
use super::form::Form;
use super::frame::{self, Frame, Page, Room, Seat};
use super::list::{self, Pager};
use super::short;
use crate::app::document::Change;
use crate::app::filter::CallQuery;
use crate::app::health::Light;
use crate::app::{self, App, export};
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use domain::Invalid;
use domain::analysis::{AiCategory, Analysis};
use domain::call::{Call, CallStatus, Direction};
use domain::call_flow::CallFlow;
use domain::delivery::Delivery;
use domain::id::{BusinessId, CallFlowId, CallId};
use domain::payload::recording_url;
use domain::phone_number::Party;
use form::CallForm;
use std::sync::Arc;
use store::call::CallFilter;
use store::delivery::DeliveryFilter;
use store::idempotency::Answer;

/// Rows of a page.
const ROWS: usize = 25;
/// Flows among which those are looked for that a sample call may go over.
const FLOWS_OF_SAMPLES: usize = 25;
/// Deliveries that are shown of a call.
const DELIVERIES: usize = 12;
/// What narrows the list.
pub const FILTERS: [list::Filter; 7] = [
    ("search", "Search"),
    ("call_flow_id", "Call flow"),
    ("status", "Status"),
    ("source", "Traffic source"),
    ("start_date", "From"),
    ("end_date", "Until"),
    ("number_id", "Number"),
];
/// What narrows it more rarely, and is folded away.
pub const MORE_FILTERS: [list::Filter; 8] = [
    ("direction", "Direction"),
    ("min_duration", "At least, seconds"),
    ("max_duration", "At most, seconds"),
    ("min_ai_score", "AI score at least"),
    ("max_ai_score", "AI score at most"),
    ("ai_category", "AI category"),
    ("qualified", "Qualified"),
    ("updated_since", "Changed since"),
];
/// Those of them that are times.
const TIMES: [&str; 3] = ["start_date", "end_date", "updated_since"];

/// The pages.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/b/{business}/calls", get(list))
        .route("/b/{business}/calls/export", get(export))
        .route("/b/{business}/calls/sample", post(send_sample).get(back_to_list))
        .route("/b/{business}/calls/{id}", get(read).post(correct))
        .route("/b/{business}/calls/{id}/whole/{text}", get(whole))
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

/// Who called, as a list has it.
pub fn caller(party: &Party) -> String {
    short::line(&party.grouped()).into_owned()
}

/// What a sample call can go over.
enum Sample {
    /// One of these flows.
    Over(Vec<(CallFlowId, String)>),
    /// None: this flow, the newest, sends nowhere yet, nor does any that was looked at.
    NeedsWebhook(CallFlowId, String),
    /// There is no flow.
    NeedsFlow,
}

impl Sample {
    async fn of(app: &App, business_id: BusinessId) -> Result<Self, PageError> {
        let flows = app.store.list_call_flows(business_id, None, None, FLOWS_OF_SAMPLES).await?.rows;
        let named = |flow: &CallFlow| (flow.id, short::line(&flow.name).into_owned());
        let sending = flows.iter().filter(|flow| flow.post_call_webhook.settings.target().is_some());
        let sending: Vec<_> = sending.map(named).collect();
        Ok(match flows.first().map(named) {
            None => Self::NeedsFlow,
            Some((id, name)) if sending.is_empty() => Self::NeedsWebhook(id, name),
            Some(_) => Self::Over(sending),
        })
    }
}

#[derive(Template)]
#[template(path = "call/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Call>,
    choice: FlowChoice,
    /// Where there is no call yet, for who may report one.
    sample: Option<Sample>,
    query: list::Query,
    /// What narrows it, in words.
    chosen: Vec<(&'static str, String)>,
    has_more_filters: bool,
    pager: Pager,
    wrong: Option<String>,
}

async fn list(State(app): State<Arc<App>>, seat: Seat, query: list::Query) -> Result<Response, PageError> {
    if let Some(settled) = query.settled(&seat.path("/calls"), &TIMES, &seat.person.clock) {
        return Ok(Redirect::to(&settled).into_response());
    }
    let business_id = seat.business_id();
    let choice = match FlowChoice::of_list(&app, business_id, &seat.path("/calls"), &query).await? {
        Narrowed::Here(choice) => choice,
        Narrowed::At(address) => return Ok(Redirect::to(&address).into_response()),
    };
    let (filter, wrong) = choice.narrow(read_filter(&seat, &query));
    let page = match filter {
        Some(filter) => app.store.list_calls(business_id, filter, query.before()?, ROWS).await?,
        None => store::list::Page::cut(Vec::new(), 0),
    };
    let pager = query.pager(&seat.path("/calls"), page.next(|call| *call.id.as_bytes()));
    let chosen = chosen(&seat, &query, &choice);
    let is_empty = page.rows.is_empty() && chosen.is_empty() && wrong.is_none() && pager.is_first;
    let sample = if is_empty && seat.is_member() { Some(Sample::of(&app, business_id).await?) } else { None };
    let frame = Frame::of(&app, seat, Room::Calls, "Calls").await?.saying(query.done());
    let status = frame::answered(wrong.is_some());
    let page = ListPage {
        frame,
        rows: page.rows,
        choice,
        sample,
        chosen,
        has_more_filters: query.is_narrowed(&MORE_FILTERS),
        query,
        pager,
        wrong,
    };
    Ok((status, Page(page)).into_response())
}

fn read_filter(seat: &Seat, query: &list::Query) -> Result<CallFilter, Invalid> {
    let (clock, filters) = (&seat.person.clock, [&FILTERS[..], &MORE_FILTERS].concat());
    query.check(&filters)?;
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
    .map_err(|refused| list::labelled(&filters, refused))
}

/// What narrows the list, in words.
fn chosen(seat: &Seat, query: &list::Query, choice: &FlowChoice) -> Vec<(&'static str, String)> {
    let clock = &seat.person.clock;
    query.chosen(&[&FILTERS[..], &MORE_FILTERS].concat(), |name, _| match name {
        "call_flow_id" => choice.name().map(str::to_owned),
        "start_date" | "updated_since" => Some(query.begin(name, clock).replace('T', " ")),
        "end_date" => Some(query.end(name, clock).replace('T', " ")),
        _ => None,
    })
}

async fn export(State(app): State<Arc<App>>, seat: Seat, query: list::Query) -> Result<Response, PageError> {
    flow_choice::check_settled(&query)?;
    if let Some(settled) = query.settled(&seat.path("/calls/export"), &TIMES, &seat.person.clock) {
        return Ok(Redirect::to(&settled).into_response());
    }
    let filter = read_filter(&seat, &query)?;
    let rows = export::calls(app, seat.business_id(), filter).await?;
    Ok((export::HEADERS, Body::from_stream(rows)).into_response())
}

#[derive(Template)]
#[template(path = "call/read.html")]
struct ReadPage {
    frame: Frame,
    call: Call,
    deliveries: Vec<Delivery>,
    /// Whether there are older ones, which the list of deliveries has.
    more_deliveries: bool,
    recording: Option<String>,
    flow_is_there: bool,
    /// What the call was reported by.
    reporter: String,
    form: CallForm,
}

async fn read(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    query: list::Query,
) -> Result<Response, PageError> {
    read_page(&app, seat, list::id(&id)?, query.done(), None).await
}

async fn read_page(
    app: &App,
    seat: Seat,
    id: CallId,
    done: Option<&str>,
    typed: Option<CallForm>,
) -> Result<Response, PageError> {
    let business_id = seat.business_id();
    let call = app.store.call(business_id, id).await?;
    let about = DeliveryFilter { call_id: Some(id), ..DeliveryFilter::default() };
    let page = app.store.list_deliveries(business_id, about, None, DELIVERIES).await?;
    let (mut deliveries, more_deliveries) = (page.rows, page.more);
    deliveries.reverse();
    let flow = match call.call_flow_id {
        Some(flow) => optional(app.store.call_flow(business_id, flow).await)?,
        None => None,
    };
    let recording = call.recording.as_ref().and(call.recording_token.as_deref());
    let recording = recording.map(|token| recording_url("", token));
    let title = format!("Call from {}", call.caller_number.grouped());
    let frame = Frame::of(app, seat, Room::Calls, title).await?.saying(done);
    let form = typed.unwrap_or_else(|| CallForm::of(&call));
    let status = frame::answered(form.is_refused());
    let flow_is_there = flow.is_some();
    let reporter = reporter(app, &call).await?;
    let page =
        ReadPage { frame, call, deliveries, more_deliveries, recording, flow_is_there, reporter, form };
    Ok((status, Page(page)).into_response())
}

/// What a call was reported by, as people call it: the API, or a phone system by its name.
async fn reporter(app: &App, call: &Call) -> Result<String, PageError> {
    if let Ok(source) = call.reported_by.parse() {
        let source = optional(app.store.source(call.business_id, source).await)?;
        return Ok(source.map_or_else(|| "a source that is deleted".to_owned(), |source| source.name));
    }
    Ok(if call.reported_by == "api" { "the API".to_owned() } else { call.reported_by.clone() })
}

/// All of a text of which the page shows the beginning.
async fn whole(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id, text)): Path<(String, String, String)>,
) -> Result<Response, PageError> {
    let Call { analysis, attribution, .. } = app.store.call(seat.business_id(), list::id(&id)?).await?;
    let Analysis { transcription, summary, qualification_reason, .. } = analysis;
    let text = match text.as_str() {
        "transcript" => transcription,
        "summary" => summary,
        "qualification-reason" => qualification_reason,
        name => attribution.value(name).map(str::to_owned),
    };
    Ok(short::whole(text.ok_or(PageError::NotFound)?))
}

async fn correct(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    form: Form,
) -> Result<Response, PageError> {
    seat.check_member()?;
    let id: CallId = list::id(&id)?;
    let typed = CallForm::read(&form);
    let (patch, seen) = match typed.change().and_then(|patch| Ok((patch, typed.seen()?))) {
        Ok(read) => read,
        Err(refused) => return read_page(&app, seat, id, None, Some(typed.refused(&refused))).await,
    };
    match app::call::correct(&app, seat.business_id(), id, Change::Patch(patch), Some(seen)).await {
        Ok(_) => Ok(Redirect::to(&seat.path(&format!("/calls/{id}?done=corrected"))).into_response()),
        Err(error) => {
            let refused = PageError::of_form(error)?;
            let call = app.store.call(seat.business_id(), id).await?;
            let typed = typed.refused(&refused).beside(&call);
            read_page(&app, seat, id, None, Some(typed)).await
        }
    }
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
}
