//! Tracking numbers: what people call, which flow each runs, and where its calls come from.

use super::error::{self, PageError};
use super::form::Form;
use super::frame::{self, Frame, Page, Room, Seat};
use super::list::{self, Pager};
use crate::app::document::Change;
use crate::app::health::Light;
use crate::app::number::NumberDocument;
use crate::app::{self, App};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use domain::Invalid;
use domain::id::{CallFlowId, NumberId};
use domain::number::TrackingNumber;
use std::sync::Arc;

/// Rows of a page.
const ROWS: usize = 50;
/// Flows to choose from.
const FLOWS: usize = 200;

/// The pages.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/b/{business}/numbers", get(list).post(create))
        .route("/b/{business}/numbers/{id}", get(read).post(save))
        .route("/b/{business}/numbers/{id}/delete", post(delete).get(back))
}

/// The fields of a number's form, and what the page calls them.
const FIELDS: [(&str, &str); 8] = [
    ("phone_number", "Number"),
    ("friendly_name", "Name"),
    ("source", "Traffic source"),
    ("utm_source", "UTM source"),
    ("utm_medium", "UTM medium"),
    ("utm_campaign", "UTM campaign"),
    ("utm_term", "UTM term"),
    ("utm_content", "UTM content"),
];

struct NumberForm {
    fields: Vec<(&'static str, &'static str, String)>,
    call_flow_id: String,
}

impl NumberForm {
    fn of(number: &TrackingNumber) -> Self {
        let attribution = &number.attribution;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let values = [
            number.phone_number.to_string(),
            text(&number.friendly_name),
            text(&attribution.source),
            text(&attribution.utm_source),
            text(&attribution.utm_medium),
            text(&attribution.utm_campaign),
            text(&attribution.utm_term),
            text(&attribution.utm_content),
        ];
        let fields = FIELDS.into_iter().zip(values).map(|((name, label), value)| (name, label, value));
        let call_flow_id = number.call_flow_id.map(|id| id.to_string()).unwrap_or_default();
        Self { fields: fields.collect(), call_flow_id }
    }

    fn read(form: &Form) -> Self {
        let fields = FIELDS.into_iter().map(|(name, label)| (name, label, form.text(name).to_owned()));
        Self { fields: fields.collect(), call_flow_id: form.text("call_flow_id").to_owned() }
    }

    fn document(&self) -> NumberDocument {
        let text = |name: &str| {
            let found = self.fields.iter().find(|(known, ..)| *known == name);
            found.map(|(.., value)| value.clone()).filter(|value| !value.trim().is_empty())
        };
        NumberDocument {
            phone_number: text("phone_number").unwrap_or_default(),
            friendly_name: text("friendly_name"),
            call_flow_id: Some(self.call_flow_id.clone()),
            source: text("source"),
            utm_source: text("utm_source"),
            utm_medium: text("utm_medium"),
            utm_campaign: text("utm_campaign"),
            utm_term: text("utm_term"),
            utm_content: text("utm_content"),
        }
    }

    fn is_flow(&self, id: &CallFlowId) -> bool {
        self.call_flow_id == id.to_string()
    }
}

/// A refusal with the field's name as the page has it.
fn spoken(refused: &Invalid) -> String {
    let label = FIELDS.into_iter().find(|(name, _)| *name == refused.field).map(|(_, label)| label);
    let label = label.or((refused.field == "call_flow_id").then_some("Call flow")).unwrap_or_default();
    error::spoken(label, refused)
}

#[derive(Template)]
#[template(path = "number/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<(TrackingNumber, Option<String>)>,
    flows: Vec<(CallFlowId, String)>,
    form: NumberForm,
    pager: Pager,
    wrong: Option<String>,
}

async fn list(State(app): State<Arc<App>>, seat: Seat, query: list::Query) -> Result<Response, PageError> {
    list_page(&app, seat, &query, NumberForm::read(&Form::default()), None).await
}

