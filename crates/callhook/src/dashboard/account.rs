//! A person's own account: name, password, second factor, and where the person is signed in.

use super::cookie;
use super::error::{self, PageError, sentence};
use super::form::Form;
use super::frame::{self, Frame, Page, Person, Said, Seat};
use super::list;
use crate::app::App;
use crate::app::health::Light;
use crate::app::sign_in::{Client, Given, SignInError};
use crate::app::totp::Enrolment;
use crate::app::user;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use domain::id::{BusinessId, SessionId};
use domain::recovery_code::RecoveryCode;
use domain::user::Session;
use domain::{Invalid, Timestamp};
use qrcode::QrCode;
use qrcode::render::svg;
use std::borrow::Cow;
use std::sync::Arc;

/// The pages.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/account", get(read))
        .route("/account/name", post(set_name).get(back))
        .route("/account/password", post(set_password).get(back))
        .route("/account/second-factor", post(offer).get(back))
        .route("/account/second-factor/confirm", post(confirm).get(back))
        .route("/account/second-factor/remove", post(remove).get(back))
        .route("/account/recovery-codes", post(new_recovery_codes).get(back))
        .route("/account/businesses/{id}/leave", post(leave).get(back))
        .route("/account/delete", post(delete).get(back))
        .route("/account/sessions/end-others", post(end_others).get(back))
        .route("/account/sessions/{id}/end", post(end).get(back))
}

/// The page of who is in a business: around it stands what stands around every other.
#[derive(Template)]
#[template(path = "account/read.html")]
struct AccountPage {
    frame: Frame,
    account: Account,
}

/// The page of who is in none.
#[derive(Template)]
#[template(path = "account/outside.html")]
struct DoorPage {
    account: Account,
}

struct Account {
    person: Person,
    sessions: Vec<Session>,
    recovery_codes_left: u64,
    shown: Shown,
}

/// Characters of a secret that is offered, with room to spare.
const OFFERED_CHARS_MAX: usize = 64;

/// A second factor on its way into the person's app.
struct Offered {
    secret: String,
    /// The drawing of the QR code.
    code: String,
}

impl Account {
    fn wrong(&self, part: &str) -> Option<&str> {
        self.shown.wrong.as_ref().filter(|(wrong, _)| *wrong == part).map(|(_, words)| words.as_str())
    }

    fn device<'a>(&self, session: &'a Session) -> Cow<'a, str> {
        device(&session.user_agent)
    }

    fn minute(&self, at: &Timestamp) -> String {
        self.person.clock.minute(*at)
    }

    fn name(&self) -> &str {
        self.shown.typed_name.as_deref().unwrap_or(&self.person.signed_in.user.name)
    }
}

/// Browsers by what they say of themselves. Most also say that they are others: the sign that one alone has stands first.
const BROWSERS: [(&str, &str); 8] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
/// Systems, likewise.
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
];

/// A browser as people call it: `Chrome on Linux`; in its own words where they say neither or only one.
fn device(user_agent: &str) -> Cow<'_, str> {
    let named = |known: &[(&str, &'static str)]| {
        known.iter().find(|(sign, _)| user_agent.contains(sign)).map(|(_, name)| *name)
    };
    match (named(&BROWSERS), named(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}").into(),
        _ => user_agent.into(),
    }
}

