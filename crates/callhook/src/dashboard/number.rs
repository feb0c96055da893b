//! Tracking numbers: what people call, which flow each runs, and where its calls come from.

use super::error::{self, PageError};
use super::flow_choice::{self, FlowChoice, Meant};
use super::form::Form;
use super::frame::{self, Frame, Page, Room, Seat};
use super::list::{self, Pager};
use crate::app::document::Change;
use crate::app::filter;
use crate::app::health::Light;
use crate::app::number::NumberDocument;
use crate::app::{self, App};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use domain::Invalid;
use domain::id::{BusinessId, NumberId};
use domain::number::TrackingNumber;
use std::sync::Arc;

/// Rows of a page.
const ROWS: usize = 25;

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

/// Of them, those that stand before the call flow.
const BEFORE_FLOW: usize = 2;
/// The first of those that are folded away.
const UTM: usize = 3;
/// What the choice of a flow counts as, and what the page calls it.
const FLOW: (&str, &str) = (flow_choice::ID, "Call flow");

/// A field's name, what the page calls it, and what stands in it.
type Field = (&'static str, &'static str, String);

struct NumberForm {
    fields: Vec<Field>,
    call_flow_id: String,
    /// What is wrong, and with which field; without a name, with none in particular.
    wrong: Option<(&'static str, String)>,
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
        Self { fields: fields.collect(), call_flow_id, wrong: None }
    }

    fn read(form: &Form) -> Self {
        let fields = FIELDS.into_iter().map(|(name, label)| (name, label, form.text(name).to_owned()));
        Self { fields: fields.collect(), call_flow_id: form.text("call_flow_id").to_owned(), wrong: None }
    }

    /// What the number is, and what it is called.
    fn first(&self) -> &[Field] {
        &self.fields[..BEFORE_FLOW]
    }

    /// Where its calls come from.
    fn source(&self) -> &[Field] {
        &self.fields[BEFORE_FLOW..UTM]
    }

    /// The same in the words of campaigns.
    fn utm(&self) -> &[Field] {
        &self.fields[UTM..]
    }

    /// Whether something stands there, or is wrong.
    fn has_utm(&self) -> bool {
        self.utm().iter().any(|(name, _, value)| !value.is_empty() || self.wrong(name).is_some())
    }

    /// What is wrong with a field; without a name, with none in particular.
    fn wrong(&self, name: &str) -> Option<&str> {
        self.wrong.as_ref().filter(|(wrong, _)| *wrong == name).map(|(_, words)| words.as_str())
    }

    /// The same, with what is wrong with it.
    fn refused(self, refused: &Invalid) -> Self {
        let known = FIELDS.into_iter().chain([FLOW]).find(|(name, _)| *name == refused.field);
        let (name, label) = known.unwrap_or_default();
        Self { wrong: Some((name, error::spoken(label, refused))), ..self }
    }

    /// The same where the name of the flow means none, or several.
    fn unclear(self, words: String) -> Self {
        Self { wrong: Some((FLOW.0, words)), ..self }
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

    /// The flows to choose from, where the flow's name was not typed or is the name of one; else those that it may mean.
    async fn choice(
        &mut self,
        app: &App,
        business_id: BusinessId,
        form: &Form,
    ) -> Result<FlowChoice, PageError> {
        if let Some(typed) = form.given(flow_choice::NAME) {
            // The flow that it had is not lost for a name that means none.
            let kept = self.call_flow_id.parse().ok();
            match FlowChoice::meant(app, business_id, &typed, kept).await? {
                Meant::One(id) => self.call_flow_id = id.to_string(),
                Meant::Unclear(choice) => return Ok(choice),
            }
        }
        FlowChoice::of(app, business_id, self.call_flow_id.parse().ok()).await
    }
}

#[derive(Template)]
#[template(path = "number/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<(TrackingNumber, Option<String>)>,
    choice: FlowChoice,
    form: NumberForm,
    pager: Pager,
    /// Whether there is more than one page, or only some are shown.
    is_searched: bool,
    query: list::Query,
}

