//! What stands around every page: a strict content policy, no caching, and no change on the word of another site.
//!
//! A cookie goes along with what another site sends as well, so a change is taken only where the browser says that it comes from a page
//! of this address (`Origin`, `Sec-Fetch-Site`).

use crate::app::App;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every page.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // A path may hold a one-time token.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
];

/// Bytes of a form. Its longest field is a list of headers, 4 KiB of them.
const FORM_BYTES_MAX: usize = 256 * 1_024;
/// How long a form may take to arrive.
const FORM_WITHIN: Duration = Duration::from_secs(20);

/// A form as it was sent. It is read before anybody is asked who sends it, so that what was typed outlives a session.
#[derive(Clone, Debug, Default)]
pub struct Posted(pub Bytes);

/// Runs a request.
pub async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    protected(match admit(&app, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    })
}

/// The page with the headers that keep it safe.
pub fn protected(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn admit(app: &App, request: Request) -> Result<Request, (StatusCode, &'static str)> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(request);
    }
    if !comes_from_here(request.headers(), &app.public_url) {
        let words = "This change came from another site, or from a browser that does not say from where: it was not made. \
            Open the page again at its own address.";
        return Err((StatusCode::FORBIDDEN, words));
    }
    let (mut parts, body) = request.into_parts();
    let form = match tokio::time::timeout(FORM_WITHIN, to_bytes(body, FORM_BYTES_MAX)).await {
        Ok(Ok(form)) => form,
        Ok(Err(_)) => {
            return Err((
                StatusCode::PAYLOAD_TOO_LARGE,
                "The form is too large, or was cut off: send it again.",
            ));
        }
        Err(_) => {
            return Err((StatusCode::REQUEST_TIMEOUT, "The form took too long to arrive: send it again."));
        }
    };
    parts.extensions.insert(Posted(form));
    Ok(Request::from_parts(parts, Body::empty()))
}

/// Whether a page of this very address sent it, or one of the address by which people know this server.
fn comes_from_here(headers: &HeaderMap, public_url: &str) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else {
        return text(HeaderName::from_static("sec-fetch-site")) == Some("same-origin");
    };
    let Ok(origin) = Url::parse(origin) else { return false };
    if Url::parse(public_url).is_ok_and(|own| own.origin() == origin.origin()) {
        return true;
    }
    let Some(host) = text(header::HOST).and_then(|host| host.parse::<Authority>().ok()) else { return false };
    // Behind a proxy the scheme is not known here: the port that goes without saying is either's.
    let port = host.port_u16().or_else(|| origin.port_or_known_default());
    origin.host_str() == Some(&host.host().to_ascii_lowercase()) && origin.port_or_known_default() == port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], expected: bool) {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        assert_eq!(comes_from_here(&headers.collect(), "https://hooks.example.com"), expected);
    }

    #[test]
    fn only_a_page_of_this_address_may_change_something() {
        check(&[("host", "calls.example.com"), ("origin", "https://calls.example.com")], true);
        check(&[("host", "calls.example.com:8080"), ("origin", "http://calls.example.com:8080")], true);
        check(&[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")], true);
        check(&[("host", "calls.example.com"), ("origin", "https://calls.example.com.evil.example")], false);
        check(&[("host", "calls.example.com:8080"), ("origin", "http://calls.example.com:9090")], false);
        check(&[("host", "calls.example.com"), ("origin", "null")], false);
        check(&[("host", "calls.example.com"), ("sec-fetch-site", "same-origin")], true);
        check(&[("host", "calls.example.com"), ("sec-fetch-site", "cross-site")], false);
        check(&[("host", "calls.example.com"), ("sec-fetch-site", "same-site")], false);
        check(&[("host", "calls.example.com")], false);
        check(&[("origin", "https://calls.example.com")], false);
        check(&[("host", "10.0.0.5:8080"), ("origin", "https://hooks.example.com")], true);
        check(&[("host", "10.0.0.5:8080"), ("origin", "http://hooks.example.com")], false);
    }
}