/// What the page shows beside what is stored.
#[derive(Default)]
struct Shown {
    said: Option<&'static str>,
    offered: Option<Offered>,
    new_recovery_codes: Option<String>,
    wrong: Option<(&'static str, String)>,
    typed_name: Option<String>,
}

impl Shown {
    /// Recovery codes, a line each: this page alone shows them.
    fn of_new_codes(codes: &[RecoveryCode]) -> Self {
        let lines: Vec<String> = codes.iter().map(RecoveryCode::in_groups).collect();
        Self { new_recovery_codes: Some(lines.join("\n")), ..Self::default() }
    }
}

async fn account_page(app: &App, person: Person, shown: Shown) -> Result<Response, PageError> {
    let sessions = app.store.list_sessions(person.signed_in.user.id).await?;
    let recovery_codes_left = app.store.count_recovery_codes(person.signed_in.user.id).await?;
    let status = frame::answered(shown.wrong.is_some());
    let first = person.signed_in.memberships.first().cloned();
    let account = Account { person, sessions, recovery_codes_left, shown };
    let Some(membership) = first else {
        return Ok((status, Page(DoorPage { account })).into_response());
    };
    let seat = Seat { person: account.person.clone(), membership };
    let mut frame = Frame::of(app, seat, None, "Account").await?;
    frame.said = account.shown.said.map(Said::done);
    Ok((status, Page(AccountPage { frame, account })).into_response())
}

fn said(done: &str) -> Option<&'static str> {
    Some(match done {
        "saved" => "Saved.",
        "password" => "The password is changed. Your other sessions have ended.",
        "removed" => "Signing in asks for no code any more.",
        "left" => "You are in that business no more.",
        "ended" => "The session has ended.",
        _ => return None,
    })
}

async fn read(
    State(app): State<Arc<App>>,
    person: Person,
    query: list::Query,
) -> Result<Response, PageError> {
    let said = query.done().and_then(said);
    account_page(&app, person, Shown { said, ..Shown::default() }).await
}

fn done(word: &str) -> Response {
    Redirect::to(&format!("/account?done={word}")).into_response()
}

async fn set_name(State(app): State<Arc<App>>, person: Person, form: Form) -> Result<Response, PageError> {
    match user::set_name(&app, person.signed_in.user.id, form.text("name")).await {
        Ok(()) => Ok(done("saved")),
        Err(error) => {
            let refused = PageError::of_form(error)?;
            let wrong = Some(("name", error::spoken("the name", &refused)));
            let typed_name = Some(form.text("name").to_owned());
            account_page(&app, person, Shown { wrong, typed_name, ..Shown::default() }).await
        }
    }
}

async fn set_password(
    State(app): State<Arc<App>>,
    person: Person,
    client: Client,
    form: Form,
) -> Result<Response, PageError> {
    let (current, new) = (form.secret("current_password"), form.secret("password"));
    match user::change_password(&app, &person.signed_in, &current, &new, &client).await {
        Ok(()) => Ok(done("password")),
        Err(error) => refused(&app, person, "password", error).await,
    }
}

/// What is asked for before the second factor or the account goes.
fn given(form: &Form) -> Given {
    Given { password: form.secret("current_password"), code: form.text("code").to_owned() }
}

/// Shows again what was refused for what was to prove who it is, or for the new password.
async fn refused(
    app: &App,
    person: Person,
    part: &'static str,
    error: SignInError,
) -> Result<Response, PageError> {
    let asks_code = person.signed_in.user.has_totp && part != "password";
    let wrong = match error {
        SignInError::Wrong if asks_code => "The current password or the code is wrong.".to_owned(),
        error => words(error)?,
    };
    let wrong = Some((part, wrong));
    account_page(app, person, Shown { wrong, ..Shown::default() }).await
}

fn words(error: SignInError) -> Result<String, PageError> {
    Ok(match error {
        SignInError::Wrong => "The current password is wrong.".to_owned(),
        SignInError::Store(error) => {
            let refused = PageError::of_form(error)?;
            let label = match refused.field.as_str() {
                "code" => "the code",
                "password" => "the new password",
                _ => "",
            };
            error::spoken(label, &refused)
        }
        other => sentence(&other.to_string()),
    })
}

async fn offer(State(app): State<Arc<App>>, person: Person) -> Result<Response, PageError> {
    let enrolment = user::enrol_totp(&app, &person.signed_in.user);
    account_page(&app, person, Shown { offered: Some(Offered::of(&enrolment)?), ..Shown::default() }).await
}

