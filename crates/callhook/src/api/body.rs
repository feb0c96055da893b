//! Request bodies: bounded, announced as JSON, read field by field.

use super::error::ApiError;
use super::idempotency;
use super::limits::{BODY_BYTES_MAX, BODY_WITHIN, LARGE_BODY_WITHIN};
use crate::app::document;
use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, request::Parts};
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
        check_media_type(request.method(), request.headers())?;
        let (_, bytes) = read(request, BYTES_MAX).await?;
        Ok(Self(document::read(&bytes)?))
    }
}

impl<T: DeserializeOwned, S: Send + Sync, const BYTES_MAX: usize> FromRequest<S> for Command<T, BYTES_MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        check_media_type(request.method(), request.headers())?;
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
        check_media_type(&parts.method, &parts.headers)?;
        Ok(Self { body: document::read(&bytes)?, once })
    }
}

/// Reads a whole body of at most so many bytes, which must arrive in time.
pub async fn read(request: Request, bytes_max: usize) -> Result<(Parts, Bytes), ApiError> {
    let (parts, body) = request.into_parts();
    check_encoding(&parts.headers)?;
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|value| value.parse::<u64>().ok()).is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(ApiError::too_large(bytes_max));
    }
    let within = if bytes_max > BODY_BYTES_MAX { LARGE_BODY_WITHIN } else { BODY_WITHIN };
    let arrived = tokio::time::timeout(within, to_bytes(body, bytes_max)).await;
    let bytes = arrived.map_err(|_| ApiError::too_slow(within))?.map_err(|error| {
        let cause = std::error::Error::source(&error);
        if cause.and_then(|cause| cause.downcast_ref::<LengthLimitError>()).is_some() {
            ApiError::too_large(bytes_max)
        } else {
            ApiError::malformed("the body broke off before its end")
        }
    })?;
    Ok((parts, bytes))
}

fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_plain = |value: &str| value.split(',').all(|part| part.trim().eq_ignore_ascii_case("identity"));
    if headers.get_all(CONTENT_ENCODING).iter().all(|value| value.to_str().is_ok_and(is_plain)) {
        Ok(())
    } else {
        Err(ApiError::unsupported_media_type(
            "the body must be sent as it is, not compressed: leave out the header Content-Encoding",
        ))
    }
}

/// JSON in UTF-8; a PATCH, which merges as RFC 7396 says, may also call it so.
fn check_media_type(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| {
        kind.eq_ignore_ascii_case("application/json")
            || (method == Method::PATCH && kind.eq_ignore_ascii_case("application/merge-patch+json"))
    });
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
    use super::super::limits::LARGE_BODY_BYTES_MAX;
    use super::*;
    use axum::http::{HeaderValue, StatusCode};
    use axum::response::IntoResponse;
    use futures_util::{StreamExt as _, stream};

    #[track_caller]
    fn check(content_type: Option<&'static str>, is_taken: bool) {
        check_of(&Method::POST, content_type, is_taken);
    }

    #[track_caller]
    fn check_of(method: &Method, content_type: Option<&'static str>, is_taken: bool) {
        let mut headers = HeaderMap::new();
        if let Some(value) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
        }
        let checked = check_media_type(method, &headers).map_err(|error| error.into_response().status());
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

    #[test]
    fn a_merge_patch_is_for_patch_alone() {
        for (method, is_taken) in [(Method::PATCH, true), (Method::POST, false), (Method::PUT, false)] {
            check_of(&method, Some("application/merge-patch+json"), is_taken);
            check_of(&method, Some("application/json"), true);
        }
        check_of(&Method::PATCH, Some("application/merge-patch+json; charset=utf-16"), false);
    }

    async fn refused(request: Request, bytes_max: usize) -> StatusCode {
        read(request, bytes_max).await.unwrap_err().into_response().status()
    }

    #[tokio::test]
    async fn a_compressed_body_is_refused() {
        for (encoding, is_taken) in [("gzip", false), ("identity, br", false), ("Identity", true)] {
            let request = Request::builder().header(CONTENT_ENCODING, encoding);
            let request = request.body(axum::body::Body::from("{}")).unwrap();
            if is_taken {
                assert_eq!(&read(request, 5).await.unwrap().1[..], b"{}");
            } else {
                assert_eq!(refused(request, 5).await, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{encoding}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_not_waited_for() {
        for (bytes_max, within) in [(BODY_BYTES_MAX, BODY_WITHIN), (LARGE_BODY_BYTES_MAX, LARGE_BODY_WITHIN)]
        {
            let begun = tokio::time::Instant::now();
            let body =
                stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]).chain(stream::pending());
            let request = Request::new(axum::body::Body::from_stream(body));
            assert_eq!(refused(request, bytes_max).await, StatusCode::REQUEST_TIMEOUT);
            assert_eq!(begun.elapsed().as_secs(), within.as_secs());
        }
    }
}
