//! Call flows: the list with how each goes, and the editor with the settings beside what happened lately.

mod form;
pub mod lately;
mod refusal;
mod samples;

use super::body::Body;
use super::delivery::{host, optional};
use super::error::{PageError, sentence};
use super::form::Form;
use super::frame::{self, Frame, Page, Room, Said, Seat};
use super::list::{self, Pager};
use super::short;
use crate::app::call_flow::{AiDocument, CallFlowDocument, PostCallWebhookDocument};
use crate::app::document::Change;
use crate::app::filter;
use crate::app::health::Light;
use crate::app::test_webhook::{self, TestDocument, TestResult};
use crate::app::{self, App};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use domain::call_flow::CallFlow;
use domain::delivery::DeliveryKind;
use domain::destination::{DestinationUrl, FiringMode};
use domain::id::{BusinessId, CallFlowId, DeliveryId};
use domain::receiver::Receiver;
use domain::{Invalid, Timestamp};
use form::FlowForm;
use lately::Lately;
use refusal::Refusal;
use std::sync::Arc;
use store::delivery::{BEATS_MAX, Pulse};
use store::idempotency::Answer;

/// Rows of the list: each is looked into.
const ROWS: usize = 25;
/// What the address of a result says where it was not for what was saved.
const TYPED: &str = "typed";
/// Empty lines for headers, where no script adds them.
const EMPTY_HEADERS: usize = 1;

/// The pages.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/b/{business}/call-flows", get(list).post(create))
        .route("/b/{business}/call-flows/{id}", get(read).post(save))
        .route("/b/{business}/call-flows/{id}/test", post(test).get(back))
        .route("/b/{business}/call-flows/{id}/payload", get(payload))
        .route("/b/{business}/call-flows/{id}/rotate-secret", post(rotate_secret).get(back))
        .route("/b/{business}/call-flows/{id}/delete", post(delete).get(back))
        .route("/samples/verify-signature/{name}", get(samples::read))
}

/// A row of the list.
struct FlowRow {
    flow: CallFlow,
    pulse: Pulse,
}

impl FlowRow {
    /// The host alone: the rest of the address may be a secret, and is long.
    fn target(&self) -> String {
        let settings = &self.flow.post_call_webhook.settings;
        settings
            .target()
            .map_or_else(|| "nowhere".to_owned(), |url| short::line(&host(url.as_str())).into_owned())
    }

    const fn when(&self) -> &'static str {
        let settings = &self.flow.post_call_webhook.settings;
        match settings.firing_mode {
            _ if !settings.enabled => "–",
            FiringMode::Immediate => "at once",
            FiringMode::WaitForAi => "when AI is done",
        }
    }

    fn spark(&self) -> String {
        lately::spark(&self.pulse)
    }
}

#[derive(Template)]
#[template(path = "call_flow/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<FlowRow>,
    pager: Pager,
    /// Whether there is more than one page, or only those of a name are shown.
    is_searched: bool,
    query: list::Query,
    beats_max: usize,
    typed: String,
    wrong: Option<String>,
}

async fn list(State(app): State<Arc<App>>, seat: Seat, query: list::Query) -> Result<Response, PageError> {
    list_page(&app, seat, &query, String::new(), None).await
}

async fn list_page(
    app: &App,
    seat: Seat,
    query: &list::Query,
    typed: String,
    wrong: Option<Invalid>,
) -> Result<Response, PageError> {
    let business_id = seat.business_id();
    let search = filter::search(query.get("search"))?;
    let page = app.store.list_call_flows(business_id, search, query.before()?, ROWS).await?;
    let pager = query.pager(&seat.path("/call-flows"), page.next(|flow| *flow.id.as_bytes()));
    let pulses = app.store.pulses(business_id, page.rows.iter().map(|flow| flow.id).collect()).await?;
    let rows = page.rows.into_iter().zip(pulses).map(|(flow, pulse)| FlowRow { flow, pulse }).collect();
    let frame = Frame::of(app, seat, Room::CallFlows, "Call Flows").await?.saying(query.done());
    let status = frame::answered(wrong.is_some());
    let wrong = wrong.map(|refused| sentence(&format!("the name {}", refused.reason)));
    let is_searched = query.is_searched(&pager);
    let query = query.clone();
    let page = ListPage { frame, rows, pager, is_searched, query, beats_max: BEATS_MAX, typed, wrong };
    Ok((status, Page(page)).into_response())
}

