//! The one place where a failure becomes HTTP. It has two messages: one for the client (what is wrong and what to do), one for
//! the log (the cause), which [`super::request`] writes once, with the id of the request.

use super::limits::BUSY_RETRY_SECONDS;
use crate::app::document::Refused;
use crate::logging::Cause;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::Invalid;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use store::StoreError;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as ResponseDocument, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// A failure.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody {
    /// What is wrong.
    error: ErrorDetail,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// A word for programs.
    #[schema(examples("invalid_request"))]
    code: &'static str,
    /// A sentence for people: what is wrong and what to do.
    message: String,
    /// The path of the field that is wrong.
    #[schema(examples("post_call_webhook.url"))]
    field: Option<String>,
}

/// A failure on its way to the client and the log.
#[derive(Clone, Debug)]
pub struct ApiError {
    status: StatusCode,
    detail: ErrorDetail,
    retry_after_seconds: Option<u32>,
    cause: Option<String>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let detail = ErrorDetail { code, message: message.into(), field: None };
        Self { status, detail, retry_after_seconds: None, cause: None }
    }

    /// 400.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_request", message)
    }

    /// 401.
    #[must_use]
    pub fn unauthorized() -> Self {
        let message = "the API key is missing or not valid: send the header Authorization: Bearer ch_key_…";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 405.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let message = "this address does not take this method: the header Allow names those it takes";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// 408.
    #[must_use]
    pub fn too_slow(within: Duration) -> Self {
        let message = format!("the body did not arrive within {} seconds: send it again", within.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    }

    /// 413.
    #[must_use]
    pub fn too_large(bytes_max: usize) -> Self {
        let message = format!("the body is too large: at most {bytes_max} bytes are taken here");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 415.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    /// 502: another server failed. `cause` is for the log.
    pub fn bad_gateway(message: impl Into<String>, cause: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_GATEWAY, "bad_gateway", message);
        error.cause = Some(cause.into());
        error
    }

    /// 500. `cause` is for the log.
    pub fn internal(cause: impl Into<String>) -> Self {
        let message =
            "something went wrong in callhook itself: report it with the X-Request-Id of this answer";
        let mut error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message);
        error.cause = Some(cause.into());
        error
    }

    /// 503. `cause` is for the log.
    pub fn unavailable(cause: impl Into<String>) -> Self {
        let message = "callhook cannot take this now: try again shortly";
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            .retry_after(BUSY_RETRY_SECONDS);
        error.cause = Some(cause.into());
        error
    }

    /// Says when to come again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The body's inner part, for a list of results.
    #[must_use]
    pub fn into_detail(self) -> ErrorDetail {
        self.detail
    }
}

impl From<Invalid> for ApiError {
    fn from(refused: Invalid) -> Self {
        let Invalid { field, reason } = refused;
        let message =
            if field.is_empty() { format!("the request {reason}") } else { format!("{field} {reason}") };
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", message);
        error.detail.field = (!field.is_empty()).then_some(field);
        error
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Malformed(message) => Self::malformed(message),
            Refused::Invalid(refused) => refused.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(noun) => Self::not_found(format!("there is no such {noun}")),
            StoreError::Conflict(reason) => Self::new(StatusCode::CONFLICT, "conflict", reason),
            StoreError::Invalid(refused) => refused.into(),
            StoreError::KeyRevoked => Self::unauthorized(),
            StoreError::Busy(_) => {
                let mut busy = Self::unavailable(error.to_string());
                busy.detail.message = error.to_string();
                busy
            }
            // A database may also become unusable while it is used: its password was changed.
            StoreError::Unavailable(_)
            | StoreError::Unusable(_)
            | StoreError::Unknown(_)
            | StoreError::Malformed(_) => Self::unavailable(error.to_string()),
            StoreError::InUse { .. }
            | StoreError::Damaged { .. }
            | StoreError::Gone { .. }
            | StoreError::WrongKey
            | StoreError::Sealed
            | StoreError::Corrupt(_) => Self::internal(error.to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody { error: self.detail })).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::REQUEST_TIMEOUT {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

/// The refusals of an operation that reads, for its documentation.
pub struct Reading;

/// The refusals of an operation that takes a body or changes something, for its documentation.
pub struct Writing;

const READING: [(u16, &str); 6] = [
    (401, "The API key is missing or not valid."),
    (403, "The key's role does not allow this."),
    (404, "There is no such thing in this business."),
    (422, "A parameter or a field is wrong; `field` names it."),
    (500, "A fault of callhook's."),
    (503, "callhook cannot take it now; `Retry-After` says when to come again."),
];
const WRITING: [(u16, &str); 5] = [
    (400, "The body is not a JSON text in UTF-8, or a header cannot be read."),
    (408, "The body did not arrive in time."),
    (409, "It contradicts what is there."),
    (413, "The body is too large."),
    (415, "The body is not announced as application/json, or is compressed."),
];

fn documented(refusals: &[(u16, &str)]) -> BTreeMap<String, RefOr<ResponseDocument>> {
    let content = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    let document = |(status, words): &(u16, &str)| {
        let response = ResponseBuilder::new().description(*words).content("application/json", content());
        (status.to_string(), response.build().into())
    };
    refusals.iter().map(document).collect()
}

impl IntoResponses for Reading {
    fn responses() -> BTreeMap<String, RefOr<ResponseDocument>> {
        documented(&READING)
    }
}

impl IntoResponses for Writing {
    fn responses() -> BTreeMap<String, RefOr<ResponseDocument>> {
        documented(&[&READING[..], &WRITING[..]].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: StoreError, status: u16, has_cause: bool) {
        let response = ApiError::from(error).into_response();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.extensions().get::<Cause>().is_some(), has_cause);
        assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503);
        assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), status == 401);
    }

    #[test]
    fn failures_of_the_store_have_the_status_that_says_what_to_do() {
        check(StoreError::NotFound("call"), 404, false);
        check(StoreError::Conflict("taken".to_owned()), 409, false);
        check(Invalid::field("name", "is required").into(), 422, false);
        check(StoreError::KeyRevoked, 401, false);
        check(StoreError::Busy("the queue is full"), 503, true);
        check(StoreError::Unavailable("disk full".to_owned()), 503, true);
        check(StoreError::Unknown("commit".to_owned()), 503, true);
        check(StoreError::Malformed("a page".to_owned()), 503, true);
        check(StoreError::Corrupt("row".to_owned()), 500, true);
        check(StoreError::Sealed, 500, true);
    }

    #[test]
    fn who_asked_for_too_much_is_told_so() {
        let error = ApiError::from(StoreError::Busy("ask for less"));
        assert_eq!(error.detail.message, "the store is busy: ask for less");
    }

    #[test]
    fn a_cause_is_not_for_the_client() {
        let error = ApiError::from(StoreError::Unavailable("/var/lib/callhook.db is full".to_owned()));
        assert!(!error.detail.message.contains("callhook.db"));
        assert!(error.cause.unwrap().contains("callhook.db"));
    }
}
