//! Request bodies: bounded, announced as JSON, read field by field.

use super::error::ApiError;
use super::idempotency;
use super::limits::BODY_BYTES_MAX;
use crate::app::document;
use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, request::Parts};
use bytes::Bytes;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use store::idempotency::Once;

/// The body of a request that may be repeated as it is.
#[derive(Debug)]
pub struct Body<T, const BYTES_MAX: usize = BODY_BYTES_MAX>(pub T);

/// The body of a POST, with what the client says of repetitions.
#[derive(Debug)]
pub struct Command<T, const BYTES_MAX: usize = BODY_BYTES_MAX> {
    /// The body.
    pub body: T,
    /// Set where the client named an `Idempotency-Key`.
    pub once: Option<Once>,
}

/// The body of a POST that can do without one: an empty one says nothing.
#[derive(Debug)]
pub struct OptionalCommand<T> {
    /// The body.
    pub body: T,
    /// Set where the client named an `Idempotency-Key`.
    pub once: Option<Once>,
}

impl<T: DeserializeOwned, S: Send + Sync, const BYTES_MAX: usize> FromRequest<S> for Body<T, BYTES_MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        check_media_type(request.headers())?;
        let (_, bytes) = read(request, BYTES_MAX).await?;
        Ok(Self(document::read(&bytes)?))
    }
}

impl<T: DeserializeOwned, S: Send + Sync, const BYTES_MAX: usize> FromRequest<S> for Command<T, BYTES_MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        check_media_type(request.headers())?;
        let (parts, bytes) = read(request, BYTES_MAX).await?;
        Ok(Self { once: idempotency::once(&parts, &bytes)?, body: document::read(&bytes)? })
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalCommand<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, bytes) = read(request, BODY_BYTES_MAX).await?;
        let once = idempotency::once(&parts, &bytes)?;
        if bytes.is_empty() {
            return Ok(Self { body: T::default(), once });
        }
        check_media_type(&parts.headers)?;
        Ok(Self { body: document::read(&bytes)?, once })
    }
}

/// Reads a whole body of at most so many bytes.
pub async fn read(request: Request, bytes_max: usize) -> Result<(Parts, Bytes), ApiError> {
    let (parts, body) = request.into_parts();
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|value| value.parse::<u64>().ok()).is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(ApiError::too_large(bytes_max));
    }
    let bytes = to_bytes(body, bytes_max).await.map_err(|error| {
        let cause = std::error::Error::source(&error);
        if cause.and_then(|cause| cause.downcast_ref::<LengthLimitError>()).is_some() {
            ApiError::too_large(bytes_max)
        } else {
            ApiError::malformed("the body broke off before its end")
        }
    })?;
    Ok((parts, bytes))
}

fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset")
            || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    if is_json && is_utf8 {
        Ok(())
    } else {
        Err(ApiError::unsupported_media_type(
            "the body must be JSON in UTF-8: send the header Content-Type: application/json",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, StatusCode};
    use axum::response::IntoResponse;

    #[track_caller]
    fn check(content_type: Option<&'static str>, is_taken: bool) {
        let mut headers = HeaderMap::new();
        if let Some(value) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
        }
        let checked = check_media_type(&headers).map_err(|error| error.into_response().status());
        assert_eq!(checked, if is_taken { Ok(()) } else { Err(StatusCode::UNSUPPORTED_MEDIA_TYPE) });
    }

    #[test]
    fn only_json_in_utf8_is_taken() {
        check(Some("application/json"), true);
        check(Some("Application/JSON; charset=UTF-8"), true);
        check(Some("application/json;charset=\"utf-8\""), true);
        check(Some("application/json; profile=x"), true);
        check(None, false);
        check(Some("text/plain"), false);
        check(Some("application/x-www-form-urlencoded"), false);
        check(Some("application/json; charset=utf-16"), false);
        check(Some("application/json; charset=latin1"), false);
        check(Some("application/jsonp"), false);
    }
}
