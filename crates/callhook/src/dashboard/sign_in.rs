//! The door: signing in and out, the first user's set-up, invitations, another password.

use super::cookie;
use super::error::{self, PageError, sentence};
use super::form::Form;
use super::frame::{self, Page, Person};
use super::list::Query;
use crate::app::App;
use crate::app::sign_in::{self, Client, Entered, SignInError, Started};
use crate::app::user::{self, NewAccount, SetUp};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use domain::secret::Secret;
use std::sync::Arc;
use store::StoreError;
use store::invitation::{Accept, OpenInvitation};

/// The pages.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/sign-in", get(ask).post(sign_in))
        .route("/sign-in/code", post(sign_in_with_code).get(back))
        .route("/sign-out", post(sign_out))
        .route("/setup/{token}", get(ask_set_up).post(set_up))
        .route("/invitation/{token}", get(ask_invitation).post(accept))
        .route("/reset/{token}", get(ask_reset).post(reset))
}

#[derive(Default, Template)]
#[template(path = "sign_in/sign_in.html")]
struct SignInPage {
    to: String,
    /// A form that was sent after the session had ended.
    kept: String,
    email: String,
    note: Option<&'static str>,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in/code.html")]
struct CodePage {
    to: String,
    kept: String,
    /// Whose code it is to be.
    email: String,
    /// Stands for the password, which is given once.
    proof: Secret,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in/go_on.html")]
struct GoOnPage {
    to: String,
    fields: Vec<(String, String)>,
}

/// Fields that prove something, beside passwords.
const SECRETS: [&str; 4] = ["code", "recovery_code", "secret", "auth_token"];

/// Asks who it is, and keeps what was sent meanwhile.
pub fn ask_again(to: &str, form: &Form) -> Response {
    // What proves who it is stays out of pages.
    let kept = form
        .fields()
        .iter()
        .filter(|(name, _)| !name.contains("password") && !SECRETS.contains(&name.as_str()));
    let page = SignInPage {
        to: own_path(to),
        kept: form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish(),
        note: Some("Your session has ended. Sign in to go on: what you typed is kept."),
        ..SignInPage::default()
    };
    (StatusCode::UNAUTHORIZED, Page(page)).into_response()
}

/// A path of this server: nobody is led elsewhere by a link to sign in.
fn own_path(to: &str) -> String {
    // Browsers write everything else encoded, and no header could hold it.
    let is_written = to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_own = is_written && to.starts_with('/') && !to.starts_with("//");
    if is_own { to.to_owned() } else { "/".to_owned() }
}

async fn ask(State(app): State<Arc<App>>, query: Query) -> Result<Response, PageError> {
    let note = match query.done() {
        _ if !app.store.has_users().await? => Some(
            "Nobody has an account yet. The link that makes the first one was shown where the server was started; callhook users setup makes another there.",
        ),
        Some("password-set") => Some("The password is set. Sign in with it."),
        Some("account-deleted") => Some("Your account is deleted."),
        _ => None,
    };
    Ok(Page(SignInPage { to: own_path(query.text("to")), note, ..SignInPage::default() }).into_response())
}

async fn sign_in(State(app): State<Arc<App>>, client: Client, form: Form) -> Result<Response, PageError> {
    let (to, kept) = (own_path(form.text("to")), form.text("kept").to_owned());
    let email = form.text("email").to_owned();
    match sign_in::sign_in(&app, &email, &form.secret("password"), &client).await {
        Ok(Entered::Started(started)) => Ok(welcome(&app, &started, go_on(to, &kept))),
        Ok(Entered::NeedsCode(proof)) => {
            let page = CodePage { to, kept, email, proof, wrong: None };
            Ok((StatusCode::UNAUTHORIZED, Page(page)).into_response())
        }
        Err(error) => refused(error, |wrong| {
            Page(SignInPage { to, kept, email, note: None, wrong: Some(wrong) }).into_response()
        }),
    }
}

async fn sign_in_with_code(
    State(app): State<Arc<App>>,
    client: Client,
    form: Form,
) -> Result<Response, PageError> {
    let proof = form.secret("proof");
    let gave = match sign_in::gave_password(&app, &proof, &client).await {
        Ok(gave) => gave,
        Err(error) => return ask_password_again(error, &form),
    };
    let (to, kept) = (own_path(form.text("to")), form.text("kept").to_owned());
    // The app's code or, from the field that is opened where the app is not at hand, a recovery code.
    let code = form.given("recovery_code").or_else(|| form.given("code")).unwrap_or_default();
    match sign_in::sign_in_with_code(&app, &gave, &code, &client).await {
        Ok(started) => Ok(welcome(&app, &started, go_on(to, &kept))),
        Err(error @ SignInError::Expired) => ask_password_again(error, &form),
        Err(error) => {
            let is_wrong = matches!(error, SignInError::Wrong);
            refused(error, |words| {
                let wrong = Some(if is_wrong { "The code is wrong.".to_owned() } else { words });
                Page(CodePage { to, kept, email: gave.email.to_string(), proof, wrong }).into_response()
            })
        }
    }
}

/// The first step again, where the second has come too late.
fn ask_password_again(error: SignInError, form: &Form) -> Result<Response, PageError> {
    let (to, kept) = (own_path(form.text("to")), form.text("kept").to_owned());
    let email = form.text("email").to_owned();
    refused(error, |wrong| {
        Page(SignInPage { to, kept, email, note: None, wrong: Some(wrong) }).into_response()
    })
}

/// Shows a step again with what is wrong; an error that no form mends comes back.
fn refused(error: SignInError, page: impl FnOnce(String) -> Response) -> Result<Response, PageError> {
    let wrong = sentence(&error.to_string());
    let (status, wait) = match error {
        SignInError::SlowDown { retry_after } => (StatusCode::TOO_MANY_REQUESTS, Some(retry_after)),
        // A code that was used before is one more that is wrong.
        SignInError::Store(error) if !matches!(error, StoreError::Conflict(_)) => return Err(error.into()),
        _ => (StatusCode::UNAUTHORIZED, None),
    };
    let mut response = (status, page(wrong)).into_response();
    if let Some(wait) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
    }
    Ok(response)
}

/// Whoever reloads the second step begins with the first.
async fn back() -> Redirect {
    Redirect::to("/sign-in")
}

/// Where the person was going; with a form that waits, the question whether to send it.
fn go_on(to: String, kept: &str) -> Response {
    if kept.is_empty() {
        return Redirect::to(&to).into_response();
    }
    Page(GoOnPage { to, fields: Form::read(kept.as_bytes()).fields().to_vec() }).into_response()
}

fn welcome(app: &App, started: &Started, next: Response) -> Response {
    let (name, value) = cookie::keep_session(&app.public_url, &started.token);
    ([(name, value)], next).into_response()
}

async fn end(app: &App, headers: &HeaderMap) -> Result<(), StoreError> {
    if let Some(token) = cookie::session(&app.public_url, headers)
        && let Some(signed_in) = app.store.session(Secret::new(token)).await?
    {
        app.store.end_session(signed_in.user.id, signed_in.session.id).await?;
    }
    Ok(())
}

async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let ended = end(&app, &headers).await;
    let cookie = cookie::drop_session(&app.public_url);
    let clear = (header::HeaderName::from_static("clear-site-data"), "\"cache\"".to_owned());
    // The browser forgets it also where the store could not.
    let next = ended.map_or_else(
        |error| PageError::from(error).into_response(),
        |()| Redirect::to("/sign-in").into_response(),
    );
    ([cookie, clear], next).into_response()
}