async fn list_page(
    app: &App,
    seat: Seat,
    query: &list::Query,
    form: NumberForm,
    wrong: Option<String>,
) -> Result<Response, PageError> {
    let business_id = seat.business_id();
    let page = app.store.list_numbers(business_id, query.before()?, ROWS).await?;
    let pager = query.pager(&seat.path("/numbers"), page.next(|number| *number.id.as_bytes()));
    let flows = flows(app, &seat).await?;
    let name = |id: CallFlowId| flows.iter().find(|(known, _)| *known == id).map(|(_, name)| name.clone());
    let row = |number: TrackingNumber| {
        let flow = number.call_flow_id.map(|id| name(id).unwrap_or_else(|| id.to_string()));
        (number, flow)
    };
    let rows = page.rows.into_iter().map(row).collect();
    let frame = Frame::of(app, seat, Room::Numbers, "Numbers").await?.saying(query.done());
    let status = frame::answered(wrong.is_some());
    let page = ListPage { frame, rows, flows, form, pager, wrong };
    Ok((status, Page(page)).into_response())
}

async fn flows(app: &App, seat: &Seat) -> Result<Vec<(CallFlowId, String)>, PageError> {
    let flows = app.store.list_call_flows(seat.business_id(), None, None, FLOWS).await?.rows;
    Ok(flows.into_iter().map(|flow| (flow.id, flow.name)).collect())
}

async fn create(
    State(app): State<Arc<App>>,
    seat: Seat,
    query: list::Query,
    form: Form,
) -> Result<Response, PageError> {
    seat.check_member()?;
    let typed = NumberForm::read(&form);
    let made = match typed.document().settings(seat.membership.default_country) {
        Ok(settings) => app.store.create_number(seat.business_id(), None, settings).await.map(drop),
        Err(refused) => Err(refused.into()),
    };
    match made {
        Ok(()) => Ok(Redirect::to(&seat.path("/numbers?done=number-made")).into_response()),
        Err(error) => {
            let wrong = spoken(&PageError::of_form(error)?);
            list_page(&app, seat, &query, typed, Some(wrong)).await
        }
    }
}

#[derive(Template)]
#[template(path = "number/edit.html")]
struct EditPage {
    frame: Frame,
    number_id: NumberId,
    flows: Vec<(CallFlowId, String)>,
    form: NumberForm,
    is_typed: bool,
    wrong: Option<String>,
}

async fn edit_page(
    app: &App,
    seat: Seat,
    id: NumberId,
    done: Option<&str>,
    typed: Option<(NumberForm, String)>,
) -> Result<Response, PageError> {
    let number = app.store.number(seat.business_id(), id).await?;
    let flows = flows(app, &seat).await?;
    let frame = Frame::of(app, seat, Room::Numbers, number.phone_number.grouped()).await?.saying(done);
    let is_typed = typed.is_some();
    let status = frame::answered(is_typed);
    let (form, wrong) =
        typed.map_or_else(|| (NumberForm::of(&number), None), |(form, wrong)| (form, Some(wrong)));
    Ok((status, Page(EditPage { frame, number_id: id, flows, form, is_typed, wrong })).into_response())
}

async fn read(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    query: list::Query,
) -> Result<Response, PageError> {
    edit_page(&app, seat, list::id(&id)?, query.done(), None).await
}

async fn save(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    form: Form,
) -> Result<Response, PageError> {
    seat.check_member()?;
    let id: NumberId = list::id(&id)?;
    let typed = NumberForm::read(&form);
    // Cannot fail: plain data with string keys.
    let document = serde_json::to_value(typed.document()).unwrap_or_default();
    let country = seat.membership.default_country;
    match app::number::update(&app, seat.business_id(), country, id, Change::Replace(document)).await {
        Ok(_) => Ok(Redirect::to(&seat.path(&format!("/numbers/{id}?done=saved"))).into_response()),
        Err(error) => {
            let wrong = spoken(&PageError::of_form(error)?);
            edit_page(&app, seat, id, None, Some((typed, wrong))).await
        }
    }
}

/// Whoever reloads the answer to a form, or signs in again in its middle, gets the page that the form stands on.
async fn back(seat: Seat, Path((_, id)): Path<(String, String)>) -> Result<Redirect, PageError> {
    Ok(Redirect::to(&seat.path(&format!("/numbers/{}", list::id::<NumberId>(&id)?))))
}

async fn delete(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
) -> Result<Redirect, PageError> {
    seat.check_member()?;
    app.store.delete_number(seat.business_id(), list::id(&id)?).await?;
    Ok(Redirect::to(&seat.path("/numbers?done=number-deleted")))
}
