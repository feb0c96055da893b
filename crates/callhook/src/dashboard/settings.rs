//! Settings: who may do what, which keys open the API, and how long what is known is kept.

use super::error::{self, PageError};
use super::form::Form;
use super::frame::{self, Frame, Page, Room, Seat};
use super::list::{self, Part};
use crate::app::api_key::ApiKeyDocument;
use crate::app::business::{BusinessDocument, RetentionDocument};
use crate::app::document::Change;
use crate::app::health::Light;
use crate::app::{self, App};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use domain::Invalid;
use domain::api_key::{ApiKey, Role};
use domain::business::Business;
use domain::id::{ApiKeyId, InvitationId, UserId};
use domain::user::Invitation;
use std::collections::HashMap;
use std::sync::Arc;
use store::api_key::KeyMaker;
use store::member::{MadeKeys, Member};

/// Keys that are listed, the newest ones, part by part.
const KEYS: usize = 100;
/// Keys of a part.
const KEYS_SHOWN: usize = 10;
/// People of a part.
const PEOPLE_SHOWN: usize = 20;
/// Invitations of a part.
const INVITATIONS_SHOWN: usize = 10;

/// The pages.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/b/{business}/settings", get(read))
        .route("/b/{business}/settings/retention", post(set_retention).get(back))
        .route("/b/{business}/settings/keys", post(create_key).get(back))
        .route("/b/{business}/settings/keys/{id}/revoke", post(revoke_key).get(back))
        .route("/b/{business}/settings/invitations", post(invite).get(back))
        .route("/b/{business}/settings/invitations/{id}/withdraw", post(withdraw).get(back))
        .route("/b/{business}/settings/members/{id}", post(set_role).get(back))
        .route("/b/{business}/settings/members/{id}/remove", post(remove).get(back))
}

/// What is shown once, or again.
#[derive(Default)]
struct Shown {
    new_key: Option<String>,
    new_link: Option<(String, String)>,
    typed: Form,
    wrong: Option<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "settings/read.html")]
struct SettingsPage {
    frame: Frame,
    business: Business,
    /// Each with who made it.
    keys: Part<(ApiKey, Option<String>)>,
    /// How many valid keys each person made.
    keys_by_maker: HashMap<UserId, u64>,
    members: Part<Member>,
    /// Each with who made it.
    invitations: Part<(Invitation, String)>,
    shown: Shown,
    public_url: String,
}

impl SettingsPage {
    /// What is wrong with a part of the page.
    fn wrong(&self, part: &str) -> Option<&str> {
        self.shown.wrong.as_ref().filter(|(wrong, _)| *wrong == part).map(|(_, words)| words.as_str())
    }

    fn days(&self, name: &str) -> String {
        if self.wrong("retention").is_some() {
            return self.shown.typed.text(name).to_owned();
        }
        let kept = self.business.retention;
        let days = if name == "payload_days" { kept.payload } else { kept.call };
        days.map(|days| days.get().to_string()).unwrap_or_default()
    }

    fn typed_retention(&self) -> String {
        typed_retention(&self.shown.typed)
    }

    /// Valid keys that the person made, and may have kept.
    fn keys_made_by(&self, member: &Member) -> u64 {
        self.keys_by_maker.get(&member.user.id).copied().unwrap_or_default()
    }

    fn is_self(&self, member: &Member) -> bool {
        member.user.id == self.frame.seat.person.signed_in.user.id
    }
}

/// Who of the business it was.
fn name_of(by: UserId, members: &[Member]) -> &str {
    members.iter().find(|member| member.user.id == by).map_or("somebody who has left", |by| &by.user.name)
}

/// Who made an invitation: one of the business's administrators, or whoever runs the server.
fn invited_by<'a>(invitation: &Invitation, members: &'a [Member]) -> &'a str {
    invitation.invited_by.map_or("whoever runs the server", |by| name_of(by, members))
}

async fn read(State(app): State<Arc<App>>, seat: Seat, query: list::Query) -> Result<Response, PageError> {
    settings_page(&app, seat, &query, Shown::default()).await
}

async fn settings_page(
    app: &App,
    seat: Seat,
    query: &list::Query,
    shown: Shown,
) -> Result<Response, PageError> {
    let business_id = seat.business_id();
    let business = app.store.business(business_id).await?;
    let (keys, keys_by_maker) = if seat.is_admin() {
        let keys = app.store.list_api_keys(business_id, None, KEYS).await?.rows;
        (keys, app.store.count_api_keys_by_maker(business_id).await?)
    } else {
        Default::default()
    };
    let members = app.store.list_members(business_id).await?;
    let keys: Vec<_> = keys
        .into_iter()
        .map(|key| {
            let by = key.made_by.map(|by| name_of(by, &members).to_owned());
            (key, by)
        })
        .collect();
    let invitations =
        if seat.is_admin() { app.store.list_invitations(business_id).await? } else { Vec::new() };
    let invitations: Vec<_> = invitations
        .into_iter()
        .map(|invitation| {
            let by = invited_by(&invitation, &members).to_owned();
            (invitation, by)
        })
        .collect();
    let keys = Part::of(keys, query, "keys", KEYS_SHOWN);
    let members = Part::of(members, query, "people", PEOPLE_SHOWN);
    let invitations = Part::of(invitations, query, "invitations", INVITATIONS_SHOWN);
    let frame = Frame::of(app, seat, Room::Settings, "Settings").await?.saying(query.done());
    let status = frame::answered(shown.wrong.is_some());
    let public_url = app.public_url.clone();
    let page = SettingsPage { frame, business, keys, keys_by_maker, members, invitations, shown, public_url };
    Ok((status, Page(page)).into_response())
}