impl Offered {
    fn of(enrolment: &Enrolment) -> Result<Self, PageError> {
        let failed = |error| PageError::Undrawn(format!("a QR code cannot be drawn: {error}"));
        let code = QrCode::new(enrolment.uri.reveal()).map_err(failed)?;
        let code = code.render::<svg::Color<'_>>().min_dimensions(180, 180).build();
        // The declaration belongs to files; in a page it is an error.
        let code = code.split_once("?>").map_or(code.as_str(), |(_, drawing)| drawing).to_owned();
        Ok(Self { secret: enrolment.secret.reveal().to_owned(), code })
    }
}

async fn confirm(
    State(app): State<Arc<App>>,
    mut person: Person,
    client: Client,
    form: Form,
) -> Result<Response, PageError> {
    let (secret, password) = (form.secret("secret"), form.secret("current_password"));
    if secret.reveal().len() > OFFERED_CHARS_MAX {
        return Err(Invalid::value("this is not the secret that was offered: begin again").into());
    }
    match user::confirm_totp(&app, &person.signed_in, &password, &secret, form.text("code"), &client).await {
        Ok(codes) => {
            // The page shows what is so now, and the codes with it: after a redirection they would be gone.
            person.signed_in.user.has_totp = true;
            let said = Some("From now on, signing in also asks for a code of your app.");
            account_page(&app, person, Shown { said, ..Shown::of_new_codes(&codes) }).await
        }
        Err(error) => {
            let wrong = Some(("second-factor", words(error)?));
            let enrolment = user::offered_totp(&person.signed_in.user, secret);
            let offered = Some(Offered::of(&enrolment)?);
            account_page(&app, person, Shown { offered, wrong, ..Shown::default() }).await
        }
    }
}

async fn remove(
    State(app): State<Arc<App>>,
    person: Person,
    client: Client,
    form: Form,
) -> Result<Response, PageError> {
    match user::remove_totp(&app, &person.signed_in, &given(&form), &client).await {
        Ok(()) => Ok(done("removed")),
        Err(error) => refused(&app, person, "second-factor", error).await,
    }
}

async fn new_recovery_codes(
    State(app): State<Arc<App>>,
    person: Person,
    client: Client,
    form: Form,
) -> Result<Response, PageError> {
    match user::new_recovery_codes(&app, &person.signed_in, &given(&form), &client).await {
        Ok(codes) => account_page(&app, person, Shown::of_new_codes(&codes)).await,
        Err(error) => refused(&app, person, "second-factor", error).await,
    }
}

async fn end(
    State(app): State<Arc<App>>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id: SessionId = list::id(&id)?;
    app.store.end_session(person.signed_in.user.id, id).await?;
    Ok(done("ended"))
}

async fn end_others(State(app): State<Arc<App>>, person: Person) -> Result<Response, PageError> {
    app.store.end_other_sessions(person.signed_in.user.id, person.signed_in.session.id).await?;
    Ok(done("ended"))
}

async fn leave(
    State(app): State<Arc<App>>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id: BusinessId = list::id(&id)?;
    match app.store.leave_business(id, person.signed_in.user.id).await {
        Ok(()) => Ok(done("left")),
        Err(error) => refused(&app, person, "businesses", error.into()).await,
    }
}

async fn delete(
    State(app): State<Arc<App>>,
    person: Person,
    client: Client,
    form: Form,
) -> Result<Response, PageError> {
    match user::delete_own(&app, &person.signed_in, &given(&form), &client).await {
        Ok(()) => {
            let gone = Redirect::to("/sign-in?done=account-deleted");
            Ok(([cookie::drop_session(&app.public_url)], gone).into_response())
        }
        Err(error) => refused(&app, person, "delete", error).await,
    }
}

/// Whoever reloads the answer to a form gets the page that the form stands on.
async fn back() -> Redirect {
    Redirect::to("/account")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_called_as_people_call_it() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
        let safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";
        let edge = chrome.replace("X11; Linux x86_64", "Windows NT 10.0; Win64; x64") + " Edg/130.0.0.0";
        assert_eq!(
            [chrome, safari, &edge].map(device),
            ["Chrome on Linux", "Safari on iPhone", "Edge on Windows"]
        );
        assert_eq!(["curl/8.10.1", "Visitor", ""].map(device), ["curl/8.10.1", "Visitor", ""]);
    }
}