async fn create(
    State(app): State<Arc<App>>,
    seat: Seat,
    query: list::Query,
    form: Form,
) -> Result<Response, PageError> {
    seat.check_member()?;
    let document = CallFlowDocument {
        name: form.text("name").to_owned(),
        source: None,
        recording: true,
        ai: AiDocument::default(),
        post_call_webhook: PostCallWebhookDocument::default(),
    };
    match app::call_flow::create(&app, seat.business_id(), None, document).await {
        Ok(Answer::New(flow)) => Ok(Redirect::to(&flow_path(&seat, flow.id)).into_response()),
        Ok(Answer::Repeated(_)) => Ok(Redirect::to(&seat.path("/call-flows")).into_response()),
        Err(error) => {
            let refused = PageError::of_form(error)?;
            list_page(&app, seat, &query, form.text("name").to_owned(), Some(refused)).await
        }
    }
}

#[derive(Template)]
#[template(path = "call_flow/edit.html")]
struct EditPage {
    frame: Frame,
    flow_id: CallFlowId,
    form: FlowForm,
    is_typed: bool,
    receiver: Option<Receiver>,
    refusal: Option<Refusal>,
    test: Option<TestResult>,
    /// Whether the test went with what was typed, of which nothing was saved.
    is_test_typed: bool,
    sent: Option<Body>,
    lately: Lately,
    payload: Body,
    verify: &'static str,
    new_secret: Option<String>,
    /// When the flow was changed last, as far as the page knows.
    version: String,
}

impl EditPage {
    /// What is wrong with a field.
    fn wrong(&self, field: &str) -> Option<&Refusal> {
        self.refusal.as_ref().filter(|refusal| refusal.is_about(field))
    }

    /// What a field says of itself where it is refused.
    fn refused(&self, field: &str) -> &'static str {
        self.wrong(field).map_or("", Refusal::attributes)
    }

    /// The same for the header of a name.
    fn refused_header(&self, name: &str) -> &'static str {
        let refusal = self.refusal.as_ref().filter(|refusal| refusal.is_about_header(name));
        refusal.map_or("", Refusal::attributes)
    }

    /// Whether the address is recognised as that of another receiver.
    fn is_for_other(&self, receiver: Receiver) -> bool {
        self.receiver.is_some_and(|known| known != receiver)
    }

    /// What the form shows instead of what was tested.
    fn difference(&self) -> Option<&'static str> {
        let test = self.test.as_ref().filter(|_| !self.is_typed)?;
        if test.url != self.form.url {
            Some(
                "This result is for the address that it names. The form shows what is saved, which is another address.",
            )
        } else if self.is_test_typed {
            Some("It was sent with settings that were typed then. The form shows what is saved.")
        } else {
            None
        }
    }
}

/// What the editor shows beside the flow itself.
#[derive(Default)]
struct Shown {
    typed: Option<FlowForm>,
    /// Which settings what was typed is to replace, where it is not those that are stored now.
    version: Option<String>,
    wrong: Option<Invalid>,
    is_test_refused: bool,
    test: Option<TestResult>,
    is_test_typed: bool,
    new_secret: Option<String>,
}

const VERIFY: &str = "# pip install standardwebhooks
from standardwebhooks import Webhook