async fn again(
    app: &App,
    seat: Seat,
    part: &'static str,
    typed: Form,
    refused: &Invalid,
) -> Result<Response, PageError> {
    let label = match refused.field.rsplit('.').next().unwrap_or_default() {
        "payload_days" => "days for payloads",
        "call_days" => "days for calls",
        "name" => "the name",
        "email" => "the e-mail address",
        _ => "",
    };
    let words = error::spoken(label, refused);
    settings_page(
        app,
        seat,
        &list::Query::default(),
        Shown { typed, wrong: Some((part, words)), ..Shown::default() },
    )
    .await
}

fn done(seat: &Seat, word: &str) -> Response {
    Redirect::to(&seat.path(&format!("/settings?done={word}"))).into_response()
}

async fn set_retention(State(app): State<Arc<App>>, seat: Seat, form: Form) -> Result<Response, PageError> {
    seat.check_admin()?;
    let days = |name: &str| {
        let read = |text: String| {
            text.parse::<i64>().map_err(|_| Invalid::field(name, "are a whole number, or nothing"))
        };
        form.given(name).map(read).transpose()
    };
    let retention = days("payload_days")
        .and_then(|payload_days| Ok(RetentionDocument { payload_days, call_days: days("call_days")? }));
    let checked = retention.and_then(|retention| Ok((retention, retention.retention()?)));
    let (retention, kept) = match checked {
        Ok(checked) => checked,
        Err(refused) => return again(&app, seat, "retention", form, &refused).await,
    };
    let before = app.store.business(seat.business_id()).await?.retention;
    if kept.is_less_than(before) && form.given("sure") != Some(typed_retention(&form)) {
        let words =
            "What is older than that is removed for good, within the next hour. Save again if that is meant.";
        return again(&app, seat, "retention", form, &Invalid::value(words)).await;
    }
    // Cannot fail: plain data with string keys.
    let document = serde_json::to_value(BusinessDocument { retention: Some(retention) }).unwrap_or_default();
    match app::business::update(&app, seat.business_id(), Change::Patch(document)).await {
        Ok(_) => Ok(done(&seat, "saved")),
        Err(error) => again(&app, seat, "retention", form, &PageError::of_form(error)?).await,
    }
}

/// What a person is asked about before it is saved.
fn typed_retention(form: &Form) -> String {
    format!("{}/{}", form.text("payload_days").trim(), form.text("call_days").trim())
}

async fn create_key(State(app): State<Arc<App>>, seat: Seat, form: Form) -> Result<Response, PageError> {
    seat.check_admin()?;
    let document = ApiKeyDocument { name: form.text("name").to_owned(), role: form.text("role").to_owned() };
    let maker = KeyMaker::User(seat.person.signed_in.user.id);
    match app::api_key::create(&app, seat.business_id(), None, document, maker).await {
        Ok((_, key)) => {
            let shown = Shown { new_key: Some(key.reveal().to_owned()), ..Shown::default() };
            settings_page(&app, seat, &list::Query::default(), shown).await
        }
        Err(error) => again(&app, seat, "keys", form, &PageError::of_form(error)?).await,
    }
}

async fn revoke_key(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    seat.check_admin()?;
    app.store.revoke_api_key(seat.business_id(), list::id::<ApiKeyId>(&id)?).await?;
    Ok(done(&seat, "key-revoked"))
}

async fn invite(State(app): State<Arc<App>>, seat: Seat, form: Form) -> Result<Response, PageError> {
    seat.check_admin()?;
    let role = read_role(&form)?;
    let by = seat.person.signed_in.user.id;
    match app::user::invite(&app, seat.business_id(), by, form.text("email"), role).await {
        Ok(invited) => {
            let email = invited.invitation.email.to_string();
            let shown =
                Shown { new_link: Some((email, invited.link.reveal().to_owned())), ..Shown::default() };
            settings_page(&app, seat, &list::Query::default(), shown).await
        }
        Err(error) => again(&app, seat, "people", form, &PageError::of_form(error)?).await,
    }
}

fn read_role(form: &Form) -> Result<Role, PageError> {
    let wrong = |_| Invalid::field("role", "is viewer, member or admin");
    Ok(form.text("role").parse::<Role>().map_err(wrong)?)
}

async fn withdraw(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    seat.check_admin()?;
    app.store.withdraw_invitation(seat.business_id(), list::id::<InvitationId>(&id)?).await?;
    Ok(done(&seat, "withdrawn"))
}

async fn set_role(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    form: Form,
) -> Result<Response, PageError> {
    seat.check_admin()?;
    let (role, by) = (read_role(&form)?, seat.person.signed_in.user.id);
    match app.store.set_member_role(seat.business_id(), by, list::id::<UserId>(&id)?, role).await {
        Ok(()) => Ok(done(&seat, "saved")),
        Err(error) => again(&app, seat, "people", form, &PageError::of_form(error)?).await,
    }
}

async fn remove(
    State(app): State<Arc<App>>,
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    form: Form,
) -> Result<Response, PageError> {
    seat.check_admin()?;
    let id: UserId = list::id(&id)?;
    let by = seat.person.signed_in.user.id;
    let is_self = id == by;
    let keys = if form.is_ticked("revoke_keys") { MadeKeys::Revoked } else { MadeKeys::GoOn };
    match app.store.remove_member(seat.business_id(), by, id, keys).await {
        Ok(()) if is_self => Ok(Redirect::to("/").into_response()),
        Ok(()) => Ok(done(&seat, "member-removed")),
        Err(error) => again(&app, seat, "people", Form::default(), &PageError::of_form(error)?).await,
    }
}

/// Whoever reloads the answer to a form gets the page that the form stands on.
async fn back(seat: Seat) -> Redirect {
    Redirect::to(&seat.path("/settings"))
}
