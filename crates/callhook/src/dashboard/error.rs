//! What a page says where it cannot do what was asked: one sentence, and a way on.

use super::form::Form;
use super::guard::Posted;
use super::sign_in;
use crate::api::error::Cause;
use askama::Template;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::Invalid;
use store::StoreError;

/// Why there is no page.
#[derive(Debug)]
pub enum PageError {
    /// Nobody is signed in: the request as far as it is worth keeping.
    SignIn {
        /// Where it went.
        to: String,
        /// The form that came with it.
        form: Option<Form>,
    },
    /// The person may not do this here; the sentence says what it needs.
    Forbidden(&'static str),
    /// There is nothing at this address, or nothing for this person.
    NotFound,
    /// What was asked cannot be done.
    Refused(Invalid),
    /// The store refused or failed.
    Store(StoreError),
}

impl PageError {
    /// Nobody is signed in.
    pub fn sign_in(parts: &Parts) -> Self {
        let to = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let posted = parts.extensions.get::<Posted>().filter(|_| parts.method == Method::POST);
        Self::SignIn { to, form: posted.map(|posted| Form::read(&posted.0)) }
    }

    /// What is to be said beside a form that is shown again; an error that no form mends comes back.
    pub fn of_form(error: StoreError) -> Result<Invalid, Self> {
        match error {
            StoreError::Invalid(refused) => Ok(refused),
            StoreError::Conflict(reason) => Ok(Invalid::value(reason)),
            other => Err(other.into()),
        }
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Invalid> for PageError {
    fn from(refused: Invalid) -> Self {
        Self::Refused(refused)
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    title: &'a str,
    words: String,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, title, words, cause) = match self {
            Self::SignIn { to, form: None } => {
                let to: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
                return Redirect::to(&format!("/sign-in?to={to}")).into_response();
            }
            Self::SignIn { to, form: Some(form) } => return sign_in::ask_again(&to, &form),
            Self::Forbidden(words) => (StatusCode::FORBIDDEN, "Not allowed", words.to_owned(), None),
            Self::NotFound => not_found("page"),
            Self::Refused(refused) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "Not possible", sentence(&refused.to_string()), None)
            }
            Self::Store(error) => of_store(error),
        };
        let page = ErrorPage { title, words }.render();
        // Cannot fail: the page writes texts into a text.
        let mut response = (status, Html(page.unwrap_or_default())).into_response();
        if let Some(cause) = cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

type Said = (StatusCode, &'static str, String, Option<String>);

fn not_found(what: &str) -> Said {
    let words = format!("There is no such {what}, or it belongs to a business that you are not in.");
    (StatusCode::NOT_FOUND, "Not found", words, None)
}

fn of_store(error: StoreError) -> Said {
    match error {
        StoreError::NotFound(what) => not_found(what),
        StoreError::Conflict(reason) => (StatusCode::CONFLICT, "Not possible", sentence(&reason), None),
        StoreError::Invalid(refused) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "Not possible", sentence(&refused.to_string()), None)
        }
        StoreError::Busy(reason) => (StatusCode::SERVICE_UNAVAILABLE, "Busy", sentence(reason), None),
        other @ (StoreError::Unavailable(_) | StoreError::Unknown(_)) => {
            let words =
                "The store does not answer: try again shortly. Nothing that was acknowledged is lost.";
            (StatusCode::SERVICE_UNAVAILABLE, "Not available", words.to_owned(), Some(other.to_string()))
        }
        other => {
            let words = "Something went wrong in callhook itself: the log says what, beside the X-Request-Id of this answer.";
            (StatusCode::INTERNAL_SERVER_ERROR, "A fault", words.to_owned(), Some(other.to_string()))
        }
    }
}

/// A refusal beside its form: what the page calls the field, and what is wrong with it.
pub fn spoken(label: &str, refused: &Invalid) -> String {
    sentence(format!("{label} {}", refused.reason).trim())
}

/// With a capital at the beginning and a full stop at the end.
pub fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if words.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", characters.as_str())
}
