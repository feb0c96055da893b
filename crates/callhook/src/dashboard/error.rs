//! What a page says where it cannot do what was asked: one sentence, and a way on.

use super::form::Form;
use super::guard::Posted;
use super::sign_in;
use crate::logging::Cause;
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
    /// The person belongs to no business.
    NoBusiness,
    /// There is nothing at this address, or nothing for this person.
    NotFound,
    /// What was asked cannot be done.
    Refused(Invalid),
    /// The store refused or failed.
    Store(StoreError),
    /// A page, or a part of one, could not be drawn.
    Undrawn(String),
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
    /// Where the overview is; nothing where the person has none.
    overview: Option<&'a str>,
}

/// The page of a refusal.
pub fn page(status: StatusCode, title: &str, words: String, overview: Option<&str>) -> Response {
    let page = ErrorPage { title, words, overview }.render();
    // Cannot fail: the page writes texts into a text.
    (status, Html(page.unwrap_or_default())).into_response()
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let overview = (!matches!(self, Self::NoBusiness)).then_some("/");
        let (status, title, words, cause) = match self {
            Self::SignIn { to, form: None } => {
                let to: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
                return Redirect::to(&format!("/sign-in?to={to}")).into_response();
            }
            Self::SignIn { to, form: Some(form) } => return sign_in::ask_again(&to, &form),
            Self::Forbidden(words) => (StatusCode::FORBIDDEN, "Not allowed", words.to_owned(), None),
            Self::NoBusiness => {
                let words = "You are in no business any more: ask an admin for an invitation.";
                (StatusCode::FORBIDDEN, "No business", words.to_owned(), None)
            }
            Self::NotFound => not_found("page"),
            Self::Refused(refused) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "Not possible", sentence(&refused.to_string()), None)
            }
            Self::Store(error) => of_store(error),
            Self::Undrawn(cause) => fault(cause),
        };
        let mut response = page(status, title, words, overview);
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
        other @ StoreError::Unknown(_) => {
            let words =
                "The store does not say whether it was done: look whether it was before you try again.";
            (StatusCode::SERVICE_UNAVAILABLE, "Not confirmed", words.to_owned(), Some(other.to_string()))
        }
        other @ StoreError::Unavailable(_) => {
            let words =
                "The store does not answer: try again shortly. Nothing that was acknowledged is lost.";
            (StatusCode::SERVICE_UNAVAILABLE, "Not available", words.to_owned(), Some(other.to_string()))
        }
        other => fault(other.to_string()),
    }
}

fn fault(cause: String) -> Said {
    let words =
        "Something went wrong in callhook itself: the log says what, beside the X-Request-Id of this answer.";
    (StatusCode::INTERNAL_SERVER_ERROR, "A fault", words.to_owned(), Some(cause))
}

/// A refusal beside its form: what the page calls the field, and what is wrong with it; sentences that stand for themselves do so.
pub fn spoken(label: &str, refused: &Invalid) -> String {
    if refused.reason.ends_with('.') {
        return sentence(&refused.reason);
    }
    sentence(format!("{label} {}", refused.reason).trim())
}

/// With a capital at the beginning and a full stop at the end.
pub fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if words.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    struct Broken;

    impl fmt::Display for Broken {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }

    #[derive(Template)]
    #[template(source = "{{ part }}", ext = "txt")]
    struct BrokenPage {
        part: Broken,
    }

    #[test]
    fn a_refusal_is_a_whole_sentence() {
        let spoken = |reason| spoken("Webhook URL", &Invalid::value(reason));
        assert_eq!(spoken("is not a URL"), "Webhook URL is not a URL.");
        let words = "10.0.3.7 is a private address: callhook sends nothing there.";
        assert_eq!(spoken(words), words);
    }

    #[test]
    fn a_page_that_cannot_be_drawn_is_a_fault_and_no_damage_of_the_store() {
        let response = super::super::frame::Page(BrokenPage { part: Broken }).into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let cause = response.extensions().get::<Cause>().map(|cause| cause.0.as_str());
        assert!(cause.is_some_and(|cause| cause.starts_with("a page cannot be drawn")), "{cause:?}");
    }
}