#[derive(Template)]
#[template(path = "sign_in/set_up.html")]
struct SetUpPage {
    form: Form,
    asks_business: bool,
    wrong: Option<String>,
}

async fn ask_set_up(State(app): State<Arc<App>>, Path(token): Path<String>) -> Result<Response, PageError> {
    if !app.store.is_setup_link(Secret::new(token)).await? {
        return Err(StoreError::NotFound(store::sign_in_link::GONE).into());
    }
    set_up_page(&app, Form::default(), None).await
}

async fn set_up_page(app: &App, form: Form, wrong: Option<String>) -> Result<Response, PageError> {
    let asks_business = app.store.list_businesses().await?.is_empty();
    let status = frame::answered(wrong.is_some());
    Ok((status, Page(SetUpPage { form, asks_business, wrong })).into_response())
}

async fn set_up(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    client: Client,
    form: Form,
) -> Result<Response, PageError> {
    let document = SetUp {
        email: form.text("email").to_owned(),
        name: form.text("name").to_owned(),
        password: form.secret("password"),
        business: form.given("business"),
    };
    match user::set_up(&app, &token, document, &client).await {
        Ok(started) => Ok(welcome(&app, &started, Redirect::to("/").into_response())),
        Err(error) => {
            let refused = PageError::of_form(error)?;
            set_up_page(&app, form, Some(spoken(&refused))).await
        }
    }
}

