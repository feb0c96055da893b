//! Sources: the phone systems that report calls, with the addresses to enter there, and whether something arrived.

use super::error::{self, PageError};
use super::form::Form;
use super::frame::{self, Frame, Page, Room, Seat};
use super::list::{self, Pager};
use crate::app::document::Change;
use crate::app::health::Light;
use crate::app::source::{SourceDocument, SourceUrls};
use crate::app::{self, App};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use domain::Timestamp;
use domain::id::SourceId;
use domain::secret::MASK;
use std::sync::Arc;
use store::idempotency::Answer;
use store::source::Source;

/// Rows of a page.
const ROWS: usize = 25;

/// The pages.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/b/{business}/sources", get(list).post(create))
        .route("/b/{business}/sources/{id}", get(read).post(save))
        .route("/b/{business}/sources/{id}/delete", post(delete).get(back))
}

#[derive(Template)]
#[template(path = "source/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<(Option<Timestamp>, Source)>,
    public_url: String,
    typed: Form,
    pager: Pager,
    wrong: Option<String>,
}

async fn list(State(app): State<Arc<App>>, seat: Seat, query: list::Query) -> Result<Response, PageError> {
    list_page(&app, seat, &query, Form::default(), None).await
}

async fn list_page(
    app: &App,
    seat: Seat,
    query: &list::Query,
    typed: Form,
    wrong: Option<String>,
) -> Result<Response, PageError> {
    let business_id = seat.business_id();
    let page = app.store.list_sources(business_id, query.before()?, ROWS).await?;
    let pager = query.pager(&seat.path("/sources"), page.next(|source| *source.id.as_bytes()));
    let ids = page.rows.iter().map(|source| source.id).collect();
    let rows = app.store.last_arrivals(business_id, ids).await?.into_iter().zip(page.rows).collect();
    let frame = Frame::of(app, seat, Room::Sources, "Sources").await?.saying(query.done());
    let status = frame::answered(wrong.is_some());
    let public_url = app.public_url.clone();
    let page = ListPage { frame, rows, public_url, typed, pager, wrong };
    Ok((status, Page(page)).into_response())
}

fn document(form: &Form) -> SourceDocument {
    SourceDocument {
        kind: "twilio".to_owned(),
        name: form.text("name").to_owned(),
        auth_token: form.text("auth_token").to_owned(),
        dial: form.is_ticked("dial"),
    }
}

async fn create(
    State(app): State<Arc<App>>,
    seat: Seat,
    query: list::Query,
    form: Form,
) -> Result<Response, PageError> {
    seat.check_admin()?;
    match app::source::create(&app, seat.business_id(), None, document(&form)).await {
        Ok(Answer::New(source)) => {
            Ok(Redirect::to(&seat.path(&format!("/sources/{}", source.id))).into_response())
        }
        Ok(Answer::Repeated(_)) => Ok(Redirect::to(&seat.path("/sources")).into_response()),
        Err(error) => {
            let wrong = spoken(&PageError::of_form(error)?);
            list_page(&app, seat, &query, form, Some(wrong)).await
        }
    }
}

fn spoken(refused: &domain::Invalid) -> String {
    let label = match refused.field.as_str() {
        "name" => "the name",
        "auth_token" => "the auth token",
        _ => "",
    };
    error::spoken(label, refused)
}

#[derive(Template)]
#[template(path = "source/edit.html")]
struct EditPage {
    frame: Frame,
    source: Source,
    urls: SourceUrls,
    arrived: Option<Timestamp>,
    typed: Option<Form>,
    mask: &'static str,
    wrong: Option<String>,
}

impl EditPage {
    fn name(&self) -> &str {
        self.typed.as_ref().map_or(&self.source.name, |typed| typed.text("name"))
    }

    fn dial(&self) -> bool {
        self.typed.as_ref().map_or(self.source.dial, |typed| typed.is_ticked("dial"))
    }
}

async fn edit_page(
    app: &App,
    seat: Seat,
    id: SourceId,
    done: Option<&str>,
    typed: Option<(Form, String)>,
) -> Result<Response, PageError> {
    // Its addresses are secrets, as they are to the API.
    seat.check_admin()?;
    let source = app.store.source(seat.business_id(), id).await?;
    let arrived = app.store.last_arrivals(seat.business_id(), vec![id]).await?.into_iter().next().flatten();
    let urls = SourceUrls::of(&source, &app.public_url);
    let frame = Frame::of(app, seat, Room::Sources, source.name.clone()).await?.saying(done);
    let status = frame::answered(typed.is_some());
    let (typed, wrong) = typed.map_or((None, None), |(typed, wrong)| (Some(typed), Some(wrong)));
    Ok((status, Page(EditPage { frame, source, urls, arrived, typed, mask: MASK, wrong })).into_response())
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
    seat.check_admin()?;
    let id: SourceId = list::id(&id)?;
    // Cannot fail: plain data with string keys.
    let change = serde_json::to_value(document(&form)).unwrap_or_default();
    match app::source::update(&app, seat.business_id(), id, Change::Replace(change)).await {
        Ok(_) => Ok(Redirect::to(&seat.path(&format!("/sources/{id}?done=saved"))).into_response()),
        Err(error) => {
            let wrong = spoken(&PageError::of_form(error)?);
            edit_page(&app, seat, id, None, Some((form, wrong))).await
        }
    }
}

/// Whoever reloads the answer to a form, or signs in again in its middle, gets the page that the form stands on.
async fn back(seat: Seat, Path((_, id)): Path<(String, String)>) -> Result<Redirect, PageError> {
    Ok(Redirect::to(&seat.path(&format!("/sources/{}", list::id::<SourceId>(&id)?))))
}

async fn delete(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
) -> Result<Redirect, PageError> {
    seat.check_admin()?;
    app.store.delete_source(seat.business_id(), list::id(&id)?).await?;
    Ok(Redirect::to(&seat.path("/sources?done=source-deleted")))
}