webhook = Webhook(\"whsec_…\")       # the signing secret
call = webhook.verify(body, headers)  # raises where body or headers are not from here";

async fn edit_page(
    app: &App,
    seat: Seat,
    id: CallFlowId,
    said: Option<Said>,
    shown: Shown,
) -> Result<Response, PageError> {
    let business_id = seat.business_id();
    let flow = app.store.call_flow(business_id, id).await?;
    let lately = Lately::of(app, &seat.person.clock, &flow).await?;
    let payload = Body::of(&test_webhook::payload_sample(app, business_id, id).await?);
    let mut frame = Frame::of(app, seat, Room::CallFlows, flow.name.clone()).await?;
    frame.said = said;
    let is_typed = shown.typed.is_some();
    let mut form = shown.typed.unwrap_or_else(|| FlowForm::of(&flow));
    form.headers.extend((0..EMPTY_HEADERS).map(|_| (String::new(), String::new())));
    let status = frame::answered(shown.wrong.is_some());
    let page = EditPage {
        flow_id: id,
        receiver: DestinationUrl::parse(&form.url).ok().and_then(|url| Receiver::of(&url)),
        form,
        is_typed,
        refusal: shown.wrong.map(|refused| Refusal::of(refused, shown.is_test_refused)),
        sent: shown.test.as_ref().map(|test| Body::of(&test.payload)),
        test: shown.test,
        is_test_typed: shown.is_test_typed,
        lately,
        payload,
        verify: VERIFY,
        new_secret: shown.new_secret,
        version: shown.version.unwrap_or_else(|| flow.updated_at.as_millis().to_string()),
        frame,
    };
    Ok((status, Page(page)).into_response())
}

fn flow_path(seat: &Seat, id: CallFlowId) -> String {
    seat.path(&format!("/call-flows/{id}"))
}

/// Where a test's result stands beside the settings, and whether it was sent with those that were only typed.
fn test_path(seat: &Seat, id: CallFlowId, test: DeliveryId, is_typed: bool) -> String {
    let typed = if is_typed { format!("&{TYPED}=1") } else { String::new() };
    format!("{}?test={test}{typed}#test", flow_path(seat, id))
}

async fn read(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    query: list::Query,
) -> Result<Response, PageError> {
    let id = list::id(&id)?;
    let test = recorded_test(&app, seat.business_id(), id, &query).await?;
    let session_id = seat.person.signed_in.session.id;
    let typed = test.as_ref().and_then(|test| app.typed.recall(session_id, test.delivery_id));
    let typed = typed.map(|typed| Form::read(typed.reveal().as_bytes()));
    let version = typed.as_ref().and_then(|typed| typed.given("version"));
    let is_test_typed = query.get(TYPED).is_some();
    let shown =
        Shown { typed: typed.as_ref().map(FlowForm::read), version, test, is_test_typed, ..Shown::default() };
    let said = match query.done() {
        Some("saved") => {
            Some(Said::done(what_happens_now(&app.store.call_flow(seat.business_id(), id).await?)))
        }
        done => done.and_then(super::said),
    };
    edit_page(&app, seat, id, said, shown).await
}

/// The test that the address names, from its record; nothing where that is gone.
async fn recorded_test(
    app: &App,
    business_id: BusinessId,
    id: CallFlowId,
    query: &list::Query,
) -> Result<Option<TestResult>, PageError> {
    let Some(Ok(delivery_id)) = query.get("test").map(str::parse) else { return Ok(None) };
    let Some(detail) = optional(app.store.delivery(business_id, delivery_id).await)? else { return Ok(None) };
    let is_test = detail.delivery.kind == DeliveryKind::Test && detail.delivery.call_flow_id == id;
    let payload = detail.sent().filter(|_| is_test);
    let record = payload.zip(detail.attempts.into_iter().last());
    let url = detail.delivery.url;
    Ok(record.map(|(payload, attempt)| TestResult { delivery_id, url, attempt, payload }))
}

/// All of what would be sent.
async fn payload(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    Ok(short::whole(test_webhook::payload_sample(&app, seat.business_id(), list::id(&id)?).await?))
}

/// What a flow does from the next call on.
fn what_happens_now(flow: &CallFlow) -> String {
    let settings = &flow.post_call_webhook.settings;
    let name = &flow.name;
    match (settings.target(), settings.firing_mode) {
        (None, _) => format!("Saved. Calls of {name} are recorded and sent nowhere."),
        (Some(url), FiringMode::Immediate) => {
            format!(
                "Saved. From the next call on, {name} posts to {} as soon as the call ends.",
                host(url.as_str())
            )
        }
        (Some(url), FiringMode::WaitForAi) => format!(
            "Saved. From the next call on, {name} posts to {} when AI is done, at the latest 5 minutes after the call.",
            host(url.as_str())
        ),
    }
}

async fn save(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    form: Form,
) -> Result<Response, PageError> {
    seat.check_member()?;
    let id = list::id(&id)?;
    let typed = FlowForm::read(&form);
    let document = match typed.document() {
        Ok(document) => serde_json::to_value(document).unwrap_or_default(),
        Err(refused) => return again(&app, seat, id, (typed, &form), refused).await,
    };
    match app::call_flow::update(&app, seat.business_id(), id, Change::Replace(document), seen(&form)).await {
        Ok(_) => {
            app.typed.forget(seat.person.signed_in.session.id, id);
            Ok(Redirect::to(&format!("{}?done=saved", flow_path(&seat, id))).into_response())
        }
        Err(error) => again(&app, seat, id, (typed, &form), PageError::of_form(error)?).await,
    }
}

/// When the flow was last changed before the page with the form was drawn.
fn seen(form: &Form) -> Option<Timestamp> {
    form.given("version").map(|version| Timestamp::from_millis(version.parse().unwrap_or_default()))
}

async fn again(
    app: &App,
    seat: Seat,
    id: CallFlowId,
    (typed, form): (FlowForm, &Form),
    refused: Invalid,
) -> Result<Response, PageError> {
    // Who was told of another's change has seen it by the next press; who was told of anything else has not.
    let version = form.given("version").filter(|_| refused.field != app::call_flow::OVERTAKEN);
    let shown = Shown { typed: Some(typed), version, wrong: Some(refused), ..Shown::default() };
    edit_page(app, seat, id, None, shown).await
}

async fn test_refused(
    app: &App,
    seat: Seat,
    id: CallFlowId,
    (typed, version): (FlowForm, Option<String>),
    refused: Invalid,
) -> Result<Response, PageError> {
    let (typed, wrong) = (Some(typed), Some(refused));
    let shown = Shown { typed, version, wrong, is_test_refused: true, ..Shown::default() };
    edit_page(app, seat, id, None, shown).await
}

async fn test(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    form: Form,
) -> Result<Response, PageError> {
    seat.check_member()?;
    let id = list::id(&id)?;
    let typed = FlowForm::read(&form);
    let webhook = typed.webhook().map_err(|refused| refused.within("post_call_webhook"));
    let webhook = match webhook {
        Ok(webhook) => webhook,
        Err(refused) => return test_refused(&app, seat, id, (typed, form.given("version")), refused).await,
    };
    let stored = app.store.call_flow(seat.business_id(), id).await?;
    let document = TestDocument { post_call_webhook: Some(webhook) };
    match test_webhook::run(&app, seat.business_id(), None, id, document).await {
        Ok(Answer::New(TestResult { delivery_id, .. })) => {
            // The result has an address. What is only typed has none, since it may hold secrets: it waits there for this session.
            let is_typed = typed != FlowForm::of(&stored);
            if is_typed {
                let flow = (seat.business_id(), id);
                app.typed.keep(seat.person.signed_in.session.id, flow, delivery_id, form.encoded());
            }
            Ok(Redirect::to(&test_path(&seat, id, delivery_id, is_typed)).into_response())
        }
        Ok(Answer::Repeated(_)) => Ok(Redirect::to(&flow_path(&seat, id)).into_response()),
        Err(error) => {
            test_refused(&app, seat, id, (typed, form.given("version")), PageError::of_form(error)?).await
        }
    }
}

async fn rotate_secret(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    form: Form,
) -> Result<Response, PageError> {
    seat.check_admin()?;
    let id = list::id(&id)?;
    let secret = app::call_flow::new_signing_secret(&app);
    app.store.rotate_signing_secret(seat.business_id(), None, id, secret.clone(), seen(&form)).await?;
    let shown = Shown { new_secret: Some(secret.reveal().to_owned()), ..Shown::default() };
    edit_page(&app, seat, id, None, shown).await
}

async fn delete(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
) -> Result<Redirect, PageError> {
    seat.check_member()?;
    app.store.delete_call_flow(seat.business_id(), list::id(&id)?).await?;
    Ok(Redirect::to(&seat.path("/call-flows?done=flow-deleted")))
}

/// Whoever reloads the answer to a form gets the page that the form stands on.
async fn back(seat: Seat, Path((_, id)): Path<(String, String)>) -> Result<Redirect, PageError> {
    Ok(Redirect::to(&flow_path(&seat, list::id(&id)?)))
}