/// A refusal with the field's name as the page has it.
fn spoken(refused: &domain::Invalid) -> String {
    let field = match refused.field.as_str() {
        "email" => "the e-mail address",
        "password" => "the password",
        "name" => "your name",
        "business" => "the business's name",
        _ => "",
    };
    error::spoken(field, refused)
}

#[derive(Template)]
#[template(path = "sign_in/invitation.html")]
struct InvitationPage {
    open: OpenInvitation,
    form: Form,
    is_signed_in: bool,
    to: String,
    wrong: Option<String>,
}

async fn ask_invitation(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    person: Option<Person>,
) -> Result<Response, PageError> {
    let open = open(&app, &token).await?;
    Ok(Page(invitation_page(open, &token, person.as_ref(), Form::default(), None)).into_response())
}

async fn open(app: &App, token: &str) -> Result<OpenInvitation, PageError> {
    let found = app.store.invitation(Secret::new(token)).await?;
    found.ok_or_else(|| StoreError::NotFound(store::invitation::GONE).into())
}

fn invitation_page(
    open: OpenInvitation,
    token: &str,
    person: Option<&Person>,
    form: Form,
    wrong: Option<String>,
) -> InvitationPage {
    let is_signed_in = person.is_some_and(|person| Some(person.signed_in.user.id) == open.user_id);
    InvitationPage { open, form, is_signed_in, to: format!("/invitation/{token}"), wrong }
}

async fn accept(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    client: Client,
    person: Option<Person>,
    form: Form,
) -> Result<Response, PageError> {
    let invitation = open(&app, &token).await?;
    let to = format!("/b/{}", invitation.business_id);
    if let (Some(person), Some(invited)) = (&person, invitation.user_id)
        && person.signed_in.user.id == invited
    {
        app.store.accept_invitation(Secret::new(token), Accept::Existing(invited)).await?;
        return Ok(Redirect::to(&to).into_response());
    }
    let account = NewAccount { name: form.text("name").to_owned(), password: form.secret("password") };
    match user::accept_as_new(&app, &token, account, &client).await {
        Ok(started) => Ok(welcome(&app, &started, Redirect::to(&to).into_response())),
        Err(error) => {
            let wrong = spoken(&PageError::of_form(error)?);
            let page = invitation_page(invitation, &token, person.as_ref(), form, Some(wrong));
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
    }
}

#[derive(Template)]
#[template(path = "sign_in/reset.html")]
struct ResetPage {
    email: String,
    wrong: Option<String>,
}

async fn ask_reset(State(app): State<Arc<App>>, Path(token): Path<String>) -> Result<Response, PageError> {
    let email = email_of_link(&app, &token).await?;
    Ok(Page(ResetPage { email, wrong: None }).into_response())
}

async fn email_of_link(app: &App, token: &str) -> Result<String, PageError> {
    let user = app.store.reset_link(Secret::new(token)).await?;
    Ok(user.ok_or(StoreError::NotFound(store::sign_in_link::GONE))?.email.to_string())
}

async fn reset(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let email = email_of_link(&app, &token).await?;
    match user::reset_password(&app, &token, &form.secret("password")).await {
        Ok(_) => Ok(Redirect::to("/sign-in?done=password-set").into_response()),
        Err(error) => {
            let wrong = Some(spoken(&PageError::of_form(error)?));
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(ResetPage { email, wrong })).into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_nowhere_else() {
        for own in ["/", "/b/1/deliveries?status=failed&cursor=x", "/account"] {
            assert_eq!(own_path(own), own);
        }
        for other in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "evil",
            "/a\r\nSet-Cookie: x",
            "/\u{1}",
            "/ä",
        ] {
            assert_eq!(own_path(other), "/", "{other}");
        }
    }
}