async fn list(State(app): State<Arc<App>>, seat: Seat, query: list::Query) -> Result<Response, PageError> {
    let choice = FlowChoice::of(&app, seat.business_id(), None).await?;
    list_page(&app, seat, &query, NumberForm::read(&Form::default()), choice).await
}

async fn list_page(
    app: &App,
    seat: Seat,
    query: &list::Query,
    form: NumberForm,
    choice: FlowChoice,
) -> Result<Response, PageError> {
    let business_id = seat.business_id();
    let search = filter::search(query.get("search"))?;
    let page = app.store.list_numbers(business_id, search, query.before()?, ROWS).await?;
    let pager = query.pager(&seat.path("/numbers"), page.next(|number| *number.id.as_bytes()));
    let is_searched = query.is_searched(&pager);
    let flows = page.rows.iter().filter_map(|number| number.call_flow_id).collect();
    let names = app.store.call_flow_names(business_id, flows).await?;
    let row = |number: TrackingNumber| {
        let flow = number.call_flow_id.and_then(|id| names.get(&id).cloned());
        (number, flow)
    };
    let rows = page.rows.into_iter().map(row).collect();
    let frame = Frame::of(app, seat, Room::Numbers, "Numbers").await?.saying(query.done());
    let status = frame::answered(form.wrong.is_some());
    let query = query.clone();
    let page = ListPage { frame, rows, choice, form, pager, is_searched, query };
    Ok((status, Page(page)).into_response())
}

async fn create(
    State(app): State<Arc<App>>,
    seat: Seat,
    query: list::Query,
    form: Form,
) -> Result<Response, PageError> {
    seat.check_member()?;
    let mut typed = NumberForm::read(&form);
    let choice = typed.choice(&app, seat.business_id(), &form).await?;
    if let Some(words) = choice.asked.clone() {
        return list_page(&app, seat, &query, typed.unclear(words), choice).await;
    }
    let made = match typed.document().settings(seat.membership.default_country) {
        Ok(settings) => app.store.create_number(seat.business_id(), None, settings).await.map(drop),
        Err(refused) => Err(refused.into()),
    };
    match made {
        Ok(()) => Ok(Redirect::to(&seat.path("/numbers?done=number-made")).into_response()),
        Err(error) => {
            let refused = PageError::of_form(error)?;
            list_page(&app, seat, &query, typed.refused(&refused), choice).await
        }
    }
}

#[derive(Template)]
#[template(path = "number/edit.html")]
struct EditPage {
    frame: Frame,
    number_id: NumberId,
    choice: FlowChoice,
    form: NumberForm,
    is_typed: bool,
}

async fn edit_page(
    app: &App,
    seat: Seat,
    id: NumberId,
    done: Option<&str>,
    typed: Option<(NumberForm, FlowChoice)>,
) -> Result<Response, PageError> {
    let business_id = seat.business_id();
    let number = app.store.number(business_id, id).await?;
    let frame = Frame::of(app, seat, Room::Numbers, number.phone_number.grouped()).await?.saying(done);
    let is_typed = typed.is_some();
    let status = frame::answered(is_typed);
    let (form, choice) = match typed {
        Some(typed) => typed,
        None => (NumberForm::of(&number), FlowChoice::of(app, business_id, number.call_flow_id).await?),
    };
    Ok((status, Page(EditPage { frame, number_id: id, choice, form, is_typed })).into_response())
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
    let mut typed = NumberForm::read(&form);
    let choice = typed.choice(&app, seat.business_id(), &form).await?;
    if let Some(words) = choice.asked.clone() {
        return edit_page(&app, seat, id, None, Some((typed.unclear(words), choice))).await;
    }
    // Cannot fail: plain data with string keys.
    let document = serde_json::to_value(typed.document()).unwrap_or_default();
    let country = seat.membership.default_country;
    match app::number::update(&app, seat.business_id(), country, id, Change::Replace(document)).await {
        Ok(_) => Ok(Redirect::to(&seat.path(&format!("/numbers/{id}?done=saved"))).into_response()),
        Err(error) => {
            let refused = PageError::of_form(error)?;
            edit_page(&app, seat, id, None, Some((typed.refused(&refused), choice))).await
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
