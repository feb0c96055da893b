//! What phone systems call: no API key, but a secret in the path and a signature over the request.

use super::body;
use super::error::{ApiError, ErrorBody, Reading};
use super::limits::CALLBACK_BYTES_MAX;
use super::path::Id;
use crate::app::App;
use crate::app::source::{CallbackRefused, CallbackRequest, take_callback};
use axum::extract::{FromRequest, OriginalUri, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::secret::Secret;
use sources::twilio::callback::Endpoint;
use sources::twilio::signature::{SETTINGS_HEADER, SIGNATURE_HEADER};
use sources::twilio::{EMPTY_TWIML, TWIML_CONTENT_TYPE};
use std::sync::Arc;

/// A callback, read whole: the signature covers all of it.
pub struct RawRequest {
    parts: Parts,
    body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for RawRequest {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = body::read(request, CALLBACK_BYTES_MAX).await?;
        Ok(Self { parts, body })
    }
}

/// A status callback: of a call, or of a leg that it dialled.
#[utoipa::path(post, path = "/sources/twilio/{token}/status", tag = "Callbacks", security(()),
    params(("token" = String, Path)), request_body(content = Object, content_type = "application/x-www-form-urlencoded"),
    responses((status = 204), (status = 400, body = ErrorBody), (status = 413, body = ErrorBody), Reading))]
pub async fn status(
    State(app): State<Arc<App>>,
    Id(token): Id<String>,
    request: RawRequest,
) -> Result<StatusCode, ApiError> {
    take(&app, token, Endpoint::Status, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The same, by a phone system that is set to GET.
#[utoipa::path(get, path = "/sources/twilio/{token}/status", tag = "Callbacks", security(()),
    params(("token" = String, Path)), responses((status = 204), (status = 400, body = ErrorBody),
    (status = 413, body = ErrorBody), Reading))]
pub async fn status_by_get(
    State(app): State<Arc<App>>,
    Id(token): Id<String>,
    request: RawRequest,
) -> Result<StatusCode, ApiError> {
    take(&app, token, Endpoint::Status, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The action of a `<Dial>`; answered with empty instructions, so that the call ends.
#[utoipa::path(post, path = "/sources/twilio/{token}/dial", tag = "Callbacks", security(()),
    params(("token" = String, Path)), request_body(content = Object, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = String, content_type = "text/xml"), (status = 400, body = ErrorBody),
    (status = 413, body = ErrorBody), Reading))]
pub async fn dial(
    State(app): State<Arc<App>>,
    Id(token): Id<String>,
    request: RawRequest,
) -> Result<Response, ApiError> {
    take(&app, token, Endpoint::Dial, &request).await?;
    Ok(([(CONTENT_TYPE, TWIML_CONTENT_TYPE)], EMPTY_TWIML).into_response())
}

/// The same, by a phone system that is set to GET.
#[utoipa::path(get, path = "/sources/twilio/{token}/dial", tag = "Callbacks", security(()),
    params(("token" = String, Path)), responses((status = 200, body = String, content_type = "text/xml"),
    (status = 400, body = ErrorBody), (status = 413, body = ErrorBody), Reading))]
pub async fn dial_by_get(
    State(app): State<Arc<App>>,
    Id(token): Id<String>,
    request: RawRequest,
) -> Result<Response, ApiError> {
    take(&app, token, Endpoint::Dial, &request).await?;
    Ok(([(CONTENT_TYPE, TWIML_CONTENT_TYPE)], EMPTY_TWIML).into_response())
}

/// A recording callback.
#[utoipa::path(post, path = "/sources/twilio/{token}/recording", tag = "Callbacks", security(()),
    params(("token" = String, Path)), request_body(content = Object, content_type = "application/x-www-form-urlencoded"),
    responses((status = 204), (status = 400, body = ErrorBody), (status = 413, body = ErrorBody), Reading))]
pub async fn recording(
    State(app): State<Arc<App>>,
    Id(token): Id<String>,
    request: RawRequest,
) -> Result<StatusCode, ApiError> {
    take(&app, token, Endpoint::Recording, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The same, by a phone system that is set to GET.
#[utoipa::path(get, path = "/sources/twilio/{token}/recording", tag = "Callbacks", security(()),
    params(("token" = String, Path)), responses((status = 204), (status = 400, body = ErrorBody),
    (status = 413, body = ErrorBody), Reading))]
pub async fn recording_by_get(
    State(app): State<Arc<App>>,
    Id(token): Id<String>,
    request: RawRequest,
) -> Result<StatusCode, ApiError> {
    take(&app, token, Endpoint::Recording, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn take(app: &App, token: String, endpoint: Endpoint, request: &RawRequest) -> Result<(), ApiError> {
    let header = |name: &'static str| {
        request.parts.headers.get(HeaderName::from_static(name)).and_then(|value| value.to_str().ok())
    };
    // What was signed is the address as it was called; the router has taken the base path off the request's own.
    let called = request.parts.extensions.get::<OriginalUri>();
    let uri = called.map_or(&request.parts.uri, |OriginalUri(uri)| uri);
    let is_form = header(CONTENT_TYPE.as_str()).is_some_and(|kind| {
        kind.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
    });
    let callback = CallbackRequest {
        endpoint,
        path_and_query: uri.path_and_query().map_or("/", |path| path.as_str()),
        query: uri.query().unwrap_or_default(),
        is_form: is_form && request.parts.method != Method::GET,
        body: &request.body,
        signature: header(SIGNATURE_HEADER),
        settings: header(SETTINGS_HEADER),
    };
    match take_callback(app, Secret::new(token), callback).await {
        Ok(()) => Ok(()),
        Err(CallbackRefused::Store(error)) => Err(error.into()),
        Err(CallbackRefused::Unauthentic(reason)) => {
            // The owner who mistyped the auth token looks for this; the phone system's answer says no more than no.
            tracing::warn!(%reason, "A callback was refused: its signature is not the phone system's");
            Err(ApiError::forbidden("the request's signature is not valid"))
        }
    }
}
